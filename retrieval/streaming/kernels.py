"""The inner product in float64, for Numba; see `retrieval.streaming.compiled`."""

from __future__ import annotations

import numpy as np
from numba import njit

LANES = 64
"""Running sums."""


@njit(nogil=True, cache=True)
def inner(left, right, rows, others, out):
    """The twin of `exact.inner`. Slices, since only of them the compiler knows that no index is negative."""
    whole = left.shape[1] - left.shape[1] % LANES
    sums = np.empty(LANES)
    for pair in range(len(rows)):
        a, b = left[rows[pair]], right[others[pair]]
        sums[:] = 0
        for start in range(0, whole, LANES):
            x, y = a[start : start + LANES], b[start : start + LANES]
            for lane in range(LANES):
                sums[lane] += np.float64(x[lane]) * np.float64(y[lane])
        x, y = a[whole:], b[whole:]
        for lane in range(len(x)):
            sums[lane] += np.float64(x[lane]) * np.float64(y[lane])
        out[pair] = _tree(sums)


@njit(nogil=True, cache=True)
def distances(left, right, rows, others, out):
    """The twin of `exact.distances`."""
    whole = left.shape[1] - left.shape[1] % LANES
    sums = np.empty(LANES)
    for pair in range(len(rows)):
        a, b = left[rows[pair]], right[others[pair]]
        sums[:] = 0
        for start in range(0, whole, LANES):
            x, y = a[start : start + LANES], b[start : start + LANES]
            for lane in range(LANES):
                difference = np.float64(x[lane]) - np.float64(y[lane])
                sums[lane] += difference * difference
        x, y = a[whole:], b[whole:]
        for lane in range(len(x)):
            difference = np.float64(x[lane]) - np.float64(y[lane])
            sums[lane] += difference * difference
        out[pair] = _tree(sums)


@njit(nogil=True, cache=True)
def _tree(sums):
    half = LANES // 2
    while half > 0:
        upper = sums[half : 2 * half]
        for lane in range(half):
            sums[lane] += upper[lane]
        half //= 2
    return sums[0]
