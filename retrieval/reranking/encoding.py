"""Every row's weighted set of k-reciprocal neighbours: the encoding that re-ranking compares."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np
import torch

from common.errors import UserError
from retrieval.columns import Features, Floats, Ints
from retrieval.neighbours.search import own_neighbours
from retrieval.reranking.sets import AT_ONCE, ROWS, Part, Sets, by_keys, each_part, joined, summed
from retrieval.scorers import Cosine
from retrieval.streaming.exact import Doubles, inner, squares
from retrieval.streaming.stream import Backend, Team

_NOBODY = -1
"""In the place of a neighbour where a list has none."""


def encode(
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
        return each_part(work, total, host.threads)

    core, halves = (np.concatenate(in_parts(partial(_mutual, nearest[:, : size + 1]))) for size in (k1, round(k1 / 2)))
    sets = _weighted(joined(in_parts(partial(_join, core, halves))), features.vectors, farthest, host)
    if k2 > 1:
        nearest = np.where(nearest == _NOBODY, np.arange(total)[:, None], nearest)
        sets = joined(in_parts(partial(_average, sets, nearest[:, :k2])))
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
    total, step = len(core), max(1, min(ROWS, AT_ONCE // len(core)))
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
    return by_keys(np.concatenate(found), rows, total)


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

    products = np.concatenate([np.empty(0), *each_part(compare, len(keys), backend.threads)])
    lengths = np.concatenate(each_part(measure, total, backend.threads))
    distances = np.zeros(len(owners))
    distances[others] = (2 - 2 * products / (lengths[left] * lengths[right]))[place]
    weights = np.exp(-distances / farthest[owners])
    return Sets(sets.starts, members, weights / summed(owners, weights, total)[owners])


def _average(sets: Sets, nearest: Ints, rows: slice) -> Sets:
    """The mean of the sets of each row's nearest: query expansion, as the paper calls it."""
    count = nearest.shape[1]
    every = sets.take(nearest[rows].ravel())
    owners = rows.start + every.owners // count
    keys, place = np.unique(owners * len(sets) + every.members, return_inverse=True)
    return by_keys(keys, rows, len(sets), summed(place, every.weights, len(keys)) / count)
