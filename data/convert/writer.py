"""A plan on disk: pictures linked or copied, never moved or changed; the folder is there whole or not at all."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from common.errors import UserError
from common.files import inside, make_folder, write_atomically
from common.progress import progress
from data.convert.plan import Plan


@dataclass(frozen=True)
class Summary:
    """How many files became links to those of the dataset, and how many were copied."""

    out: Path
    linked: int
    copied: int


def write_plan(out: Path, plan: Plan, *, copy: bool = False) -> Summary:
    """Fill the folder `out`, which is new or empty.

    Args:
        copy: copy the pictures. Without it they are hard links, which take no room, and are copied only where the disk
            has no such links or is another one.

    Raises:
        UserError: `out` holds something or lies in the dataset, a picture is a link that leads out of the dataset, or
            there is no room.
    """
    out = out.resolve()
    for root in sorted({picture.split.root.resolve() for picture in plan.pictures}):
        if out.is_relative_to(root):
            raise UserError(f"{out} lies in the dataset {root}, where nothing is written; choose a folder elsewhere")
    try:
        _require_empty(out)
        sources = _sources(plan)
        make_folder(out.parent)
        return _write(out, plan, sources, copy)
    except OSError as error:
        where = f" ({error.filename})" if error.filename else ""
        reason = error.strerror or str(error)
        raise UserError(f"cannot write {out}: {reason}{where}; free some space or choose another folder") from error


def _require_empty(out: Path) -> None:
    if out.is_dir():
        first = next(out.iterdir(), None)
        if first is not None:
            raise UserError(
                f"{out} already holds something ({first.name}), and nothing is written over; name a new or empty folder"
            )
    elif out.exists():
        raise UserError(f"{out} is a file; name a new or empty folder")


def _sources(plan: Plan) -> dict[str, Path]:
    """The file that each path will be, none of which leads out of its dataset."""
    sources: dict[str, Path] = {}
    folders: dict[tuple[Path, str], Path] = {}
    for split, row, path in plan.pictures:
        told = split.paths[row]
        folder, _, base = told.rpartition("/")
        if (split.root, folder) not in folders:
            folders[split.root, folder] = inside(split.root, folder, "the dataset").resolve()
        file = folders[split.root, folder] / base
        if file.is_symlink():  # a link to a link would be none to the picture
            file = inside(split.root, told, "the dataset").resolve()
        if sources.setdefault(path, file) != file:
            raise UserError(f"{sources[path]} and {file} would both become {path}; rename one of them")
    return sources


def _write(out: Path, plan: Plan, sources: dict[str, Path], copy: bool) -> Summary:
    """Fill a hidden folder beside `out` and rename it into place."""
    beside = tempfile.TemporaryDirectory(
        dir=out.parent, prefix=f".{out.name}.", suffix=".part", ignore_cleanup_errors=True
    )
    with beside as held:
        part = Path(held) / "new"
        part.mkdir()
        for folder in sorted({path.rpartition("/")[0] for path in sources}):
            (part / folder).mkdir(parents=True, exist_ok=True)
        linking = not copy and _can_link(sources.values(), Path(held) / "link")
        if not linking:
            _require_room(out, sources.values())
        linked = sum(_placed(part, sources, linking))
        for name, content in plan.documents.items():
            write_atomically(part / name, lambda file, content=content: file.write(content))  # type: ignore[misc]
        part.rename(out)
    return Summary(out, linked, len(sources) - linked)


def _can_link(sources: Iterable[Path], link: Path) -> bool:
    """True when the first picture can be linked to."""
    first = next(iter(sources), None)
    return first is not None and _link(first, link)


def _require_room(out: Path, sources: Iterable[Path]) -> None:
    size, free = sum(source.stat().st_size for source in sources), shutil.disk_usage(out.parent).free
    if size > free:
        raise UserError(
            f"the pictures take {size / 1e6:,.0f} MB, and {free / 1e6:,.0f} MB are free in {out.parent}; free some "
            "space or choose a folder on the disk of the dataset, where they are links"
        )


def _placed(part: Path, sources: dict[str, Path], linking: bool) -> Iterator[bool]:
    """Put every picture in its place; True for a link."""
    for path, source in progress(sources.items(), total=len(sources), title="pictures", unit="picture"):
        linked = linking and _link(source, part / path)
        if not linked:
            shutil.copyfile(source, part / path)
        yield linked


def _link(source: Path, path: Path) -> bool:
    """False where there can be no such link: another disk, one without links, or somebody else's file."""
    try:
        os.link(source, path)
    except FileNotFoundError:
        raise
    except OSError:
        return False
    return True
