"""The one loop over Q×G that ranking needs, for Numba; see `retrieval.streaming.compiled`."""

from __future__ import annotations

import numpy as np
from numba import njit

BLOCK = 128
"""Scores that are looked at together."""


@njit(nogil=True, cache=True)
def place(scores, starts, low, high, above, found, query, start):
    """The twin of `counting.plain_count`; it stops when `found` might not hold the close cases of another block.

    Args:
        scores: `(q, g)`.
        starts: `(q + 1,)` where each query's thresholds begin in `low`, `high` and `above`.
        low, high: `(n,)` ascending within a query.
        above: `(n,)` is added to.
        found: `(room, 3)` is filled with query, column and threshold.
        query, start: the query and column to begin with.

    Returns:
        How many rows of `found` were filled, and the query and column to go on with.
    """
    columns = scores.shape[1]
    last = np.full(BLOCK, np.nan, np.float32)
    filled = 0
    while query < len(scores):
        begin, end = starts[query], starts[query + 1]
        row, lows, highs, counts = scores[query], low[begin:end], high[begin:end], above[begin:end]
        while start < columns:
            if filled + BLOCK * (end - begin) > len(found):
                return filled, query, start
            block = row[start : start + BLOCK]
            if len(block) < BLOCK:
                last[: len(block)] = block
                block = last
            for threshold in range(end - begin):
                under, over = lows[threshold], highs[threshold]
                reached, passed = np.int32(0), np.int32(0)
                # A loop of constant length over numbers of one width becomes a few vector instructions.
                for column in range(BLOCK):
                    reached = np.int32(reached + np.int32(block[column] >= under))
                    passed = np.int32(passed + np.int32(block[column] > over))
                if reached == 0:
                    break  # and none of the higher ones either, which is the rule
                counts[threshold] += passed
                if reached > passed:
                    for column in range(BLOCK):
                        if under <= block[column] <= over:
                            found[filled, 0] = query
                            found[filled, 1] = start + column
                            found[filled, 2] = begin + threshold
                            filled += 1
            start += BLOCK
        query += 1
        start = 0
    return filled, query, 0
