"""LTCC: three folders, and names that tell the outfit: `root/{train,query,test}/PID_OUTFIT_cCAMERA_FRAME.png`.

Outfits are counted from 1 for each person, so an outfit is the pair (PID, OUTFIT). PID 0 is a person. Papers print
scores by protocol market ("standard") and by cloth-changing; the latter is the one this dataset was made for.
"""

from __future__ import annotations

import re
from pathlib import Path

from data.readers.checks import CLOTH_CHANGING, checked
from data.readers.listing import require_layout
from data.readers.named import has_several, read_names
from data.samples import Counts, Dataset

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
    require_layout(root, name, FOLDERS.values(), EXPECTED, lambda folder: has_several(folder, FOLDERS))
    splits, notes = read_names(root, name, FOLDERS, _NAME, FORM)
    return checked(name, splits["train"], splits["query"], splits["gallery"], PUBLISHED, notes, CLOTH_CHANGING)
