"""The training pictures without augmentation, for handlers that look at all of them (pseudo-labels, part masks)."""

from __future__ import annotations

import json
from collections.abc import Callable, Generator, Sequence
from pathlib import Path

import torch
from torch import Tensor

from common.contracts import Batch
from data.cache import PictureCache
from data.loader import PictureLoader, Pictures, WholeBatches
from data.poses.moving import erased, moved
from data.training_set import TrainingSet
from engine.handlers.prepare import PrepareBatch
from engine.inputs import NONE, RowInputs
from modeling.methods.method import Embedder


def _no_network() -> Embedder:
    raise RuntimeError("this view was made without a network")


class PlainView:
    """The `TrainingView` that a method's handlers are given.

    Args:
        preparing: the handler that labels the run's batches; its columns are the ones handlers may change.
        batch_size, workers: of the loader that reads the pictures.
        cache: of the training pictures.
        inputs: what the network is given beside the pictures as they are.
        folder: of the run's checkpoints.
        pad: `data.augment.pad`.
        network: gives the network as it would be evaluated now.
        stopping: whether a signal asks to end; all processes must ask equally often.

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
        *,
        folder: Path = Path(),
        pad: int = 0,
        network: Callable[[], Embedder] = _no_network,
        stopping: Callable[[], bool] = lambda: False,
    ) -> None:
        self.folder, self.network, self.stopping = folder, network, stopping
        self.facts = preparing.facts
        self.hidden_labels = torch.tensor(training_set.hidden_labels(), device=preparing.device)
        self._preparing, self._inputs, self._splits = preparing, inputs, training_set.splits
        self._pictures = Pictures(training_set.file, preparing.preprocessing, cache=cache, plain=inputs.plain)
        self._batch_size, self._workers, self._pad = batch_size, workers, pad

    def pictures(self, rows: Sequence[int]) -> Generator[Batch, None, None]:
        """Prepared batches in the order of `rows`; `UserError` names a picture that cannot be read."""
        with PictureLoader(self._pictures, WholeBatches(rows, self._batch_size), self._workers) as loader:
            for raw in loader:
                yield self._preparing.prepare(raw, self._inputs)

    def content(self) -> str:
        """See `TrainingView`."""
        files = [split.fingerprint(modified=True) for split in self._splits]
        return json.dumps([files, self._preparing.preprocessing.as_dict()], sort_keys=True)

    def moved(self, labels: Tensor, geometry: Tensor) -> Tensor:
        """See `TrainingView`."""
        size = self._preparing.preprocessing.height, self._preparing.preprocessing.width
        planes = moved(labels[:, None].float(), geometry, size, self._pad, mode="nearest")[:, 0].long()
        return planes.masked_fill(erased(geometry, size, (labels.shape[1], labels.shape[2])), 0)
