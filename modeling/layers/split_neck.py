"""A BN-neck with statistics of their own for source and target: a batch of two domains is not one population."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import torch
from torch import Tensor, nn

from modeling.layers.ghost import batch_norm_in_chunks
from modeling.layers.neck import BNNeck


class SplitNeck(BNNeck):
    """Batch normalisation of `(B, C)` features by domain, with one scale for both and the shift frozen at 0 (CAIL, Luo
    et al., ECCV 2020).

    In training source rows are normalised by statistics of the source rows, target rows by those of the target rows.
    Only the target moves the running statistics, which are what evaluation uses, for pictures of either domain. A
    state has the names of a `BNNeck`'s.

    Args:
        channels: C.
        statistics: "both" also keeps running statistics of the source, in further buffers `source_statistics.*` (the
            successor's agents need them, see `modeling.losses.virtual_class.align_agents`); evaluation is the same.
        chunk: pictures of one domain per statistic; None takes all that the batch has. Source and target rows must
            both be a multiple.
    """

    def __init__(
        self, channels: int, *, statistics: Literal["target", "both"] = "target", chunk: int | None = None
    ) -> None:
        super().__init__(channels)
        self.chunk = chunk
        # A layer of its own, so that what treats all BatchNorm layers alike finds its statistics too.
        self.source_statistics = nn.BatchNorm1d(channels, affine=False) if statistics == "both" else None

    def forward(self, features: Tensor, sources: int = 0) -> Tensor:
        """`(B, C)` to `(B, C)`; the first `sources` rows are of the source. In evaluation it makes no difference."""
        if not self.training:
            return super().forward(features)
        source, target = features.split((sources, len(features) - sources))
        halves = ((source, self.source_statistics), (target, self))
        return torch.cat(
            [batch_norm_in_chunks(half, self.chunk, self, tracked) for half, tracked in halves if len(half)]
        )

    if TYPE_CHECKING:

        def __call__(self, features: Tensor, sources: int = 0) -> Tensor: ...
