"""A method that learns from the target too, and a second street for it to adapt to."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, ClassVar

import torch.nn.functional as F
from ignite.engine import Engine, Events

from common.contracts import SOURCE, TARGET, Batch
from common.events import Handler
from configs.schema import Section
from data.street import StreetConfig, write_street
from modeling.methods.baseline import Baseline, BaselineOptions
from modeling.methods.method import Stage, TrainingView, Update

KEYS = ("method=adapting", "batches.kind=domains", "data.target=street")


def write_elsewhere(folder: Path) -> Path:
    """Other people, 6 to train on in 36 pictures: fewer than the 64 of the fixture `street`."""
    write_street(folder, StreetConfig(identities=12, cameras=2, shots=3, height=32, width=16, seed=1))
    return folder


class AdaptingOptions(BaselineOptions):
    cameras: bool = True


class Adapting(Baseline):
    """Identities of the source, and the mean feature of the target drawn to the source's.

    Attributes:
        batches: every batch of every run: the domain and the row of its pictures.
        views: what its handlers were given.
    """

    Options = AdaptingOptions
    adapts = True
    batches: ClassVar[list[tuple[list[int], list[int]]]] = []
    views: ClassVar[list[TrainingView]] = []

    @classmethod
    def needs_cameras(cls, options: Section) -> bool:
        assert isinstance(options, AdaptingOptions)
        return options.cameras

    def handlers(self, view: TrainingView) -> Sequence[Handler]:
        self.views.append(view)
        return [_Remembering(self.batches)]

    def training_step(self, batch: Batch, stage: Stage) -> Iterator[Update]:
        pooled, neck = self.embedder.features(batch.images)
        source, target = batch.domain == SOURCE, batch.domain == TARGET
        identity = F.cross_entropy(self.classifier(neck[source]).float(), batch.labels[source])
        apart = (pooled[source].mean(0) - pooled[target].mean(0)).square().sum()
        yield Update({"identity": stage.weights["identity"] * identity, "apart": apart})


class _Remembering:
    def __init__(self, batches: list[tuple[list[int], list[int]]]) -> None:
        self.batches = batches

    def attach(self, engine: Engine) -> None:
        engine.add_event_handler(Events.ITERATION_COMPLETED, self)

    def __call__(self, engine: Engine) -> None:
        state: Any = engine.state
        batch: Batch = state.batch
        self.batches.append((batch.domain.tolist(), batch.index.tolist()))
