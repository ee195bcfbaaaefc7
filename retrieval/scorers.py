"""How close two pictures are: a scorer compares a tile of queries with a tile of the gallery. Higher is closer.

A method brings its own scorer by having `name` and `scores`; it need not import anything from here. It is given
tiles (`Embedding` with parts, visibility and maps where the system has them, and a row offset), never all of Q×G.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Protocol, runtime_checkable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import normalize

from common.errors import unknown_name
from retrieval.tiles import Tile


class Scorer(Protocol):
    """What `evaluate` needs of a scorer."""

    @property
    def name(self) -> str:
        """What results are labelled with."""
        ...

    def scores(self, query: Tile, gallery: Tile) -> Tensor:
        """`(q, g)` float32, higher = closer, from q query rows and g gallery rows."""
        ...


@runtime_checkable
class Preparing(Protocol):
    """A scorer with work that needs one tile only (a norm): it is done once per tile, not once per pair of tiles."""

    def prepare(self, tile: Tile) -> Tile:
        """The tile as `scores` wants it."""
        ...


def prepared(scorer: Scorer, tile: Tile) -> Tile:
    """The tile, prepared if this scorer prepares."""
    return scorer.prepare(tile) if isinstance(scorer, Preparing) else tile


@dataclass(frozen=True)
class Cosine:
    """The cosine of the angle between two vectors, in [−1, 1]; a zero vector is at right angles to everything."""

    eps: float = 1e-12
    name: str = "cosine"

    def prepare(self, tile: Tile) -> Tile:
        return replace(tile, vector=normalize(tile.vector.float(), dim=1, eps=self.eps))

    def scores(self, query: Tile, gallery: Tile) -> Tensor:
        return query.vector @ gallery.vector.T


@dataclass(frozen=True)
class Euclidean:
    """The negative Euclidean distance between two vectors as they are, in (−∞, 0]."""

    name: str = "euclidean"

    def scores(self, query: Tile, gallery: Tile) -> Tensor:
        left, right = query.vector.float(), gallery.vector.float()
        squares = left.square().sum(dim=1)[:, None] + right.square().sum(dim=1)[None, :]
        # Rounding can take the square of a tiny distance below zero.
        return -torch.addmm(squares, left, right.T, alpha=-2).clamp_min_(0).sqrt_()


@dataclass(frozen=True, eq=False)
class Precomputed:
    """Scores that were made elsewhere (re-ranking, another tool), served tile by tile.

    Attributes:
        matrix: `(Q, G)`, higher = closer (the negative of a distance); it may be memory-mapped.
    """

    matrix: NDArray[np.float32]
    name: str = "precomputed"

    def scores(self, query: Tile, gallery: Tile) -> Tensor:
        return torch.from_numpy(np.array(self.matrix[query.rows, gallery.rows], dtype=np.float32))


SCORERS: dict[str, Callable[[], Scorer]] = {"cosine": Cosine, "euclidean": Euclidean}


def scorer(name: str) -> Scorer:
    """The scorer of that name; raises `UserError` with the closest name otherwise."""
    try:
        return SCORERS[name]()
    except KeyError:
        raise unknown_name("scorer", name, SCORERS) from None
