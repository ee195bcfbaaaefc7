"""A feature map looked at whole and in ever finer horizontal stripes, as one vector."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from modeling.layers.neck import scaled_neck
from modeling.layers.precision import at_least_float32

STRIPES = (1, 2, 4, 8)
REGIONS = sum(STRIPES)


class Pyramid(nn.Module):
    """The pyramid of AIM's clothes branch (Yang et al., CVPR 2023, after HPM, Fu et al., AAAI 2019).

    Of each region of `(B, C, h, w)`, the whole and 2, 4 and 8 stripes, the maximum goes through a linear map of its own
    to `width` numbers, BN and ReLU; all of them together through a linear map and BN to `(B, out)`.

    Args:
        channels: C.
        out: length of the vector.
        width: numbers per region.
    """

    def __init__(self, channels: int, out: int, width: int = 256) -> None:
        super().__init__()
        # One stack of matrices instead of fifteen layers, and one BN over all their outputs, which are the same.
        self.weight = nn.Parameter(torch.empty(REGIONS, width, channels))
        nn.init.normal_(self.weight, std=math.sqrt(2 / width))
        self.norm = nn.BatchNorm1d(REGIONS * width)
        self.project = nn.Linear(REGIONS * width, out, bias=False)
        nn.init.normal_(self.project.weight, std=0.001)
        self.neck = scaled_neck(out)

    def forward(self, maps: Tensor) -> Tensor:
        """`(B, C, h, w)` to `(B, out)` float32; stripes overlap where 8 does not divide h."""
        tops = [F.adaptive_max_pool2d(maps, (stripes, 1)).flatten(2) for stripes in STRIPES]
        regions = torch.cat(tops, dim=2)  # (B, C, 15)
        parts = torch.einsum("bcr,rwc->brw", regions, self.weight.to(regions.dtype)).flatten(1)
        joined = self.project(F.relu(self.norm(at_least_float32(parts))))
        vector: Tensor = self.neck(at_least_float32(joined))
        return vector

    if TYPE_CHECKING:

        def __call__(self, maps: Tensor) -> Tensor: ...
