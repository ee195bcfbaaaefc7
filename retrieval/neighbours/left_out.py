"""Pairs that must not appear in any list, such as a protocol's junk."""

from __future__ import annotations

import numpy as np

from retrieval.columns import Ints
from retrieval.protocols import Mask


class LeftOut:
    """Pairs of query and gallery rows that must not appear, by query."""

    def __init__(self, pairs: tuple[Ints, Ints] | None, queries: int, items: int) -> None:
        left, right = (np.asarray(of, dtype=np.int64) for of in pairs) if pairs else (np.empty(0, np.int64),) * 2
        for rows, count in ((left, queries), (right, items)):
            if len(rows) and not 0 <= rows.min() <= rows.max() < count:
                raise ValueError(f"leave_out names rows from {rows.min()} to {rows.max()} of {count}")
        self._items = items
        self._keys = np.unique(left * items + right)
        self._starts = np.searchsorted(self._keys, np.arange(queries + 1) * items)
        self.counts = np.diff(self._starts)

    def within(self, queries: Ints, items: slice) -> tuple[Ints, Ints]:
        """Lines and columns of the tile of some queries, ascending, and items."""
        if not len(self._keys):
            return self._keys, self._keys
        counts = self.counts[queries]
        lines = np.repeat(np.arange(len(queries)), counts)
        first = self._starts[queries] - (np.cumsum(counts) - counts)
        columns = self._keys[first[lines] + np.arange(len(lines))] % self._items - items.start
        inside = (columns >= 0) & (columns < items.stop - items.start)
        return lines[inside], columns[inside]

    def among(self, queries: Ints, items: Ints) -> Mask:
        """`(n,)` which of these pairs are left out."""
        mask: Mask = np.isin(queries * self._items + items, self._keys)
        return mask
