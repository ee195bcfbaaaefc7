"""The scores of all impostor pairs, counted as the tiles pass by: neither a Q×G array nor a sorted list of them.

**Histograms.** One per person asked for and half of the gallery; all rates, and their spread over people, follow from
these. The edges of the bins are the only thresholds there are (`retrieval.verification.grid`), and how many pairs
reach each of them is exact: where float32 cannot tell on which side of an edge a score lies, float64 decides
(`Scorer.pairs`). So it does not depend on tiles, threads, processes, libraries and devices.

**Nearest strangers.** Each query's highest score with each group of people, exactly, for the open set.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from retrieval.columns import Features, Floats, Ints
from retrieval.scorers import Scorer
from retrieval.streaming.exact import Doubles
from retrieval.streaming.stream import ALONE, Backend, Team, stream, until_trusted
from retrieval.streaming.tiles import Tile
from retrieval.verification.grid import TOGETHER, Grid, exact_scores
from retrieval.verification.population import HIDDEN, Population

GROUPS = 3
"""Of gallery people as nearest strangers are kept: the two halves of those asked for, and everybody else."""

_CASE = np.dtype([("query", "i8"), ("item", "i8"), ("seen", "f4"), ("tolerance", "f8")])


@dataclass(frozen=True, eq=False)
class Impostors:
    """What was counted.

    Attributes:
        counts: `(I, 2, grid.count + 1)` pairs by person, half of the gallery and bin.
        nearest: `(Q, GROUPS)` the highest score with each group; −inf where there is no pair.
        rows: `(Q, GROUPS)` whose it is, the first of several.
    """

    counts: Ints
    nearest: Doubles
    rows: Ints


def impostors(
    scorer: Scorer,
    query: Features,
    gallery: Features,
    population: Population,
    grid: Grid,
    *,
    device: torch.device,
    backend: Backend,
    team: Team = ALONE,
) -> Impostors:
    """Count in one pass; every process of the team gets the same."""

    def attempt(scope: float) -> tuple[_Counting, bool]:
        counting = _Counting(scorer, query, gallery, population, grid, backend, scope)
        stream(scorer, query, gallery, counting.visit, device=device, backend=backend, team=team, title="comparing")
        return counting, counting.finish()

    return until_trusted(scorer, team, attempt).result(team)


class _Counting:
    """The visitor of the stream.

    Args:
        scope: by how much the scorer's tolerance is widened, since rounding errors were seen that came close to it.
    """

    def __init__(
        self,
        scorer: Scorer,
        query: Features,
        gallery: Features,
        population: Population,
        grid: Grid,
        backend: Backend,
        scope: float,
    ) -> None:
        self.scorer, self.query, self.gallery, self.population = scorer, query, gallery, population
        self.grid, self.backend, self.scope = grid, backend, scope
        self._counts = np.zeros((len(population.pids), 2, grid.count + 1), dtype=np.int64)
        self._nearest = np.full((len(query), GROUPS), -np.inf)
        self._rows = np.full((len(query), GROUPS), len(gallery), dtype=np.int64)
        self._undecided: list[NDArray[np.void]] = []
        self._mistrusted = False
        self._lock = threading.Lock()

    def visit(self, query: Tile, gallery: Tile, scores: Tensor) -> None:
        assert isinstance(query.rows, slice)
        assert isinstance(gallery.rows, slice)
        tolerance = self.scope * self.scorer.tolerance(query, gallery)
        self._leave_out(query.rows, gallery.rows, scores)
        self._count(query.rows, gallery.rows, scores, tolerance)
        self._keep_nearest(query.rows, gallery.rows, scores, tolerance)

    def finish(self) -> bool:
        """Decide what is left to decide; false when rounding errors were seen that come close to the tolerance."""
        self._decide(self._undecided)
        return not self._mistrusted

    def result(self, team: Team) -> Impostors:
        counts = team.total(self._counts)
        counts[:, :, 0] = self.population.impostors - counts[:, :, 1:].sum(axis=2)
        scores, rows = team.gathered(self._nearest), team.gathered(self._rows)
        first = np.lexsort((rows, -scores), axis=0)[:1]
        return Impostors(
            counts, np.take_along_axis(scores, first, axis=0)[0], np.take_along_axis(rows, first, axis=0)[0]
        )

    def _leave_out(self, queries: slice, items: slice, scores: Tensor) -> None:
        """Pictures of the query's own person, those that are not shown and queries that are not asked."""
        pairs, population = self.population.pairs, self.population
        first = pairs.starts[queries.start]
        rows = pairs.rows[first : pairs.starts[queries.stop]]
        here = np.flatnonzero((rows >= items.start) & (rows < items.stop))
        lines, columns = pairs.owners[here + first] - queries.start, rows[here] - items.start
        scores[_on(lines, scores), _on(columns, scores)] = -torch.inf
        for axis, hidden in enumerate((population.person[queries] < 0, population.group[items] == HIDDEN)):
            if hidden.any():
                scores.index_fill_(axis, _on(np.flatnonzero(hidden), scores), -torch.inf)

    def _count(self, queries: slice, items: slice, scores: Tensor, tolerance: float) -> None:
        population, grid = self.population, self.grid
        lines, columns, seen = _above(scores, np.full(len(scores), grid.edges[0] - tolerance))
        # In float64 the quotient by a power of two and the distance from an edge nearby are exact.
        place = np.clip(seen.astype(np.float64) / grid.step - (grid.first + 0.5), -1, grid.count - 0.5)
        whole = np.floor(place)
        bins = whole.astype(np.int64) + 1
        sure = bins > 0
        if tolerance:
            part, margin = place - whole, 1.000001 * tolerance / grid.step
            close = (part <= margin) | (part >= 1 - margin)
            sure &= ~close
            case = np.empty(int(close.sum()), dtype=_CASE)
            case["query"], case["item"] = lines[close] + queries.start, columns[close] + items.start
            case["seen"], case["tolerance"] = seen[close], tolerance
            self._put_off(case)
        self._add(population.person[queries][lines[sure]], population.group[items][columns[sure]] & 1, bins[sure])

    def _add(self, people: Ints, halves: Ints, bins: Ints) -> None:
        keys = np.ravel_multi_index((people, halves, bins), self._counts.shape)
        with self._lock:
            np.add.at(self._counts.reshape(-1), keys, 1)

    def _put_off(self, case: NDArray[np.void]) -> None:
        """Decide it together with others, since one call for many pairs is cheap; but do not let them pile up."""
        with self._lock:
            self._undecided.append(case)
            if sum(map(len, self._undecided)) <= TOGETHER:
                return
            due, self._undecided = self._undecided, []
        self._decide(due)

    def _decide(self, cases: list[NDArray[np.void]]) -> None:
        case = np.concatenate([np.empty(0, dtype=_CASE), *cases])
        exact = self._exact(case["query"], case["item"], case["seen"], case["tolerance"])
        bins = self.grid.bins(exact)
        people, halves = self.population.person[case["query"]], self.population.group[case["item"]] & 1
        self._add(people[bins > 0], halves[bins > 0], bins[bins > 0])

    def _keep_nearest(self, queries: slice, items: slice, scores: Tensor, tolerance: float) -> None:
        """Whatever may be the highest score of a group so far is scored exactly; that is little."""
        group = np.minimum(self.population.group[items], GROUPS - 1)
        found: list[tuple[Ints, Ints, Ints, Floats]] = []
        for number in range(GROUPS):
            members = np.flatnonzero(group == number)
            if not members.size:
                continue
            part = scores.index_select(1, _on(members, scores))
            highest = part.amax(dim=1).cpu().numpy().astype(np.float64)
            least = np.maximum(self._nearest[queries, number], highest - tolerance) - tolerance
            promising = np.flatnonzero((highest >= least) & (highest > -np.inf))
            if promising.size:
                lines, columns, seen = _above(part[_on(promising, scores)], least[promising])
                lines = promising[lines]
                found.append((lines, members[columns], np.full(len(lines), number), seen))
        if found:
            lines, columns, numbers, seen = (np.concatenate(piece) for piece in zip(*found, strict=True))
            rows = columns + items.start
            exact = self._exact(lines + queries.start, rows, seen, np.full(len(seen), tolerance))
            best = np.lexsort((rows, -exact, numbers, lines))
            best = best[np.flatnonzero(np.diff(lines[best] * GROUPS + numbers[best], prepend=-1))]
            at = (lines[best] + queries.start, numbers[best])
            better = (exact[best] > self._nearest[at]) | (
                (exact[best] == self._nearest[at]) & (rows[best] < self._rows[at])
            )
            at = (at[0][better], at[1][better])
            self._nearest[at], self._rows[at] = exact[best[better]], rows[best[better]]

    def _exact(self, left: Ints, right: Ints, seen: Floats, tolerance: Doubles) -> Doubles:
        exact = exact_scores(self.scorer, self.query, self.gallery, left, right, self.backend)
        with np.errstate(invalid="ignore"):  # equal infinities
            if (np.abs(seen - exact) > tolerance / 2).any():
                self._mistrusted = True
        return exact


def _on(rows: Ints, scores: Tensor) -> Tensor:
    return torch.from_numpy(rows).to(scores.device)


def _above(scores: Tensor, least: Doubles) -> tuple[Ints, Ints, Floats]:
    """Lines, columns and values of the scores that reach their line's `least`, or all but; −inf never."""
    low = np.nextafter(least.astype(np.float32), np.float32(-np.inf))
    low = np.maximum(low, np.finfo(np.float32).min)
    mask = scores >= torch.from_numpy(low).to(scores.device)[:, None]
    if scores.device.type == "cpu":
        flat = np.flatnonzero(mask.numpy())  # many times faster than torch's
        seen = scores.numpy().reshape(-1)[flat]
    else:
        places = mask.flatten().nonzero()[:, 0]
        flat, seen = places.cpu().numpy(), scores.flatten()[places].cpu().numpy()
    lines, columns = np.divmod(flat, scores.shape[1])
    return lines, columns, seen
