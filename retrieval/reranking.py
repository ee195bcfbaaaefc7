"""k-reciprocal re-ranking (Zhong et al., "Re-ranking Person Re-identification with k-reciprocal Encoding", CVPR 2017).

Two pictures are close when each is among the other's nearest neighbours and these neighbourhoods agree: the Jaccard
distance of weighted k-reciprocal neighbour sets, mixed with the original distance. Query and gallery together are the
N rows whose neighbourhoods are compared. A row is in few sets and a set has few members, so everything is kept as
lists: memory grows with N·k, and neither an N×N nor a Q×G array ever exists.

    per_query = evaluate(rerank(Cosine(), query, gallery), query, gallery, protocol("market"))

Who is in a set does not depend on what computes. Weights are made from exact cosines and summed in one order, by
compiled loops (`retrieval.reranking_kernels`) and by the plain forms here; only the farthest distance, which each row's
distances are divided by, comes from float32 scores.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields
from functools import partial
from typing import Any, TypeVar

import numpy as np
import torch
from torch import Tensor

from common.contracts import UNKNOWN
from common.errors import UserError
from retrieval import compiled
from retrieval.columns import Columns, Features, Floats, Ints
from retrieval.exact import Doubles, inner, squares
from retrieval.neighbours import own_neighbours
from retrieval.products import Product, product
from retrieval.scorers import Cosine, Scorer
from retrieval.scorers.scorer import UNIT
from retrieval.stream import ALONE, Backend, Team, check_shapes
from retrieval.tiles import Tile, cut
from retrieval.workers import share_out

Part = TypeVar("Part")

_KERNELS = "reranking_kernels"
_NOBODY = -1
"""In the place of a neighbour where a list has none."""
_ROWS = 1024
"""Rows that one thread works on at a time."""
_AT_ONCE = 1 << 21
"""About how many numbers the comparison of sets holds at a time."""


def rerank(
    scorer: Scorer,
    query: Features,
    gallery: Features,
    *,
    k1: int = 20,
    k2: int = 6,
    lam: float = 0.3,
    device: torch.device | str = "cpu",
    backend: Backend | None = None,
    team: Team = ALONE,
    index: str = "exact",
) -> Reranked:
    """What ranks this gallery for these queries by k-reciprocal neighbours; the defaults are the paper's.

    Memory: the vectors twice while neighbours are searched, and some hundred bytes a row for its set.

    Args:
        scorer: the cosine; distances are d² = 2 − 2 cos, each row's divided by its largest.
        k1: neighbours that are looked at.
        k2: neighbours whose sets are averaged (query expansion); 1 leaves the sets as they are.
        lam: weight of the original distance, in [0, 1].
        index: how neighbours are searched.

    Raises:
        UserError: another scorer, an impossible k1, k2 or λ, query and gallery that do not fit each other, or NaN.
    """
    if not isinstance(scorer, Cosine):
        raise UserError(
            f"k-reciprocal re-ranking compares vectors by their angle, not by the scorer '{scorer.name}'; "
            "use the scorer 'cosine', or leave re-ranking out"
        )
    if not 0 <= lam <= 1:
        raise UserError(f"lam is {lam}: the weight of the original distance lies between 0 and 1 (the paper's is 0.3)")
    check_shapes(query, gallery)
    everyone = _together(query, gallery)
    host = _host(device, backend, everyone)
    sets, farthest = _encode(everyone, k1, k2, device, backend, host, team, index)
    return Reranked(scorer, sets, farthest[: len(query)], lam, host)


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
    host = _host(device, backend, features)
    sets, _ = _encode(features, k1, k2, device, backend, host, team, index)
    lists = sets.transposed(len(sets))

    def compare(rows: slice) -> list[SparseDistances]:
        overlaps = _overlaps(sets.take(rows), lists, len(sets), host.fast)
        return [SparseDistances.of(shared) for _, shared in overlaps]

    parts = [part for parts in _in_parts(compare, len(sets), host.threads) for part in parts]
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


class Reranked(Scorer):
    """Minus the re-ranked distance, (1 − λ) Jaccard + λ original, of one query set and its gallery.

    The tiles' rows must be those of the two sets that it was made for.

    Args:
        sets: of all queries' rows and then of all gallery rows.
        farthest: `(Q,)` each query's largest original distance.
    """

    def __init__(self, base: Cosine, sets: Sets, farthest: Doubles, lam: float, backend: Backend) -> None:
        self.base, self.sets, self.farthest, self.lam, self.backend = base, sets, farthest, lam, backend
        self.name = f"{base.name}, k-reciprocal"

    def prepare(self, tile: Tile) -> Tile:
        prepared = self.base.prepare(tile)
        if tile.role == "query":
            return prepared
        packed = self._product(prepared.vector.device).pack(prepared.vector)
        lists = self.sets.take(_moved(tile.rows, len(self.farthest))).transposed(len(self.sets))
        return _Gallery(
            **{field.name: getattr(prepared, field.name) for field in fields(Tile)}, packed=packed, lists=lists
        )

    def scores(self, query: Tile, gallery: Tile) -> Tensor:
        assert isinstance(gallery, _Gallery)
        scores = self._product(query.vector.device).multiply(query.vector, gallery.packed)
        self._blend(scores, self.sets.take(query.rows), gallery.lists, self.farthest[query.rows])
        return scores

    def pairs(self, query: Features, gallery: Features, left: Ints, right: Ints, *, fast: bool) -> Doubles:
        if (len(query), len(query) + len(gallery)) != (len(self.farthest), len(self.sets)):
            raise ValueError(f"{len(query)} queries and {len(gallery)} gallery rows are not what was re-ranked")
        cosines = self.base.pairs(query, gallery, left, right, fast=fast)
        original = (2 - 2 * cosines) / self.farthest[left]
        shared = _common(self.sets, left, right + len(self.farthest), fast)
        scores: Doubles = (self.lam - 1) * (1 - shared / (2 - shared)) - self.lam * original
        return scores

    def tolerance(self, query: Tile, gallery: Tile) -> float:
        slope = float((2 * self.lam / self.farthest[query.rows]).max(initial=0))
        return slope * self.base.tolerance(query, gallery) + 8 * UNIT * (1 + slope)

    def _blend(self, tile: Tensor, asked: Sets, lists: Sets, farthest: Doubles) -> None:
        """A tile of cosines becomes −(1 − λ) (1 − similarity) − λ (2 − 2 cos) / farthest, in place."""
        slopes = 2 * self.lam / farthest
        lines = np.stack([slopes, self.lam - 1 - slopes]).astype(np.float32)
        fast = self.backend.fast
        if tile.device.type == "cpu" and fast and (kernels := compiled.kernels(_KERNELS)) is not None:
            kernels.blend(*_arrays(asked), *_arrays(lists), tile.numpy(), *lines, 1 - self.lam)
            return
        slope, offset = torch.from_numpy(lines[:, :, None]).to(tile.device)
        flat = torch.addcmul(offset, tile, slope, out=tile).view(-1)
        for rows, shared in _overlaps(asked, lists, tile.shape[1], fast):
            gain = (1 - self.lam) * (shared.weights / (2 - shared.weights))
            cells = (shared.owners + rows.start) * tile.shape[1] + shared.members
            flat[torch.from_numpy(cells).to(tile.device)] += torch.from_numpy(gain.astype(np.float32)).to(tile.device)

    def _product(self, device: torch.device) -> Product:
        return product(self.backend.product if device.type == "cpu" else "torch")


@dataclass(frozen=True)
class _Gallery(Tile):
    """Gallery rows packed for the product, with the sets that each of the N rows is in."""

    packed: Any = None
    lists: Any = None


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
        at = _ranges(self.starts[:-1][rows], counts)
        return Sets(np.concatenate([[0], np.cumsum(counts)]), self.members[at], self.weights[at])

    def transposed(self, total: int) -> Sets:
        """For each of `total` rows, which sets it is in."""
        # One number of member and place is sorted, which is much faster than ordering by the member.
        places = np.sort(self.members << 32 | np.arange(len(self.members))) & 0xFFFFFFFF
        starts = np.concatenate([[0], np.cumsum(np.bincount(self.members, minlength=total))])
        return Sets(starts, self.owners[places], self.weights[places])


def _joined(parts: list[Sets]) -> Sets:
    counts = [np.diff(part.starts) for part in parts]
    starts = np.cumsum(np.concatenate([[0], *counts]))
    return Sets(
        starts,
        np.concatenate([np.empty(0, dtype=np.int64), *(part.members for part in parts)]),
        np.concatenate([np.empty(0), *(part.weights for part in parts)]),
    )


def _ranges(first: Ints, counts: Ints) -> Ints:
    """For each pair the numbers from `first` on, `counts` of them, one after the other."""
    ends = np.cumsum(counts)
    ranges: Ints = np.repeat(first - ends + counts, counts) + np.arange(ends[-1] if len(ends) else 0)
    return ranges


def _moved(rows: slice | Ints, by: int) -> slice | Ints:
    return slice(rows.start + by, rows.stop + by) if isinstance(rows, slice) else rows + by


def _together(query: Features, gallery: Features) -> Features:
    """The vectors of both, one below the other, without labels: nothing here may look at them."""
    vectors = np.empty((len(query) + len(gallery), query.vectors.shape[1]), dtype=np.float32)
    for role, side, first in (("query", query, 0), ("gallery", gallery, len(query))):
        bare = Features(side.vectors, side.columns)
        for rows in _parts(len(side)):
            piece = cut(bare, rows, torch.device("cpu"), role).vector
            vectors[first + rows.start : first + rows.stop] = piece.numpy()
    return Features(vectors, Columns.of(np.full(len(vectors), UNKNOWN)))


def _host(device: torch.device | str, backend: Backend | None, features: Features) -> Backend:
    """What computes on the processor, where the sets are, whatever device finds the neighbours."""
    if backend is not None and torch.device(device).type == "cpu":
        return backend
    return Backend.choose(torch.device("cpu"), features, features)


def _encode(
    features: Features,
    k1: int,
    k2: int,
    device: torch.device | str,
    backend: Backend | None,
    host: Backend,
    team: Team,
    index: str,
) -> tuple[Sets, Doubles]:
    """Every row's set, weights summing to 1, and `(N,)` its largest distance."""
    for name, value in (("k1", k1), ("k2", k2)):
        if value < 1:
            raise UserError(f"{name} is {value}: at least one neighbour is needed (the paper's are k1 = 20, k2 = 6)")
    total = len(features)
    count = min(max(k1 + 1, k2), total)
    found, lowest = own_neighbours(Cosine(), features, count, device=device, backend=backend, team=team, index=index)
    # A vector of length zero is no closer to itself than to others, and has no neighbours.
    nearest = np.where(found.scores[:, :1] > 0, found.rows, _NOBODY)
    # Where all vectors are equal their distances are rounding errors, and are to stay small.
    farthest = np.maximum(2 - 2 * lowest.astype(np.float64), 1e-6)

    def in_parts(work: Callable[[slice], Part]) -> list[Part]:
        return _in_parts(work, total, host.threads)

    core, halves = (np.concatenate(in_parts(partial(_mutual, nearest[:, : size + 1]))) for size in (k1, round(k1 / 2)))
    sets = _weighted(_joined(in_parts(partial(_join, core, halves))), features.vectors, farthest, host)
    if k2 > 1:
        nearest = np.where(nearest == _NOBODY, np.arange(total)[:, None], nearest)
        sets = _joined(in_parts(partial(_average, sets, nearest[:, :k2])))
    return sets, farthest


def _mutual(nearest: Ints, rows: slice) -> Ints:
    """`(n, count)` the neighbours that have the row among theirs; N in the place of the others."""
    near, own = nearest[rows], np.arange(rows.start, rows.stop)
    mutual = (nearest[near] == own[:, None, None]).any(axis=2) & (near != _NOBODY)
    return np.where(mutual, near, len(nearest))


def _join(core: Ints, halves: Ints, rows: slice) -> Sets:
    """k-reciprocal neighbours, with those half-sized sets that lie among them to two thirds; weights are 1.

    A row is always in its own set, even when more than k1 equal ones come before it.
    """
    total, step = len(core), max(1, min(_ROWS, _AT_ONCE // len(core)))
    # One line of marks per row; those beyond the last row, which stands for "no neighbour", are never set.
    marked, found = np.zeros((step, total + 1), dtype=bool), []
    for first in range(rows.start, rows.stop, step):
        own = np.arange(first, min(first + step, rows.stop))
        line, place = np.nonzero(core[own] < total)
        member = core[own][line, place]
        half = halves[member]
        marked[line, member] = True
        real, inside = half < total, marked[line[:, None], half]
        marked[line, member] = False
        joined = (3 * inside.sum(axis=1) > 2 * real.sum(axis=1))[:, None] & real & ~inside
        new, _ = np.nonzero(joined)
        keys = [own - first, line, line[new]], [own, member, half[joined]]
        found.append(np.unique(np.concatenate(keys[0]) * total + np.concatenate(keys[1])) + first * total)
    return _by_keys(np.concatenate(found), rows, total)


def _weighted(sets: Sets, vectors: Floats, farthest: Doubles, backend: Backend) -> Sets:
    """The sets with weights exp(−d² / max d²), divided by their sum."""
    total, owners, members = len(sets), sets.owners, sets.members
    others = np.flatnonzero(owners != members)
    # Most pairs are listed from both sides, and are compared once.
    one, two = owners[others], members[others]
    keys, place = np.unique(np.minimum(one, two) * total + np.maximum(one, two), return_inverse=True)
    left, right = np.divmod(keys, total)

    def compare(part: slice) -> Doubles:
        return inner(vectors, vectors, left[part], right[part], fast=backend.fast)

    def measure(rows: slice) -> Doubles:
        return np.sqrt(squares(vectors, np.arange(rows.start, rows.stop), fast=backend.fast))

    products = np.concatenate([np.empty(0), *_in_parts(compare, len(keys), backend.threads)])
    lengths = np.concatenate(_in_parts(measure, total, backend.threads))
    distances = np.zeros(len(owners))
    distances[others] = (2 - 2 * products / (lengths[left] * lengths[right]))[place]
    weights = np.exp(-distances / farthest[owners])
    return Sets(sets.starts, members, weights / _summed(owners, weights, total)[owners])


def _average(sets: Sets, nearest: Ints, rows: slice) -> Sets:
    """The mean of the sets of each row's nearest: query expansion, as the paper calls it."""
    count = nearest.shape[1]
    every = sets.take(nearest[rows].ravel())
    owners = rows.start + every.owners // count
    keys, place = np.unique(owners * len(sets) + every.members, return_inverse=True)
    return _by_keys(keys, rows, len(sets), _summed(place, every.weights, len(keys)) / count)


def _by_keys(keys: Ints, rows: slice, total: int, weights: Doubles | None = None) -> Sets:
    """The sets of some rows from ascending row · N + member."""
    owners, members = np.divmod(keys, total)
    starts = np.searchsorted(owners, np.arange(rows.start, rows.stop + 1))
    return Sets(starts, members, np.ones(len(keys)) if weights is None else weights)


def _overlaps(asked: Sets, lists: Sets, width: int, fast: bool) -> Iterator[tuple[slice, Sets]]:
    """What each of some sets has in common with each of `width` others, a few of the asked ones at a time.

    Args:
        lists: for each of N rows, which of the others it is in (`Sets.transposed`).

    Yields:
        Rows of `asked`; and for each the others that it has a member in common with, weighted by Σ min(weight, weight).
    """
    kernels = compiled.kernels(_KERNELS) if fast else None
    lengths = np.diff(lists.starts)[asked.members]
    entries = np.concatenate([[0], np.cumsum(lengths)])[asked.starts]
    group = (entries[:-1] + np.arange(len(asked)) * width) // _AT_ONCE
    cuts = np.flatnonzero(np.diff(group)) + 1
    for first, last in itertools.pairwise([0, *cuts.tolist(), len(asked)]):
        some, room, cells = asked.take(slice(first, last)), int(entries[last] - entries[first]), (last - first) * width
        if kernels is not None:
            starts, room = np.zeros(last - first + 1, dtype=np.int64), min(room, cells)
            columns, shared = np.empty(room, dtype=np.int64), np.empty(room)
            filled = kernels.overlap(*_arrays(some), *_arrays(lists), width, starts, columns, shared)
            yield slice(first, last), Sets(starts, columns[:filled], shared[:filled])
            continue
        counts = lengths[asked.starts[first] : asked.starts[last]]
        at = _ranges(lists.starts[some.members], counts)
        cell = np.repeat(some.owners * width, counts) + lists.members[at]
        least = np.minimum(np.repeat(some.weights, counts), lists.weights[at])
        sums = _summed(cell, least, cells)
        touched = np.flatnonzero(sums)
        starts = np.searchsorted(touched, np.arange(last - first + 1) * width)
        columns = touched - np.repeat(np.arange(last - first) * width, np.diff(starts))
        yield slice(first, last), Sets(starts, columns, sums[touched])


def _common(sets: Sets, left: Ints, right: Ints, fast: bool) -> Doubles:
    """`(n,)` Σ min(weight, weight) of the sets of the rows `left` and `right`, pair by pair."""
    shared = np.zeros(len(left))
    if fast and (kernels := compiled.kernels(_KERNELS)) is not None:
        kernels.common(*_arrays(sets), left, right, shared)
        return shared
    for start in range(0, len(left), _ROWS):
        ours, theirs = sets.take(left[start : start + _ROWS]), sets.take(right[start : start + _ROWS])
        mine, other = (of.owners * len(sets) + of.members for of in (ours, theirs))
        place = np.minimum(np.searchsorted(other, mine), len(other) - 1)
        both = np.flatnonzero(other[place] == mine)
        least = np.minimum(ours.weights[both], theirs.weights[place[both]])
        shared[start : start + len(ours)] = _summed(ours.owners[both], least, len(ours))
    return shared


def _summed(places: Ints, weights: Doubles, size: int) -> Doubles:
    """`(size,)` the weights added up by place, one after the other as they come."""
    sums: Any = np.bincount(places, weights=weights, minlength=size)
    return np.asarray(sums, dtype=np.float64)


def _arrays(sets: Sets) -> tuple[Ints, Ints, Doubles]:
    return sets.starts, sets.members, sets.weights


def _parts(total: int) -> list[slice]:
    return [slice(start, min(start + _ROWS, total)) for start in range(0, total, _ROWS)]


def _in_parts(work: Callable[[slice], Part], total: int, threads: int) -> list[Part]:
    """What `work` makes of some rows at a time, in order."""
    parts = _parts(total)
    done: list[Any] = [None] * len(parts)
    waiting = iter(enumerate(parts))

    def keep(task: tuple[int, slice]) -> None:
        done[task[0]] = work(task[1])

    share_out(lambda worker: next(waiting, None), keep, threads)
    return done
