"""Candidates for the nearest rows, for Numba; see `retrieval.streaming.compiled`.

Every row has a buffer of candidates. A score is put into it when it reaches the row's edge, which is the k-th best so
far less `slack`, what rounding may do to two float32 scores. When the buffer is full, whatever does not reach the edge
any more is thrown out. Where that leaves more than `width`, too many scores are too close to each other: the bound
becomes NaN, which no score reaches, and the row has to be decided otherwise.
"""

from __future__ import annotations

import numpy as np
from numba import njit

_BLOCK = 64
"""Scores that are compared together; only where one of them reaches its edge they are looked at one by one."""
_LOWEST = np.finfo(np.float32).min
_HALVINGS = 24
"""Of the range in which a bound lies: after so many it is known to the precision of float32."""


@njit(nogil=True, cache=True)
def scan(tile, first_line, first_column, slack, k, width, ours, theirs):
    """Put the candidates of a tile's rows, and of its columns, into their buffers.

    Args:
        tile: `(q, g)` scores; −∞ is left out.
        first_line, first_column: their rows in the query and in the gallery.
        ours: the `Buffers` of the q rows, as a bare tuple: Numba keeps the module of any other on disk, and would
            look for it there when it has moved.
        theirs: those of the g columns; without any, only rows are looked at.
    """
    bounds, counts, values, rows, lowest = ours
    their_bounds, their_counts, their_values, their_rows, their_lowest = theirs
    scratch = np.empty(max(tile.shape), np.float32)
    starts, places = np.empty(tile.shape[1] // _BLOCK + 1, np.int64), np.empty(_BLOCK, np.int64)
    flags = np.empty(_BLOCK, np.uint8)
    words = flags.view(np.uint64)
    block, edges = np.empty(_BLOCK, np.float32), np.full(tile.shape[1] + _BLOCK, np.nan, np.float32)
    if len(their_counts) > 0:
        if their_counts[0] == 0:
            _open_columns(tile, k, their_bounds, scratch)
        for column in range(len(their_counts)):
            edges[column] = _edge(their_bounds[column], slack)
    lows, highs = np.empty(_BLOCK, np.float32), np.empty(_BLOCK, np.float32)
    for line in range(len(tile)):
        row = tile[line]
        if len(lowest) > 0:
            lowest[line] = min(_ends(row, lows, highs)[0], lowest[line])
            for column in range(len(their_lowest)):
                their_lowest[column] = min(row[column], their_lowest[column])
        if counts[line] == 0:
            bounds[line] = _opening(row, k, scratch)
        edge = _edge(bounds[line], slack)
        for reached in range(_reaching(row, edge, edges, starts)):
            start = starts[reached]
            part, limits = row[start : start + _BLOCK], edges[start : start + _BLOCK]
            if len(part) < _BLOCK:
                block[:] = -np.inf
            for place in range(len(part)):
                block[place] = part[place]
            for found in range(_which(block, edge, limits, flags, words, places)):
                place = places[found]
                value, column = block[place], start + place
                if value >= edge and _push(counts, values, rows, line, value, first_column + column):
                    edge = _compact(bounds, counts, values, rows, line, slack, k, width)
                if value >= limits[place] and _push(
                    their_counts, their_values, their_rows, column, value, first_line + line
                ):
                    limits[place] = _compact(
                        their_bounds, their_counts, their_values, their_rows, column, slack, k, width
                    )


@njit(nogil=True, cache=True)
def best(buffers, values, rows):
    """Fill `(n, width)` `values`, descending, and `rows` with the best of the candidates."""
    _, counts, candidates, places, _ = buffers
    for line in range(len(values)):
        count = counts[line]
        order = np.argsort(-candidates[line, :count])
        for place in range(min(count, values.shape[1])):
            values[line, place] = candidates[line, order[place]]
            rows[line, place] = places[line, order[place]]


@njit(nogil=True, cache=True)
def _edge(bound, slack):
    """What a score must reach; rounded down, and above −∞, which marks what is left out."""
    if slack > 0:
        bound = np.float32(bound - slack - abs(bound) * 2.0**-22)
    if bound < _LOWEST:
        return np.float32(_LOWEST)
    return np.float32(bound)


@njit(nogil=True, cache=True)
def _reaching(row, edge, edges, starts):
    """Fill `starts` with the blocks in which a score reaches the edge of its row or that of its column; how many."""
    count = 0
    whole = len(row) - len(row) % _BLOCK
    for start in range(0, whole, _BLOCK):
        block, limits = row[start : start + _BLOCK], edges[start : start + _BLOCK]
        reached = np.int32(0)
        # A loop of constant length over numbers of one width becomes a few vector instructions.
        for place in range(_BLOCK):
            reached = np.int32(reached + np.int32((block[place] >= edge) | (block[place] >= limits[place])))
        starts[count] = start
        count += reached > 0
    starts[count] = whole
    return count + (whole < len(row))


@njit(nogil=True, cache=True)
def _which(block, edge, limits, flags, words, places):
    """Fill `places` with the scores of a block that reach either edge; how many. `words` are the flags by eights."""
    for place in range(_BLOCK):
        flags[place] = (block[place] >= edge) | (block[place] >= limits[place])
    count = 0
    for word in range(len(words)):
        if words[word] != 0:
            for place in range(8 * word, 8 * word + 8):
                places[count] = place
                count += flags[place]
    return count


@njit(nogil=True, cache=True)
def _push(counts, values, rows, line, value, row):
    """Put one candidate into a buffer, and return whether that is full now."""
    count = counts[line]
    values[line, count] = value
    rows[line, count] = row
    counts[line] = count + 1
    return count + 1 == values.shape[1]


@njit(nogil=True, cache=True)
def _compact(bounds, counts, values, rows, line, slack, k, width):
    """Throw out of a full buffer what does not reach the edge any more, and return that."""
    ours, places = values[line], rows[line]
    bounds[line] = max(bounds[line], _reached(ours, k))
    edge = _edge(bounds[line], slack)
    count = 0
    for place in range(len(ours)):
        value, row = ours[place], places[place]
        ours[count] = value
        places[count] = row
        count += value >= edge
    counts[line] = count
    if count > width:
        bounds[line] = np.nan
        return np.float32(np.nan)
    return edge


@njit(nogil=True, cache=True)
def _lanes(count, k):
    """Of how many groups of scores the largest are looked at, to begin with a good bound; 0 where that is no use."""
    lanes = (4 * k + _BLOCK - 1) // _BLOCK * _BLOCK
    return lanes if 4 * lanes <= count else 0


@njit(nogil=True, cache=True)
def _opening(row, k, scratch):
    """A bound that k of these scores reach: so do the largest of k groups."""
    lanes = _lanes(len(row), k)
    if lanes == 0:
        return np.float32(-np.inf)
    for lane in range(0, lanes, _BLOCK):
        largest = scratch[lane : lane + _BLOCK]
        largest[:] = row[lane : lane + _BLOCK]
        for start in range(lanes + lane, len(row) - _BLOCK + 1, lanes):
            block = row[start : start + _BLOCK]
            for place in range(_BLOCK):
                largest[place] = max(block[place], largest[place])
    return _reached(scratch[:lanes], k)


@njit(nogil=True, cache=True)
def _open_columns(tile, k, bounds, scratch):
    """The same for every column."""
    lanes = _lanes(len(tile), k)
    if lanes == 0:
        return
    largest = tile[:lanes].copy()
    for line in range(lanes, len(tile)):
        row, group = tile[line], largest[line % lanes]
        for column in range(len(row)):
            group[column] = max(row[column], group[column])
    for column in range(tile.shape[1]):
        for lane in range(lanes):
            scratch[lane] = largest[lane, column]
        bounds[column] = _reached(scratch[:lanes], k)


@njit(nogil=True, cache=True)
def _reached(values, k):
    """A number that k of these values reach, and hardly more; their count is a multiple of the block."""
    low, high = _ends(values, np.empty(_BLOCK, np.float32), np.empty(_BLOCK, np.float32))
    for _ in range(_HALVINGS):
        middle = np.float32(low + (high - low) / 2)
        reached = np.int32(0)
        for start in range(0, len(values), _BLOCK):
            block = values[start : start + _BLOCK]
            for place in range(_BLOCK):
                reached = np.int32(reached + np.int32(block[place] >= middle))
        if reached >= k:
            low = middle
        else:
            high = middle
    return low


@njit(nogil=True, cache=True)
def _ends(values, lows, highs):
    """The lowest and the highest value, each as one minimum over every 64th value and then the minimum of those."""
    lows[:], highs[:] = values[0], values[0]
    whole = len(values) - len(values) % _BLOCK
    for start in range(0, whole, _BLOCK):
        block = values[start : start + _BLOCK]
        for place in range(_BLOCK):
            lows[place] = min(block[place], lows[place])
            highs[place] = max(block[place], highs[place])
    for place in range(whole, len(values)):
        lows[0], highs[0] = min(values[place], lows[0]), max(values[place], highs[0])
    half = _BLOCK // 2
    while half > 0:
        for place in range(half):
            lows[place] = min(lows[half + place], lows[place])
            highs[place] = max(highs[half + place], highs[place])
        half //= 2
    return lows[0], highs[0]
