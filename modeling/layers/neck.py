"""The BN-neck between the feature that metric losses see and the one that is classified and compared."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import Tensor, nn


class BNNeck(nn.BatchNorm1d):
    """Batch normalisation of `(B, C)` features (Luo et al., "Bag of Tricks", CVPR-W 2019, arXiv 1903.07071).

    The shift is frozen at 0, so that the hyperplanes of a bias-free classifier behind it pass through the origin and
    identities are told apart by angle, which is how features are compared at test time.

    Args:
        channels: C.
        frozen_bias: False learns the shift.
    """

    def __init__(self, channels: int, *, frozen_bias: bool = True) -> None:
        super().__init__(channels)
        self.bias.requires_grad_(not frozen_bias)

    if TYPE_CHECKING:

        def __call__(self, features: Tensor) -> Tensor: ...


def scaled_neck(channels: int) -> nn.BatchNorm1d:
    """Batch normalisation of `(B, C)` features with a learned shift and scales drawn from N(1, 0.02²), as in CAL (Gu et
    al., CVPR 2022)."""
    neck = nn.BatchNorm1d(channels)
    nn.init.normal_(neck.weight, mean=1.0, std=0.02)
    return neck
