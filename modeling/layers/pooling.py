"""From a feature map `(B, C, h, w)` to one vector a picture; always in float32, the sums run over hundreds of cells."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from common.errors import unknown_name
from modeling.layers.precision import at_least_float32, without_autocast


class Pooling(nn.Module):
    """`(B, C, h, w)` to `(B, channels)`.

    Attributes:
        channels: length of the vector; not always C.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.channels = channels

    if TYPE_CHECKING:

        def __call__(self, maps: Tensor) -> Tensor: ...


class AveragePooling(Pooling):
    """The mean over all cells."""

    def forward(self, maps: Tensor) -> Tensor:
        return _mean(maps)


class GeMPooling(Pooling):
    """Generalised mean (Radenović et al., TPAMI 2019, arXiv 1711.02512, eq. 3) with one learnable exponent:

    f_c = ( 1/|Ω| · Σ_{u∈Ω} max(x_cu, ε)^p )^(1/p);   p = 1 is the average, p → ∞ the maximum.
    """

    def __init__(self, channels: int, p: float = 3.0, eps: float = 1e-6) -> None:
        super().__init__(channels)
        self.p = nn.Parameter(torch.tensor(p))
        self.eps = eps

    def forward(self, maps: Tensor) -> Tensor:
        with without_autocast(maps):
            p = at_least_float32(self.p)
            cells = at_least_float32(maps).flatten(2).clamp(min=self.eps)
            # f(x) = s·f(x/s) for every s > 0, so the gradient may take s as a constant. With the largest cell as s
            # no power leaves float32, whatever p becomes: 1e-6^p underflows from p = 8 on, and p turns to NaN.
            scale = cells.detach().amax(dim=2, keepdim=True)
            mean = (cells / scale).pow(p).mean(dim=2)
            return mean.pow(1 / p) * scale.squeeze(2)


class MaxAveragePooling(Pooling):
    """The maximum, then the mean over all cells: `(B, C, h, w)` to `(B, 2C)` (CAL, Gu et al., CVPR 2022)."""

    def __init__(self, channels: int) -> None:
        super().__init__(2 * channels)

    def forward(self, maps: Tensor) -> Tensor:
        return torch.cat((at_least_float32(maps.amax(dim=(2, 3))), _mean(maps)), dim=1)


def _mean(maps: Tensor) -> Tensor:
    return maps.mean(dim=(2, 3), dtype=torch.promote_types(maps.dtype, torch.float32))


POOLINGS: dict[str, type[AveragePooling] | type[GeMPooling] | type[MaxAveragePooling]] = {
    "average": AveragePooling,
    "gem": GeMPooling,
    "maxavg": MaxAveragePooling,
}


def build_pooling(name: str, channels: int) -> Pooling:
    """The pooling `name` (a key of `POOLINGS`) over maps of `channels` channels; an unknown name is a `UserError`."""
    if name not in POOLINGS:
        raise unknown_name("pooling", name, POOLINGS)
    return POOLINGS[name](channels)
