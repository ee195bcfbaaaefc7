"""What k-reciprocal sets have in common, for Numba; see `retrieval.streaming.compiled`."""

from __future__ import annotations

import numpy as np
from numba import njit

_SORTING = 64
"""Columns that are looked at in the time that sorting takes for one."""


@njit(nogil=True, cache=True)
def blend(starts, members, weights, lists, columns, listed, tile, slopes, offsets, share):
    """The twin of `Reranked._blend`: `tile` becomes slope · tile + offset + share · Jaccard similarity, in place."""
    width = tile.shape[1]
    sums, touched = np.zeros(width), np.empty(width, np.int64)
    for row in range(len(tile)):
        line, slope, offset = tile[row], slopes[row], offsets[row]
        for column in range(width):
            line[column] = line[column] * slope + offset
        count = 0
        for place in range(starts[row], starts[row + 1]):
            weight = weights[place]
            for at in range(lists[members[place]], lists[members[place] + 1]):
                column = columns[at]
                if sums[column] == 0:
                    touched[count] = column
                    count += 1
                sums[column] += min(weight, listed[at])
        for column in touched[:count]:
            line[column] += np.float32(share * (sums[column] / (2 - sums[column])))
            sums[column] = 0


@njit(nogil=True, cache=True)
def overlap(starts, members, weights, lists, columns, listed, width, shared_starts, shared_columns, shared):
    """The twin of the plain form in `sets.overlaps`; fills the last three, and gives how many columns there are."""
    sums = np.zeros(width)
    filled = 0
    for row in range(len(starts) - 1):
        begin = filled
        for place in range(starts[row], starts[row + 1]):
            weight = weights[place]
            for at in range(lists[members[place]], lists[members[place] + 1]):
                column = columns[at]
                if sums[column] == 0:
                    shared_columns[filled] = column
                    filled += 1
                sums[column] += min(weight, listed[at])
        if (filled - begin) * _SORTING < width:
            shared_columns[begin:filled].sort()
        else:
            filled = begin
            for column in range(width):
                if sums[column] > 0:
                    shared_columns[filled] = column
                    filled += 1
        for place in range(begin, filled):
            shared[place] = sums[shared_columns[place]]
            sums[shared_columns[place]] = 0
        shared_starts[row + 1] = filled
    return filled


@njit(nogil=True, cache=True)
def common(starts, members, weights, left, right, out):
    """The twin of the plain form in `sets.in_common`."""
    for pair in range(len(left)):
        ours, theirs = starts[left[pair]], starts[right[pair]]
        our_end, their_end = starts[left[pair] + 1], starts[right[pair] + 1]
        total = 0.0
        while ours < our_end and theirs < their_end:
            if members[ours] < members[theirs]:
                ours += 1
            elif members[ours] > members[theirs]:
                theirs += 1
            else:
                total += min(weights[ours], weights[theirs])
                ours += 1
                theirs += 1
        out[pair] = total
