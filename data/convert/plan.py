"""What a folder is to hold before anything is written, and what every layout asks of a dataset."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import PurePosixPath
from typing import NamedTuple

import numpy as np

from common.contracts import UNKNOWN
from common.errors import UserError
from data.readers.checks import CLOTH_CHANGING, NO_CAMERA, without_cameras
from data.readers.listing import PICTURE_SUFFIXES
from data.samples import Dataset, Ints, Split

TITLES = ("train", "query", "gallery")


class Picture(NamedTuple):
    """A picture and the name it will have, relative to the new folder."""

    split: Split
    row: int
    path: str


@dataclass(frozen=True)
class Plan:
    """A dataset in another layout.

    Attributes:
        pictures: a path may stand twice when it is the same picture.
        documents: what tells which picture is what, written after all of them, by name.
        notes: sentences the user must hear: what the layout cannot say.
    """

    pictures: tuple[Picture, ...]
    documents: dict[str, bytes]
    notes: tuple[str, ...] = ()


def judged_cameras(dataset: Dataset) -> Dataset:
    """Without the cameras where the dataset is judged without them, so that its copy will be too."""
    if dataset.rule != NO_CAMERA:
        return dataset
    unlabelled = None if dataset.unlabelled is None else without_cameras(dataset.unlabelled)
    train, query, gallery = (without_cameras(dataset.splits[title]) for title in TITLES)
    return replace(dataset, train=train, query=query, gallery=gallery, unlabelled=unlabelled)


class Cameras(NamedTuple):
    """A dataset as names can tell it, and two numbers that no camera has, for pictures whose camera nobody knows.

    An unknown camera is the same as no other, and names must have one. So queries get another number than whatever
    they search, and nothing is a query's own camera.
    """

    dataset: Dataset
    asking: int
    others: int
    notes: tuple[str, ...]


def named_cameras(dataset: Dataset, most: int) -> Cameras:
    """The cameras that names will have: the dataset's own, numbered anew where one is above `most`."""
    notes: tuple[str, ...] = ()
    camids = np.unique(np.concatenate([dataset.splits[title].camids for title in TITLES]))
    known = camids[camids != UNKNOWN]
    blind = sum(int((dataset.splits[title].camids == UNKNOWN).sum()) for title in TITLES)
    last = int(known.max(initial=UNKNOWN))
    if last + (2 if blind else 0) > most:
        notes += (f"cameras up to {last} have no room in names: numbered in their order from 0 to {len(known) - 1}",)
        dataset = _with_cameras(dataset, lambda column: _places(column, known))
        last = len(known) - 1
    if blind:
        notes += (f"{blind:,} pictures have no known camera: in names of queries it is {last + 1}, else {last + 2}",)
    return Cameras(dataset, last + 1, last + 2, notes)


def _places(camids: Ints, known: Ints) -> Ints:
    return np.where(camids == UNKNOWN, UNKNOWN, np.searchsorted(known, camids)).astype(np.int64)


def _with_cameras(dataset: Dataset, change: Callable[[Ints], Ints]) -> Dataset:
    train, query, gallery = (
        replace(dataset.splits[title], camids=change(dataset.splits[title].camids)) for title in TITLES
    )
    return replace(dataset, train=train, query=query, gallery=gallery)


def filled(camids: Ints, numbers: Ints | int) -> Ints:
    """The cameras, the unknown ones with these numbers."""
    return np.where(camids == UNKNOWN, numbers, camids).astype(np.int64)


def left_out(dataset: Dataset) -> tuple[str, ...]:
    """Notes of what names that tell only person and camera cannot say."""
    notes: tuple[str, ...] = ()
    if any((split.clothes != UNKNOWN).any() for split in dataset.splits.values()):
        rule = f", so it is judged by market there and not by {dataset.protocol}"
        notes += (f"outfits cannot be told in this layout{rule if dataset.rule == CLOTH_CHANGING else ''}",)
    if dataset.unlabelled is not None:
        notes += (
            f"{len(dataset.unlabelled):,} training pictures of nobody knows whom are left out: every name in this "
            "layout tells a person",
        )
    return notes


def numbered(
    name: str, split: Split, camids: Ints, most: tuple[int, int], seen: dict[tuple[int, int], int]
) -> Iterator[tuple[int, int, int, str]]:
    """Person, camera, index and suffix of each row's new name; the index counts each person's pictures by a camera.

    Args:
        camids: `(N,)` as names will have them.
        most: the last person and the last camera that a name has room for.
        seen: how many pictures of a person and camera there are already; counted on.

    Raises:
        UserError: a number above, or a file that readers do not take for a picture.
    """
    for path, pid, camid in zip(split.paths, split.pids.tolist(), camids.tolist(), strict=True):
        for title, number, last in (("person", pid, most[0]), ("camera", camid, most[1])):
            if number > last:
                raise UserError(
                    f"dataset '{name}': {split.root / path} shows {title} {number}, and names in this layout have room "
                    f"up to {last}; number them anew, or write a table (--to csv), which takes any number"
                )
        suffix = PurePosixPath(path).suffix
        if suffix.lower() not in PICTURE_SUFFIXES:
            raise UserError(
                f"dataset '{name}': the name of {split.root / path} does not end as a picture's does "
                f"({', '.join(PICTURE_SUFFIXES)}), and would not be found; rename it, or write a table (--to csv)"
            )
        index = seen.get((pid, camid), 0)
        seen[pid, camid] = index + 1
        yield pid, camid, index, suffix
