"""What already lies in a folder: this very street, whole; another one; or something that is never touched."""

from __future__ import annotations

import json
import os
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from common.errors import UserError
from data.street.config import FORMAT, StreetConfig
from data.street.layouts import LAYOUTS, SPLITS, layout_of
from data.street.truth import CAUSES, JOINTS, PARTS, PICTURES, parts_path
from data.street.world import World

MANIFEST = "street.json"


@dataclass(frozen=True)
class Summary:
    """What lies in a street's folder.

    Attributes:
        out: the folder.
        counts: pictures of each split that the layout has.
        seconds: how long it took to write; 0 when it was there already.
        fresh: False when the folder held this very street and was left as it was.
    """

    out: Path
    counts: dict[str, int]
    seconds: float
    fresh: bool

    @property
    def pictures(self) -> int:
        return sum(self.counts.values())


def standing(out: Path, config: StreetConfig, force: bool) -> Summary | None:
    """The street of `config` that `out` already is; None when it may be written.

    Raises:
        UserError: `out` holds something else, or a street that only `force` may replace.
    """
    if not out.exists() and not out.is_symlink():
        return None
    if out.is_symlink():
        raise UserError(f"{out} is a link; give the folder that it leads to")
    if not out.is_dir():
        raise UserError(f"{out} is not a folder; choose another place for the street")
    if Path.cwd().is_relative_to(out):
        raise UserError(f"{out} is the folder you stand in, or above it, and would be replaced; give a folder in it")
    if not any(out.iterdir()):
        return None
    found = manifest(out)
    if found is None:
        raise UserError(f"{out} holds files that are no street; choose an empty or new folder")
    foreign = sorted(entry.name for entry in out.iterdir() if entry.name not in _own_names())
    if foreign:
        raise UserError(f"{out} holds a street and, besides, {foreign[0]}, which is no part of one; move it away first")
    same = found["format"] == FORMAT and found["config"] == config.as_dict()
    fault = _fault(out, config, found["counts"]) if same else "another street"
    if fault is None:
        counts: dict[str, int] = found["counts"]  # type: ignore[assignment]  # as `_fault` has just counted
        return Summary(out, counts, 0.0, False)
    if force:
        return None
    if same:
        raise UserError(f"{out} holds this street, but {fault}; write it again with --force")
    raise UserError(f"{out} holds another street; choose another folder or replace it with --force")


def settings_in(root: Path) -> dict[str, object] | None:
    """What the street in `root` was asked to be; None when no street lies there.

    Raises:
        UserError: it was drawn by another version, which drew other pictures for the same settings.
    """
    found = manifest(root)
    settings = None if found is None else found["config"]
    if found is None or not isinstance(settings, dict):
        return None
    if found["format"] != FORMAT:
        raise UserError(
            f"{root} was drawn by another version of the street ({MANIFEST}: format {found['format']}, now {FORMAT});"
            " remove the folder, or draw it again with python3 -m data.street ... --force"
        )
    return settings


def manifest(out: Path) -> dict[str, object] | None:
    """What street.json says; None when there is none, or it is not one of ours."""
    try:
        found = json.loads((out / MANIFEST).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return found if isinstance(found, dict) and {"format", "config", "counts"} <= found.keys() else None


def _own_names() -> set[str]:
    """What may lie directly in a street's folder, whatever its layout."""
    least = {"identities": 2, "shots": 2, "height": 32, "width": 16}
    names = {MANIFEST, CAUSES, PICTURES, JOINTS, PARTS}
    for layout in LAYOUTS.values():
        world = World(StreetConfig(layout=layout.name, cameras=3, outfits=2, **least))
        names |= {place.path.partition("/")[0] for place in layout.places(world)} | set(layout.lists(world))
    return names


def _fault(out: Path, config: StreetConfig, told: object) -> str | None:
    """What is not as it was written, in words; None when everything that a street consists of is there."""
    layout, world = layout_of(config.layout), World(config)
    for name in (CAUSES, PICTURES, JOINTS, *layout.lists(world)):
        if not (out / name).is_file():
            return f"{name} is missing"
    there: dict[str, set[str]] = {}
    shown: set[str] = set()
    counted: Counter[str] = Counter()
    for place in layout.places(world):
        for path in (place.path, parts_path(place)):
            folder, _, name = path.rpartition("/")
            if folder not in there:
                there[folder] = _filled(out / folder)
            if name not in there[folder]:
                return f"{path} is missing or empty"
            there[folder].discard(name)
        shown.add(place.path.rpartition("/")[0])
        counted[place.split] += 1
    strangers = [f"{folder}/{min(names)}" for folder, names in there.items() if names and folder in shown]
    if strangers:
        return f"{strangers[0]} was added"
    with (out / PICTURES).open("rb") as lines:
        if sum(1 for _ in lines) != counted.total():
            return f"{PICTURES} has not a line for every picture"
    counts = {split: counted[split] for split in SPLITS if counted[split]}
    return None if told == counts else f"{MANIFEST} tells other numbers of pictures"


def _filled(folder: Path) -> set[str]:
    """The names of the pictures in a folder that are not empty; none when there is no folder."""
    try:
        with os.scandir(folder) as entries:
            return {entry.name for entry in entries if entry.name.endswith((".jpg", ".png")) and entry.stat().st_size}
    except OSError:
        return set()
