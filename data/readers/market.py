"""Market-1501's folders and file names, which DukeMTMC-reID, Occluded-Duke, PKU-Reid and the street share.

`root/{bounding_box_train,query,bounding_box_test}/PID_cCAM...`, for instance `0002_c1s1_000451_03.jpg` (Market-1501)
or `0001_c2_f0046182.jpg` (DukeMTMC-reID). PID -1 is a detector's mistake and is left out; PID 0000 is a distractor
and stays in the gallery. Occluded-Duke is DukeMTMC-reID divided anew: something is in the way in every query.
"""

from __future__ import annotations

import re
from pathlib import Path

from common.errors import unknown_name
from data.readers.checks import checked
from data.readers.listing import require_layout
from data.readers.named import read_names
from data.samples import Counts, Dataset

FOLDERS = {"train": "bounding_box_train", "query": "query", "gallery": "bounding_box_test"}
EXPECTED = "bounding_box_train/, query/ and bounding_box_test/"
FORM = "PID_cCAMERA..., cameras from c1, such as 0002_c1s1_000451_03.jpg"

PUBLISHED = {
    "market": {"train": Counts(12_936, 751), "query": Counts(3_368, 750), "gallery": Counts(15_913, 751)},
    "duke": {"train": Counts(16_522, 702), "query": Counts(2_228, 702), "gallery": Counts(17_661, 1_110)},
    "occluded-duke": {"train": Counts(15_618, 702), "query": Counts(2_210, 519), "gallery": Counts(17_661, 1_110)},
}

NO_COUNTS = "none"
"""The variant of any other dataset in these folders, whatever it is called."""

NAME = re.compile(r"(?P<pid>-1|[0-9]{1,9})_c(?P<cam>0*[1-9][0-9]{0,5})(?![0-9])")
"""Matched at the start of a base name; cameras are counted from 1."""


def read(root: Path, name: str, *, variant: str | None = None) -> Dataset:
    """Read a dataset of this layout.

    Args:
        variant: "market", "duke" or "occluded-duke", whose published counts it should have, or "none"; the dataset's
            own name when that is one of these, else "none".

    Raises:
        UserError: the variant is unknown, the folders are not there (naming the one that would work, one level up or
            down) or a file name does not parse.
    """
    if variant is not None and variant not in (*PUBLISHED, NO_COUNTS):
        raise unknown_name("variant of Market-1501's layout", variant, (*PUBLISHED, NO_COUNTS))
    require_layout(root, name, FOLDERS.values(), EXPECTED, is_layout)
    kind = variant or name
    return read_layout(root, name, PUBLISHED.get(kind), named=kind if kind == "occluded-duke" else None)


def is_layout(folder: Path) -> bool:
    """True when `folder` is the root of this layout; `query` alone would be that of other layouts too."""
    return any((folder / FOLDERS[title]).is_dir() for title in ("train", "gallery"))


def read_layout(
    root: Path,
    name: str,
    published: dict[str, Counts] | None,
    notes: tuple[str, ...] = (),
    named: str | None = None,
) -> Dataset:
    """The dataset in `root`, whose folders have been found; a folder that is missing is an empty split.

    Args:
        named: the protocol, by the name that papers on this dataset have for Market-1501's.
    """
    # Only the training folder is read with its sub-folders: that is how the published counts were made.
    splits, skipped = read_names(root, name, FOLDERS, NAME, FORM, below=("train",))
    three = splits["train"], splits["query"], splits["gallery"]
    return checked(name, *three, published, notes + skipped, named=named)
