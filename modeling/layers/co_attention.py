"""Two sequences of tokens, aligned: each channel of either is strengthened where both together say so."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor, nn

from modeling.layers.precision import at_least_float32


class Streams(NamedTuple):
    """What is seen and what the joints tell at the same places of a picture, both `(B, N, C)`."""

    appearance: Tensor
    shape: Tensor


class CoAttentionGate(nn.Module):
    """The co-attention alignment of CAMC (Wang et al., ACCV 2022), token by token with the same weights:

        [g_a ; g_s] = σ(W_b relu(W_a [f_a ; f_s] + b_a) + b_b),   f̂_a = f_a (1 + g_a),   f̂_s = f_s (1 + g_s).

    Args:
        channels: C, of each stream; W_a goes from 2C to C/2.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.gate = nn.Sequential(
            nn.Linear(2 * channels, channels // 2), nn.ReLU(), nn.Linear(channels // 2, 2 * channels)
        )
        for layer in self.gate:
            if isinstance(layer, nn.Linear):
                nn.init.kaiming_normal_(layer.weight, mode="fan_out", nonlinearity="relu")
                nn.init.zeros_(layer.bias)

    def forward(self, streams: Streams) -> Streams:
        """Both streams gated, in float32."""
        appearance, shape = streams
        opened: Tensor = self.gate(torch.cat((appearance, shape), dim=2))
        factors = 1 + at_least_float32(opened).sigmoid()
        first, second = factors.chunk(2, dim=2)
        return Streams(appearance * first, shape * second)

    if TYPE_CHECKING:

        def __call__(self, streams: Streams) -> Streams: ...
