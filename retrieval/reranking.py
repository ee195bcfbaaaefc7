"""k-reciprocal re-ranking (Zhong et al., "Re-ranking Person Re-identification with k-reciprocal Encoding", CVPR 2017).

Two pictures are close when each is among the other's nearest neighbours and these neighbourhoods agree: the Jaccard
distance of weighted k-reciprocal neighbour sets, mixed with the original distance. Query and gallery together are the
N rows whose neighbourhoods are compared. Of the N×N distances only a block of rows exists at a time, and the sets are
kept as lists; the `(Q, G)` result is the one dense matrix.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import normalize

from common.errors import UserError
from retrieval.columns import Floats, Ints
from retrieval.tiles import full_precision

MEMORY_LIMIT = 16 << 30
_BLOCK = 256

Sets = tuple[list[Ints], list[Floats]]
"""One weighted set per row: its members (ascending rows) and their weights."""


def rerank(
    query_vectors: Floats,
    gallery_vectors: Floats,
    k1: int = 20,
    k2: int = 6,
    lam: float = 0.3,
    *,
    limit: int = MEMORY_LIMIT,
) -> Floats:
    """`(Q, G)` float32 distances, lower = closer; `Precomputed(-distances)` evaluates them.

    Args:
        query_vectors, gallery_vectors: `(Q, D)` and `(G, D)`, finite; compared as unit vectors.
        k1: neighbours that are looked at; k2: neighbours whose sets are averaged (query expansion).
        lam: weight of the original distance, in [0, 1].
        limit: bytes that may be taken.

    Raises:
        UserError: the two have other dimensions, or more than `limit` bytes would be taken.
    """
    queries, gallery, dim = len(query_vectors), len(gallery_vectors), query_vectors.shape[1]
    if gallery_vectors.shape[1] != dim:
        raise UserError(f"query has {dim} and gallery {gallery_vectors.shape[1]} numbers a row; extract them together")
    need = memory_need(queries, gallery, dim, k1, k2)
    if need > limit:
        raise UserError(
            f"re-ranking {queries} queries and {gallery} gallery pictures takes about {need / 2**30:.1f} GiB and "
            f"{limit / 2**30:.1f} GiB are allowed; re-rank a smaller set, or evaluate without re-ranking"
        )
    distances = np.empty((queries, gallery), dtype=np.float32)
    with full_precision(torch.device("cpu")):
        vectors = normalize(torch.from_numpy(np.concatenate([query_vectors, gallery_vectors]).astype(np.float32)))
        nearest, farthest = _neighbours(vectors, max(k1 + 1, k2), distances)
    sets = _reciprocal_sets(vectors.numpy(), nearest, farthest, k1)
    _mix_in_jaccard(distances, sets if k2 == 1 else _averaged(sets, nearest[:, :k2]), lam)
    return distances


def memory_need(queries: int, gallery: int, dim: int, k1: int, k2: int) -> int:
    """About how many bytes `rerank` takes: the result, the vectors twice, two blocks of distances, and the sets."""
    total = queries + gallery
    return 4 * queries * gallery + 8 * total * dim + 8 * _BLOCK * total + 36 * total * k1 * k2


def _neighbours(vectors: Tensor, count: int, distances: Floats) -> tuple[Ints, Floats]:
    """The `(N, count)` nearest rows of each row, ties by row, and the `(N,)` distance of the farthest one.

    Fills `distances` with the squared Euclidean distances from query to gallery, relative to the query's farthest row.
    """
    queries, total = len(distances), len(vectors)
    nearest = np.empty((total, min(count, total)), dtype=np.int64)
    farthest = np.empty(total, dtype=np.float32)
    for start in range(0, total, _BLOCK):
        block = torch.addmm(torch.tensor(2.0), vectors[start : start + _BLOCK], vectors.T, alpha=-2).clamp_min_(0)
        block.diagonal(start).zero_()
        stop = start + len(block)
        farthest[start:stop] = block.amax(dim=1).clamp_min(1e-12).numpy()
        # topk gives the right values but leaves open which of several equal rows it names.
        bounds = torch.topk(block, nearest.shape[1], largest=False).values[:, -1].numpy()
        for row, values in enumerate(block.numpy()):
            close = np.flatnonzero(values <= bounds[row])
            order = np.argsort(values[close], kind="stable")[: nearest.shape[1]]
            nearest[start + row] = close[order]
        asked = min(stop, queries) - start
        if asked > 0:
            distances[start : start + asked] = block[:asked, queries:].numpy() / farthest[start : start + asked, None]
    return nearest, farthest


def _reciprocal_sets(vectors: Floats, nearest: Ints, farthest: Floats, k1: int) -> Sets:
    """k-reciprocal sets with those half-sized sets joined in that lie in them to two thirds; weights exp(−d), sum 1."""
    total, half = len(nearest), round(k1 / 2) + 1
    near, nearer = nearest[:, : k1 + 1], nearest[:, :half]
    # Half-sized sets as a rectangle, filled up with a row `total` that is in no set.
    halves = np.full(nearer.shape, total)
    for row in range(total):
        found = _reciprocal(nearer, row)
        halves[row, : len(found)] = found
    sizes = (halves < total).sum(axis=1)
    inside = np.zeros(total + 1, dtype=bool)
    members: list[Ints] = []
    weights: list[Floats] = []
    for row in range(total):
        core = _reciprocal(near, row)
        inside[core] = True
        joined = core[inside[halves[core]].sum(axis=1) > 2 / 3 * sizes[core]]
        inside[core] = False
        everyone = np.unique(np.concatenate([core, halves[joined].ravel()]))
        everyone = everyone[everyone < total]
        squares = np.maximum(2 - 2 * (vectors[everyone] @ vectors[row]), 0)
        squares[everyone == row] = 0
        weight = np.exp(-squares / farthest[row])
        members.append(everyone)
        weights.append(weight / weight.sum())
    return members, weights


def _reciprocal(nearest: Ints, row: int) -> Ints:
    """The neighbours of `row` that have `row` among theirs."""
    candidates: Ints = nearest[row]
    mutual: Ints = candidates[(nearest[candidates] == row).any(axis=1)]
    return mutual


def _averaged(sets: Sets, nearest: Ints) -> Sets:
    """Each row's set becomes the mean of the sets of its nearest rows (itself included)."""
    members: list[Ints] = []
    weights: list[Floats] = []
    for rows in nearest:
        everyone, place = np.unique(np.concatenate([sets[0][row] for row in rows]), return_inverse=True)
        summed = np.bincount(place, weights=np.concatenate([sets[1][row] for row in rows]))
        members.append(everyone)
        weights.append((summed / len(rows)).astype(np.float32))
    return members, weights


def _mix_in_jaccard(distances: Floats, sets: Sets, lam: float) -> None:
    """`distances` becomes (1 − λ) Jaccard + λ distances, in place; the weights of a set sum to 1."""
    queries, gallery = distances.shape
    members, weights = sets
    # Inverted index: for every row, which gallery sets it is in, and with what weight.
    member = np.concatenate([np.empty(0, dtype=np.int64), *members[queries:]])
    order = np.argsort(member, kind="stable")
    owner = np.repeat(np.arange(gallery), [len(of) for of in members[queries:]])[order]
    weight = np.concatenate([np.empty(0, dtype=np.float32), *weights[queries:]])[order]
    ends = np.searchsorted(member[order], np.arange(queries + gallery + 1))
    for query in range(queries):
        spans = [slice(ends[row], ends[row + 1]) for row in members[query]]
        own = np.repeat(weights[query], [span.stop - span.start for span in spans])
        least = np.minimum(own, np.concatenate([weight[span] for span in spans]))
        shared = np.bincount(np.concatenate([owner[span] for span in spans]), weights=least, minlength=gallery)
        distances[query] = (1 - lam) * (1 - shared / (2 - shared)) + lam * distances[query]
