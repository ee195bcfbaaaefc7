"""A method whose network looks at poses too, and a pose network that is no network."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from common.contracts import SOURCE, Batch, Embedding
from common.errors import UserError
from configs.schema import Config, Term
from modeling.methods.method import Embedder, Facts, Method, ParameterGroup, Recipe, Stage, Update

WEIGHTS = (0.299, 0.587, 0.114)


class PosedEmbedder(Embedder):
    """Colours beside maps, cell by cell, and a feature of what is where."""

    inputs = ("poses",)

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.colours = nn.Conv2d(3, 8, 4, stride=4)
        self.both = nn.Conv2d(8 + channels, 12, 3, padding=1)

    def forward(self, images: Tensor, **extras: Tensor) -> Embedding:
        both = torch.cat((self.colours(images), extras["poses"]), dim=1)
        return Embedding(self.both(both).relu().flatten(2)[:, :, ::3].flatten(1))


class Posed(Method):
    """A classifier on that.

    Attributes:
        batches: every training batch of every run.
    """

    batches: ClassVar[list[Batch]] = []

    def __init__(self, embedder: PosedEmbedder, dim: int, classes: int) -> None:
        super().__init__(embedder)
        self.head = nn.Linear(dim, classes)

    @classmethod
    def build_embedder(cls, config: Config) -> PosedEmbedder:
        return PosedEmbedder(config.data.poses.channels)

    @classmethod
    def build(cls, config: Config, facts: Facts) -> Posed:
        cells = (config.data.height // 4) * (config.data.width // 4)
        return cls(cls.build_embedder(config), 12 * -(-cells // 3), facts.num_classes)

    def terms(self) -> dict[str, Term]:
        return {"identity": Term(weight=1.0)}

    def training_step(self, batch: Batch, stage: Stage) -> Iterator[Update]:
        self.batches.append(batch)
        source = batch.domain == SOURCE
        logits = self.head(self.embedder(batch.images, **batch.extras).vector)
        yield Update({"identity": F.cross_entropy(logits[source].float(), batch.labels[source])})

    def optimizers(self) -> dict[str, Recipe]:
        return {"main": Recipe([ParameterGroup(list(self.parameters()))])}


class AdaptingPosed(Posed):
    """The same, given the target's pictures too."""

    adapts = True


class Brightness(nn.Module):
    """As a pose network: 17 maps of how bright a picture is, the joints differing in strength."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.arange(1, 18).float(), requires_grad=False)

    def train(self, mode: bool = True) -> Brightness:
        return super().train(False)

    @torch.no_grad()
    def forward(self, images: Tensor) -> Tensor:
        grey = (images * torch.tensor(WEIGHTS).view(1, 3, 1, 1)).sum(1, keepdim=True)
        return F.avg_pool2d(grey.contiguous(), 4) * self.scale.view(1, 17, 1, 1)


def build_brightness(name: str, weights: Path) -> Any:
    """In the place of `modeling.pose_network.build_pose_network`."""
    if not weights.is_file():
        raise UserError(f"there are no weights of {name} in {weights}")
    return Brightness()
