"""A feature map weighed by channel, then by cell."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

REDUCTION = 16
"""Channels for each hidden number of the channel attention."""


class CBAM(nn.Module):
    """The convolutional block attention module (Woo et al., ECCV 2018, arXiv 1807.06521, eq. 2, 3) on `(B, C, h, w)`:

        F' = σ( W₁ relu(W₀ mean(F)) + W₁ relu(W₀ max(F)) ) · F        mean and max over cells, a weight per channel
        F'' = σ( conv₇ₓ₇ [mean(F') ; max(F')] ) · F'                  mean and max over channels, a weight per cell

    Args:
        channels: C.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        hidden = max(1, channels // REDUCTION)
        self.mlp = nn.Sequential(
            nn.Linear(channels, hidden, bias=False), nn.ReLU(), nn.Linear(hidden, channels, bias=False)
        )
        self.cells = nn.Conv2d(2, 1, 7, padding=3, bias=False)

    def forward(self, maps: Tensor) -> Tensor:
        """`(B, C, h, w)` to the same shape."""
        by_channel = self.mlp(maps.mean(dim=(2, 3))) + self.mlp(maps.amax(dim=(2, 3)))
        maps = maps * by_channel.sigmoid()[:, :, None, None]
        seen = torch.cat((maps.mean(dim=1, keepdim=True), maps.amax(dim=1, keepdim=True)), dim=1)
        weighed: Tensor = maps * self.cells(seen).sigmoid()
        return weighed

    if TYPE_CHECKING:

        def __call__(self, maps: Tensor) -> Tensor: ...
