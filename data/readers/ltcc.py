"""LTCC: three folders, and names that tell the outfit: `root/{train,query,test}/PID_OUTFIT_cCAMERA_FRAME.png`.

Outfits are counted from 1 for each person, so an outfit is the pair (PID, OUTFIT). PID 0 is a person. Papers print
scores by protocol market ("standard") and by cloth-changing; the latter is the one this dataset was made for.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from data.readers.checks import CLOTH_CHANGING, checked
from data.readers.listing import (
    by_base_name,
    matched,
    numbers_in,
    pictures_in,
    require_layout,
    split_of,
)
from data.samples import Counts, Dataset, Ints, Split

FOLDERS = {"train": "train", "query": "query", "gallery": "test"}
EXPECTED = "train/, query/ and test/"
FORM = "PID_OUTFIT_cCAMERA_FRAME, cameras from c1, such as 094_1_c9_015833.png"

PUBLISHED = {"train": Counts(9_576, 77), "query": Counts(493, 75), "gallery": Counts(7_050, 75)}

_NAME = re.compile(r"(?P<pid>[0-9]{1,9})_(?P<outfit>[0-9]{1,9})_c(?P<cam>0*[1-9][0-9]{0,5})_")


def read(root: Path, name: str) -> Dataset:
    """Read LTCC; a folder that is missing is an empty split.

    Raises:
        UserError: the folders are not there (naming the one that would work, one level up or down) or a file name
            does not parse.
    """
    require_layout(root, name, FOLDERS.values(), EXPECTED, _is_layout)
    notes: tuple[str, ...] = ()
    splits, outfits = {}, {}
    for title, folder in FOLDERS.items():
        paths, skipped = pictures_in(root, folder)
        notes += skipped
        found = matched(root, name, paths, by_base_name(_NAME), FORM)
        splits[title] = split_of(root, paths, numbers_in(found, "pid"), numbers_in(found, "cam") - 1)
        outfits[title] = numbers_in(found, "outfit")
    (train,) = _with_clothes([splits["train"]], [outfits["train"]])
    query, gallery = _with_clothes([splits["query"], splits["gallery"]], [outfits["query"], outfits["gallery"]])
    return checked(name, train, query, gallery, PUBLISHED, notes, CLOTH_CHANGING)


def _is_layout(folder: Path) -> bool:
    """True when `folder` can be given as the root; one of the three alone would be that of other layouts too."""
    return sum((folder / part).is_dir() for part in FOLDERS.values()) > 1


def _with_clothes(splits: Sequence[Split], outfits: Sequence[Ints]) -> list[Split]:
    """The splits with the distinct pairs (PID, OUTFIT) among all of them numbered 0, 1, ... in sorted order."""
    pairs = np.stack([np.concatenate([split.pids for split in splits]), np.concatenate(outfits)], axis=1)
    _, numbers = np.unique(pairs, axis=0, return_inverse=True)
    ends = np.cumsum([len(split) for split in splits])
    parts = np.split(numbers.reshape(-1).astype(np.int64), ends[:-1])
    return [
        split_of(split.root, split.paths, split.pids, split.camids, clothes)
        for split, clothes in zip(splits, parts, strict=True)
    ]
