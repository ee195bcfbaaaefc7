"""The joints of COCO, in its order, and the maps that are made of them: which is which, and which change sides."""

from __future__ import annotations

import torch
from torch import Tensor

JOINTS = 17
MERGED = 13
"""Maps of a picture when nose, eyes and ears are one."""

FACE = 5
"""The first joints are those of the face: nose, left and right eye, left and right ear."""


def merged(maps: Tensor) -> Tensor:
    """`(B, 17, h, w)` to `(B, 13, h, w)`: the face's maps are one, at each place the largest; then the 12 others."""
    return torch.cat((maps[:, :FACE].amax(1, keepdim=True), maps[:, FACE:]), dim=1)


def exchanged(count: int) -> list[int]:
    """For each of 13 maps, or of 17 joints or maps, the one that it is in the mirrored picture.

    In both, nose or face come first and then pairs of left and right.
    """
    if count not in (MERGED, JOINTS):
        raise ValueError(f"expected {MERGED} or {JOINTS} maps, got {count}")
    return [0, *(place for left in range(1, count, 2) for place in (left + 1, left))]


def mirrored(maps: Tensor) -> Tensor:
    """The maps `(B, 13 or 17, h, w)` of the mirrored pictures: left and right change places."""
    return maps[:, exchanged(maps.shape[1])].flip(3)
