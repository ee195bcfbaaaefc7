"""Celeb-reID and Celeb-reID-light: famous people in whatever they wore: `root/{train,query,gallery}/PID_INDEX_X.jpg`.

No camera and no outfit is told, so every picture of the person counts; as people mostly wear something else in each,
that is a cloth-changing test by itself. People of the test are numbered from 1 again: person 7 of `query` is
not person 7 of `train`.
"""

from __future__ import annotations

import re
from pathlib import Path

from common.errors import unknown_name
from data.readers.checks import NO_CAMERA, checked
from data.readers.listing import require_layout
from data.readers.named import has_several, read_names
from data.samples import Counts, Dataset

FOLDERS = {"train": "train", "query": "query", "gallery": "gallery"}
EXPECTED = "train/, query/ and gallery/"
FORM = "PID_INDEX_X, such as 1_10_0.jpg"

PUBLISHED = {
    "full": {"train": Counts(20_208, 632), "query": Counts(2_972, 420), "gallery": Counts(11_006, 420)},
    "light": {"train": Counts(9_021, 490), "query": Counts(887, 100), "gallery": Counts(934, 100)},
}

_NAME = re.compile(r"(?P<pid>[0-9]{1,9})_[0-9]+_[0-9]+(?![0-9])")


def read(root: Path, name: str, *, variant: str = "full") -> Dataset:
    """Read either of the two; a folder that is missing is an empty split.

    Args:
        variant: "full" (Celeb-reID) or "light" (Celeb-reID-light), whose published counts it should have.

    Raises:
        UserError: the variant is unknown, the folders are not there (naming the one that would work, one level up or
            down) or a file name does not parse.
    """
    if variant not in PUBLISHED:
        raise unknown_name("variant of Celeb-reID", variant, PUBLISHED)
    require_layout(root, name, FOLDERS.values(), EXPECTED, lambda folder: has_several(folder, FOLDERS))
    splits, notes = read_names(root, name, FOLDERS, _NAME, FORM)
    return checked(
        name, splits["train"], splits["query"], splits["gallery"], PUBLISHED[variant], notes, NO_CAMERA, named="celeb"
    )
