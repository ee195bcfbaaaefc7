"""Identity classification with label smoothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch.nn.functional as F
from torch import Tensor, nn

from common.contracts import UNKNOWN
from modeling.layers.precision import at_least_float32, without_autocast


class IdentityLoss(nn.Module):
    """Cross entropy against smoothed labels (Szegedy et al., "Rethinking Inception", CVPR 2016, arXiv 1512.00567, §7):

    L = −1/B Σ_i Σ_c q_ic · log softmax(z_i)_c,   q_ic = (1−ε)·[c = y_i] + ε/C.

    It cannot fall below the entropy of q, e.g. 0.8207 for C = 150 and ε = 0.1. Rows labelled −1 are left out, of the
    mean too; a batch without labels gives 0, with gradients of 0.

    A sample may count for a share of itself only: with shares w_i, L = −1/B Σ_i w_i Σ_c … . So the loss of a blend of
    two pictures is that towards the one's labels with λ plus that towards the other's with 1 − λ.

    Args:
        smoothing: ε; 0 is plain cross entropy.
    """

    def __init__(self, smoothing: float = 0.1) -> None:
        super().__init__()
        self.smoothing = smoothing

    def forward(self, logits: Tensor, labels: Tensor, shares: Tensor | None = None) -> Tensor:
        """The loss, a float32 scalar, of logits z `(B, C)`, labels y `(B,)` in 0..C−1 or −1, and shares w `(B,)`."""
        with without_autocast(logits):
            total = F.cross_entropy(
                at_least_float32(logits),
                labels,
                ignore_index=UNKNOWN,
                label_smoothing=self.smoothing,
                reduction="sum" if shares is None else "none",
            )
            if shares is not None:
                total = (shares.to(total.dtype) * total).sum()
            return total / (labels != UNKNOWN).sum().clamp(min=1)

    if TYPE_CHECKING:

        def __call__(self, logits: Tensor, labels: Tensor, shares: Tensor | None = None) -> Tensor: ...
