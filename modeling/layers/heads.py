"""Classifiers over the training set's identities and outfits; they are not used at test time."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from modeling.layers.precision import at_least_float32, without_autocast


class IdentityClassifier(nn.Linear):
    """Logits `(B, classes)` of features `(B, channels)`: no bias unless asked for, weights from N(0, 0.001²).

    Such small weights make the first logits almost equal, so that training starts from an undecided classifier.
    """

    def __init__(self, channels: int, classes: int, *, bias: bool = False) -> None:
        super().__init__(channels, classes, bias=bias)

    def reset_parameters(self) -> None:
        nn.init.normal_(self.weight, std=0.001)
        if self.bias is not None:
            nn.init.zeros_(self.bias)

    def forward(self, features: Tensor) -> Tensor:
        # Pooled features are float32 even where the weights are half (opt_level O2).
        return super().forward(features.to(self.weight.dtype))

    if TYPE_CHECKING:

        def __call__(self, features: Tensor) -> Tensor: ...


class CosineClassifier(nn.Module):
    """Cosines `(B, classes)`, float32, of features `(B, channels)` with one direction per class.

    The directions begin as random unit vectors; their lengths mean nothing.
    """

    def __init__(self, channels: int, classes: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(F.normalize(torch.randn(classes, channels)))

    def forward(self, features: Tensor) -> Tensor:
        with without_autocast(features):
            directions = F.normalize(at_least_float32(self.weight))
            return F.linear(F.normalize(at_least_float32(features)), directions)

    if TYPE_CHECKING:

        def __call__(self, features: Tensor) -> Tensor: ...
