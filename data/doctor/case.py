"""What the checks look at: the dataset as its reader gives it, all files in its folder, a look at each picture."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatch
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from common.contracts import UNKNOWN
from common.errors import UserError
from data.catalog import CATALOG, Entry, find, load, root_of
from data.doctor.findings import Item
from data.doctor.layouts import Layout, layout_of
from data.doctor.looks import Looks
from data.doctor.printing import plain
from data.readers import SELF_MADE
from data.readers.checks import Unfit
from data.readers.listing import PICTURE_SUFFIXES
from data.samples import Dataset, Ints, Strings

TITLES = ("train", "query", "gallery", "unlabelled", "folder")
TRAIN, QUERY, GALLERY, UNLABELLED, FOLDER = range(5)
"""`FOLDER` is where the pictures are of a dataset that its reader cannot read: nothing is known of them."""


@dataclass(frozen=True)
class Rows:
    """One row for each picture of each split, train first; a file may have several rows.

    Attributes:
        splits: `(R,)` int64 places in `TITLES`.
        pids, camids, clothes: `(R,)` int64 as the dataset names them; −1 unknown.
        files: `(R,)` int64 places in `Case.files`.
    """

    splits: Ints
    pids: Ints
    camids: Ints
    clothes: Ints
    files: Ints

    def __len__(self) -> int:
        return len(self.files)


@dataclass(frozen=True)
class Case:
    """A dataset in front of the doctor.

    Attributes:
        place: its folder; all names of files count from here.
        dataset: None when it cannot be read.
        refusal: why the reader refuses it; empty when it does not.
        files: the distinct picture files of all splits, or all that lie in the folder when it cannot be read; sorted.
        others: the other files below `place`, sorted; hidden ones are left out.
        options: the reader's own keys in the catalog.
        looks: one row for each of `files`; None when nobody looked (--quick).
    """

    name: str
    reader: str
    place: Path
    layout: Layout
    dataset: Dataset | None
    refusal: str
    files: Strings
    rows: Rows
    others: Strings
    options: Mapping[str, object] = field(default_factory=dict)
    looks: Looks | None = None

    @cached_property
    def first_rows(self) -> Ints:
        """`(F,)` the first row of each file."""
        _, first = np.unique(self.rows.files, return_index=True)
        return first.astype(np.int64)

    @cached_property
    def parts(self) -> Ints:
        """`(R,)` 0 in the training part, 1 in the test part (query and gallery), 2 where that is not known."""
        return np.array([0, 1, 1, 0, 2])[self.rows.splits]

    def rows_of(self, split: int) -> Ints:
        """The rows of one of `TITLES`."""
        return np.flatnonzero(self.rows.splits == split)

    def told(self, row: int) -> str:
        """Which picture a row is, without its name: `query, person 12`."""
        pid = int(self.rows.pids[row])
        return TITLES[int(self.rows.splits[row])] + (f", person {pid}" if pid != UNKNOWN else "")

    def item(self, row: int, about: str = "") -> Item:
        """A row's picture, for a finding."""
        told = self.told(row)
        return Item((self.files[int(self.rows.files[row])],), f"{told}; {about}" if about else told)

    def items_of_files(self, files: Iterable[int], about: Iterable[str]) -> tuple[Item, ...]:
        """Files by their place in `files`, for a finding."""
        first = self.first_rows
        return tuple(self.item(int(first[file]), told) for file, told in zip(files, about, strict=True))


def open_case(name: str, root: Path | None, catalog: Path = CATALOG) -> Case:
    """Read a dataset of the catalog and list its folder; its pictures are not looked into yet.

    Raises:
        UserError: nothing says where it lies, or what lies there is no dataset of this kind at all.
    """
    entry = load(catalog).get(name, Entry(name))
    try:
        place, named_by = root_of(name, root, entry, catalog)
        if entry.reader in SELF_MADE and named_by == entry.origin and not place.exists():
            raise UserError(
                f"dataset '{name}': {place} is not there yet and the doctor makes none; training with it does, or "
                f"python3 -m data.{entry.reader}"
            )
        dataset, refusal = _read(name, root, catalog, entry, place)
    except UserError as error:
        raise UserError(plain(_as_typed_here(str(error)))) from None
    layout = layout_of(entry.reader, place, entry.options)
    place = place.parent if place.is_file() else place
    below = _files_below(place)
    if dataset is None:
        known = [path for path in below if path.lower().endswith(PICTURE_SUFFIXES)]
        if not known:
            raise UserError(plain(refusal))
        rows = _unknown_rows(len(known))
    else:
        known, rows = _known(dataset, place)
    taken = set(known)
    others = Strings(path for path in below if path not in taken and not _belongs(path, layout))
    return Case(name, entry.reader, place, layout, dataset, refusal, Strings(known), rows, others, entry.options)


def _read(name: str, root: Path | None, catalog: Path, entry: Entry, place: Path) -> tuple[Dataset | None, str]:
    """The dataset, None when its reader does not take it, and why not; raises when no such dataset lies there."""
    try:
        return find(name, root, catalog), ""
    except Unfit as error:
        return error.dataset, _as_typed_here(str(error))
    except UserError as error:
        if not place.exists() or not layout_of(entry.reader, place, entry.options).fits(place):
            raise
        return None, _as_typed_here(str(error))


def _as_typed_here(sentence: str) -> str:
    """A reader's sentence with this command's own option for the folder."""
    short = re.sub(r"data\.root=(.+?) \(eval\.py: --root \1\)", r"--root \1", sentence)
    return short.replace("(named by data.root)", "(named by --root)").replace("data.root=", "--root ")


def _files_below(place: Path) -> list[str]:
    """All files that are not hidden, relative to `place`, sorted; linked folders are not entered."""
    found = []
    for folder, names, files in os.walk(place):
        names[:] = [name for name in names if not name.startswith(".")]
        above = Path(folder).relative_to(place).as_posix()
        above = "" if above == "." else f"{above}/"
        found += [f"{above}{file}" for file in files if not file.startswith(".")]
    return sorted(found)


def _belongs(path: str, layout: Layout) -> bool:
    """Whether a file is one that the layout has beside the pictures."""
    base = path.rpartition("/")[2]
    folders = (name for name in layout.beside if name.endswith("/"))
    return any(path.startswith(folder) for folder in folders) or any(fnmatch(base, name) for name in layout.beside)


def _known(dataset: Dataset, place: Path) -> tuple[list[str], Rows]:
    """The distinct files of a dataset in sorted order, and its rows."""
    paths: list[str] = []
    for split in dataset.splits.values():
        above = Path(os.path.relpath(split.root, place)).as_posix()
        paths += split.paths if above == "." else [f"{above}/{path}" for path in split.paths]
    files = sorted(set(paths))
    number = {path: place for place, path in enumerate(files)}
    splits = list(dataset.splits.values())
    sizes = [len(split) for split in splits]
    return files, Rows(
        np.repeat(np.arange(len(splits)), sizes),
        np.concatenate([split.pids for split in splits]),
        np.concatenate([split.camids for split in splits]),
        np.concatenate([split.clothes for split in splits]),
        np.fromiter((number[path] for path in paths), dtype=np.int64, count=len(paths)),
    )


def _unknown_rows(count: int) -> Rows:
    unknown = np.full(count, UNKNOWN, dtype=np.int64)
    return Rows(np.full(count, FOLDER, dtype=np.int64), unknown, unknown, unknown, np.arange(count))


def rows_mask(case: Case, files: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """`(R,)` which rows are of the files `(F,)` that are marked."""
    mask: NDArray[np.bool_] = files[case.rows.files]
    return mask
