"""A folder per person, with or without a folder per camera in it, with or without train/query/gallery above it."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from common.contracts import UNKNOWN
from common.errors import UserError
from data.readers import market
from data.readers.checks import checked
from data.readers.labels import numbers
from data.readers.listing import folders, how_to_say, pictures, require_folder, split_of
from data.samples import Dataset, Ints

SPLITS = ("train", "query", "gallery")
EXPECTED = "{train,query,gallery}/PERSON/ or PERSON/ with pictures in it, or in PERSON/CAMERA/"


def read(root: Path, name: str) -> Dataset:
    """Read `root/{train,query,gallery}/PERSON/...`, or divide the people of `root/PERSON/...`.

    Below PERSON pictures lie directly or in folders that name the camera. People and cameras that are not whole
    numbers are numbered in sorted order, the same way in all splits.

    Raises:
        UserError: pictures lie outside the folders of people, there are none, or a folder that has to be divided
            has fewer than two people.
    """
    require_folder(root, name, EXPECTED)
    if market.is_layout(root):
        raise UserError(f"dataset '{name}': {root} has {market.EXPECTED}; read it with reader: market")
    beside = folders(root)
    tops = [title for title in SPLITS if title in beside]
    paths = [path for top in tops or [""] for path in pictures(root, top)]
    parts = [path.split("/")[bool(tops) : -1] for path in paths]
    loose = [path for path, part in zip(paths, parts, strict=True) if not part]
    if loose:
        raise UserError(
            f"dataset '{name}': {len(loose):,} pictures in {root} lie in no person's folder; first: {loose[0]}. "
            f"Expected {EXPECTED}"
        )
    if not paths:
        raise UserError(f"dataset '{name}': {root} holds no pictures; expected {EXPECTED}. {how_to_say(name)}")
    pids, people = numbers([part[0] for part in parts], "people")
    camids, cameras = numbers([part[1] if len(part) > 1 else "" for part in parts], "cameras")
    notes = people + cameras
    if tops:
        titles = np.array([path.partition("/")[0] for path in paths])
        chosen = {title: np.flatnonzero(titles == title) for title in SPLITS}
        ignored = [folder for folder in beside if folder not in tops]
        if ignored:
            notes += (f"folders beside {', '.join(tops)} that are not read: {', '.join(ignored)}",)
    else:
        chosen, divided = _divide(root, name, pids, camids)
        notes += (divided,)

    splits = {
        title: split_of(root, [paths[row] for row in rows.tolist()], pids[rows], camids[rows])
        for title, rows in chosen.items()
    }
    return checked(name, splits["train"], splits["query"], splits["gallery"], notes=notes)


def _divide(root: Path, name: str, pids: Ints, camids: Ints) -> tuple[dict[str, Ints], str]:
    """The rows of each split when there are only people: half of them for training, half for the test.

    Of each test person the first picture of each camera is a query and the others are the gallery. A camera's only
    picture is in both: it is junk to itself, but the positive of the person's queries in other cameras. An only
    picture without a camera is in the gallery alone.
    """
    people = np.unique(pids[pids != UNKNOWN])
    if len(people) < 2:
        raise UserError(
            f"dataset '{name}': {root} has pictures of {len(people)} person(s); at least two are needed to divide "
            f"them. Expected {EXPECTED}"
        )
    trained = people[: len(people) // 2]
    in_train = np.isin(pids, trained)
    test = np.flatnonzero(~in_train)
    groups, first, counts = np.unique(
        np.stack([pids[test], camids[test]], axis=1), axis=0, return_index=True, return_counts=True
    )
    several = counts > 1
    query = test[np.sort(first[several | (groups[:, 1] != UNKNOWN)])]
    gallery = np.setdiff1d(test, test[first[several]])
    each = "camera" if (groups[:, 1] != UNKNOWN).any() else "person"
    note = (
        f"there are no train/, query/ and gallery/ folders: the first {len(trained):,} people in sorted order are for "
        f"training, the other {len(people) - len(trained):,} for the test, the first picture of each {each} as query"
    )
    return {"train": np.flatnonzero(in_train), "query": query, "gallery": gallery}, note
