"""What lies in a folder: its pictures in sorted order, and sentences for a folder that is not there."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import numpy as np

from common.contracts import UNKNOWN
from common.errors import UserError
from data.samples import Ints, Split, Strings

PICTURE_SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff")


def pictures(root: Path, folder: str = "") -> list[str]:
    """The picture files anywhere below `root/folder`: paths relative to `root` with forward slashes, sorted.

    Hidden files and folders and files that are not pictures (`Thumbs.db`, `readme.txt`) are left out.

    Raises:
        UserError: a folder cannot be read, or a link leads to nothing.
    """
    found: list[str] = []
    waiting = [folder]
    while waiting:
        here = waiting.pop()
        for entry in scan(root / here):
            path = f"{here}/{entry.name}" if here else entry.name
            if entry.is_dir():
                _refuse_circle(entry)
                waiting.append(path)
            elif entry.name.lower().endswith(PICTURE_SUFFIXES):
                if not entry.is_file():
                    raise UserError(f"{root / path} is a link that leads to no file; mend the link or remove it")
                found.append(path)
    return sorted(found)


def _refuse_circle(entry: os.DirEntry[str]) -> None:
    """Links to folders are followed (people link subsets together), but not back up."""
    if entry.is_symlink() and Path(entry.path).parent.resolve().is_relative_to(Path(entry.path).resolve()):
        raise UserError(f"{entry.path} is a link to a folder it lies in; remove the link")


def folders(folder: Path) -> list[str]:
    """The names of the folders directly in `folder`, sorted, without the hidden ones."""
    return [entry.name for entry in scan(folder) if entry.is_dir()]


def scan(folder: Path) -> list[os.DirEntry[str]]:
    """The entries of one folder that are not hidden, sorted by name."""
    try:
        with os.scandir(folder) as entries:
            return sorted((e for e in entries if not e.name.startswith(".")), key=lambda entry: entry.name)
    except OSError as error:
        raise UserError(f"cannot read the folder {folder}: {error.strerror}; make it readable (chmod u+rx)") from error


def require_folder(root: Path, name: str, expected: str) -> None:
    """Raise `UserError` unless `root` is a folder with something in it; `expected` says what should be there."""
    if not root.is_dir():
        fault = "is a file, not a folder" if root.exists() else "does not exist"
        raise UserError(f"dataset '{name}': {root} {fault}; expected a folder with {expected}. {how_to_say(name)}")
    if not scan(root):
        raise UserError(f"dataset '{name}': {root} is empty; expected {expected}. {how_to_say(name)}")


def wrong_folder(root: Path, name: str, expected: str, fits: Callable[[Path], bool]) -> UserError:
    """The error for a folder that does not hold `expected`; names the folder above or below that does."""
    here = root.absolute()
    near = [here.parent, here.parent.parent, *(here / child for child in folders(here))]
    match = next((folder for folder in near if fits(folder)), None)
    advice = f"{match} does: give it {root_option(name, match)}" if match else how_to_say(name)
    return UserError(f"dataset '{name}': {root} does not hold {expected}. {advice}")


def require_layout(root: Path, name: str, parts: Iterable[str], expected: str, fits: Callable[[Path], bool]) -> None:
    """Raise `UserError` unless one of the folders `parts` is in `root`; it names a folder near that `fits` instead."""
    require_folder(root, name, expected)
    if not any((root / part).is_dir() for part in parts):
        raise wrong_folder(root, name, expected, fits)


def how_to_say(name: str) -> str:
    """What to type when the folder of a dataset is another one."""
    return f"Say where it lies {root_option(name)} or in configs/datasets.yml"


def root_option(name: str, root: Path | None = None) -> str:
    """What to type on each command line to give a dataset's folder."""
    folder = root or f"/path/to/{name}"
    return f"with data.root={folder} (eval.py: --root {folder})"


def pictures_in(root: Path, folder: str, *, below: bool = False) -> tuple[list[str], tuple[str, ...]]:
    """The pictures in `root/folder`, none when it is not there, and a note of those in its sub-folders.

    Args:
        below: read those in sub-folders too.
    """
    paths = pictures(root, folder) if (root / folder).is_dir() else []
    flat = paths if below else [path for path in paths if "/" not in path[len(folder) + 1 :]]
    skipped = len(paths) - len(flat)
    return flat, (f"{skipped:,} pictures in sub-folders of {folder}/ are not read",) if skipped else ()


def matched(
    root: Path, name: str, paths: Sequence[str], match: Callable[[str], re.Match[str] | None], form: str
) -> list[re.Match[str]]:
    """What `match` makes of each path; `UserError` names up to three that do not fit, and how many there are.

    Args:
        form: what a path should look like, for the error.
    """
    matches = [match(path) for path in paths]
    wrong = [path for path, found in zip(paths, matches, strict=True) if found is None]
    if wrong:
        more = ", ..." if len(wrong) > 3 else ""
        raise UserError(
            f"dataset '{name}': {len(wrong):,} of {len(paths):,} file names in {root} do not tell person and camera: "
            f"{', '.join(wrong[:3])}{more}; expected {form}. Rename these files or move them away"
        )
    return [found for found in matches if found is not None]


def numbers_in(matches: Sequence[re.Match[str]], group: str) -> Ints:
    """`(N,)` the whole number in one group of each match."""
    return np.fromiter((int(match[group]) for match in matches), dtype=np.int64, count=len(matches))


def parse(root: Path, name: str, paths: Sequence[str], pattern: re.Pattern[str], form: str) -> tuple[Ints, Ints]:
    """Identities and cameras from base names.

    Args:
        pattern: matched at the start of each base name; its groups `pid` and `cam` are whole numbers, cameras
            counted from 1 in the name and from 0 in the result.
        form: what a name should look like, for the error.

    Returns:
        pids, camids: `(N,)` each.
    """
    fits = matched(root, name, paths, by_base_name(pattern), form)
    return numbers_in(fits, "pid"), numbers_in(fits, "cam") - 1


def by_base_name(pattern: re.Pattern[str]) -> Callable[[str], re.Match[str] | None]:
    """A match at the start of a path's base name, whatever the folders before it are called."""
    return lambda path: pattern.match(path.rpartition("/")[2])


def split_of(root: Path, paths: Sequence[str], pids: Ints, camids: Ints, clothes: Ints | None = None) -> Split:
    """A split from columns; clothes are unknown unless given."""
    if clothes is None:
        clothes = np.full(len(paths), UNKNOWN, dtype=np.int64)
    return Split(root, Strings(paths), pids, camids, clothes)
