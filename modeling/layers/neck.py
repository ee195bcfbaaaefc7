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
