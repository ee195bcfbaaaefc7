"""Joints as maps: a Gaussian around each, as high as its score."""

from __future__ import annotations

import torch
from torch import Tensor

SIGMA = 2 / 64
"""Width of a Gaussian in the height of the grid: two cells where the grid has 64 rows."""

STRIDE = 4


def grid(height: int, width: int) -> tuple[int, int]:
    """Height and width of the maps of a picture: a quarter of it, as a pose network gives them."""
    return -(-height // STRIDE), -(-width // STRIDE)


def heatmaps(joints: Tensor, height: int, width: int) -> Tensor:
    """Draw joints on the grid of a picture, on the joints' device.

    Args:
        joints: `(B, J, 3)` x, y and score; x and y in pixels of the picture from its top left corner, so that the
            middle of the first pixel is at 0.5. One outside of the picture is drawn as far as its Gaussian reaches in.
        height, width: of the picture in pixels.

    Returns:
        `(B, J, h, w)` float32, see `grid`.
    """
    rows, columns = grid(height, width)
    x, y, score = joints.float().unbind(2)
    sigma = SIGMA * rows
    down = _bell(y * (rows / height), rows, sigma) * score[..., None]
    across = _bell(x * (columns / width), columns, sigma)
    return down[..., :, None] * across[..., None, :]


def _bell(at: Tensor, cells: int, sigma: float) -> Tensor:
    """`(B, J)` places in cells to `(B, J, cells)`: a Gaussian of height 1, asked at the middle of each cell."""
    middles = torch.arange(cells, device=at.device) + 0.5
    return torch.exp((middles - at[..., None]).square() / (-2 * sigma**2))
