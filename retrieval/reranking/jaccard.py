"""Jaccard distances of k-reciprocal neighbour sets alone, sparse: for clustering and pseudo-labels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from retrieval.columns import Features, Floats, Ints
from retrieval.reranking.encoding import encode
from retrieval.reranking.sets import Sets, each_part, overlaps
from retrieval.streaming.stream import ALONE, Backend, Team


def jaccard(
    features: Features,
    k1: int = 20,
    k2: int = 6,
    *,
    device: torch.device | str = "cpu",
    backend: Backend | None = None,
    team: Team = ALONE,
    index: str = "exact",
) -> SparseDistances:
    """The Jaccard distances of all rows' k-reciprocal sets, for clustering and pseudo-labels.

    Most pairs of rows have no neighbour in common and the distance 1; only the others are computed and kept.

    Raises:
        UserError: an impossible k1 or k2, or NaN.
    """
    host = Backend.on_host(device, backend, features, features)
    sets, _ = encode(features, k1, k2, device, backend, host, team, index)
    lists = sets.transposed(len(sets))

    def compare(rows: slice) -> list[SparseDistances]:
        shared = overlaps(sets.take(rows), lists, len(sets), host.fast)
        return [SparseDistances.of(of) for _, of in shared]

    parts = [part for parts in each_part(compare, len(sets), host.threads) for part in parts]
    starts = np.cumsum(np.concatenate([[0], *(np.diff(part.starts) for part in parts)]))
    columns, distances = ([getattr(part, name) for part in parts] for name in ("columns", "distances"))
    return SparseDistances(starts, np.concatenate(columns), np.concatenate(distances))


@dataclass(frozen=True, eq=False)
class SparseDistances:
    """Distances of N rows to each other in compressed rows, symmetric; a pair that is not listed has the distance 1.

    The arrays are those of `scipy.sparse.csr_array((distances, columns, starts))`, in which a stored 0 is a distance of
    0 and what is not stored is far away: what scikit-learn's DBSCAN takes as `metric="precomputed"`.

    Attributes:
        starts: `(N+1,)` int64 where each row's entries begin, and the end.
        columns: `(n,)` int32, ascending within a row.
        distances: `(n,)` float32 in [0, 1).
    """

    starts: Ints
    columns: np.ndarray[Any, np.dtype[np.int32]]
    distances: Floats

    @classmethod
    def of(cls, shared: Sets) -> SparseDistances:
        """From what the sets have in common: 1 − Σ min / Σ max, where the weights of each sum to 1."""
        distances = np.maximum(1 - shared.weights / (2 - shared.weights), 0)
        return cls(shared.starts, shared.members.astype(np.int32), distances.astype(np.float32))

    def __len__(self) -> int:
        return len(self.starts) - 1

    def dense(self) -> Floats:
        """`(N, N)`, for small sets."""
        matrix = np.ones((len(self), len(self)), dtype=np.float32)
        matrix[np.repeat(np.arange(len(self)), np.diff(self.starts)), self.columns] = self.distances
        return matrix
