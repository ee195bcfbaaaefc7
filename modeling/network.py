"""Backbone → pooling → BN-neck: the network that most systems share."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from torch import Tensor, nn

from common.contracts import Embedding
from configs.schema import Model
from modeling.backbones import build_backbone
from modeling.layers.neck import BNNeck
from modeling.layers.pooling import build_pooling
from modeling.methods.method import Embedder


class Features(NamedTuple):
    """Both sides of the neck: metric losses take `pooled`, classifiers and the test take `neck` (Luo et al. 2019)."""

    pooled: Tensor  # (B, D)
    neck: Tensor  # (B, D)


class GlobalEmbedder(Embedder):
    """One vector per picture.

    Args:
        neck: builds what comes after pooling from the number of channels.

    Attributes:
        channels: D.
    """

    def __init__(self, config: Model, neck: Callable[[int], nn.BatchNorm1d] = BNNeck) -> None:
        super().__init__()
        self.backbone = build_backbone(config.backbone, last_stride=config.last_stride, pretrained=config.pretrained)
        self.pooling = build_pooling(config.pooling, self.backbone.channels)
        self.channels: int = self.pooling.channels
        self.neck = neck(self.channels)

    def pooled(self, images: Tensor) -> Tensor:
        """`(B, 3, H, W)` to `(B, D)`, in float32."""
        pooled: Tensor = self.pooling(self.backbone(images))
        return pooled

    def features(self, images: Tensor) -> Features:
        """`(B, 3, H, W)` to both `(B, D)` features, in float32."""
        pooled = self.pooled(images)
        return Features(pooled, self.neck(pooled))

    def forward(self, images: Tensor, **extras: Tensor) -> Embedding:
        return Embedding(self.features(images).neck)
