"""People made of three bands: maps whose parts are known."""

from __future__ import annotations

import torch
from torch import Tensor


def people(pictures: int, *, noise: float = 0.5, channels: int = 16, height: int = 64, seed: int = 0) -> list[Tensor]:
    """Maps `(N, C, h, h/2)` and their parts `(N, h, h/2)`: head, torso, legs at 1/6 and 2/3 of a body that moves.

    Background surrounds the body and is less active, as k-means needs it.
    """
    random = torch.Generator().manual_seed(seed)
    width = height // 2
    parts = torch.zeros(pictures, height, width, dtype=torch.uint8)
    for picture in parts:
        move = int(torch.randint(-2, 3, (1,), generator=random)) * height // 64
        top, bottom = height // 10 + move, height - height // 10 + move
        neck, waist = top + (bottom - top) // 6, top + 2 * (bottom - top) // 3
        left, right = width // 4 + move // 2, width - width // 4 + move // 2
        picture[top:neck, left + 2 : right - 2] = 1
        picture[neck:waist, left:right] = 2
        picture[waist:bottom, left:right] = 3
    looks = torch.randn(4, channels, generator=random)
    looks /= looks.norm(dim=1, keepdim=True) / channels**0.5
    looks[0] *= 0.3
    maps = looks[parts.long()].movedim(-1, 1) + noise * torch.randn(pictures, channels, height, width, generator=random)
    return [maps.contiguous(), parts]


def overlaps(masks: Tensor, truth: Tensor, parts: int = 3) -> list[float]:
    """Intersection over union of each part."""
    both = [
        ((masks == part) & (truth == part)).sum() / ((masks == part) | (truth == part)).sum()
        for part in range(1, parts + 1)
    ]
    return [float(one) for one in both]
