"""P-DukeMTMC-reID: hidden and whole people: `root/{train,test}/{occluded_body_images,whole_body_images}/PID/PID_...`.

Both folders of `train` are for training; of `test` the hidden people are the query and the whole ones the gallery.
Papers count every picture of the person, whichever camera took it. Where names tell the camera (`0001_c2_f0046182.jpg`)
it is kept all the same: a method may learn from it.
"""

from __future__ import annotations

import re
from pathlib import Path

from data.readers.checks import NO_CAMERA, checked
from data.readers.listing import require_layout
from data.readers.named import read_names
from data.readers.occluded_reid import OCCLUDED, WHOLE
from data.samples import Counts, Dataset

FOLDERS = {"train": "train", "query": f"test/{OCCLUDED}", "gallery": f"test/{WHOLE}"}
PARTS = tuple(f"{part}/{folder}" for part in ("train", "test") for folder in (OCCLUDED, WHOLE))
EXPECTED = f"train/ and test/ with {OCCLUDED}/ and {WHOLE}/ in each"
FORM = "PID_..., such as 0001/0001_c2_f0046182.jpg"

PUBLISHED = {"train": Counts(12_927, 665), "query": Counts(2_163, 634), "gallery": Counts(9_053, 634)}

_NAME = re.compile(r"(?P<pid>[0-9]{1,9})_(?:c(?P<cam>0*[1-9][0-9]{0,5})(?![0-9]))?")


def read(root: Path, name: str) -> Dataset:
    """Read P-DukeMTMC-reID; a folder that is missing is an empty split.

    Raises:
        UserError: the folders are not there (naming the one that would work, one level up or down) or a file name
            does not parse.
    """
    require_layout(root, name, PARTS, EXPECTED, _is_layout)
    splits, notes = read_names(root, name, FOLDERS, _NAME, FORM, below=FOLDERS)
    told = ("as papers have it, every picture of the same person counts, of the same camera too",)
    return checked(
        name, splits["train"], splits["query"], splits["gallery"], PUBLISHED, told + notes, NO_CAMERA, named="p-duke"
    )


def _is_layout(folder: Path) -> bool:
    """True when `folder` can be given as the root."""
    return any((folder / part).is_dir() for part in PARTS)
