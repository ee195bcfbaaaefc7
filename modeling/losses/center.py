"""The centre loss."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from common.contracts import UNKNOWN
from modeling.layers.precision import at_least_float32, without_autocast


class CenterLoss(nn.Module):
    """Pull features to a learnt centre of their identity (Wen et al., ECCV 2016, eq. 2, as a mean and without the ½):

    L = 1/B Σ_i clamp(‖x_i − c_{y_i}‖², 10⁻¹², 10¹²).

    Rows labelled −1 are left out, of the mean too; a batch without labels gives 0, with gradients of 0.

    The centres are meant for an optimiser of their own that sees the loss unweighted: where the total counts it with
    weight w, divide their gradient by w before that step.

    Args:
        classes: number of identities.
        channels: D.

    Attributes:
        centers: `(classes, D)`, at first from N(0, 1).
    """

    def __init__(self, classes: int, channels: int) -> None:
        super().__init__()
        self.centers = nn.Parameter(torch.randn(classes, channels))

    def forward(self, features: Tensor, labels: Tensor) -> Tensor:
        """The loss, a float32 scalar, of features x `(B, D)` and labels y `(B,)` in 0..classes−1 or −1."""
        with without_autocast(features):
            known = labels != UNKNOWN
            centers = self.centers[labels.where(known, 0)]
            difference = at_least_float32(features) - at_least_float32(centers)
            squares = difference.square().sum(dim=1).clamp(1e-12, 1e12)
            return squares.where(known, 0).sum() / known.sum().clamp(min=1)

    if TYPE_CHECKING:

        def __call__(self, features: Tensor, labels: Tensor) -> Tensor: ...
