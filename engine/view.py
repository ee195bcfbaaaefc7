"""The training pictures without augmentation, for handlers that look at all of them (pseudo-labels, part masks)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch

from common.contracts import Batch
from data.cache import PictureCache
from data.loader import PictureLoader, Pictures, WholeBatches
from data.training_set import TrainingSet
from engine.handlers.prepare import PrepareBatch
from engine.inputs import NONE, RowInputs


class PlainView:
    """The `TrainingView` that a method's handlers are given.

    Args:
        preparing: the handler that labels the run's batches; its columns are the ones handlers may change.
        batch_size, workers: of the loader that reads the pictures.
        cache: of the training pictures.
        inputs: what the network is given beside the pictures as they are.

    Example:
        >>> for batch in view.pictures(range(rank, len(view.facts.labels), world)):
        ...     remember(batch.index, embedder(batch.images).vector)
    """

    def __init__(
        self,
        training_set: TrainingSet,
        preparing: PrepareBatch,
        batch_size: int,
        workers: int,
        cache: PictureCache | None = None,
        inputs: RowInputs = NONE,
    ) -> None:
        self.facts = preparing.facts
        self.hidden_labels = torch.tensor(training_set.hidden_labels(), device=preparing.device)
        self._preparing, self._inputs = preparing, inputs
        self._pictures = Pictures(training_set.file, preparing.preprocessing, cache=cache, plain=inputs.plain)
        self._batch_size, self._workers = batch_size, workers

    def pictures(self, rows: Sequence[int]) -> Iterator[Batch]:
        """Prepared batches in the order of `rows`; `UserError` names a picture that cannot be read."""
        with PictureLoader(self._pictures, WholeBatches(rows, self._batch_size), self._workers) as loader:
            for raw in loader:
                yield self._preparing.prepare(raw, self._inputs)
