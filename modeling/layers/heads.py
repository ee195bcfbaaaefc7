"""The classifier over training identities; it is not used at test time."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import Tensor, nn


class IdentityClassifier(nn.Linear):
    """Logits `(B, classes)` of features `(B, channels)`: no bias, weights from N(0, 0.001²).

    Such small weights make the first logits almost equal, so that training starts from an undecided classifier.
    """

    def __init__(self, channels: int, classes: int) -> None:
        super().__init__(channels, classes, bias=False)

    def reset_parameters(self) -> None:
        nn.init.normal_(self.weight, std=0.001)

    def forward(self, features: Tensor) -> Tensor:
        # Pooled features are float32 even where the weights are half (opt_level O2).
        return super().forward(features.to(self.weight.dtype))

    if TYPE_CHECKING:

        def __call__(self, features: Tensor) -> Tensor: ...
