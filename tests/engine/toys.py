"""Methods, batches and runs so small that a test can do their arithmetic again."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from ignite.engine import Engine
from PIL import Image
from torch import Tensor, nn

from common.contracts import Batch, Embedding
from common.events import ReIDEvents
from configs.schema import Config, Term
from data.samples import Dataset, Sample, Split
from engine.amp import Amp
from engine.handlers.stages import Stages
from engine.optimizers import build_optimizers
from engine.trainer import TrainingStep, create_trainer
from modeling.methods.method import Embedder, Facts, Method, ParameterGroup, Recipe, Stage, Update
from retrieval.ranking.results import Scores

CPU = torch.device("cpu")
CLASSES = 3
PIXELS = 12  # of a picture of 3 x 2 x 2


class ToyEmbedder(Embedder):
    """A linear map of the pixels."""

    def __init__(self, channels: int = 4) -> None:
        super().__init__()
        self.linear = nn.Linear(PIXELS, channels)

    def forward(self, images: Tensor, **extras: Tensor) -> Embedding:
        return Embedding(self.linear(images.flatten(1)))


class Toy(Method):
    """A classifier on a linear map, one optimiser; `noise` adds dropout."""

    def __init__(self, noise: float = 0.0) -> None:
        super().__init__(ToyEmbedder())
        self.head = nn.Linear(4, CLASSES)
        self.noise = noise

    @classmethod
    def build_embedder(cls, config: Config) -> ToyEmbedder:
        return ToyEmbedder()

    @classmethod
    def build(cls, config: Config, facts: Facts) -> Toy:
        return cls()

    def terms(self) -> dict[str, Term]:
        return {"identity": Term(weight=1.0)}

    def logits(self, batch: Batch) -> Tensor:
        vectors = F.dropout(self.embedder(batch.images).vector, self.noise, self.training)
        logits: Tensor = self.head(vectors)
        return logits

    def training_step(self, batch: Batch, stage: Stage) -> Iterator[Update]:
        loss = F.cross_entropy(self.logits(batch).float(), batch.labels)
        yield Update({"identity": stage.weights["identity"] * loss}, metrics={"size": torch.tensor(float(len(batch)))})

    def optimizers(self) -> dict[str, Recipe]:
        backbone, new = list(self.embedder.parameters()), list(self.head.parameters())
        return {"main": Recipe([ParameterGroup(backbone, pretrained=True), ParameterGroup(new)])}


class ThreeSteps(Toy):
    """The order of AIM: two clothes heads on detached features, then the rest against the updated first head.

    Attributes:
        seen: the weight of the first head when the last update was computed.
    """

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(4, CLASSES), nn.Linear(4, CLASSES)
        self.seen: list[Tensor] = []

    def training_step(self, batch: Batch, stage: Stage) -> Iterator[Update]:
        vectors = self.embedder(batch.images).vector
        yield Update({"first": F.cross_entropy(self.first(vectors.detach()).float(), batch.clothes)}, ("first",))
        yield Update({"second": F.cross_entropy(self.second(vectors.detach()).float(), batch.clothes)}, ("second",))
        self.seen.append(self.first.weight.detach().clone())
        against = -F.cross_entropy(self.first(vectors).float(), batch.clothes)
        yield Update({"identity": F.cross_entropy(self.head(vectors).float(), batch.labels), "against": against})

    def optimizers(self) -> dict[str, Recipe]:
        heads = {"first": self.first, "second": self.second}
        return {**super().optimizers(), **{n: Recipe([ParameterGroup(list(h.parameters()))]) for n, h in heads.items()}}


class Scripted(Toy):
    """Yields what a function of (method, batch, stage) yields."""

    def __init__(self, script: Callable[[Scripted, Batch, Stage], Iterator[Update]]) -> None:
        super().__init__()
        self.script = script

    def training_step(self, batch: Batch, stage: Stage) -> Iterator[Update]:
        return self.script(self, batch, stage)


def facts_of(classes: int, batch: Batch, num_clothes: int = 0) -> Facts:
    """A training set that consists of one batch of the source."""
    one = torch.zeros_like(batch.labels)
    columns = (batch.labels, batch.camids, batch.clothes, batch.domain)
    return Facts(classes, *columns, first_target=len(batch), dataset=one, num_clothes=num_clothes)


def batch_of(size: int, seed: int = 0) -> Batch:
    """Random pictures with labels 0..2."""
    random = torch.Generator().manual_seed(seed)
    images = torch.randn(size, 3, 2, 2, generator=random)
    labels = torch.randint(CLASSES, (size,), generator=random)
    clothes = torch.randint(CLASSES, (size,), generator=random)
    row = torch.arange(size)
    return Batch(
        images, labels, torch.zeros_like(row), clothes, row, torch.zeros_like(row), torch.zeros(size, 7).long()
    )


def parts_of(batch: Batch, count: int) -> list[Batch]:
    """The batch cut into `count` equal ones."""
    names = ("images", "labels", "camids", "clothes", "index", "domain", "geometry")
    cut = {name: getattr(batch, name).chunk(count) for name in names}
    return [Batch(**{name: pieces[n] for name, pieces in cut.items()}) for n in range(count)]


def config_of(**sections: Any) -> Config:
    """A configuration with plain SGD, changed as given: `config_of(optimizer={"lr": 1.0})`."""
    optimizer = {"name": "sgd", "lr": 0.1, "momentum": 0.0, "weight_decay": 0.0, **sections.pop("optimizer", {})}
    return Config.model_validate({"optimizer": optimizer, **sections})


def trainer_of(
    method: Method, amp: Amp | None = None, config: Config | None = None, epochs: int = 100, **how: Any
) -> tuple[Engine, dict[str, torch.optim.Optimizer]]:
    """A trainer that takes `Batch`es as they are, and its optimisers; `how` goes to `TrainingStep`."""
    amp = amp or Amp("O0", torch.float32, CPU)
    amp.initialize(method)
    optimizers = build_optimizers(method.optimizers(), config or config_of(), amp.master)
    trainer = create_trainer(TrainingStep(method, optimizers, amp, **how))
    Stages(method, epochs=epochs, seed=1).attach(trainer)
    return trainer, optimizers


def engine_of(process: Callable[[Engine, Any], Any] | None = None) -> Engine:
    """An engine for handlers that look at events only."""
    engine = Engine(process or (lambda engine, batch: {}))
    engine.register_events(*ReIDEvents)
    return engine


def weights_of(module: nn.Module) -> dict[str, Tensor]:
    return {name: parameter.detach().clone() for name, parameter in module.named_parameters()}


def assert_same(one: dict[str, Tensor], other: dict[str, Tensor], exact: bool = True) -> None:
    assert one.keys() == other.keys()
    for name, value in one.items():
        assert torch.allclose(value, other[name], rtol=0, atol=0 if exact else 1e-6), name
        assert value.dtype == other[name].dtype, name


def scores_of(value: float) -> Scores:
    return Scores(value, value, value, {1: value}, 2, 2, 4, "market", "cosine", False)


def split_of(folder: Path, title: str, pids: Sequence[int], camids: Sequence[int]) -> Split:
    """A split of random pictures of 16 x 32 pixels, written to disk."""
    random = np.random.default_rng(len(title))
    samples = []
    for row, (pid, camid) in enumerate(zip(pids, camids, strict=True)):
        path = folder / title / f"{row}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(random.integers(0, 256, (32, 16, 3), dtype=np.uint8)).save(path)
        samples.append(Sample(f"{title}/{row}.png", pid, camid))
    return Split.of(folder, samples)


def dataset_of(folder: Path) -> Dataset:
    """11 training pictures, 5 queries and 9 gallery pictures."""
    train = split_of(folder, "train", [7, 7, 7, 9, 9, 9, 4, 4, 4, 4, 4], [0, 1, 2] * 3 + [0, 1])
    query = split_of(folder, "query", [1, 2, 3, 1, 2], [0, 0, 0, 1, 1])
    gallery = split_of(folder, "gallery", [1, 2, 3, 1, 2, 3, 5, 1, 2], [1, 1, 1, 2, 2, 2, 0, 0, 0])
    return Dataset("toys", train, query, gallery)


class PictureEmbedder(Embedder):
    """A convolution that sees left and right: 32 x 16 pictures to 4 numbers."""

    def __init__(self) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(3, 4, (32, 16))

    def forward(self, images: Tensor, **extras: Tensor) -> Embedding:
        return Embedding(self.convolution(images).flatten(1))
