"""From one row of scores to the ranks of its positives, and from these to the metrics."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Ranks = NDArray[np.int64]


def positive_ranks(scores: NDArray[np.float32], good: NDArray[np.bool_], kept: NDArray[np.bool_]) -> Ranks:
    """The junk-free 1-based ranks of a query's positives, ascending.

    Equal scores are ordered by gallery index: the ranks are those of `np.argsort(-scores[kept], kind="stable")`.
    Only what scores at least as well as the hardest positive can stand before a positive, so only that is sorted.

    Args:
        scores: `(G,)`, higher = closer, no NaN.
        good: `(G,)` the positives, none of them junk.
        kept: `(G,)` what is not junk.
    """
    positives = scores[good]
    if not positives.size:
        return np.empty(0, dtype=np.int64)
    survivors = np.flatnonzero((scores >= positives.min()) & kept)
    values = scores[survivors]
    # Sorting bare values is several times faster than a stable argsort, which only ties make necessary.
    ordered = np.sort(values)
    positives = np.sort(positives)[::-1]
    below = np.searchsorted(ordered, positives, side="left")
    upto = np.searchsorted(ordered, positives, side="right")
    if (upto - below == 1).all():
        return np.asarray(len(ordered) - below, dtype=np.int64)
    best_first = np.argsort(-values, kind="stable")
    return np.flatnonzero(good[survivors[best_first]]) + 1


def average_precision(ranks: Ranks) -> float:
    """Step-sum average precision of n positives: (1/n) Σ i / r_i."""
    hits = np.arange(1, len(ranks) + 1, dtype=np.float64)
    return float((hits / ranks).mean())


def trapezoid_precision(ranks: Ranks) -> float:
    """Average precision with the precision just before each hit averaged in (Market-1501's MATLAB code, CAIL).

    (1/n) Σ ½ [i / r_i + (i − 1) / (r_i − 1)], where the second term is 1 for r_i = 1. Never above the step sum.
    """
    hits = np.arange(1, len(ranks) + 1, dtype=np.float64)
    before = np.where(ranks > 1, (hits - 1) / np.maximum(ranks - 1, 1), 1.0)
    return float(((hits / ranks + before) / 2).mean())


def inverse_negative_penalty(ranks: Ranks) -> float:
    """n / r_n: how much of the list must be read to find every positive."""
    return len(ranks) / float(ranks[-1])
