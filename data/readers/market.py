"""Market-1501's folders and file names, which DukeMTMC-reID, PKU-Reid and the street share.

`root/{bounding_box_train,query,bounding_box_test}/PID_cCAM...`, for instance `0002_c1s1_000451_03.jpg` (Market-1501)
or `0001_c2_f0046182.jpg` (DukeMTMC-reID). PID -1 is a detector's mistake and is left out; PID 0000 is a distractor
and stays in the gallery.
"""

from __future__ import annotations

import re
from pathlib import Path

from data.readers.checks import checked
from data.readers.listing import parse, pictures_in, require_layout, split_of
from data.samples import Counts, Dataset, Split

FOLDERS = {"train": "bounding_box_train", "query": "query", "gallery": "bounding_box_test"}
EXPECTED = "bounding_box_train/, query/ and bounding_box_test/"
FORM = "PID_cCAMERA..., cameras from c1, such as 0002_c1s1_000451_03.jpg"

PUBLISHED = {
    "market": {"train": Counts(12_936, 751), "query": Counts(3_368, 750), "gallery": Counts(15_913, 751)},
    "duke": {"train": Counts(16_522, 702), "query": Counts(2_228, 702), "gallery": Counts(17_661, 1_110)},
}

_NAME = re.compile(r"(?P<pid>-1|[0-9]{1,9})_c(?P<cam>0*[1-9][0-9]{0,5})(?![0-9])")


def read(root: Path, name: str) -> Dataset:
    """Read a dataset of this layout; the published counts are those of its name (`market`, `duke`).

    Raises:
        UserError: the folders are not there (naming the one that would work, one level up or down) or a file name
            does not parse.
    """
    require_layout(root, name, FOLDERS.values(), EXPECTED, is_layout)
    return read_layout(root, name, PUBLISHED.get(name))


def is_layout(folder: Path) -> bool:
    """True when `folder` is the root of this layout; `query` alone would be that of other layouts too."""
    return any((folder / FOLDERS[title]).is_dir() for title in ("train", "gallery"))


def read_layout(root: Path, name: str, published: dict[str, Counts] | None, notes: tuple[str, ...] = ()) -> Dataset:
    """The dataset in `root`, whose folders have been found; a folder that is missing is an empty split."""
    splits: dict[str, Split] = {}
    for title, folder in FOLDERS.items():
        # Only the training folder is read with its sub-folders: that is how the published counts were made.
        paths, skipped = pictures_in(root, folder, below=title == "train")
        notes += skipped
        splits[title] = split_of(root, paths, *parse(root, name, paths, _NAME, FORM))
    return checked(name, splits["train"], splits["query"], splits["gallery"], published, notes)
