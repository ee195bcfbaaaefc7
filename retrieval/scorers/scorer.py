"""What it takes to be a way of comparing two pictures. Higher is closer.

A scorer is given tiles (`Embedding`s with parts, visibility and maps where the system has them), never all of Q×G. It
says each score twice: fast, in float32, for whole tiles; and exactly, in float64, for the few pairs whose order float32
cannot tell; and how far apart the two may be. `tests/retrieval/test_scorers.py` holds every scorer to that.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from retrieval.columns import Features, Ints
from retrieval.streaming.tiles import Tile

UNIT = 2.0**-24
"""Half the distance from 1 to the next float32 number."""


def rounding(width: int) -> float:
    """How far a float32 inner product of two unit vectors of this width may be from the exact one.

    Twice the largest distance seen with the libraries in `retrieval.streaming.products`, structured vectors included.
    The worst case would be 30 times that at 2048 numbers and was never seen; whoever relies on this looks whether it
    holds.
    """
    return (math.sqrt(width) + 24) * UNIT


class Scorer(ABC):
    """A way of comparing two pictures.

    Attributes:
        name: what results are labelled with.
    """

    name: str

    def prepare(self, tile: Tile) -> Tile:
        """The tile as `scores` wants it: work that needs one side only (a norm) is done once, not once per pair."""
        return tile

    @abstractmethod
    def scores(self, query: Tile, gallery: Tile) -> Tensor:
        """`(q, g)` float32 from two prepared tiles; new memory, which the caller may write to."""

    @abstractmethod
    def pairs(self, query: Features, gallery: Features, left: Ints, right: Ints, *, fast: bool) -> NDArray[np.float64]:
        """`(n,)` the exact scores of the rows `left` of the query with the rows `right` of the gallery, pair by pair.

        Args:
            fast: whether compiled code may be used; the result must be the same to the last bit.
        """

    @abstractmethod
    def tolerance(self, query: Tile, gallery: Tile) -> float:
        """How far `scores` of these two prepared tiles may be from `pairs`; 0 when they are the same numbers."""


def unit(vectors: Tensor, squares: Tensor) -> Tensor:
    """Vectors scaled to length 1; those of length zero stay.

    Args:
        vectors: `(…, D)` float32.
        squares: `(…)` float64, their squared lengths.
    """
    scale = torch.where(squares > 0, squares.rsqrt(), 0).unsqueeze(-1)
    scaled = vectors * scale.float()
    extreme = ((scale > 1e30) | ((scale < 1e-30) & (scale > 0))).squeeze(-1)  # nothing that float32 can say
    if extreme.any():
        scaled[extreme] = (vectors[extreme].double() * scale[extreme]).float()
    return scaled


class Linear(Scorer):
    """A scorer whose scores are inner products of prepared vectors: the machine's fastest product computes them."""

    def scores(self, query: Tile, gallery: Tile) -> Tensor:
        return query.vector @ gallery.vector.T

    def tolerance(self, query: Tile, gallery: Tile) -> float:
        return rounding(query.vector.shape[1]) * query.longest * gallery.longest
