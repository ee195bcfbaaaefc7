"""Pictures from disk into uint8 batches, in processes of their own.

A picture that cannot be read is reported once, by name, as a `UserError` in the main process: a loader that skipped
or retried it would train on other data than it says.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from common.errors import UserError
from data.pictures import open_picture
from data.samplers import EpochBatches, Key
from data.transforms import Augmentation, Geometry, Pixels, Preprocessing

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1)


class RawBatch(NamedTuple):
    """What comes out of the loader, before `engine.handlers.prepare` makes a `Batch` of it."""

    pixels: Tensor  # (B, H, W, 3) uint8
    rows: Tensor  # (B,) int64
    geometry: Tensor  # (B, 7) int64, `Geometry`


class Loaded(NamedTuple):
    """One picture, or the reason why there is none."""

    pixels: Pixels
    key: Key
    geometry: Geometry
    problem: str | None = None


class Pictures(Dataset[Loaded]):
    """Opens, augments and resizes the picture of a key.

    The random generator is seeded with (seed, epoch, position), so neither the number of loader processes nor the
    number of ranks changes what a picture looks like.
    """

    def __init__(
        self,
        file: Callable[[int], Path],
        preprocessing: Preprocessing,
        augmentation: Augmentation | None = None,
        seed: int = 0,
    ) -> None:
        self.file, self.preprocessing, self.augmentation, self.seed = file, preprocessing, augmentation, seed

    def __getitem__(self, key: Key) -> Loaded:
        whole = Geometry(0, 0, 0, 0, 0, 0, 0)
        try:
            size = (self.preprocessing.height, self.preprocessing.width)
            picture = open_picture(self.file(key.row), size)
            if self.augmentation is None:
                return Loaded(np.array(self.preprocessing.resize(picture)), key, whole)
            draw = self.augmentation.draw(np.random.default_rng((self.seed, key.epoch, key.position)))
            return Loaded(self.augmentation.apply(picture, draw), key, draw.geometry)
        except UserError as error:
            return Loaded(np.empty((0, 0, 3), np.uint8), key, whole, str(error))


class WholeBatches:
    """Rows in order, cut into batches of `size`, of which process `rank` takes every `world`-th whole.

    A batch has the same rows whatever the number of processes, so the features are the same to the last bit.
    """

    def __init__(self, rows: Sequence[int], size: int, rank: int = 0, world: int = 1) -> None:
        self._batches = [rows[start : start + size] for start in range(0, len(rows), size)][rank::world]

    def __iter__(self) -> Iterator[list[Key]]:
        return ([Key(row, 0, row) for row in batch] for batch in self._batches)

    def __len__(self) -> int:
        return len(self._batches)


class PictureLoader:
    """Iterates over `RawBatch`es; raises `UserError` naming a picture that cannot be read.

    Args:
        workers: processes; 0 reads in this one.
        pin_memory: for batches that go to a GPU.

    Close it (or use it as a context manager): processes that are left to the garbage collector can take five seconds
    each to end.
    """

    def __init__(
        self, pictures: Pictures, batches: EpochBatches | WholeBatches, workers: int, pin_memory: bool = False
    ) -> None:
        self.batches = batches
        self._batches: Iterator[Any] = iter(())
        workers = min(workers, os.cpu_count() or 1)
        self._loader: DataLoader[Loaded] = DataLoader(
            pictures,
            batch_sampler=batches,
            collate_fn=stack,
            num_workers=workers,
            pin_memory=pin_memory,
            persistent_workers=workers > 0 and isinstance(batches, EpochBatches),
            worker_init_fn=_leave_signals_to_parent,
            generator=torch.Generator(),  # it draws seeds for its processes, which must not move torch's own stream
        )

    def __len__(self) -> int:
        return len(self.batches)

    def __iter__(self) -> Iterator[RawBatch]:
        with _signals_held():
            self._batches = iter(self._loader)
        for batch in self._batches:
            if isinstance(batch, str):
                raise UserError(batch)
            yield batch

    def close(self) -> None:
        """End the loader's processes now."""
        end = getattr(self._batches, "_shutdown_workers", None)  # absent when there are no processes
        if end is not None:
            end()

    def __enter__(self) -> PictureLoader:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def stack(items: Sequence[Loaded]) -> RawBatch | str:
    """A batch, or the first problem in it (an exception would arrive wrapped in the worker's traceback)."""
    problem = next((item.problem for item in items if item.problem), None)
    if problem:
        return problem
    return RawBatch(
        torch.from_numpy(np.stack([item.pixels for item in items])),
        torch.tensor([item.key.row for item in items]),
        torch.tensor([item.geometry for item in items]),
    )


def _leave_signals_to_parent(_: int) -> None:
    """Ctrl-C and a cluster's signals reach every process of the group; the parent alone decides when the loader ends.

    A process whose parent is gone notices that by itself within five seconds.
    """
    for number in SIGNALS:
        signal.signal(number, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)


@contextmanager
def _signals_held() -> Iterator[None]:
    """Signals wait while processes start: one that arrives before a process ignores it would kill it."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
