"""The best scores of every row so far, and all that is too close to the k-th best to be told from it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from retrieval.columns import Floats, Ints
from retrieval.streaming import compiled

_ROOM = 64
"""A buffer of candidates holds a multiple of this, which the compiled loops look at together."""
_LOWEST = float(np.finfo(np.float32).min)


class Lists(ABC):
    """The best scores of every row so far."""

    @abstractmethod
    def add(self, lines: slice, columns: slice, scores: Tensor, slack: float, both: bool) -> None:
        """Look at the scores of a tile, for its columns as well where `both`; −∞ is left out.

        Args:
            slack: how far below the k-th best a score may be and still be better.
        """

    @abstractmethod
    def best(self, lines: slice) -> tuple[Floats, Ints, Ints]:
        """`(n, width)` the best scores, descending, and their rows; −∞ and −1 where there are fewer.

        And `(n,)` 1 where the list is of no use, since it was given up. Where it is full of scores that `slack` does
        not tell from the k-th best, there may be more of them.
        """

    @abstractmethod
    def lowest(self) -> Floats:
        """`(N,)` the lowest score of every row, if that was wanted."""


class Buffers(NamedTuple):
    """The candidates of n rows, as `retrieval.neighbours.kernels` wants them.

    Attributes:
        bounds: `(n,)` float32 that k scores of the row reach.
        counts: `(n,)` how many candidates there are.
        values, rows: `(n, room)` float32 scores and int32 rows.
        lowest: `(n,)` the lowest score; or nothing at all, where it is not wanted.
    """

    bounds: Floats
    counts: Ints
    values: Floats
    rows: NDArray[np.int32]
    lowest: Floats

    def of(self, rows: slice) -> Buffers:
        """Those of some rows."""
        return Buffers(self.bounds[rows], self.counts[rows], self.values[rows], self.rows[rows], self.lowest[rows])


class CompiledLists(Lists):
    def __init__(self, total: int, k: int, width: int, farthest: bool) -> None:
        kernels = compiled.kernels("neighbours")
        assert kernels is not None
        self.kernels, self.k, self.width = kernels, k, width
        room = -(-(k + width) // _ROOM) * _ROOM
        self.buffers = Buffers(
            np.full(total, -np.inf, dtype=np.float32),
            np.zeros(total, dtype=np.int64),
            np.empty((total, room), dtype=np.float32),
            np.empty((total, room), dtype=np.int32),
            np.full(total if farthest else 0, np.inf, dtype=np.float32),
        )

    def add(self, lines: slice, columns: slice, scores: Tensor, slack: float, both: bool) -> None:
        ours, theirs = self.buffers.of(lines), self.buffers.of(columns if both else slice(0, 0))
        tile = scores.numpy()
        self.kernels.scan(tile, lines.start, columns.start, slack, self.k, self.width, tuple(ours), tuple(theirs))

    def best(self, lines: slice) -> tuple[Floats, Ints, Ints]:
        shape = (lines.stop - lines.start, self.width)
        values, rows = np.full(shape, -np.inf, dtype=np.float32), np.full(shape, -1)
        self.kernels.best(tuple(self.buffers.of(lines)), values, rows)
        return values, rows, np.isnan(self.buffers.bounds[lines]).astype(np.int64)

    def lowest(self) -> Floats:
        return self.buffers.lowest


class PlainLists(Lists):
    def __init__(self, total: int, k: int, width: int, farthest: bool, device: torch.device) -> None:
        self.k, self.width, self.farthest = k, width, farthest
        self.values = torch.full((total, width), -torch.inf, device=device)
        self.rows = torch.full((total, width), -1, device=device)
        self._lowest = torch.full((total,), torch.inf, device=device)

    def add(self, lines: slice, columns: slice, scores: Tensor, slack: float, both: bool) -> None:
        for dim, ours, others in ((1, lines, columns), (0, columns, lines))[: 1 + both]:
            self._offer(ours, others.start, scores, dim, slack)
            if self.farthest:
                self._lowest[ours] = torch.minimum(self._lowest[ours], scores.amin(dim=dim))

    def _offer(self, lines: slice, first: int, scores: Tensor, dim: int, slack: float) -> None:
        """Merge the lists of some rows with what reaches their edges; a row's scores lie along `dim`."""
        values, rows = self.values[lines], self.rows[lines]
        bounds = values[:, self.k - 1].clone()
        if not (rows[0, 0] >= 0):
            bounds = torch.maximum(bounds, self._opening(scores, dim))
        edges = bounds - (slack + bounds.abs() * 2.0**-22 if slack else 0)
        edges.clamp_(min=_LOWEST)
        reached = scores >= edges.unsqueeze(dim)
        ours, tile = (reached, scores) if dim == 1 else (reached.T, scores.T)
        counts = reached.sum(dim=dim, dtype=torch.int32)
        # Of a row that very many reach, only as many as there is room for.
        crowded = (counts > 2 * self.width).nonzero().squeeze(1)
        if len(crowded):
            best = tile[crowded].topk(self.width, dim=1)
            ours[crowded] = False
            ours[crowded[:, None], best.indices] = best.values >= edges[crowded, None]
            counts[crowded] = ours[crowded].sum(dim=1, dtype=torch.int32)
        line, column = reached.nonzero(as_tuple=True)
        if dim == 0:
            order = column.argsort(stable=True)
            line, column = column[order], line[order]
        within = torch.arange(len(line), device=line.device) - (counts.cumsum(0) - counts)[line]
        most = int(counts.max()) if len(counts) else 0
        more = torch.full((len(values), most), -torch.inf, device=values.device)
        places = torch.full((len(values), most), -1, device=values.device)
        more[line, within] = tile[line, column]
        places[line, within] = column + first
        best = torch.cat([values, more], dim=1).topk(self.width, dim=1)
        self.values[lines] = best.values
        self.rows[lines] = torch.cat([rows, places], dim=1).gather(1, best.indices)

    def _opening(self, scores: Tensor, dim: int) -> Tensor:
        """A bound that k scores of each row reach: so do the largest of k groups."""
        groups = 4 * self.k
        size = scores.shape[dim] // groups
        if size < 4:
            return torch.full((scores.shape[1 - dim],), -torch.inf, device=scores.device)
        largest = scores.narrow(dim, 0, size * groups).unflatten(dim, (size, groups)).amax(dim=dim)
        bound: Tensor = largest.topk(self.k, dim=dim).values.select(dim, self.k - 1)
        return bound

    def best(self, lines: slice) -> tuple[Floats, Ints, Ints]:
        return self.values[lines].cpu().numpy(), self.rows[lines].cpu().numpy(), np.zeros(lines.stop - lines.start, int)

    def lowest(self) -> Floats:
        lowest: Floats = self._lowest.cpu().numpy()
        return lowest
