"""MSMT17: a folder per person, and lists that say which test pictures are the query and which the gallery.

V1 has `train/` and `test/`, V2 (faces masked) `mask_train_v2/` and `mask_test_v2/`, both `list_query.txt` and
`list_gallery.txt` with lines `PERSON/FILE LABEL`. Files are named `PID_SEQUENCE_CAMERA_TIME_...`; people of train and
test are numbered from 0 each, and 0 is a person.
"""

from __future__ import annotations

import re
from itertools import pairwise
from pathlib import Path

from common.errors import UserError, unknown_name
from data.readers.checks import checked
from data.readers.listing import parse, pictures, require_folder, split_of, wrong_folder
from data.samples import Counts, Dataset, Split

EXPECTED = "train/, test/ (or mask_train_v2/, mask_test_v2/), list_query.txt and list_gallery.txt"
FORM = "PID_SEQUENCE_CAMERA_TIME..., cameras from 01, such as 0000_000_01_0303morning_0015_0.jpg"
LISTS = {"query": "list_query.txt", "gallery": "list_gallery.txt"}
TRAIN_LISTS = ("list_train.txt", "list_val.txt")
TREES = {"v1": ("train", "test"), "v2": ("mask_train_v2", "mask_test_v2")}

PUBLISHED = {"train": Counts(32_621, 1_041), "query": Counts(11_659, 3_060), "gallery": Counts(82_161, 3_060)}

_NAME = re.compile(r"(?P<pid>-1|[0-9]{1,9})_[0-9]+_(?P<cam>0*[1-9][0-9]{0,5})_")


def read(root: Path, name: str, *, version: str | None = None) -> Dataset:
    """Read MSMT17 from its folder or the one above it; all of `train/` (train and validation lists) is for training.

    Args:
        version: "v1" or "v2"; without it V1 where it is there, else V2. A note says which was read.

    Raises:
        UserError: the folders are not there, a list is missing or names a picture that is, or a name does not parse.
    """
    if version is not None and str(version).lower() not in TREES:
        raise unknown_name("version of MSMT17", str(version), TREES)
    require_folder(root, name, EXPECTED)
    found = _versions(root)
    if not found:
        raise wrong_folder(root, name, EXPECTED, _is_layout)
    chosen = str(version).lower() if version is not None else min(found)
    if chosen not in found:
        raise UserError(
            f"dataset '{name}': {root} holds MSMT17 {', '.join(found)} only, not {chosen}; "
            f"leave version: out or give the folder of {chosen} with data.root=..."
        )
    base = found[chosen]
    train_tree, test_tree = TREES[chosen]
    notes: tuple[str, ...] = (_which(chosen, found),)
    test = set(pictures(base, test_tree)) if (base / test_tree).is_dir() else set()
    splits = {title: _listed(base, name, test_tree, test, file) for title, file in LISTS.items()}
    train = pictures(base, train_tree) if (base / train_tree).is_dir() else []
    notes += _unlisted(base, train_tree, train)
    return checked(name, _split(base, name, train), splits["query"], splits["gallery"], PUBLISHED, notes)


def _versions(root: Path) -> dict[str, Path]:
    """The versions that are there and the folder of each, V1 first."""
    found = {}
    for version, trees in TREES.items():
        for base in (root / f"MSMT17_{version.upper()}", root):
            if any((base / tree).is_dir() for tree in trees):
                found[version] = base
                break
    return found


def _is_layout(folder: Path) -> bool:
    """True when `folder` can be given as the root; `train` alone would be that of other layouts too."""
    if (folder / LISTS["query"]).is_file():
        return bool(_versions(folder))
    return any((folder / f"MSMT17_{version.upper()}").is_dir() for version in TREES)


def _which(chosen: str, found: dict[str, Path]) -> str:
    if chosen == "v2":
        return "MSMT17 V2 (masked faces) is read: papers use V1, their scores are not comparable"
    return "MSMT17 V1 is read, the version papers use" + ("; version: v2 reads the other" if "v2" in found else "")


def _listed(base: Path, name: str, tree: str, there: set[str], file: str) -> Split:
    """The pictures of one list; none when there is neither list nor test folder."""
    if not (base / file).is_file():
        if there:
            raise UserError(f"dataset '{name}': {base / file} is missing; copy it from the dataset's archive")
        return Split.empty(base)
    paths = _lines(base / file, tree)
    missing = [path for path in paths if path not in there]
    if missing:
        raise UserError(
            f"dataset '{name}': {len(missing):,} of {len(paths):,} pictures in {base / file} are not there; "
            f"first: {base / missing[0]}. Unpack the dataset again"
        )
    if len(set(paths)) < len(paths):
        twice = next(path for path, after in pairwise(paths) if path == after)
        raise UserError(f"dataset '{name}': {base / file} lists {twice} more than once; copy the original list")
    return _split(base, name, paths)


def _lines(file: Path, tree: str) -> list[str]:
    """The paths in a list, below `tree`, sorted; the label at the end of a line is also in the file name."""
    try:
        lines = file.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"cannot read {file}: {error}; copy it from the dataset's archive") from error
    return sorted(f"{tree}/{line.split()[0]}" for line in lines if line.strip())


def _split(base: Path, name: str, paths: list[str]) -> Split:
    return split_of(base, paths, *parse(base, name, paths, _NAME, FORM))


def _unlisted(base: Path, tree: str, train: list[str]) -> tuple[str, ...]:
    """A note when the training lists are there and do not name what the training folder holds."""
    files = [base / file for file in TRAIN_LISTS]
    if not train or not all(file.is_file() for file in files):
        return ()
    named = {path for file in files for path in _lines(file, tree)}
    extra, absent = len(set(train) - named), len(named.difference(train))
    if not extra and not absent:
        return ()
    return (f"{tree}/ and its lists differ: {extra:,} pictures are not listed, {absent:,} listed ones are not there",)
