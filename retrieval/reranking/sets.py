"""Weighted sets of rows as flat lists, and what two of them have in common."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np

from retrieval.columns import Ints
from retrieval.streaming import compiled
from retrieval.streaming.exact import Doubles
from retrieval.streaming.workers import share_out

Part = TypeVar("Part")

ROWS = 1024
"""Rows that one thread works on at a time."""
AT_ONCE = 1 << 21
"""About how many numbers the comparison of sets holds at a time."""


@dataclass(frozen=True, eq=False)
class Sets:
    """A weighted set of rows for each row, as flat lists.

    Attributes:
        starts: `(N+1,)` where each set begins, and the end.
        members: `(n,)` ascending within a set.
        weights: `(n,)` float64, above 0.
    """

    starts: Ints
    members: Ints
    weights: Doubles

    def __len__(self) -> int:
        return len(self.starts) - 1

    @property
    def owners(self) -> Ints:
        """`(n,)` the row whose set each member is in."""
        return np.repeat(np.arange(len(self)), np.diff(self.starts))

    def take(self, rows: Ints | slice) -> Sets:
        """The sets of some rows, in the order given."""
        if isinstance(rows, slice) and rows.step is None:
            starts = self.starts[rows.start : rows.stop + 1]
            every = slice(starts[0], starts[-1])
            return Sets(starts - starts[0], self.members[every], self.weights[every])
        counts = np.diff(self.starts)[rows]
        at = ranges(self.starts[:-1][rows], counts)
        return Sets(np.concatenate([[0], np.cumsum(counts)]), self.members[at], self.weights[at])

    def transposed(self, total: int) -> Sets:
        """For each of `total` rows, which sets it is in."""
        # One number of member and place is sorted, which is much faster than ordering by the member.
        places = np.sort(self.members << 32 | np.arange(len(self.members))) & 0xFFFFFFFF
        starts = np.concatenate([[0], np.cumsum(np.bincount(self.members, minlength=total))])
        return Sets(starts, self.owners[places], self.weights[places])


def joined(parts: list[Sets]) -> Sets:
    counts = [np.diff(part.starts) for part in parts]
    starts = np.cumsum(np.concatenate([[0], *counts]))
    return Sets(
        starts,
        np.concatenate([np.empty(0, dtype=np.int64), *(part.members for part in parts)]),
        np.concatenate([np.empty(0), *(part.weights for part in parts)]),
    )


def by_keys(keys: Ints, rows: slice, total: int, weights: Doubles | None = None) -> Sets:
    """The sets of some rows from ascending row · N + member."""
    owners, members = np.divmod(keys, total)
    starts = np.searchsorted(owners, np.arange(rows.start, rows.stop + 1))
    return Sets(starts, members, np.ones(len(keys)) if weights is None else weights)


def overlaps(asked: Sets, lists: Sets, width: int, fast: bool) -> Iterator[tuple[slice, Sets]]:
    """What each of some sets has in common with each of `width` others, a few of the asked ones at a time.

    Args:
        lists: for each of N rows, which of the others it is in (`Sets.transposed`).

    Yields:
        Rows of `asked`; and for each the others that it has a member in common with, weighted by Σ min(weight, weight).
    """
    kernels = compiled.kernels("reranking") if fast else None
    lengths = np.diff(lists.starts)[asked.members]
    entries = np.concatenate([[0], np.cumsum(lengths)])[asked.starts]
    group = (entries[:-1] + np.arange(len(asked)) * width) // AT_ONCE
    cuts = np.flatnonzero(np.diff(group)) + 1
    for first, last in itertools.pairwise([0, *cuts.tolist(), len(asked)]):
        some, room, cells = asked.take(slice(first, last)), int(entries[last] - entries[first]), (last - first) * width
        if kernels is not None:
            starts, room = np.zeros(last - first + 1, dtype=np.int64), min(room, cells)
            columns, shared = np.empty(room, dtype=np.int64), np.empty(room)
            filled = kernels.overlap(*plain_arrays(some), *plain_arrays(lists), width, starts, columns, shared)
            yield slice(first, last), Sets(starts, columns[:filled], shared[:filled])
            continue
        counts = lengths[asked.starts[first] : asked.starts[last]]
        at = ranges(lists.starts[some.members], counts)
        cell = np.repeat(some.owners * width, counts) + lists.members[at]
        least = np.minimum(np.repeat(some.weights, counts), lists.weights[at])
        sums = summed(cell, least, cells)
        touched = np.flatnonzero(sums)
        starts = np.searchsorted(touched, np.arange(last - first + 1) * width)
        columns = touched - np.repeat(np.arange(last - first) * width, np.diff(starts))
        yield slice(first, last), Sets(starts, columns, sums[touched])


def in_common(sets: Sets, left: Ints, right: Ints, fast: bool) -> Doubles:
    """`(n,)` Σ min(weight, weight) of the sets of the rows `left` and `right`, pair by pair."""
    shared = np.zeros(len(left))
    if fast and (kernels := compiled.kernels("reranking")) is not None:
        kernels.common(*plain_arrays(sets), left, right, shared)
        return shared
    for start in range(0, len(left), ROWS):
        ours, theirs = sets.take(left[start : start + ROWS]), sets.take(right[start : start + ROWS])
        mine, other = (of.owners * len(sets) + of.members for of in (ours, theirs))
        place = np.minimum(np.searchsorted(other, mine), len(other) - 1)
        both = np.flatnonzero(other[place] == mine)
        least = np.minimum(ours.weights[both], theirs.weights[place[both]])
        shared[start : start + len(ours)] = summed(ours.owners[both], least, len(ours))
    return shared


def ranges(first: Ints, counts: Ints) -> Ints:
    """For each pair the numbers from `first` on, `counts` of them, one after the other."""
    ends = np.cumsum(counts)
    ranges: Ints = np.repeat(first - ends + counts, counts) + np.arange(ends[-1] if len(ends) else 0)
    return ranges


def summed(places: Ints, weights: Doubles, size: int) -> Doubles:
    """`(size,)` the weights added up by place, one after the other as they come."""
    sums: Any = np.bincount(places, weights=weights, minlength=size)
    return np.asarray(sums, dtype=np.float64)


def plain_arrays(sets: Sets) -> tuple[Ints, Ints, Doubles]:
    return sets.starts, sets.members, sets.weights


def row_parts(total: int) -> list[slice]:
    return [slice(start, min(start + ROWS, total)) for start in range(0, total, ROWS)]


def each_part(work: Callable[[slice], Part], total: int, threads: int) -> list[Part]:
    """What `work` makes of some rows at a time, in order."""
    parts = row_parts(total)
    done: list[Any] = [None] * len(parts)
    waiting = iter(enumerate(parts))

    def keep(task: tuple[int, slice]) -> None:
        done[task[0]] = work(task[1])

    share_out(lambda worker: next(waiting, None), keep, threads)
    return done
