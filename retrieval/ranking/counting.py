"""Where each score of a tile falls among its query's thresholds: the one loop over Q×G that ranking needs.

A threshold is the score of a positive, give or take the rounding of float32: between `low` and `high` it cannot be told
which of the two is closer. Such cases are few; they are listed, and decided elsewhere in float64. A NaN is a picture
that does not count.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from retrieval.columns import Floats, Ints
from retrieval.streaming import compiled

ROWS, COLUMNS = (1 << 15) - 1, 1 << 16
"""The largest tile for the plain kernel: row and column share 64 bits with the score, and one row is for the end."""
_ROOM = 1 << 17
"""Close cases that are listed at a time, since of scores that are all equal every one is close to every threshold."""


@dataclass(frozen=True)
class Thresholds:
    """The thresholds of q queries.

    Attributes:
        starts: `(q + 1,)` where each query's begin, and the end.
        low, high: `(n,)` float32, both ascending within a query.
    """

    starts: Ints
    low: Floats
    high: Floats


@dataclass(frozen=True)
class Close:
    """Scores too close to a threshold: `(k,)` each.

    Attributes:
        queries, columns: where in the tile.
        thresholds: which one.
    """

    queries: Ints
    columns: Ints
    thresholds: Ints


Kernel = Callable[[Tensor, Thresholds, Ints], Iterator[Close]]
"""From `(q, g)` float32 scores, thresholds and the `(n,)` counts to add to."""


def compiled_count(scores: Tensor, thresholds: Thresholds, above: Ints) -> Iterator[Close]:
    """Add to `above` how many scores are above each threshold for sure, and list the close cases. On the CPU only."""
    kernels = compiled.kernels("ranking")
    assert kernels is not None
    tile = scores.numpy()
    found = _room(int(np.diff(thresholds.starts).max(initial=0)) * kernels.BLOCK)
    query = column = 0
    while query < len(tile):
        filled, query, column = kernels.place(
            tile, thresholds.starts, thresholds.low, thresholds.high, above, found, query, column
        )
        if filled:
            yield Close(*found[:filled].T.copy())


def plain_count(scores: Tensor, thresholds: Thresholds, above: Ints) -> Iterator[Close]:
    """The same on any device, by sorting those few scores that reach any threshold.

    Raises:
        ValueError: the tile is larger than `ROWS` × `COLUMNS`.
    """
    if scores.shape[0] > ROWS or scores.shape[1] > COLUMNS:
        raise ValueError(f"a tile of {tuple(scores.shape)} scores: the plain kernel takes up to {ROWS} × {COLUMNS}")
    starts, device = thresholds.starts, scores.device
    counts = np.diff(starts)
    least = np.full(len(counts), np.inf, dtype=np.float32)
    least[counts > 0] = thresholds.low[starts[:-1][counts > 0]]
    reaching = _nonzero(scores >= torch.from_numpy(least).to(device)[:, None])
    rows, columns = reaching // scores.shape[1], reaching % scores.shape[1]
    keys = _key(rows, scores.flatten()[reaching], columns)
    ordered = torch.from_numpy(np.sort(keys.numpy())) if device.type == "cpu" else keys.sort().values
    owners = torch.from_numpy(np.repeat(np.arange(len(counts)), counts)).to(device)

    def bound(values: Floats, column: int) -> Tensor:
        keys = _key(owners, torch.from_numpy(values).to(device), torch.full_like(owners, column))
        return torch.searchsorted(ordered, keys, right=column > 0)

    # Of a query's scores in order, those from `over` on are above the threshold and those before `under` below it.
    over, under = bound(thresholds.high, COLUMNS - 1), bound(thresholds.low, 0)
    ends = torch.searchsorted(ordered, (owners + 1) << 48)
    above += (ends - over).cpu().numpy()
    close = (over - under).clamp_min(0)
    done = close.cumsum(0)
    total = int(done[-1]) if len(done) else 0
    for start in range(0, total, _ROOM):
        case = torch.arange(start, min(start + _ROOM, total), device=device)
        threshold = torch.searchsorted(done, case, right=True)
        key = ordered[under[threshold] + case - (done - close)[threshold]]
        yield Close((key >> 48).cpu().numpy(), (key & (COLUMNS - 1)).cpu().numpy(), threshold.cpu().numpy())


def _nonzero(mask: Tensor) -> Tensor:
    """`(k,)` places in the flattened mask; where they are few NumPy finds them several times faster."""
    if mask.device.type == "cpu":
        return torch.from_numpy(np.flatnonzero(mask.numpy()))
    return mask.flatten().nonzero().squeeze(1)


def _key(rows: Tensor, scores: Tensor, columns: Tensor) -> Tensor:
    """`(n,)` int64 in the order of (row, score, column)."""
    bits = (scores + 0.0).view(torch.int32)  # so that −0 is 0
    # Negative floats grow with their bits the wrong way round.
    ordered = torch.where(bits < 0, bits ^ 0x7FFFFFFF, bits).long() + (1 << 31)
    return (rows << 48) | (ordered << 16) | columns


_mine = threading.local()


def _room(least: int) -> Ints:
    """This thread's list to be filled, made once: new memory for every tile would cost as much as the loop."""
    found: Ints | None = getattr(_mine, "found", None)
    if found is None or len(found) < max(_ROOM, least):
        found = _mine.found = np.empty((max(_ROOM, least), 3), dtype=np.int64)
    return found


KERNELS: dict[str, Kernel] = {"compiled": compiled_count, "plain": plain_count}
