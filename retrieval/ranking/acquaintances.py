"""Every query's gallery pictures of the same person, as one flat list: all that a protocol has to look at."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from common.contracts import UNKNOWN
from retrieval.columns import Columns, Ints
from retrieval.protocols import Mask, Protocol


@dataclass(frozen=True, eq=False)
class Acquaintances:
    """Pairs (query row, gallery row) of one person, by query and then by gallery row.

    Their number is the gallery pictures per person times the queries, never Q×G.

    Attributes:
        query, gallery: the labels of all rows.
        starts: `(Q+1,)` where each query's pairs begin, and the end.
        rows: `(n,)` the gallery rows.
    """

    query: Columns
    gallery: Columns
    starts: Ints
    rows: Ints

    @classmethod
    def of(cls, query: Columns, gallery: Columns) -> Acquaintances:
        """By one sort of the gallery and one search per query; a person who is unknown (−1) knows nobody."""
        order = np.argsort(gallery.pids, kind="stable")
        people = gallery.pids[order]
        first = np.searchsorted(people, query.pids, side="left")
        count = np.searchsorted(people, query.pids, side="right") - first
        count[query.pids == UNKNOWN] = 0
        starts = np.concatenate([[0], np.cumsum(count)])
        within = np.arange(starts[-1]) - np.repeat(starts[:-1], count)
        return cls(query, gallery, starts, order[np.repeat(first, count) + within])

    def __len__(self) -> int:
        return len(self.rows)

    @cached_property
    def owners(self) -> Ints:
        """`(n,)` the query row of each pair."""
        owners: Ints = np.repeat(np.arange(len(self.query)), np.diff(self.starts))
        return owners

    def positives(self, protocol: Protocol) -> Mask:
        """`(n,)`: the pairs that this protocol wants found."""
        left, right = self.query.take(self.owners), self.gallery.take(self.rows)
        there = protocol.shown(self.gallery)[self.rows] & protocol.asked(self.query)[self.owners]
        mask: Mask = protocol.good(left, right) & there
        return mask

    def junk(self, protocol: Protocol) -> tuple[Ints, Ints]:
        """Query rows and gallery rows of the pairs of one person that this protocol does not want found."""
        others = ~self.positives(protocol)
        return self.owners[others], self.rows[others]
