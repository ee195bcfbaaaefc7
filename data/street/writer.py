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
from pathlib import Path

from common.errors import UserError
from common.files import make_folder
from common.progress import progress
from data.street.config import FORMAT, StreetConfig
from data.street.layouts import SPLITS, Layout, layout_of
from data.street.standing import MANIFEST, Summary, standing
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
        found = standing(out, config, force)
        if found is not None:
            return found
        make_folder(out.parent)
        counts = _write(out, config, workers, force)
    except OSError as error:
        reason = error.strerror or str(error)
        raise UserError(f"cannot write {out}: {reason}; free some space or choose another folder") from error
    except BrokenProcessPool as error:
        raise UserError("a process that draws was killed, maybe for memory; give fewer --workers") from error
    return Summary(out, counts, time.perf_counter() - started, True)


def _write(out: Path, config: StreetConfig, workers: int, force: bool) -> dict[str, int]:
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
        # Others may have written there meanwhile: whoever was first with this very street is right.
        if standing(out, config, force) is not None:
            return counts
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
