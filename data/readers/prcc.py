"""PRCC: a folder per person and, for the test, one per camera above it; people change their clothes before camera C.

`rgb/train/PID/A_cropped_rgb001.jpg` (the first letter is the camera) and `rgb/test/{A,B,C}/PID/*.jpg`. Cameras A and B
saw a person in one outfit, C in another. Test pictures of A are the gallery, all of them (papers call it multi-shot);
those of B and C are the query together, of which protocol prcc-sc asks B and prcc-cc asks C.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from data.readers.checks import CLOTH_CHANGING, checked
from data.readers.listing import matched, numbers_in, pictures_in, require_layout, split_of
from data.samples import Counts, Dataset, Split

PARTS = ("rgb/train", "rgb/test")
EXPECTED = "rgb/train/ and rgb/test/ with A/, B/ and C/ in it"
FORM = "rgb/train/PID/A..., B... or C... and rgb/test/A (B, C)/PID/..., such as rgb/train/001/A_cropped_rgb001.jpg"
CAMERAS = "ABC"

PUBLISHED = {"train": Counts(17_896, 150), "query": Counts(3_543 + 3_873, 71), "gallery": Counts(3_384, 71)}

_TRAIN = re.compile(r"rgb/train/(?P<pid>[0-9]{1,9})/(?P<cam>[ABC])[^/]*")
_TEST = re.compile(r"rgb/test/(?P<cam>[ABC])/(?P<pid>[0-9]{1,9})/[^/]+")


def read(root: Path, name: str) -> Dataset:
    """Read PRCC from the folder that holds `rgb/`; `rgb/val` shows the people of `rgb/train` again and is not read.

    Raises:
        UserError: the folders are not there (naming the one that would work, one level up or down) or a picture lies
            elsewhere than these folders have it.
    """
    require_layout(root, name, PARTS, EXPECTED, _is_layout)
    train = _split(root, name, _pictures(root, "rgb/train"), _TRAIN)
    test = [path for camera in CAMERAS for path in _pictures(root, f"rgb/test/{camera}")]
    both = _split(root, name, test, _TEST)
    first = int(np.count_nonzero(both.camids == 0))
    notes: tuple[str, ...] = ()
    if test:
        notes += (
            "query is test/B and test/C, gallery all of test/A (multi-shot): protocol prcc-sc judges by B, "
            "prcc-cc by C",
        )
    left_out = len(_pictures(root, "rgb/val"))
    if left_out:
        notes += (f"rgb/val is not read: {left_out:,} pictures of the people that are in rgb/train",)
    gallery, query = both.take(np.arange(first)), both.take(np.arange(first, len(both)))
    return checked(name, train, query, gallery, PUBLISHED, notes, CLOTH_CHANGING, named="prcc-cc")


def _is_layout(folder: Path) -> bool:
    return any((folder / part).is_dir() for part in PARTS)


def _pictures(root: Path, folder: str) -> list[str]:
    """The pictures anywhere in `root/folder`; none when it is not there."""
    return pictures_in(root, folder, below=True)[0]


def _split(root: Path, name: str, paths: Sequence[str], pattern: re.Pattern[str]) -> Split:
    """Labels from whole paths below `root`; the k-th person's outfits are 2k (cameras A and B) and 2k + 1 (C)."""
    fits = matched(root, name, paths, pattern.fullmatch, FORM)
    pids = numbers_in(fits, "pid")
    camids = np.fromiter((CAMERAS.index(match["cam"]) for match in fits), dtype=np.int64, count=len(fits))
    clothes = 2 * np.searchsorted(np.unique(pids), pids) + (camids == CAMERAS.index("C"))
    return split_of(root, paths, pids, camids, clothes)
