"""Pairs of pictures that are nearly the same, found without comparing every one with every other.

Two pictures are nearly the same when at most `BITS` of 128 differences between neighbouring pixels have another sign
(dHash) and their small versions correlate by at least `CORRELATION`, in colour and with each channel's mean taken off.

The limits were chosen on 1,184 photographs, 720 rendered pictures and 1,200 of the street. Of their 1,659,136 pairs of
two people none is within both limits; the closest correlates by 0.986 (rendered people before the same wall). Of copies
saved again (JPEG quality 50 and 85), as PNG, at half or double the size, or brighter by a tenth, 99 in 100 and more are
found; brighter by a fifth, 85 in 100. A copy that is cut by 3 %, mirrored or made grey mostly is not.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import NDArray

from data.samples import Ints

BITS = 12
CORRELATION = 0.99

_BANDS = 8
"""Bands of 16 bits: two hashes that differ in at most 7 bits agree in one of them for certain, with 12 mostly."""

_AHEAD = 256
"""Neighbours within a band that each picture is compared with: the bound on the work when thousands look alike."""

_GREY = np.array([299, 587, 114], dtype=np.int32)
_MOST_PAIRS = 1 << 20
"""Pairs whose pixels are compared at a time."""

Hashes = NDArray[np.uint16]
Wanted = Callable[[Ints, Ints], NDArray[np.bool_]]
"""From n and n rows to `(n,)` bool: which pairs are worth comparing."""


def hashes(small: NDArray[np.uint8]) -> Hashes:
    """`(N, 8)` uint16 from `(N, 16, 9, 3)`: 128 signs of differences along the rows of each grey small version."""
    grey = small.astype(np.int32) @ _GREY
    signs = (grey[:, :, 1:] > grey[:, :, :-1]).reshape(len(small), -1)
    return np.packbits(signs, axis=1).view(np.uint16).reshape(len(small), _BANDS)


def near_pairs(small: NDArray[np.uint8], wanted: Wanted) -> list[tuple[int, int, int, float]]:
    """Pairs of rows `first < second` that are nearly the same, with the bits that differ and the correlation; sorted.

    Args:
        small: `(N, 16, 9, 3)` uint8.
        wanted: which pairs matter; asked before anything is compared.
    """
    if len(small) < 2:
        return []
    codes = hashes(small)
    keys = [found for pair in _alike(codes, wanted) if len(found := pair[0] * len(small) + pair[1])]
    pairs = np.unique(np.concatenate(keys)) if keys else np.zeros(0, dtype=np.int64)
    result = []
    for start in range(0, len(pairs), _MOST_PAIRS):
        first, second = np.divmod(pairs[start : start + _MOST_PAIRS], len(small))
        apart = _distance(codes[first], codes[second])
        correlation = correlations(small, first, second)
        close = correlation >= CORRELATION
        chosen = (first[close], second[close], apart[close], correlation[close])
        result += list(zip(*(column.tolist() for column in chosen), strict=True))
    return result


def correlations(small: NDArray[np.uint8], first: Ints, second: Ints) -> NDArray[np.float32]:
    """`(n,)` how alike the small versions of pairs are, 1 for equal ones; each channel's mean does not count."""
    found = np.empty(len(first), dtype=np.float32)
    for start in range(0, len(first), 4096):
        part = slice(start, start + 4096)
        one, other = (_centred(small[rows[part]]) for rows in (first, second))
        norms = np.sqrt((one * one).sum(1) * (other * other).sum(1))
        found[part] = (one * other).sum(1) / np.maximum(norms, 1e-6)
    return found


def _centred(small: NDArray[np.uint8]) -> NDArray[np.float32]:
    pixels = small.reshape(len(small), -1, 3).astype(np.float32)
    centred: NDArray[np.float32] = (pixels - pixels.mean(axis=1, keepdims=True)).reshape(len(small), -1)
    return centred


def _alike(codes: Hashes, wanted: Wanted) -> Iterator[tuple[Ints, Ints]]:
    """Pairs (lower row first) that agree in a band and differ in few bits; the same pair may come several times."""
    for band in range(_BANDS):
        # Within a band the other bits decide, so that what is most alike is close even where thousands agree.
        turned = np.roll(codes, -band, axis=1)
        order = np.lexsort(turned.T[::-1])
        key = codes[order, band]
        alive = np.arange(len(order) - 1)
        for ahead in range(1, _AHEAD + 1):
            alive = alive[alive + ahead < len(order)]
            alive = alive[key[alive] == key[alive + ahead]]
            if not len(alive):
                break
            first, second = order[alive], order[alive + ahead]
            close = wanted(first, second)
            first, second = first[close], second[close]
            close = _distance(codes[first], codes[second]) <= BITS
            yield np.minimum(first[close], second[close]), np.maximum(first[close], second[close])


def _distance(one: Hashes, other: Hashes) -> Ints:
    """`(n,)` how many bits differ."""
    count: Ints = np.bitwise_count(one ^ other).sum(axis=1, dtype=np.int64)
    return count
