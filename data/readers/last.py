"""LaST: actors in many films: `root/train/PID/*.jpg` and `root/{test,val}/{query/*.jpg,gallery/PID/*.jpg}`.

Names are `PID_..._OUTFIT.jpg`, and the outfit is told in `train` alone: it is the pair (PID, OUTFIT). No camera is
told, so every picture of the person counts.
"""

from __future__ import annotations

import re
from pathlib import Path

from common.errors import unknown_name
from data.readers.checks import NO_CAMERA, checked
from data.readers.listing import require_layout
from data.readers.named import TEST, read_names
from data.samples import Counts, Dataset

VARIANTS = ("test", "val")
EXPECTED = "train/, test/ and val/ with query/ and gallery/ in the last two"
FORM = {"train": "PID_..._OUTFIT, such as 000001_s01_0001_03.jpg", "test": "PID_..., such as 000001_s01_0001.jpg"}

TRAIN = {"train": Counts(71_248, 5_000)}
PUBLISHED = {
    "test": {**TRAIN, "query": Counts(10_176), "gallery": Counts(125_353, 5_806)},
    "val": {**TRAIN, "query": Counts(100), "gallery": Counts(21_279, 56)},
}

_NAMES = {
    "train": re.compile(r"(?P<pid>[0-9]{1,9})_(?:[^.]*_)?(?P<outfit>[^_.]+)\."),
    "test": re.compile(r"(?P<pid>[0-9]{1,9})_"),
}


def read(root: Path, name: str, *, variant: str = "test") -> Dataset:
    """Read LaST; a folder that is missing is an empty split.

    Args:
        variant: "test" or "val", whose query and gallery are read.

    Raises:
        UserError: the variant is unknown, the folders are not there (naming the one that would work, one level up or
            down) or a file name does not parse.
    """
    if variant not in VARIANTS:
        raise unknown_name("variant of LaST", variant, VARIANTS)
    require_layout(root, name, ("train", *VARIANTS), EXPECTED, _is_layout)
    train, notes = read_names(root, name, {"train": "train"}, _NAMES["train"], FORM["train"], below=("train",))
    folders = {title: f"{variant}/{title}" for title in TEST}
    tested, skipped = read_names(root, name, folders, _NAMES["test"], FORM["test"], below=("gallery",))
    three = train["train"], tested["query"], tested["gallery"]
    return checked(name, *three, PUBLISHED[variant], notes + skipped, NO_CAMERA, named="last")


def _is_layout(folder: Path) -> bool:
    """True when `folder` can be given as the root; `train` alone would be that of other layouts too."""
    return any((folder / variant / title).is_dir() for variant in VARIANTS for title in TEST)
