"""A street on disk: the folder of a layout, with the truth about its pictures, written whole or not at all."""

from __future__ import annotations

import json
import os
import tempfile
import time
from collections import Counter
from collections.abc import Iterable
from concurrent.futures.process import BrokenProcessPool
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from common.errors import UserError
from common.files import make_folder
from common.progress import progress
from data.street.config import FORMAT, StreetConfig
from data.street.layouts import SPLITS, Layout, layout_of
from data.street.truth import (
    CAUSES,
    JOINTS,
    PICTURES,
    begin_joints,
    causes_json,
    end_joints,
    parts_path,
)
from data.street.workers import Written, drawn
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


def write_street(out: Path, config: StreetConfig, *, workers: int = 1, force: bool = False) -> Summary:
    """Write the street of `config` to the folder `out`, the same bytes with any number of `workers`.

    Args:
        workers: processes that draw; 1 draws in this one.
        force: replace another street that `out` holds. No other folder is ever replaced.

    Raises:
        UserError: `out` holds something else, or cannot be written, or `workers` is below 1.
    """
    if workers < 1:
        raise UserError(f"workers is {workers}, but somebody has to draw; give 1 or more")
    layout_of(config.layout).check(config)
    out = Path(os.path.abspath(out))  # noqa: PTH100  # absolute() would keep "..", resolve() would follow links
    started = time.perf_counter()
    try:
        standing = _standing(out, config, force)
        if standing is not None:
            return standing
        make_folder(out.parent)
        counts = _write(out, config, workers)
    except OSError as error:
        reason = error.strerror or str(error)
        raise UserError(f"cannot write {out}: {reason}; free some space or choose another folder") from error
    except BrokenProcessPool as error:
        raise UserError("a process that draws was killed, maybe for memory; give fewer --workers") from error
    return Summary(out, counts, time.perf_counter() - started, True)


def _write(out: Path, config: StreetConfig, workers: int) -> dict[str, int]:
    """Draw into a hidden folder beside `out` and rename it into place; returns the pictures of each split."""
    layout, world = layout_of(config.layout), World(config)
    beside = tempfile.TemporaryDirectory(
        dir=out.parent, prefix=f".{out.name}.", suffix=".part", ignore_cleanup_errors=True
    )
    with beside as held:
        part = Path(held) / "new"
        total = _make_folders(part, layout, world)
        with closing(drawn(part, config, workers)) as done:
            counts = _record(part, world, progress(done, total=total, title="street", unit="picture"))
        for path, text in layout.lists(world).items():
            (part / path).write_text(text, encoding="utf-8")
        manifest = {"format": FORMAT, "config": config.as_dict(), "counts": counts}
        (part / MANIFEST).write_text(json.dumps(manifest, indent=2) + "\n", encoding="utf-8")
        # What stood there is removed only once the new street stands.
        aside = Path(held) / "old"
        if out.exists():
            out.rename(aside)
        try:
            part.rename(out)
        except BaseException:
            if aside.exists():
                aside.rename(out)
            raise
    return counts


def _make_folders(part: Path, layout: Layout, world: World) -> int:
    """Make every folder that a picture or part map will lie in; returns how many pictures there will be."""
    folders, total = set(), 0
    for place in layout.places(world):
        folders |= {place.path.rpartition("/")[0], parts_path(place).rpartition("/")[0]}
        total += 1
    for folder in sorted(folders):
        (part / folder).mkdir(parents=True, exist_ok=True)
    return total


def _record(part: Path, world: World, written: Iterable[Written]) -> dict[str, int]:
    """Write what is known of each picture as it is done, and of their causes in the end; counts the splits."""
    counted: Counter[str] = Counter()
    worn = set()
    with (
        (part / PICTURES).open("w", encoding="utf-8") as pictures,
        (part / JOINTS).open("w", encoding="utf-8") as joints,
    ):
        begin_joints(joints)
        for number, one in enumerate(written):
            pictures.write(one.line + "\n")
            joints.write((",\n" if number else "") + one.joints)
            counted[one.place.split] += 1
            worn.add((one.place.shot.identity, one.place.shot.outfit))
        end_joints(joints)
    with (part / CAUSES).open("w", encoding="utf-8") as causes:
        causes.writelines(causes_json(world, sorted(worn)))
    return {split: counted[split] for split in SPLITS if counted[split]}


def _standing(out: Path, config: StreetConfig, force: bool) -> Summary | None:
    """The street that `out` already is; None when it may be written; else the error that says what to do."""
    if not out.exists() and not out.is_symlink():
        return None
    if not out.is_dir() or out.is_symlink():
        raise UserError(f"{out} is not a folder; choose another place for the street")
    if not any(out.iterdir()):
        return None
    found = _manifest(out)
    if found is None:
        raise UserError(f"{out} holds files that are no street; choose an empty or new folder")
    same = found.get("format") == FORMAT and found.get("config") == config.as_dict()
    counts = _counted(out, config) if same else {}
    if not (same and found.get("counts") == counts):
        if force:
            return None
        if same:
            raise UserError(f"{out} holds this street, but pictures were added or removed; write it again with --force")
        raise UserError(f"{out} holds another street; choose another folder or replace it with --force")
    return Summary(out, counts, 0.0, False)


def _counted(out: Path, config: StreetConfig) -> dict[str, int]:
    """The pictures of each split that are there; what no layout put there counts too."""
    folders: dict[str, str] = {}
    counted: Counter[str] = Counter()
    names: dict[str, set[str]] = {}
    for place in layout_of(config.layout).places(World(config)):
        folder, _, name = place.path.rpartition("/")
        if folder not in names:
            names[folder] = {file.name for file in (out / folder).glob("*") if file.suffix in (".jpg", ".png")}
            folders[folder] = place.split
        counted[place.split] += name in names[folder]
        names[folder].discard(name)
    for folder, strangers in names.items():
        counted[folders[folder]] += len(strangers)
    return {split: counted[split] for split in SPLITS if counted[split]}


def settings_in(root: Path) -> dict[str, object] | None:
    """What the street in `root` was asked to be; None when no street lies there."""
    settings = (_manifest(root) or {}).get("config")
    return settings if isinstance(settings, dict) else None


def _manifest(out: Path) -> dict[str, object] | None:
    """What street.json says; None when there is none, or it is not one of ours."""
    try:
        found = json.loads((out / MANIFEST).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return found if isinstance(found, dict) and {"format", "config", "counts"} <= found.keys() else None
