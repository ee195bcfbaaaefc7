"""Cross entropy of a body part in every cell."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch.nn.functional as F
from torch import Tensor, nn

from common.contracts import UNKNOWN
from modeling.layers.precision import at_least_float32, without_autocast


class ParsingLoss(nn.Module):
    """L = −1/n Σ_b Σ_u log softmax(S_b(u))_{m_b(u)} over the n cells u of all pictures b whose part m is known.

    Cells labelled −1 are left out, of the mean too; without any other the loss is 0, with gradients of 0.
    """

    def forward(self, logits: Tensor, masks: Tensor) -> Tensor:
        """The loss, a float32 scalar, of logits S `(B, K, h, w)` and masks m `(B, h, w)` int64 in 0..K−1 or −1."""
        with without_autocast(logits):
            total = F.cross_entropy(at_least_float32(logits), masks, ignore_index=UNKNOWN, reduction="sum")
            return total / (masks != UNKNOWN).sum().clamp(min=1)

    if TYPE_CHECKING:

        def __call__(self, logits: Tensor, masks: Tensor) -> Tensor: ...
