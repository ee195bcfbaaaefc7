"""CACE-Net's folders: `root/images/PPPPPPPP_CCCC_IIIIIIII.jpg`, and `root/partitions.pkl` with lists of what is what.

The lists: `trainval_im_names`; `test_im_names` with `test_marks` (0 query, 1 gallery, 2 further pictures of a query's
person and camera, which nobody is judged by); and the same people divided once more to choose settings on:
`train_im_names`, `val_im_names`, `val_marks`. Everything else that CACE-Net writes into it is not read: names tell
people and cameras. `python3 -m data.convert` adds `unknown_cameras`: names in which the camera stands for none.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from itertools import pairwise
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any

from common.contracts import UNKNOWN
from common.errors import UserError, did_you_mean, unknown_name
from common.files import inside
from data.readers.checks import checked
from data.readers.listing import (
    by_base_name,
    matched,
    numbers_in,
    pictures_in,
    require_folder,
    split_of,
    wrong_folder,
)
from data.readers.pickled import read_plain
from data.samples import Dataset, Split

FILE, FOLDER = "partitions.pkl", "images"
EXPECTED = f"{FILE} and {FOLDER}/"
FORM = "PID_CAMERA_INDEX, such as 00000002_0001_00000000.jpg"
TRAIN = {"test": "trainval_im_names", "val": "train_im_names"}
PARTS = ("train_im_names", "val_im_names")
"""Of the training pictures; together they are all of them."""
QUERY, GALLERY, FURTHER = 0, 1, 2
UNKNOWN_CAMERAS = "unknown_cameras"

_NAME = re.compile(r"(?P<pid>-0*1(?=_)|[0-9]{1,9})_c?(?P<cam>[0-9]{1,6})_[0-9]+(?![0-9])")


def read(root: Path, name: str, *, variant: str = "test") -> Dataset:
    """Read what `partitions.pkl` lists; cameras are numbered as the names have them.

    Where `trainval_im_names` is not in it, the training pictures are those of `train_im_names` and `val_im_names`.

    Args:
        variant: "test", or "val" for the training people without those of the validation, whose query and gallery
            are read then.

    Raises:
        UserError: the variant is unknown, the folder is not the one (naming the one that would work, one level up or
            down), the file asks for more than plain things or is damaged, a list is missing or malformed, a picture
            is not there or lies elsewhere, or a file name does not parse.
    """
    if variant not in TRAIN:
        raise unknown_name("variant of partitions", variant, TRAIN)
    require_folder(root, name, EXPECTED)
    if not _is_layout(root):
        raise wrong_folder(root, name, EXPECTED, _is_layout)
    lists, notes = _whole(root, read_plain(root / FILE), variant)
    there = set(pictures_in(root, FOLDER, below=True)[0])
    names, marks = _names(root, lists, f"{variant}_im_names"), _marks(root, lists, variant)
    chosen = {
        "train": _names(root, lists, TRAIN[variant]),
        **{title: _marked(names, marks, mark) for title, mark in (("query", QUERY), ("gallery", GALLERY))},
    }
    unseen = set(_names(root, lists, UNKNOWN_CAMERAS)) if UNKNOWN_CAMERAS in lists else set[str]()
    splits = {title: _split(root, name, listed, there, unseen) for title, listed in chosen.items()}
    further = marks.count(FURTHER)
    notes += (f"{further:,} pictures with mark {FURTHER} (multi-query) are not read",) if further else ()
    return checked(name, splits["train"], splits["query"], splits["gallery"], notes=notes)


def _whole(root: Path, lists: dict[str, Any], variant: str) -> tuple[dict[str, Any], tuple[str, ...]]:
    """The lists with all that this variant needs, and a note where training pictures were put together.

    A list that is missing is refused: it may be misspelt, which would leave a split empty.
    """
    notes: tuple[str, ...] = ()
    if variant == "test" and TRAIN[variant] not in lists and all(key in lists for key in PARTS):
        parts = [told for key in PARTS for told in _list(root, lists, key)]
        lists = {**lists, TRAIN[variant]: parts}
        notes = (f"{FILE} has no {TRAIN[variant]}: the training pictures are those of {' and '.join(PARTS)}",)
    for key in (TRAIN[variant], f"{variant}_im_names", f"{variant}_marks"):
        if key not in lists:
            there = ", ".join(_shown(known) for known in sorted(lists)[:12]) or "nothing"
            hint = did_you_mean(key, lists) or ";"
            raise UserError(
                f"{root / FILE} has no list {key}{hint} it has: {there}. Write it anew, with an empty list where there "
                "are no pictures"
            )
    return lists, notes


def _shown(text: str) -> str:
    """A text of the file as a sentence can hold it."""
    return repr(text[:80])[1:-1]


def _marked(names: Iterable[str], marks: Iterable[int], mark: int) -> list[str]:
    """The names that have this mark."""
    return [name for name, told in zip(names, marks, strict=True) if told == mark]


def _is_layout(folder: Path) -> bool:
    return (folder / FILE).is_file()


def _list(root: Path, lists: dict[str, Any], key: str) -> list[Any]:
    """A list of the file."""
    told = lists[key]
    if not isinstance(told, list | tuple):
        raise UserError(f"{root / FILE}: {key} is a {type(told).__name__}, not a list; write the file anew")
    return list(told)


def _names(root: Path, lists: dict[str, Any], key: str) -> list[str]:
    """File names relative to `images/`, none of which leads out of it."""
    names = []
    for place, told in enumerate(_list(root, lists, key)):
        where = f"{root / FILE}: {key}[{place}]"
        if not isinstance(told, str):
            raise UserError(f"{where} is a {type(told).__name__}, not the name of a file; write the file anew")
        for path in (PurePosixPath(told), PureWindowsPath(told)):
            if path.anchor or ".." in path.parts:
                raise UserError(f"{where}: '{_shown(told)}' leads out of {root / FOLDER}; only pictures in it are read")
        names.append(PurePosixPath(told).as_posix())
    return names


def _marks(root: Path, lists: dict[str, Any], variant: str) -> list[int]:
    """One mark for each name."""
    key = f"{variant}_marks"
    marks = _list(root, lists, key)
    names = len(_list(root, lists, f"{variant}_im_names"))
    if len(marks) != names:
        raise UserError(f"{root / FILE}: {key} has {len(marks):,} marks for {names:,} names; write the file anew")
    known = (QUERY, GALLERY, FURTHER)
    wrong = next((place for place, mark in enumerate(marks) if type(mark) is not int or mark not in known), None)
    if wrong is not None:
        raise UserError(f"{root / FILE}: {key}[{wrong}] is none of 0 (query), 1 (gallery) and 2; write the file anew")
    return marks


def _split(root: Path, name: str, listed: list[str], there: set[str], unseen: set[str]) -> Split:
    """The pictures of one split; those of `unseen` without their cameras."""
    paths = sorted(f"{FOLDER}/{told}" for told in listed)
    missing = [path for path in paths if path not in there]
    if missing:
        raise UserError(
            f"dataset '{name}': {len(missing):,} of {len(paths):,} pictures that {root / FILE} lists are not there; "
            f"first: {root}/{_shown(missing[0])}. Copy them there or write {FILE} anew"
        )
    twice = next((path for path, after in pairwise(paths) if path == after), None)
    if twice is not None:
        raise UserError(f"dataset '{name}': {root / FILE} lists {_shown(twice)} more than once; write {FILE} anew")
    _refuse_links_out(root, paths)
    found = matched(root, name, paths, by_base_name(_NAME), FORM)
    camids = numbers_in(found, "cam")
    camids[[path.partition("/")[2] in unseen for path in paths]] = UNKNOWN
    return split_of(root, paths, numbers_in(found, "pid"), camids)


def _refuse_links_out(root: Path, paths: list[str]) -> None:
    """The names are somebody else's, and so may the links be: none is followed out of the folder."""
    for folder in sorted({path.rpartition("/")[0] for path in paths}):
        inside(root, folder, str(root / FILE))
    for path in paths:
        if (root / path).is_symlink():
            inside(root, path, str(root / FILE))
