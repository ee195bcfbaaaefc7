"""Pictures from disk into uint8 batches, in processes of their own.

A picture that cannot be read is reported once, by name, as a `UserError` in the main process: a loader that skipped
or retried it would train on other data than it says.
"""

from __future__ import annotations

import math
import os
import signal
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, get_worker_info

from common.errors import UserError
from data.cache import PictureCache
from data.samplers import EpochBatches, Key
from data.samples import Ints
from data.transforms import Augmentation, Geometry, Pixels, Preprocessing

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1)


class RawBatch(NamedTuple):
    """What comes out of the loader, before `engine.handlers.prepare` makes a `Batch` of it."""

    pixels: Tensor  # (B, H, W, 3) uint8
    rows: Tensor  # (B,) int64
    geometry: Tensor  # (B, 10) int64, `Geometry`
    plain: Tensor | None = None  # (B, H, W, 3) uint8: pictures as they were before augmentation, where asked for


class Loaded(NamedTuple):
    """One picture."""

    pixels: Pixels
    key: Key
    geometry: Geometry


class Pictures(Dataset[Loaded]):
    """Opens, resizes and augments the pictures of keys.

    The random generator is seeded with (seed, epoch, position), so neither the number of loader processes nor the
    number of ranks changes what a picture looks like. Nor does the cache.

    Args:
        plain: `(N,)` for each row the row of the picture that is to come along as it is, without augmentation: the same
            or another one.
    """

    def __init__(
        self,
        file: Callable[[int], Path],
        preprocessing: Preprocessing,
        augmentation: Augmentation | None = None,
        seed: int = 0,
        cache: PictureCache | None = None,
        plain: Ints | None = None,
    ) -> None:
        self.file, self.preprocessing, self.augmentation, self.seed = file, preprocessing, augmentation, seed
        self.cache, self._plain = cache, plain
        self._read = np.empty((preprocessing.height, preprocessing.width, 3), np.uint8)

    def __getitem__(self, key: Key) -> Loaded:
        """One picture; `UserError` names it when it cannot be read."""
        pixels = np.empty((self.preprocessing.height, self.preprocessing.width, 3), np.uint8)
        return Loaded(pixels, key, self._write(key, pixels))

    def __getitems__(self, keys: Sequence[Key]) -> RawBatch | str:
        """A batch, every picture written to its place in it, or the first problem.

        An exception would arrive wrapped in the traceback of the loader's process.
        """
        size = (len(keys), self.preprocessing.height, self.preprocessing.width)
        pixels = _empty_batch(*size)
        plain = None if self._plain is None else _empty_batch(*size)
        beside = [None] * len(keys) if plain is None else plain.numpy()
        try:
            geometry = [self._write(*of) for of in zip(keys, pixels.numpy(), beside, strict=True)]
        except UserError as error:
            return str(error)
        return RawBatch(pixels, torch.tensor([key.row for key in keys]), torch.tensor(geometry), plain)

    def _write(self, key: Key, out: Pixels, plain: Pixels | None = None) -> Geometry:
        """Fill `out` with one picture, and `plain` with the one that comes along as it is."""
        pixels = self._resized(key.row)
        if self.augmentation is None:
            out[...] = pixels
            geometry = Geometry(0, 0, 0, 0, 0, 0, 0)
        else:
            draw = self.augmentation.draw(_generator(self.seed, key.epoch, key.position))
            self.augmentation.write(pixels, draw, out)
            geometry = draw.geometry
        if plain is not None and self._plain is not None:
            row = int(self._plain[key.row])
            plain[...] = pixels if row == key.row else self._resized(row)
        return geometry

    def _resized(self, row: int) -> Pixels:
        """Good until the next one is asked for, and not to be written to."""
        kept = None if self.cache is None else self.cache.get(row)
        if kept is not None:
            return kept
        self.preprocessing.read(self.file(row), self._read)
        if self.cache is not None:
            self.cache.put(row, self._read)
        return self._read


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
        self._cache = pictures.cache
        self._batches: Iterator[Any] = iter(())
        workers = min(workers, os.cpu_count() or 1)
        self._loader: DataLoader[Loaded] = DataLoader(
            pictures,
            batch_sampler=batches,
            collate_fn=_as_it_is,
            num_workers=workers,
            pin_memory=pin_memory,
            # Only forked processes share what the cache holds.
            multiprocessing_context="fork" if workers and pictures.cache is not None else None,
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
            if self._cache is not None:
                self._cache.tell()
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


def _generator(seed: int, epoch: int, position: int) -> np.random.Generator:
    """That of `default_rng((seed, epoch, position))`, which takes longer to read a tuple."""
    words = (seed, epoch, position)
    return np.random.default_rng(np.array(words, np.uint32) if seed < 1 << 32 else words)


def _empty_batch(count: int, height: int, width: int) -> Tensor:
    """Room for pixels; in a process of the loader already in the memory that it shares with its parent."""
    shape = (count, height, width, 3)
    if get_worker_info() is None:
        return torch.empty(shape, dtype=torch.uint8)
    storage = torch.UntypedStorage._new_shared(math.prod(shape))
    return torch.empty(0, dtype=torch.uint8).set_(storage).view(shape)


def _as_it_is(batch: Any) -> Any:
    """What `Pictures.__getitems__` made is a batch already."""
    return batch


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
