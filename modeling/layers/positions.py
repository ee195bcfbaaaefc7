"""Where a token lies on its map, told to a network that treats all tokens alike."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn


class GridPositions(nn.Module):
    """Adds to every token sines of its row and its column (Vaswani et al., NeurIPS 2017, §3.5, in two dimensions).

    A quarter of the channels each are sin and cos of the row, sin and cos of the column, at wavelengths from 2π to
    20000π tokens. Every channel has a learned strength, weak at first. Any grid will do.

    Args:
        channels: C, a multiple of 4.
        strength: of every channel at the start.
    """

    def __init__(self, channels: int, strength: float = 0.02) -> None:
        super().__init__()
        self.strength = nn.Parameter(torch.full((channels,), strength))

    def forward(self, tokens: Tensor, grid: tuple[int, int]) -> Tensor:
        """`(B, h·w, C)` with the positions of the `grid` (h, w) added."""
        return tokens + self.strength * sines(grid, len(self.strength), tokens.device)

    if TYPE_CHECKING:

        def __call__(self, tokens: Tensor, grid: tuple[int, int]) -> Tensor: ...


def sines(grid: tuple[int, int], channels: int, device: torch.device | None = None) -> Tensor:
    """`(h·w, C)` float32 for a `grid` (h, w): [sin row, cos row, sin column, cos column]."""
    count = channels // 4
    rates = torch.exp(torch.arange(count, device=device) * (-math.log(10000.0) / count))
    waves = []
    for length in grid:
        phase = torch.arange(length, device=device)[:, None] * rates
        waves.append(torch.cat((phase.sin(), phase.cos()), dim=1))
    rows, columns = waves
    height, width = grid
    spread = (rows[:, None].expand(-1, width, -1), columns[None].expand(height, -1, -1))
    return torch.cat(spread, dim=2).flatten(0, 1)
