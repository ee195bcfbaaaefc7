"""A feature map as a sequence of tokens, and attention of several heads between such sequences.

Sums of tokens and what normalises them are float32 whatever runs around them. Attention itself may take half-precision
inputs: its scores are never rounded to them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch.nn.functional as F
from torch import Tensor, nn

from common.errors import UserError
from modeling.layers.precision import at_least_float32, without_autocast

HEAD_WIDTH = 64
"""Channels of a head; of a narrower sequence there is one head."""


def tokens_of(maps: Tensor) -> Tensor:
    """`(B, C, h, w)` to `(B, h·w, C)`, row by row."""
    return maps.flatten(2).transpose(1, 2)


def heads_of(channels: int) -> int:
    """How many heads a sequence of `channels` channels is divided into."""
    heads = max(1, channels // HEAD_WIDTH)
    if channels % heads:
        raise UserError(
            f"{channels} channels cannot be divided into heads of {HEAD_WIDTH} for attention; take a backbone whose map"
            f" has a multiple of {HEAD_WIDTH} channels"
        )
    return heads


def attend(queries: Tensor, keys: Tensor, values: Tensor, heads: int) -> Tensor:
    """softmax(Q Kᵀ / √(C / heads)) V in each head, side by side; all `(B, N, C)`, not projected.

    `attend(q, k, v)` and `attend(k, q, w)` weigh by one matrix of scores and by its transpose. Two calls that never
    hold that matrix took less time for a training step in float32 than one matrix held for both, and in half precision
    they do not round it.
    """
    parts = [tokens.unflatten(2, (heads, -1)).transpose(1, 2) for tokens in (queries, keys, values)]
    return F.scaled_dot_product_attention(*parts).transpose(1, 2).flatten(2)


class TokenNorm(nn.LayerNorm):
    """Layer normalisation of every token of `(B, N, C)`, in float32."""

    def __init__(self, channels: int) -> None:
        super().__init__(channels, eps=1e-6)

    def forward(self, tokens: Tensor) -> Tensor:
        with without_autocast(tokens):
            return super().forward(at_least_float32(tokens))

    if TYPE_CHECKING:

        def __call__(self, tokens: Tensor) -> Tensor: ...
