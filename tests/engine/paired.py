"""A network that compares pictures given each other, small enough to do it again by hand."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from common.contracts import Embedding
from modeling.methods.method import PairEmbedder


class PairedEmbedder(PairEmbedder):
    """Maps `(4, 4, 2)` of 32 x 16 pictures; i given j is the sum of its cells, weighted by the mean of those of j."""

    flip = True

    def __init__(self) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(3, 4, 8, stride=8)

    def forward(self, images: Tensor, **extras: Tensor) -> Embedding:
        maps = self.convolution(images)
        return Embedding(maps.mean(dim=(2, 3)), maps=maps if self.with_maps else None)

    def projected(self, maps: Tensor) -> tuple[Tensor, ...]:
        assert maps.dtype == torch.float32
        return maps.mean(dim=1), maps.amax(dim=(2, 3))

    def conditional(
        self, maps_i: Tensor, projected_i: tuple[Tensor, ...], maps_j: Tensor, projected_j: tuple[Tensor, ...]
    ) -> tuple[Tensor, Tensor]:
        assert not self.training
        return self._given(maps_i, *projected_j), self._given(maps_j, *projected_i)

    def _given(self, maps: Tensor, mean: Tensor, most: Tensor) -> Tensor:
        return (maps * mean[:, None]).sum(dim=(2, 3)) + most
