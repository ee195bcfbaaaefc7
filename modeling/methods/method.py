"""Contract 3: what a system has to say of itself to be trained and evaluated here.

A method is a network for evaluation (`Embedder`) and, around it, what training needs. It writes no training loop: it
yields one `Update` per optimiser step and the engine does the rest.

    class Mine(Method):
        Options = MyOptions                              # a Section: its keys in the YAML's `options:`

        def training_step(self, batch, stage):
            features = self.embedder.features(batch.images)
            yield Update({"identity": stage.weights["identity"] * self.loss(features.neck, batch.labels)})
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar, Protocol

import numpy as np
from torch import Tensor, nn

from common.contracts import Batch, Embedding
from common.events import Handler
from configs.schema import Config, Optimizer, Schedule, Section, Term


@dataclass(frozen=True)
class Facts:
    """What a method may know of the training set when it is built; columns of `N` rows, −1 unknown.

    Attributes:
        num_classes: C, the number of labelled identities.
        labels, camids, clothes, domain: `(N,)` int64, as in `Batch`.
        first_target: the row with which the target's pictures begin; N where none are learned from.
        num_clothes: K, the number of outfits that the labelled people wear.
        dataset: `(N,)` int64, which dataset a picture is of: 0, 1, … in the order of `data.source`, then the target.
    """

    num_classes: int
    labels: Tensor
    camids: Tensor
    clothes: Tensor
    domain: Tensor
    first_target: int
    dataset: Tensor
    num_clothes: int = 0


@dataclass(frozen=True)
class Stage:
    """Where training stands.

    Attributes:
        epoch: from 1.
        epochs: how many there will be.
        iteration: from 1, over the whole run.
        weights: the weight of each of the method's terms in this epoch; 0 when it is off.
        random: a generator seeded by (seed, iteration), the same on every rank and after resuming.
    """

    epoch: int
    epochs: int
    iteration: int
    weights: Mapping[str, float]
    random: np.random.Generator


@dataclass(frozen=True)
class Update:
    """One optimiser step.

    Attributes:
        losses: weighted terms by name; their sum is differentiated. Only parameters of `optimizers` receive
            gradients, whatever else the graph reaches. The set of parameters reached must not depend on the data:
            a loss without anything to learn from is a zero that hangs on its inputs.
        optimizers: names in `Method.optimizers()` that step; each at most once per batch.
        metrics: further numbers to log (accuracies, counts), not differentiated.
        kept: detached tensors for the method's own handlers, which find them in `engine.state.update` at every event
            of this update (what is to be written into a memory).
    """

    losses: Mapping[str, Tensor]
    optimizers: tuple[str, ...] = ("main",)
    metrics: Mapping[str, Tensor] = field(default_factory=dict)
    kept: Mapping[str, Tensor] = field(default_factory=dict)


@dataclass(frozen=True)
class ParameterGroup:
    """Parameters that share a learning rate: `backbone_lr` when `pretrained`, else `lr`."""

    parameters: Sequence[nn.Parameter]
    pretrained: bool = False


@dataclass(frozen=True)
class Recipe:
    """One optimiser: its parameters, and its settings where they are not the configuration's."""

    groups: Sequence[ParameterGroup]
    optimizer: Optimizer | None = None
    schedule: Schedule | None = None


class TrainingView(Protocol):
    """What a method's handlers may see, and change, of the run they are attached to.

    Attributes:
        facts: the columns that label batches. A handler that finds new labels (pseudo-labels) writes into
            `facts.labels` in place, on all processes alike; the next batch has them.
        hidden_labels: `(N,)` int64 identities of the target's training pictures, where the dataset has them; −1
            elsewhere and in the source. For diagnosis only, such as how many neighbours are the same person: nothing
            that is computed from them may reach a loss, a memory or a decision of the training.
        folder: of the run, for what a handler wants to find again after a stop; a name of its own in it.
    """

    facts: Facts
    hidden_labels: Tensor
    folder: Path

    def pictures(self, rows: Sequence[int]) -> Generator[Batch, None, None]:
        """Training pictures as the test would see them (no augmentation), in the order of `rows`, batch by batch."""

    def content(self) -> str:
        """Changes with the files of the pictures, their order, and what is done to them before a network sees them."""

    def network(self) -> Embedder:
        """The embedder as it would be evaluated now: in float32, and averaged where the run averages its weights."""

    def moved(self, labels: Tensor, geometry: Tensor) -> Tensor:
        """Labels of cells `(B, h, w)` of whole pictures, moved to where the augmentation (`Batch.geometry`) moved them.

        Returns `(B, h, w)` int64; 0 where the border shows and where something was erased.
        """

    def stopping(self) -> bool:
        """Whether a signal asks to end; all processes must ask equally often.

        Who leaves something unfinished in `EPOCH_STARTED` because of it finds it asked for again after a restart.
        """


class Embedder(nn.Module, ABC):
    """The network that evaluation needs, and nothing else; a checkpoint's `model` part is its state.

    Attributes:
        scorer: how two embeddings compare, a name in `retrieval.scorers`. A network whose options decide sets its own.
        flip: whether a picture's feature is the sum over it and its mirror image, as published.
        inputs: names of what it needs beside the pictures (`engine.inputs.INPUTS`). They are in `Batch.extras` of every
            training batch and given to `forward` by name. A network whose options decide sets its own.
    """

    scorer: str = "cosine"
    flip: ClassVar[bool] = False
    inputs: tuple[str, ...] = ()

    @abstractmethod
    def forward(self, images: Tensor, **extras: Tensor) -> Embedding:
        """Embed normalised pictures `(B, 3, H, W)`; `extras` are its `inputs` by name."""


class PairEmbedder(Embedder):
    """An embedder that can also compare two pictures given each other, for `eval.py --conditional`.

    Attributes:
        with_maps: whether an embedding holds the maps `(B, C, h, w)` too, which are all that is kept of a picture.
    """

    with_maps: bool = False

    @abstractmethod
    def projected(self, maps: Tensor) -> tuple[Tensor, ...]:
        """What `conditional` needs of B pictures beside their maps; tensors whose first dimension is B."""

    @abstractmethod
    def conditional(
        self, maps_i: Tensor, projected_i: tuple[Tensor, ...], maps_j: Tensor, projected_j: tuple[Tensor, ...]
    ) -> tuple[Tensor, Tensor]:
        """The features `(P, D)` of i given j and of j given i, for P pairs, in evaluation; of any length."""


class ParsingEmbedder(Embedder):
    """An embedder that says which cells of a picture show which part of the body; h × w is a quarter of the picture.

    Attributes:
        parts: P; class 0 is the background, 1 to P are the parts from head to foot.
    """

    parts: int

    @abstractmethod
    def maps(self, images: Tensor) -> Tensor:
        """`(B, C, h, w)` float32, what parts are pooled from, of pictures `(B, 3, H, W)`."""

    @abstractmethod
    def parsed(self, images: Tensor) -> Tensor:
        """`(B, P + 1, h, w)` float32 probabilities of the classes in every cell of pictures `(B, 3, H, W)`."""


class Method(nn.Module, ABC):
    """A system: an embedder, what is trained around it, and the steps of its training.

    Attributes:
        free_options: keys of `options:` that may change between stopping and going on, since nothing learned does.
        adapts: whether it also learns from the target's training pictures, without their identities. Then the
            training set holds them after the source's (`Facts.domain`), and a batch is half and half.
        needs_clothes: whether it must know what people wear in every labelled training picture.
    """

    Options: ClassVar[type[Section]] = Section
    free_options: ClassVar[frozenset[str]] = frozenset()
    adapts: ClassVar[bool] = False
    needs_clothes: ClassVar[bool] = False

    def __init__(self, embedder: Embedder) -> None:
        super().__init__()
        self.embedder = embedder

    @classmethod
    def needs_cameras(cls, options: Section) -> bool:
        """Whether, with these `options:`, it must know the camera of every training picture of the target."""
        return False

    @classmethod
    @abstractmethod
    def build_embedder(cls, config: Config) -> Embedder:
        """The evaluation network of a configuration, with the weights `model.pretrained` asks for."""

    @classmethod
    @abstractmethod
    def build(cls, config: Config, facts: Facts) -> Method:
        """The whole method, ready for its first training step."""

    @abstractmethod
    def training_step(self, batch: Batch, stage: Stage) -> Iterator[Update]:
        """The updates of one batch in order; the engine resumes after each optimiser step."""

    @abstractmethod
    def optimizers(self) -> dict[str, Recipe]:
        """Every optimiser by name."""

    def terms(self) -> dict[str, Term]:
        """The losses that are scheduled by epoch; their weights arrive in `Stage.weights`."""
        return {}

    def handlers(self, view: TrainingView) -> Sequence[Handler]:
        """Ignite handlers the method brings (mixup, memory write, pseudo-labels)."""
        return ()

    def left_alone(self) -> str:
        """The other processes are gone: the state that is saved next must not wait for them.

        Returns what it will lack, in words; nothing when it is whole.
        """
        return ""
