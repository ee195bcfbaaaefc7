"""The k closest gallery pictures of every query, exactly and in order.

    found = neighbours(Cosine(), query, gallery, 50)
    nearest, lowest = own_neighbours(Cosine(), features, 21)

Scores come in float32, tile by tile, and a row keeps what may still be among its best k: everything that is no further
below the k-th best than rounding can reach. Of what is left in the end, those that float32 cannot tell apart are put in
order by their exact scores (`Scorer.pairs`), equal ones by gallery row. So the lists are the same for any tile size,
number of threads or processes, matrix library and device.

A row of which very many scores are that close, such as those of pictures that are all black, would need room for all of
them. It is left out and done afterwards, by exact scores alone. Memory: the prepared queries, a few tiles, and some
ten times k numbers a row.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from common.errors import UserError
from retrieval.columns import Features, Floats, Ints
from retrieval.neighbours import indexes
from retrieval.neighbours.candidates import CompiledLists, Lists, PlainLists
from retrieval.neighbours.left_out import LeftOut
from retrieval.scorers import Cosine, Euclidean, Scorer, VisibleParts
from retrieval.streaming.exact import Doubles
from retrieval.streaming.stream import ALONE, Backend, Team, stream, until_trusted
from retrieval.streaming.tiles import Tile, cut, full_precision
from retrieval.streaming.workers import share_out

_BY_FEATURES_ALONE = (Cosine, Euclidean, VisibleParts)
"""Scorers that look at nothing but the features, and at those of both sides alike: s(a, b) = s(b, a)."""
_SPARE = 16
"""Places of a list beyond k, for scores that are too close to the k-th best to be told from it."""
_ROWS, _AT_ONCE = 2048, 1 << 18
"""Lists, and numbers of them, that are put in order together."""
_CONTESTED = 256
"""Rows that are done by exact scores together."""
_SAMPLE = 4096
"""Rows that the farthest is looked for among when the neighbours are found by an index."""
_CHECKED = 16
"""Of so many lists the last place of one is compared with its exact score, wherever that is not needed anyway."""


@dataclass(frozen=True, eq=False)
class Neighbours:
    """The lists of Q queries, closest first.

    Attributes:
        rows: `(Q, k)` int64 gallery rows; −1 where there are fewer than k.
        scores: `(Q, k)` float32, descending; −∞ where there is no row. They are rounded from the exact score where that
            was needed to decide the order, and otherwise as they were computed in float32.
    """

    rows: Ints
    scores: Floats


def neighbours(
    scorer: Scorer,
    query: Features,
    gallery: Features,
    k: int,
    *,
    device: torch.device | str = "cpu",
    backend: Backend | None = None,
    team: Team = ALONE,
    leave_out: tuple[Ints, Ints] | None = None,
    index: str = "exact",
) -> Neighbours:
    """The k gallery rows that score highest for every query, by exact score and then by gallery row.

    Args:
        k: 1 or more; it may be more than there are.
        backend: what computes; the fastest by default. The lists do not depend on it.
        team: the processes that work on this together; all of them get the lists.
        leave_out: `(n,)` query rows and `(n,)` gallery rows of pairs that must not appear, such as a protocol's junk.
        index: "exact", or what finds them in another way (`retrieval.neighbours.indexes`): "flat" takes float32
            scores as they are, "ivf" and "hnsw" also miss some.

    Raises:
        UserError: query and gallery do not fit each other, a number is NaN or infinite or much too large, or the index
            is unknown, not installed, or no use for this scorer.
    """
    _check_count(k)
    place = torch.device(device)
    backend = backend or Backend.choose(place, query, gallery)
    left_out = LeftOut(leave_out, len(query), len(gallery))
    if indexes.known(index).build is not None:
        return _by_index(index, scorer, query, gallery, k, left_out, place, backend, team)
    return _exactly(scorer, query, gallery, k, left_out, place, backend, team, own=False)[0]


def own_neighbours(
    scorer: Scorer,
    features: Features,
    k: int,
    *,
    device: torch.device | str = "cpu",
    backend: Backend | None = None,
    team: Team = ALONE,
    index: str = "exact",
) -> tuple[Neighbours, Floats]:
    """Every row's k closest rows of the same set, and the lowest score of every row.

    A row is in its own list, where its score puts it: by the cosine first, but for rows that point the same way and for
    zero vectors. Where s(a, b) = s(b, a) only half of the scores are computed. See `neighbours` for the arguments.

    Returns:
        The lists, and `(N,)` float32 the lowest scores as they were computed. With an index they are only those among
        at most 4096 rows, evenly spread: no index finds what is farthest.
    """
    _check_count(k)
    place = torch.device(device)
    backend = backend or Backend.choose(place, features, features)
    left_out = LeftOut(None, len(features), len(features))
    if indexes.known(index).build is None:
        return _exactly(scorer, features, features, k, left_out, place, backend, team, own=True)
    found = _by_index(index, scorer, features, features, k, left_out, place, backend, team)
    some = features.take(slice(None, None, max(1, -(-len(features) // _SAMPLE))))
    lowest = np.full(len(features), np.inf, dtype=np.float32)

    def visit(query: Tile, gallery: Tile, scores: Tensor) -> None:
        lowest[query.rows] = np.minimum(lowest[query.rows], scores.amin(dim=1).cpu().numpy())

    stream(scorer, features, some, visit, device=place, backend=backend)
    return found, lowest


def _check_count(k: int) -> None:
    if k < 1:
        raise UserError(f"{k} neighbours are asked for: ask for 1 or more")


def _by_index(
    index: str,
    scorer: Scorer,
    query: Features,
    gallery: Features,
    k: int,
    left_out: LeftOut,
    device: torch.device,
    backend: Backend,
    team: Team,
) -> Neighbours:
    """Every process searches for its share of the queries."""
    share = slice(team.rank * len(query) // team.world, (team.rank + 1) * len(query) // team.world)
    most = int(left_out.counts[share].max(initial=0))
    values, rows = indexes.search(
        index, scorer, query.take(share), gallery, k + most, device=device, threads=backend.threads
    )
    lines = np.arange(share.start, share.stop)[:, None]
    gone = (rows < 0) | left_out.among(lines, rows)
    order = np.argsort(gone, axis=1, kind="stable")[:, :k]
    found = Neighbours(np.full((len(query), k), -1), np.full((len(query), k), -np.inf, dtype=np.float32))
    found.rows[share] = np.take_along_axis(np.where(gone, -1, rows), order, axis=1)
    found.scores[share] = np.take_along_axis(np.where(gone, -np.inf, values), order, axis=1)
    return Neighbours(team.gathered(found.rows).max(axis=0), team.gathered(found.scores).max(axis=0))


def _exactly(
    scorer: Scorer,
    query: Features,
    gallery: Features,
    k: int,
    left_out: LeftOut,
    device: torch.device,
    backend: Backend,
    team: Team,
    *,
    own: bool,
) -> tuple[Neighbours, Floats]:
    """The lists, and the lowest scores of all rows where they are a set's own."""

    def attempt(scope: float) -> tuple[tuple[Neighbours, Floats], bool]:
        search = _Search(scorer, query, gallery, k, left_out, device, backend, own, scope)
        stream(
            scorer,
            query,
            gallery,
            search.visit,
            device=device,
            backend=backend,
            team=team,
            symmetric=search.symmetric,
            title="neighbours",
        )
        with full_precision(device):
            lowest = search.finish(team)
        return (search.found, lowest), not search.mistrusted

    return until_trusted(scorer, team, attempt)


class _Search:
    """The visitor of the stream.

    Args:
        own: query and gallery are the same, and lowest scores are wanted.
        scope: by how much the scorer's tolerance is widened, since rounding errors were seen that came close to it.
    """

    def __init__(
        self,
        scorer: Scorer,
        query: Features,
        gallery: Features,
        k: int,
        left_out: LeftOut,
        device: torch.device,
        backend: Backend,
        own: bool,
        scope: float,
    ) -> None:
        self.scorer, self.query, self.gallery, self.left_out = scorer, query, gallery, left_out
        self.device, self.backend, self.scope = device, backend, scope
        self.by_features = isinstance(scorer, _BY_FEATURES_ALONE)
        self.symmetric = own and self.by_features
        self.mistrusted = False
        total, self.k = len(query), min(k, len(gallery))
        self.found = Neighbours(np.full((total, k), -1), np.full((total, k), -np.inf, dtype=np.float32))
        width = self.k + _SPARE
        self._lists: Lists
        if backend.fast and device.type == "cpu":
            self._lists = CompiledLists(total, self.k, width, own)
        else:
            self._lists = PlainLists(total, self.k, width, own, device)
        self._tolerance = np.zeros(total)
        self._edges = np.full(total, -np.inf)
        self._contested: list[Ints] = []
        size = backend.gallery if self.symmetric else backend.queries
        self._locks = {start: threading.Lock() for start in range(0, total, size)}

    def visit(self, query: Tile, gallery: Tile, scores: Tensor) -> None:
        assert isinstance(query.rows, slice)
        assert isinstance(gallery.rows, slice)
        lines, columns = self.left_out.within(np.arange(query.rows.start, query.rows.stop), gallery.rows)
        if len(lines):
            scores[torch.from_numpy(lines).to(scores.device), torch.from_numpy(columns).to(scores.device)] = -torch.inf
        tolerance = self.scope * self.scorer.tolerance(query, gallery)
        both = self.symmetric and query.rows != gallery.rows
        blocks = [query.rows, gallery.rows] if both else [query.rows]
        with ExitStack() as locks:
            # In one order, so that nobody holds what another waits for.
            for start in sorted(rows.start for rows in blocks):
                locks.enter_context(self._locks[start])
            for rows in blocks:
                self._tolerance[rows] = np.maximum(self._tolerance[rows], tolerance)
            slack = 2 * max(float(self._tolerance[rows.start]) for rows in blocks)
            self._lists.add(query.rows, gallery.rows, scores, slack, both)

    def finish(self, team: Team) -> Floats:
        """Fill `found`, and return the lowest scores."""
        self._tolerance = team.gathered(self._tolerance).max(axis=0)
        lowest: Floats = team.gathered(self._lists.lowest()).min(axis=0)
        if self.k:
            size = min(_ROWS, max(1, _AT_ONCE // (self.k + _SPARE)))
            lists = _slices(len(self.query), size)
            # What processes exchange has to come in one order.
            threads = self.backend.threads if team.world == 1 else 1
            share_out(lambda worker: next(lists, None), lambda rows: self._put_in_order(rows, team), threads)
            self._decide_contested()
        return lowest

    def _put_in_order(self, lines: slice, team: Team) -> None:
        """Fill `found` for some queries, but for those that are contested."""
        values, rows, full = (team.gathered(of) for of in self._lists.best(lines))
        values, rows = (np.concatenate(of, axis=1) for of in (values, rows))
        if team.world > 1:
            best = np.argsort(-values, axis=1, kind="stable")[:, : self.k + _SPARE]
            values, rows = np.take_along_axis(values, best, axis=1), np.take_along_axis(rows, best, axis=1)
        tolerance = self._tolerance[lines, None]
        with np.errstate(invalid="ignore"):  # infinite scores
            below = values - np.where(tolerance > 0, 2 * tolerance + 2.0**-22 * np.abs(values), 0)
        there = rows >= 0
        edges = below[:, self.k - 1]
        near = there & (values >= edges[:, None])
        counts, available = there.sum(axis=1), len(self.gallery) - self.left_out.counts[lines]
        # A score of −∞ is in no list: where one is too short, there were some.
        contested = full.any(axis=0) | near[:, -1] | (counts < np.minimum(available, self.k))
        close = near[:, 1:] & (below[:, :-1] <= values[:, 1:]) & ~contested[:, None]
        asked = np.pad(close, ((0, 0), (0, 1))) | np.pad(close, ((0, 0), (1, 0)))
        checked = np.flatnonzero((counts > 0) & ~contested)[::_CHECKED]
        asked[checked, np.minimum(counts[checked], self.k) - 1] = True
        line, place = np.nonzero(asked)
        decided = values.astype(np.float64)
        decided[line, place] = self._exact(line + lines.start, rows[line, place])
        self._compare(values[line, place], decided[line, place], self._tolerance[line + lines.start])
        mixed = np.flatnonzero(close.any(axis=1))
        order = np.lexsort((rows[mixed], -decided[mixed], ~near[mixed]), axis=1)
        rows[mixed] = np.take_along_axis(rows[mixed], order, axis=1)
        decided[mixed] = np.take_along_axis(decided[mixed], order, axis=1)
        self.found.rows[lines, : self.k] = rows[:, : self.k]
        self.found.scores[lines, : self.k] = decided[:, : self.k]
        self._edges[lines] = edges
        self._contested.append(np.flatnonzero(contested) + lines.start)

    def _decide_contested(self) -> None:
        """Fill `found` where too many scores are too close; rows that are all the same are done once."""
        rows = np.sort(np.concatenate([np.empty(0, dtype=np.int64), *self._contested]))
        same, alike = rows.copy(), None
        if len(rows) and self.by_features:
            alike = _first_alike(self.gallery)
            queries = alike if self.query is self.gallery else _first_alike(self.query)
            free = np.flatnonzero(self.left_out.counts[rows] == 0)
            _, first, place = np.unique(queries[rows[free]], return_index=True, return_inverse=True)
            same[free] = rows[free][first][place]
            alike = None if (alike == np.arange(len(alike))).all() else alike
        distinct = np.unique(same)
        parts = (distinct[part] for part in _slices(len(distinct), _CONTESTED))
        share_out(lambda worker: next(parts, None), lambda part: self._rank(part, alike), self.backend.threads)
        self.found.rows[rows], self.found.scores[rows] = self.found.rows[same], self.found.scores[same]

    def _rank(self, lines: Ints, alike: Ints | None) -> None:
        """Fill `found` for some queries, by the exact scores of everything that may be among their best k.

        Args:
            alike: `(G,)` for every gallery row one that has the same scores; None if no two have.
        """
        query = self.scorer.prepare(cut(self.query, lines, self.device, "query"))
        rows, exact = np.full((len(lines), self.k), -1), np.full((len(lines), self.k), -np.inf)
        for items in _slices(len(self.gallery), self.backend.gallery):
            gallery = self.scorer.prepare(cut(self.gallery, items, self.device, "gallery"))
            tolerance = self.scope * self.scorer.tolerance(query, gallery)
            edges = np.maximum(self._edges[lines], exact[:, -1] - tolerance)
            least = np.nextafter(edges.astype(np.float32), np.float32(-np.inf))
            scores = self.scorer.scores(query, gallery)
            reached = scores >= torch.from_numpy(least).to(self.device)[:, None]
            reached[tuple(torch.from_numpy(at).to(self.device) for at in self.left_out.within(lines, items))] = False
            line, column = (at.cpu().numpy() for at in reached.nonzero(as_tuple=True))
            if alike is None:
                found = self._exact(lines[line], column + items.start)
            else:
                pairs, place = np.unique(line * len(alike) + alike[column + items.start], return_inverse=True)
                found = self._exact(lines[pairs // len(alike)], pairs % len(alike))[place]
            self._compare(scores[reached].cpu().numpy(), found, np.full(len(found), tolerance))
            better = found >= exact[line, -1]
            owners = np.concatenate([np.nonzero(rows >= 0)[0], line[better]])
            every = np.concatenate([rows[rows >= 0], column[better] + items.start])
            values = np.concatenate([exact[rows >= 0], found[better]])
            order = np.lexsort((every, -values, owners))
            owners = owners[order]
            within = np.arange(len(owners)) - np.searchsorted(owners, owners)
            kept = within < self.k
            rows[owners[kept], within[kept]] = every[order[kept]]
            exact[owners[kept], within[kept]] = values[order[kept]]
        expected = np.minimum(len(self.gallery) - self.left_out.counts[lines], self.k)
        missing = (rows >= 0).sum(axis=1) < expected
        if missing.any():
            raise UserError(
                f"scorer '{self.scorer.name}' gave NaN for query row {lines[missing.argmax()]}: "
                "its ranking means nothing"
            )
        self.found.rows[lines, : self.k], self.found.scores[lines, : self.k] = rows, exact

    def _exact(self, left: Ints, right: Ints) -> Doubles:
        return self.scorer.pairs(self.query, self.gallery, left, right, fast=self.backend.fast)

    def _compare(self, seen: Floats, exact: Doubles, tolerance: Doubles) -> None:
        with np.errstate(invalid="ignore"):  # infinite scores
            if (np.abs(seen - exact) > tolerance / 2).any():
                self.mistrusted = True


def _first_alike(features: Features) -> Ints:
    """`(N,)` for every row the first that has the same numbers."""
    arrays = [of for of in (features.vectors, features.parts, features.visibility) if of is not None]
    seen: dict[bytes, int] = {}

    def first(row: int) -> int:
        numbers = b"".join((of[row] + 0.0).tobytes() for of in arrays)  # so that −0 is 0
        return seen.setdefault(hashlib.blake2b(numbers).digest(), row)

    return np.fromiter(map(first, range(len(features))), dtype=np.int64, count=len(features))


def _slices(total: int, size: int) -> Iterator[slice]:
    return (slice(start, min(start + size, total)) for start in range(0, total, size))
