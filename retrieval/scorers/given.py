"""Scores that were made elsewhere: all of them as a matrix, or those of each query's first places."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from common.errors import UserError
from retrieval.columns import Features, Floats, Ints
from retrieval.scorers.scorer import Scorer
from retrieval.streaming.tiles import Tile


class Precomputed(Scorer):
    """Scores from a matrix, served tile by tile.

    Args:
        matrix: `(Q, G)`, higher = closer (the negative of a distance), taken as float32; it may be memory-mapped.
    """

    def __init__(self, matrix: NDArray[np.float32], name: str = "precomputed") -> None:
        self.matrix = matrix
        self.name = name

    def scores(self, query: Tile, gallery: Tile) -> Tensor:
        part = self.matrix[query.rows]
        tile = np.array(part[:, gallery.rows], dtype=np.float32)
        return torch.from_numpy(tile).to(query.vector.device)

    def pairs(self, query: Features, gallery: Features, left: Ints, right: Ints, *, fast: bool) -> NDArray[np.float64]:
        if self.matrix.shape != (len(query), len(gallery)):
            raise ValueError(f"{self.matrix.shape} scores for {len(query)} queries and {len(gallery)} pictures")
        scores: NDArray[np.float64] = self.matrix[left, right].astype(np.float32).astype(np.float64)
        return scores

    def tolerance(self, query: Tile, gallery: Tile) -> float:
        return 0.0


class Rescored(Scorer):
    """Another scorer's ranking with each query's first places ranked anew (by a slower, pairwise comparison).

    A listed picture comes before all that are not listed; only the order of these scores means something.

    Args:
        base: ranks what is not listed.
        rows: `(Q, k)` gallery rows, each once per query; −1 where a list is shorter.
        scores: `(Q, k)` what the listed pictures are ranked by, higher = closer, ties by gallery row.
    """

    def __init__(self, base: Scorer, rows: Ints, scores: Floats, name: str | None = None) -> None:
        if rows.shape != scores.shape:
            raise ValueError(f"{rows.shape} rows and {scores.shape} scores")
        if np.isnan(scores[rows >= 0]).any():
            query = int((np.isnan(scores) & (rows >= 0)).any(axis=1).argmax())
            raise UserError(f"the pairwise comparison gave NaN for query row {query}: its ranking means nothing")
        self.base = base
        self.name = name or f"{base.name}, first {rows.shape[1]} re-scored"
        # Places instead of scores: these are exact in float32, and above whatever the base gives.
        order = np.lexsort((rows, -scores.astype(np.float64), rows < 0), axis=1)
        self._rows: Ints = np.take_along_axis(rows, order, axis=1)
        self._values = np.ldexp(np.arange(rows.shape[1], 0, -1, dtype=np.float32), 100)

    def prepare(self, tile: Tile) -> Tile:
        return self.base.prepare(tile)

    def scores(self, query: Tile, gallery: Tile) -> Tensor:
        scores = self.base.scores(query, gallery)
        count = len(gallery)
        rows = gallery.rows if not isinstance(gallery.rows, slice) else np.arange(gallery.rows.start, gallery.rows.stop)
        order = np.argsort(rows)
        listed = self._rows[query.rows]
        place = np.searchsorted(rows, listed, sorter=order)
        column = order[np.minimum(place, count - 1)] if count else np.zeros_like(place)
        here = (place < count) & (listed >= 0)
        here[here] = rows[column[here]] == listed[here]
        lines, places = np.nonzero(here)
        device = scores.device
        scores[torch.from_numpy(lines).to(device), torch.from_numpy(column[here]).to(device)] = torch.from_numpy(
            self._values[places]
        ).to(device)
        return scores

    def pairs(self, query: Features, gallery: Features, left: Ints, right: Ints, *, fast: bool) -> NDArray[np.float64]:
        scores = self.base.pairs(query, gallery, left, right, fast=fast)
        pair, place = np.nonzero(self._rows[left] == right[:, None])
        scores[pair] = self._values[place]
        return scores

    def tolerance(self, query: Tile, gallery: Tile) -> float:
        return self.base.tolerance(query, gallery)
