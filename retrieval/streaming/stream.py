"""All scores of a query set with a gallery, one tile after the other: the only way anything here looks at Q×G.

The gallery is read once, block by block, and may lie on disk. On the CPU several threads each compute whole tiles with
one thread's arithmetic; that is faster than many threads on one product, and nobody waits for anybody.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from common.errors import UserError
from common.progress import bar
from retrieval.columns import Features, Ints
from retrieval.scorers.scorer import Linear, Scorer
from retrieval.streaming import compiled
from retrieval.streaming.products import Product, fastest, product
from retrieval.streaming.tiles import Tile, cut, full_precision
from retrieval.streaming.workers import share_out

T = TypeVar("T")
Visit = Callable[[Tile, Tile, Tensor], None]
"""What is done with `(q, g)` scores of two tiles on the device; they may be written to, and are gone afterwards.

Tiles of different queries may come at the same time from several threads, those of the same queries never do.
"""

_SMALL = 40_000_000
"""Scores below which loading the compiled kernels takes longer than they save."""


_BLOCK, _BLOCK_ON_GPU = 1 << 22, 1 << 27
"""Numbers in a block of the gallery: 16 MiB on the CPU, which is read and packed while other threads compute."""


@dataclass(frozen=True)
class Backend:
    """What computes. The results are the same for all; `str` of it says what ran.

    Attributes:
        product: "onednn", "torch" or "numpy".
        kernel: "compiled" or "plain".
        threads: how many tiles are worked on at once.
        queries, gallery: rows of a tile.
    """

    product: str
    kernel: str
    threads: int
    queries: int = 512
    gallery: int = 2048

    @classmethod
    def choose(cls, device: torch.device, query: Features, gallery: Features) -> Backend:
        """The fastest on this machine for these features."""
        width = max(1, query.vectors.shape[1])
        if device.type != "cpu":
            return cls("torch", "plain", threads=1, queries=1024, gallery=_between(1024, _BLOCK_ON_GPU // width, 16384))
        small = len(query) * len(gallery) < _SMALL
        kernel = "plain" if small or compiled.kernels("streaming") is None else "compiled"
        return cls(fastest(), kernel, torch.get_num_threads())

    @classmethod
    def on_host(
        cls, device: torch.device | str, backend: Backend | None, query: Features, gallery: Features
    ) -> Backend:
        """What computes on the processor, where lists and sums are, whatever device computes the scores."""
        if backend is not None and torch.device(device).type == "cpu":
            return backend
        return cls.choose(torch.device("cpu"), query, gallery)

    @property
    def fast(self) -> bool:
        """Whether compiled code may be used."""
        return self.kernel == "compiled"

    def __str__(self) -> str:
        threads = "" if self.threads == 1 else f", {self.threads} threads"
        return f"{self.product} product, {self.kernel} kernels{threads}"


def _between(least: int, value: int, most: int) -> int:
    return max(least, min(value, most))


def _alone(counts: Ints) -> Ints:
    return counts


@dataclass(frozen=True)
class Team:
    """The processes that share the work: each takes every `world`-th block of the gallery, from its `rank`-th on.

    Attributes:
        total: adds up what the processes counted; every one of them gets the sum.
    """

    rank: int = 0
    world: int = 1
    total: Callable[[Ints], Ints] = _alone

    def gathered(self, values: NDArray[Any]) -> NDArray[Any]:
        """`(world, …)` what every process has; `total` adds up whole numbers, so floats go as their bits."""
        if self.world == 1:
            return values[None]
        bits = np.dtype(f"i{values.itemsize}")
        slots = np.zeros((self.world, *values.shape), dtype=np.int64)
        slots[self.rank] = values.view(bits)
        return self.total(slots).astype(bits).view(values.dtype)


ALONE = Team()


def stream(
    scorer: Scorer,
    query: Features,
    gallery: Features,
    visit: Visit,
    *,
    device: torch.device,
    backend: Backend,
    team: Team = ALONE,
    symmetric: bool = False,
    title: str = "ranking",
) -> None:
    """Compute every score once and show it to `visit`.

    Memory: the prepared queries, and per thread one block of the gallery and one tile.

    Args:
        symmetric: query and gallery are the same, and only tiles on and above the diagonal are computed: of a tile off
            the diagonal the transpose is for `visit` to use as well.
        title: of the progress bar.

    Raises:
        UserError: query and gallery do not fit each other, or a number is NaN or infinite (names the first such row).
    """
    check_shapes(query, gallery)
    if symmetric:
        backend = replace(backend, queries=backend.gallery)
    with full_precision(device):
        work = _Work(scorer, query, gallery, visit, device, backend)
        starts = range(team.rank * backend.gallery, len(gallery), team.world * backend.gallery)
        columns = [
            [(start, place) for place, rows in enumerate(work.blocks) if not symmetric or rows.start <= start]
            for start in starts
        ]
        work.tiles = {column[0][0]: len(column) for column in columns if column}
        plan = _Plan(columns, title)
        with plan.bar:
            share_out(plan.take, lambda task: work.tile(*task), backend.threads)


def check_shapes(query: Features, gallery: Features) -> None:
    """Raise `UserError` when the two were not made by the same network."""
    for name in ("vectors", "parts", "visibility"):
        left, right = getattr(query, name), getattr(gallery, name)
        shapes = [None if array is None else array.shape[1:] for array in (left, right)]
        if shapes[0] != shapes[1]:
            raise UserError(
                f"the {name} of query and gallery do not fit: {shapes[0]} and {shapes[1]} numbers a row; "
                "both must come from the same network"
            )


def until_trusted(scorer: Scorer, team: Team, attempt: Callable[[float], tuple[T, bool]]) -> T:
    """What an attempt gives, made again with a wider tolerance as long as rounding errors come close to it.

    Args:
        attempt: from how many times the scorer's tolerance is to be widened to its result, and whether this process saw
            no such errors.

    Raises:
        UserError: after the last; its scores cannot be trusted at all.
    """
    for power in range(8):
        result, trusted = attempt(16.0**power)
        if not team.total(np.array([not trusted], dtype=np.int64))[0]:
            return result
    raise UserError(
        f"scorer '{scorer.name}': its scores in float32 have little to do with the exact ones; are the features very "
        "large? scale them"
    )


class _Plan:
    """Who computes which tile: every worker has a block of the gallery of its own as long as there are any.

    So nobody waits while another prepares a block, and the last blocks are shared out tile by tile.
    """

    def __init__(self, columns: list[list[tuple[int, int]]], title: str) -> None:
        self._waiting = deque(deque(column) for column in columns if column)
        self._mine: dict[int, deque[tuple[int, int]]] = {}
        self.bar = bar(sum(map(len, columns)), title=title, unit="tile")

    def take(self, worker: int) -> tuple[int, int] | None:
        mine = self._mine.get(worker)
        if not mine and self._waiting:
            mine = self._mine[worker] = self._waiting.popleft()
        if not mine:
            mine = max(self._mine.values(), key=len, default=None)
        if not mine:
            return None
        self.bar.update()
        return mine.popleft()


class _Work:
    """The prepared queries, the gallery blocks in use, and the computation of one tile."""

    def __init__(
        self, scorer: Scorer, query: Features, gallery: Features, visit: Visit, device: torch.device, backend: Backend
    ) -> None:
        self.scorer, self.gallery, self.visit, self.device, self.backend = scorer, gallery, visit, device, backend
        self.product: Product | None = product(backend.product) if isinstance(scorer, Linear) else None
        size = backend.queries
        self.blocks = [slice(start, min(start + size, len(query))) for start in range(0, len(query), size)]
        self._queries = [scorer.prepare(cut(query, rows, device, "query")) for rows in self.blocks]
        self._locks = [threading.Lock() for _ in self.blocks]
        self.tiles: dict[int, int] = {}
        self._current: dict[int, _Block] = {}
        self._entry = threading.Lock()

    def tile(self, start: int, place: int) -> None:
        """Compute the tile of the gallery block from `start` and of the query block at `place`."""
        block = self._block(start)
        query = self._queries[place]
        if self.product is None:
            scores = self.scorer.scores(query, block.tile)
            _check(self.scorer, scores, query, block.tile)
        else:
            scores = self.product.multiply(query.vector, block.packed)
        with self._locks[place]:
            self.visit(query, block.tile, scores)
        with self._entry:
            block.left -= 1
            if not block.left:
                del self._current[start]

    def _block(self, start: int) -> _Block:
        with self._entry:
            block = self._current.setdefault(start, _Block(self.tiles[start]))
        with block.lock:
            if not block.ready:
                rows = slice(start, min(start + self.backend.gallery, len(self.gallery)))
                block.tile = self.scorer.prepare(cut(self.gallery, rows, self.device, "gallery"))
                if self.product is not None:
                    block.packed = self.product.pack(block.tile.vector)
                    # Packed it is there a second time: keep only its shape.
                    empty = block.tile.vector.new_zeros(1, 1).expand(block.tile.vector.shape)
                    block.tile = replace(block.tile, vector=empty)
                block.ready = True
        return block


class _Block:
    """One block of the gallery, prepared by whichever thread comes first.

    Args:
        left: tiles of it that are still to be computed; after the last it is let go.
    """

    def __init__(self, left: int) -> None:
        self.left = left
        self.lock = threading.Lock()
        self.ready = False
        self.tile: Tile
        self.packed: object = None


def _check(scorer: Scorer, scores: Tensor, query: Tile, gallery: Tile) -> None:
    if scores.shape != (len(query), len(gallery)):
        raise ValueError(
            f"scorer '{scorer.name}' gave {tuple(scores.shape)} scores for {len(query)} query rows and "
            f"{len(gallery)} gallery rows"
        )
    broken = torch.isnan(scores).any(dim=1)
    if broken.any():
        assert isinstance(query.rows, slice)
        row = query.rows.start + int(broken.int().argmax())
        raise UserError(f"scorer '{scorer.name}' gave NaN for query row {row}: its ranking means nothing")
