"""Inner products in float64 whose last bit does not depend on the machine's libraries.

A product of two float32 numbers is exact in float64, so only the order of the sum matters. It is fixed here: 64
running sums, one for every 64th column, then their sum as a tree. The compiled form and the plain one below add in that
same order, so rankings decided by them are the same wherever they run.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from retrieval.columns import Floats, Ints
from retrieval.streaming import compiled

Doubles = NDArray[np.float64]

LANES = 64
_AT_ONCE = 1 << 19
"""Numbers that the plain form converts at a time: 4 MiB in float64, which a processor's cache holds."""


def inner(left: Floats, right: Floats, rows: Ints, others: Ints, *, fast: bool) -> Doubles:
    """`(n,)` the inner products of `left[rows]` with `right[others]`, pair by pair.

    Args:
        left, right: `(N, D)` and `(M, D)`; they may be memory-mapped.
        fast: whether the compiled form may be used; it is no different.
    """
    return _paired("inner", np.multiply, left, right, rows, others, fast)


def distances(left: Floats, right: Floats, rows: Ints, others: Ints, *, fast: bool) -> Doubles:
    """`(n,)` the squared distances of `left[rows]` and `right[others]`, pair by pair, from their differences."""
    return _paired("distances", _squared_difference, left, right, rows, others, fast)


def _squared_difference(left: Doubles, right: Doubles) -> Doubles:
    difference = left - right
    return np.multiply(difference, difference, out=difference)


def _paired(
    kernel: str, combine: Callable[..., Doubles], left: Floats, right: Floats, rows: Ints, others: Ints, fast: bool
) -> Doubles:
    if left.shape[1] != right.shape[1]:
        raise ValueError(f"vectors of {left.shape[1]} and of {right.shape[1]} numbers cannot be compared")
    if fast and (kernels := compiled.kernels("streaming")) is not None:
        out = np.empty(len(rows))
        getattr(kernels, kernel)(np.asarray(left), np.asarray(right), rows, others, out)
        return out
    step = max(1, _AT_ONCE // max(1, left.shape[1]))
    pieces = [
        _sum_in_lanes(
            combine(
                left[rows[start : start + step]].astype(np.float64),
                right[others[start : start + step]].astype(np.float64),
            )
        )
        for start in range(0, len(rows), step)
    ]
    return np.concatenate([np.empty(0), *pieces])


def squares(vectors: Floats, rows: Ints, *, fast: bool) -> Doubles:
    """`(n,)` the squared lengths of `vectors[rows]`; each row is looked at once."""
    unique, place = np.unique(rows, return_inverse=True)
    lengths: Doubles = inner(vectors, vectors, unique, unique, fast=fast)[place]
    return lengths


def cosine(left: Floats, right: Floats, rows: Ints, others: Ints, *, fast: bool) -> Doubles:
    """`(n,)` the cosines of `left[rows]` with `right[others]`; 0 where a vector is zero."""
    products = inner(left, right, rows, others, fast=fast)
    lengths = np.sqrt(squares(left, rows, fast=fast)) * np.sqrt(squares(right, others, fast=fast))
    cosines: Doubles = np.divide(products, lengths, out=np.zeros_like(products), where=lengths > 0)
    return cosines


def _sum_in_lanes(terms: Doubles) -> Doubles:
    rest = -terms.shape[1] % LANES
    if rest:
        terms = np.pad(terms, ((0, 0), (0, rest)))
    # Over an axis that is not the last, NumPy adds one slice after the other.
    sums: Doubles = terms.reshape(len(terms), -1, LANES).sum(axis=1)
    while sums.shape[1] > 1:
        half = sums.shape[1] // 2
        sums = sums[:, :half] + sums[:, half:]
    return sums[:, 0]
