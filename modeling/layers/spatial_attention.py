"""A feature map weighed cell by cell, by what lies around each cell."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch.nn.functional as F
from torch import Tensor, nn


class SpatialAttention(nn.Module):
    """HCGA's attention (2023) on `(B, C, h, w)`, one weight per cell for all channels:

        A = up( relu( BN( conv₃ₓ₃ X ) ) ),   X' = σ( BN( w A ) ) · X,

    where the convolution has stride 2 and one output, `up` goes bilinearly back to h × w, corner on corner, and w is a
    number.

    Args:
        channels: C.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        # Without biases: batch normalisation would take them away again.
        self.around = nn.Conv2d(channels, 1, 3, stride=2, padding=1, bias=False)
        self.around_norm = nn.BatchNorm2d(1)
        self.scale = nn.Conv2d(1, 1, 1, bias=False)
        self.scale_norm = nn.BatchNorm2d(1)

    def forward(self, maps: Tensor) -> Tensor:
        """`(B, C, h, w)` to the same shape."""
        coarse = F.relu(self.around_norm(self.around(maps)))
        fine = F.interpolate(coarse, size=maps.shape[2:], mode="bilinear", align_corners=True)
        weighed: Tensor = maps * self.scale_norm(self.scale(fine)).sigmoid()
        return weighed

    if TYPE_CHECKING:

        def __call__(self, maps: Tensor) -> Tensor: ...
