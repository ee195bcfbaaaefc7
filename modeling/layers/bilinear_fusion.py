"""Two feature maps of a picture made into one vector: where the one looks, what the other sees."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from modeling.layers.neck import scaled_neck
from modeling.layers.precision import at_least_float32, without_autocast


class BilinearFusion(nn.Module):
    """Bilinear attention pooling (WS-DAN, Hu et al., arXiv 1901.09891) as AIM (Yang et al., CVPR 2023) uses it.

    M attention maps A = relu(BN(conv(Z))) are made of map Z `(B, C', h, w)`, and u_mk = 1/(hw) Σ_p A_mp F_kp of map F
    `(B, C, h, w)`. Then u ← sign(u)·√(|u| + 10⁻¹²), u ← u/‖u‖, and the vector is BN(W u). No gradient reaches Z.

    Everything after the attention maps is float32: near u = 0 the root is too steep for float16.

    Args:
        channels: C, of F.
        attending: C', of Z.
        out: length of the vector.
        maps: M.
    """

    def __init__(self, channels: int, attending: int, out: int, maps: int = 8) -> None:
        super().__init__()
        self.attention = nn.Sequential(
            nn.Conv2d(attending, maps, 1, bias=False), nn.BatchNorm2d(maps, eps=1e-3), nn.ReLU()
        )
        self.project = nn.Linear(maps * channels, out, bias=False)
        nn.init.normal_(self.project.weight, std=0.001)
        self.neck = scaled_neck(out)

    def forward(self, seen: Tensor, looking: Tensor) -> Tensor:
        """`(B, out)` float32 of maps F `(B, C, h, w)` and Z `(B, C', h, w)`."""
        attention = self.attention(looking.detach())
        with without_autocast(seen):
            where, what = at_least_float32(attention).flatten(2), at_least_float32(seen).flatten(2)
            pooled = (torch.bmm(where, what.transpose(1, 2)) / what.shape[2]).flatten(1)
            rooted = pooled.sign() * (pooled.abs() + 1e-12).sqrt()
            weight = at_least_float32(self.project.weight)
            fused: Tensor = self.neck(F.linear(F.normalize(rooted), weight))
            return fused

    if TYPE_CHECKING:

        def __call__(self, seen: Tensor, looking: Tensor) -> Tensor: ...
