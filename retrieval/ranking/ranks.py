"""From the ranks of every query's positives to its metrics, all queries at once.

Ranks are junk-free and count from 1. They come as one flat array, by query and ascending within a query.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from retrieval.columns import Ints
from retrieval.streaming.exact import Doubles

_BITS = 40
"""Of a number of gallery pictures; what is left is for the number of a query."""


@dataclass(frozen=True, eq=False)
class Ranks:
    """The ranks of Q queries' positives.

    Attributes:
        counts: `(Q,)` how many positives each query has.
        owners: `(n,)` the query of each rank, ascending.
        places: `(n,)` which positive of its query it is, from 1.
        ranks: `(n,)`.
    """

    counts: Ints
    owners: Ints
    places: Ints
    ranks: Ints

    @classmethod
    def of(cls, queries: int, owners: Ints, ahead: Ints) -> Ranks:
        """From how many negatives stand before each positive.

        Args:
            owners: `(n,)` the query of each positive, 0 to `queries` − 1.
            ahead: `(n,)`.
        """
        counts = np.bincount(owners, minlength=queries)
        starts = np.cumsum(counts) - counts
        places = np.arange(1, len(owners) + 1) - np.repeat(starts, counts)
        # One number of both, since sorting one array is much faster than ordering two.
        ordered = np.sort(owners << _BITS | ahead)
        return cls(counts, ordered >> _BITS, places, (ordered & ((1 << _BITS) - 1)) + places)

    def average_precision(self) -> Doubles:
        """`(Q,)` step sum: (1/n) Σ i / r_i; NaN without a positive."""
        return self._mean(self.places / self.ranks)

    def trapezoid_precision(self) -> Doubles:
        """`(Q,)` with the precision just before each hit averaged in (Market-1501's MATLAB code, CAIL).

        (1/n) Σ ½ [i / r_i + (i − 1) / (r_i − 1)], where the second term is 1 for r_i = 1. Never above the step sum.
        """
        before = np.where(self.ranks > 1, (self.places - 1) / np.maximum(self.ranks - 1, 1), 1.0)
        return self._mean((self.places / self.ranks + before) / 2)

    def inverse_negative_penalty(self) -> Doubles:
        """`(Q,)` n / r_n: how much of the list must be read to find every positive."""
        last = np.cumsum(self.counts)[self.counts > 0] - 1
        penalty = np.full(len(self.counts), np.nan)
        penalty[self.counts > 0] = self.places[last] / self.ranks[last]
        return penalty

    def first(self) -> NDArray[np.int64]:
        """`(Q,)` the rank of the first positive, 0 without one."""
        first = np.zeros(len(self.counts), dtype=np.int64)
        first[self.counts > 0] = self.ranks[self.places == 1]
        return first

    def _mean(self, values: Doubles) -> Doubles:
        sums = np.bincount(self.owners, weights=values, minlength=len(self.counts))
        means: Doubles = np.divide(sums, self.counts, out=np.full(len(self.counts), np.nan), where=self.counts > 0)
        return means
