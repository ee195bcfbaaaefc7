"""Occluded-REID: `root/{occluded_body_images,whole_body_images}/PID/PID_INDEX.tif`, the hidden people and the whole.

No camera is told, so every picture of the person counts. Papers mostly learn elsewhere and ask about all 200 people; a
few divide them (`root/{train,query,test}` with Market-1501's names, whose "cameras" say hidden or whole), which is an
easier question with other scores and a protocol of another name.
"""

from __future__ import annotations

import re
from pathlib import Path

from common.errors import unknown_name
from data.readers.checks import NO_CAMERA, checked
from data.readers.listing import require_layout
from data.readers.named import has_several, read_names
from data.samples import Counts, Dataset, Split

OCCLUDED, WHOLE = "occluded_body_images", "whole_body_images"
VARIANTS = {
    "all": {"query": OCCLUDED, "gallery": WHOLE},
    "half": {"train": "train", "query": "query", "gallery": "test"},
}
EXPECTED = {"all": f"{OCCLUDED}/ and {WHOLE}/", "half": "train/, query/ and test/"}
FORM = {"all": "PID_INDEX, such as 001/001_01.tif", "half": "PID_cCAMERA..., such as 0001_c1_01.tif"}
NOTES = {
    "all": "all people are for the test, none for training",
    "half": "divided people: scores are not those of papers that ask about all 200",
}

PUBLISHED = {"query": Counts(1_000, 200), "gallery": Counts(1_000, 200)}

_NAMES = {
    "all": re.compile(r"(?P<pid>[0-9]{1,9})_[0-9]"),
    "half": re.compile(r"(?P<pid>-1|[0-9]{1,9})_c[0-9]"),
}


def read(root: Path, name: str, *, variant: str = "all") -> Dataset:
    """Read Occluded-REID; a folder that is missing is an empty split.

    Args:
        variant: "all" or "half".

    Raises:
        UserError: the variant is unknown, the folders are not there (naming the one that would work, one level up or
            down) or a file name does not parse.
    """
    if variant not in VARIANTS:
        raise unknown_name("variant of Occluded-REID", variant, VARIANTS)
    folders = VARIANTS[variant]
    require_layout(root, name, folders.values(), EXPECTED[variant], lambda folder: has_several(folder, folders))
    below = folders if variant == "all" else ()
    splits, notes = read_names(root, name, folders, _NAMES[variant], FORM[variant], below)
    train = splits.get("train", Split.empty(root))
    three, told = (train, splits["query"], splits["gallery"]), (NOTES[variant], *notes)
    if variant == "half":
        return checked(name, *three, notes=told, protocol=NO_CAMERA, named="occluded-reid-half")
    return checked(name, *three, PUBLISHED, told, NO_CAMERA, named="occluded-reid")
