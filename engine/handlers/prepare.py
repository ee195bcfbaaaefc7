"""What the loader gives becomes a `Batch` on the device."""

from __future__ import annotations

from typing import Any

import torch
from ignite.engine import Engine, Events
from torch import Tensor

from common.contracts import SOURCE, Batch
from data.loader import RawBatch
from data.training_set import TrainingSet
from data.transforms import Preprocessing
from engine.inputs import NONE, RowInputs
from modeling.methods.method import Facts


class PrepareBatch:
    """Moves pixels to the device, normalises them, looks up their labels by row and adds what is given beside them.

    Args:
        inputs: what the network is given beside the augmented pictures; they are in `Batch.extras`.

    Attributes:
        facts: the columns on the device. A handler that changes identities (pseudo-labels) writes into
            `facts.labels`; the next batch has them.

    Example:
        >>> PrepareBatch(training_set, preprocessing, device).attach(trainer)   # before any other handler
    """

    def __init__(
        self,
        training_set: TrainingSet,
        preprocessing: Preprocessing,
        device: torch.device,
        inputs: RowInputs = NONE,
    ) -> None:
        self.preprocessing, self.device, self._inputs = preprocessing, device, inputs
        self.facts = Facts(
            training_set.num_classes,
            labels=torch.tensor(training_set.labels, device=device),
            camids=torch.tensor(training_set.camids, device=device),
            clothes=torch.tensor(training_set.clothes, device=device),
            domain=torch.tensor(training_set.domain, device=device),
            first_target=int((training_set.domain == SOURCE).sum()),
            dataset=torch.tensor(training_set.dataset(), device=device),
            num_clothes=training_set.num_clothes,
        )

    def attach(self, engine: Engine) -> None:
        engine.add_event_handler(Events.ITERATION_STARTED, self)

    def __call__(self, engine: Engine) -> None:
        state: Any = engine.state
        state.batch = self.prepare(state.batch)

    def prepare(self, raw: RawBatch, inputs: RowInputs | None = None) -> Batch:
        """The batch of the training set's rows; `inputs` are those of pictures that were loaded in another way."""
        index = self._move(raw.rows)
        images = self.preprocessing.normalise(self._move(raw.pixels))
        return Batch(
            images=images,
            labels=self.facts.labels[index],
            camids=self.facts.camids[index],
            clothes=self.facts.clothes[index],
            index=index,
            domain=self.facts.domain[index],
            geometry=self._move(raw.geometry),
            extras=(self._inputs if inputs is None else inputs)(raw, images),
        )

    def _move(self, tensor: Tensor) -> Tensor:
        return tensor.to(self.device, non_blocking=True)
