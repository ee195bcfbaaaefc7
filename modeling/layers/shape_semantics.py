"""Heatmaps of joints as tokens that lie where those of a feature map lie."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch.nn.functional as F
from torch import Tensor, nn

from modeling.layers.attention import TokenNorm, attend, heads_of, tokens_of
from modeling.layers.positions import GridPositions
from modeling.layers.precision import at_least_float32, without_autocast

PATCH = 4
"""Cells of a heatmap along each side of a token."""


class ShapeSemantics(nn.Module):
    """Shape semantics embedding (CAMC, Wang et al., ACCV 2022): f_k = relu(conv(heatmaps)), one token per 4×4 cells,
    and one block of self-attention without positions and without an output projection,

        u = LN(attention(f_k W_q, f_k W_k, f_k W_v) + f_k),   f_s = LN(u + W₂ relu(W₁ u + b₁) + b₂).

    Args:
        joints: J, heatmaps per picture.
        channels: C, of a token; the block's hidden layer is twice as wide.
        attended: False leaves f_k as it is.
        positions: tell the block where each token lies (`GridPositions`); not published.
    """

    def __init__(self, joints: int, channels: int, *, attended: bool = True, positions: bool = False) -> None:
        super().__init__()
        self.embed = nn.Conv2d(joints, channels, PATCH, stride=PATCH)
        nn.init.normal_(self.embed.weight, std=math.sqrt(2 / (PATCH * PATCH * channels)))
        nn.init.zeros_(self.embed.bias)  # type: ignore[arg-type]
        self.positions = GridPositions(channels) if positions else None
        self.block = SelfAttentionBlock(channels) if attended else None

    def forward(self, heatmaps: Tensor, grid: tuple[int, int]) -> Tensor:
        """`(B, J, H, W)` heatmaps to `(B, h·w, C)` tokens, row by row of the `grid` (h, w) of a feature map."""
        tokens = tokens_of(F.relu(self.embed(fitted(heatmaps, grid))))
        if self.positions is not None:
            tokens = self.positions(tokens, grid)
        return tokens if self.block is None else self.block(tokens)

    if TYPE_CHECKING:

        def __call__(self, heatmaps: Tensor, grid: tuple[int, int]) -> Tensor: ...


class SelfAttentionBlock(nn.Module):
    """Attention of tokens `(B, N, C)` among themselves and an MLP, each normalised after its shortcut is added."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.heads = heads_of(channels)
        self.project = nn.Linear(channels, 3 * channels, bias=False)  # W_q, W_k and W_v
        self.attention_norm = TokenNorm(channels)
        self.mlp = nn.Sequential(nn.Linear(channels, 2 * channels), nn.ReLU(), nn.Linear(2 * channels, channels))
        self.mlp_norm = TokenNorm(channels)
        for layer in (self.project, self.mlp[0], self.mlp[2]):
            assert isinstance(layer, nn.Linear)
            nn.init.trunc_normal_(layer.weight, std=0.01)
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)

    def forward(self, tokens: Tensor) -> Tensor:
        queries, keys, values = self.project(tokens).chunk(3, dim=2)
        tokens = self.attention_norm(at_least_float32(attend(queries, keys, values, self.heads)) + tokens)
        return self.mlp_norm(tokens + self.mlp(tokens))

    if TYPE_CHECKING:

        def __call__(self, tokens: Tensor) -> Tensor: ...


def fitted(heatmaps: Tensor, grid: tuple[int, int]) -> Tensor:
    """`(B, J, H, W)` resampled to `PATCH` cells a side for each token of the `grid` (h, w), where they are not yet."""
    size = (PATCH * grid[0], PATCH * grid[1])
    if heatmaps.shape[2:] == size:
        return heatmaps
    with without_autocast(heatmaps):  # a narrow peak is not to be missed: antialias where maps become smaller
        return F.interpolate(at_least_float32(heatmaps), size, mode="bilinear", align_corners=False, antialias=True)
