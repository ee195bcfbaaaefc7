"""VC-Clothes: people of a game in four cameras: `root/{train,query,gallery}/PID-CAMERA-OUTFIT-INDEX.jpg`.

An outfit is the pair (PID, OUTFIT). Papers judge by all cameras, by cameras 2 and 3, where people wear the same
clothes, and by 3 and 4, between which they change them.
"""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np

from common.errors import unknown_name
from data.readers.checks import checked
from data.readers.listing import require_layout
from data.readers.named import TEST, has_several, read_names
from data.samples import Counts, Dataset, Split

FOLDERS = {"train": "train", "query": "query", "gallery": "gallery"}
EXPECTED = "train/, query/ and gallery/"
FORM = "PID-CAMERA-OUTFIT-INDEX, cameras from 1, such as 0001-01-01-01.jpg"
CAMERAS: dict[str, tuple[int, ...]] = {"all": (), "sc": (2, 3), "cc": (3, 4)}
"""The cameras, as names count them, whose query and gallery pictures a variant keeps; nothing: every camera."""
PROTOCOLS = {"all": "vcclothes", "sc": "vcclothes-sc", "cc": "vcclothes-cc"}

PUBLISHED = {"train": Counts(9_449), "query": Counts(1_020), "gallery": Counts(8_591)}

_NAME = re.compile(r"(?P<pid>[0-9]{1,9})-(?P<cam>0*[1-9][0-9]{0,5})-(?P<outfit>[0-9]{1,9})-[0-9]+(?![0-9])")


def read(root: Path, name: str, *, variant: str = "all") -> Dataset:
    """Read VC-Clothes; a folder that is missing is an empty split. The training pictures are always all of them.

    Args:
        variant: "all", "sc" (same clothes: cameras 2 and 3) or "cc" (clothes changed: cameras 3 and 4).

    Raises:
        UserError: the variant is unknown, the folders are not there (naming the one that would work, one level up or
            down) or a file name does not parse.
    """
    if variant not in CAMERAS:
        raise unknown_name("variant of VC-Clothes", variant, CAMERAS)
    require_layout(root, name, FOLDERS.values(), EXPECTED, lambda folder: has_several(folder, FOLDERS))
    splits, notes = read_names(root, name, FOLDERS, _NAME, FORM)
    kept = CAMERAS[variant]
    published = {title: count for title, count in PUBLISHED.items() if not kept or title not in TEST}
    if kept:
        told = sum(len(splits[title]) for title in TEST)
        splits |= {title: _of_cameras(splits[title], kept) for title in TEST}
        left_out = told - sum(len(splits[title]) for title in TEST)
        notes += (
            f"variant {variant}: query and gallery of cameras {kept[0]} and {kept[1]} only, "
            f"{left_out:,} pictures of others are left out",
        )
    return checked(
        name, splits["train"], splits["query"], splits["gallery"], published, notes, named=PROTOCOLS[variant]
    )


def _of_cameras(split: Split, cameras: tuple[int, ...]) -> Split:
    return split.take(np.isin(split.camids, [camera - 1 for camera in cameras]))
