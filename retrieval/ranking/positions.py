"""Where the positives of every query stand, counted from the tile stream, for any number of protocols at once."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from retrieval.columns import Features, Floats, Ints
from retrieval.protocols import Mask, Protocol
from retrieval.ranking.acquaintances import Acquaintances
from retrieval.ranking.counting import KERNELS, Close, Thresholds
from retrieval.ranking.results import CameraTable, PerQuery
from retrieval.ranking.thresholds import known_scores
from retrieval.scorers import Scorer
from retrieval.streaming.exact import Doubles
from retrieval.streaming.stream import ALONE, Backend, Team, stream, until_trusted
from retrieval.streaming.tiles import Tile

_PENDING = 1 << 16
"""Close cases that are put off at most, before they are decided together."""
_SAMPLE = 500
"""Positives whose scores are compared with the exact ones."""
_CASE = np.dtype(
    [("query", "i8"), ("item", "i8"), ("threshold", "i8"), ("group", "i8"), ("seen", "f4"), ("tolerance", "f8")]
)


@dataclass(frozen=True, eq=False)
class Positions:
    """How many pictures of other people come before each positive.

    Attributes:
        pairs: all pairs of query and gallery rows of one person.
        ahead: protocol name → `(n,)` for its positives among the pairs, the pictures of other people before it.
        protocols: by name.
    """

    pairs: Acquaintances
    protocols: dict[str, Protocol]
    ahead: dict[str, Ints]

    def judge(self, name: str) -> PerQuery:
        """Every query's result under one of the protocols."""
        protocol = self.protocols[name]
        asked = np.flatnonzero(protocol.asked(self.pairs.query))
        return PerQuery.of(asked, *self._ranks(name, self.pairs.positives(protocol)))

    def cameras(self, name: str) -> CameraTable:
        """The same for each camera of the query and of the gallery, as Market-1501's authors do it.

        For a pair of cameras, the positives from the gallery's camera are searched in the whole gallery, and the
        query's other positives are left out.
        """
        protocol = self.protocols[name]
        positives = self.pairs.positives(protocol)
        asked = protocol.asked(self.pairs.query)
        cameras = self.pairs.gallery.camids[self.pairs.rows]
        results = {}
        for camera in np.unique(cameras[positives]):
            owners, ahead = self._ranks(name, positives & (cameras == camera))
            results[int(camera)] = PerQuery.of(np.flatnonzero(asked), owners, ahead)
        return CameraTable.of(self.pairs.query.camids, results)

    def _ranks(self, name: str, positives: Mask) -> tuple[Ints, Ints]:
        return self.pairs.owners[positives], self.ahead[name][positives]


def positions(
    scorer: Scorer,
    query: Features,
    gallery: Features,
    protocols: Sequence[Protocol],
    *,
    device: torch.device | str = "cpu",
    backend: Backend | None = None,
    team: Team = ALONE,
) -> Positions:
    """Count in one pass. See `evaluate` for the arguments.

    Raises:
        ValueError: a protocol draws galleries, and this is of one (`retrieval.study` judges draw after draw).
    """
    for rule in protocols:
        if rule.draws is not None:
            raise ValueError(f"the protocol '{rule.name}' draws galleries: judge each, or ask retrieval.study")
    place = torch.device(device)
    backend = backend or Backend.choose(place, query, gallery)
    pairs = Acquaintances.of(query.columns, gallery.columns)

    def attempt(scope: float) -> tuple[_Counting, bool]:
        counting = _Counting(scorer, query, gallery, protocols, pairs, place, backend, scope)
        stream(scorer, query, gallery, counting.visit, device=place, backend=backend, team=team)
        return counting, counting.finish()

    return until_trusted(scorer, team, attempt).positions(team)


@dataclass(frozen=True, eq=False)
class _Own:
    """The pairs of some queries with their own person, by gallery row, and the thresholds they give.

    Attributes:
        rows, lines: the gallery row and the place of the query among these queries.
        wanted: which of them give thresholds.
        scores, margin: as known beforehand, and how far from the exact ones they may be; NaN and 0 where not wanted.
        thresholds: the last ones, by the tolerance they were made for, which is often the same for all tiles.
    """

    rows: Ints
    lines: Ints
    wanted: Mask
    scores: Floats
    margin: Doubles
    thresholds: dict[float, Thresholds] = field(default_factory=dict)


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
        protocols: Sequence[Protocol],
        pairs: Acquaintances,
        device: torch.device,
        backend: Backend,
        scope: float,
    ) -> None:
        self.scorer, self.query, self.gallery, self.pairs = scorer, query, gallery, pairs
        self.protocols = {protocol.name: protocol for protocol in protocols}
        self.backend, self.scope = backend, scope
        self._mistrusted = False
        self._wanted = wanted = np.zeros(len(pairs), dtype=bool)
        for protocol in protocols:
            wanted |= pairs.positives(protocol)
        scores, self._margin = known_scores(scorer, query, gallery, pairs, wanted, device, backend)
        # Thresholds in ascending order within a query, as the kernels want them.
        targets = np.flatnonzero(wanted)
        with np.errstate(over="ignore"):
            self._scores: Floats = scores.astype(np.float32)
        self._targets = targets[_by_score(pairs.owners[targets], self._scores[targets])]
        self._starts = np.searchsorted(pairs.owners[self._targets], np.arange(len(query) + 1))
        self._exact = np.where(self._margin == 0, scores, np.nan)
        # Protocols that show the same pictures count the same pictures.
        self._shown: list[Mask] = []
        self._group: dict[str, int] = {}
        for protocol in protocols:
            shown = protocol.shown(gallery.columns)
            same = [number for number, other in enumerate(self._shown) if np.array_equal(shown, other)]
            self._group[protocol.name] = same[0] if same else len(self._shown)
            if not same:
                self._shown.append(shown)
        self._above = np.zeros((len(self._shown), len(self._targets)), dtype=np.int64)
        self._decided = np.zeros_like(self._above)
        self._undecided: list[NDArray[np.void]] = []
        self._lock = threading.Lock()
        self._own: dict[int, _Own] = {}
        self._look_at_some()

    def _look_at_some(self) -> None:
        """Compare some of the positives' scores with the exact ones, and all that are infinite or NaN."""
        odd = self._targets[~np.isfinite(self._scores[self._targets])]
        some = np.union1d(self._targets[:: len(self._targets) // _SAMPLE + 1], odd)
        self._exact[some] = self._pairs(self.pairs.owners[some], self.pairs.rows[some])
        self._compare(self._scores[some], self._exact[some], self.scope * self._margin[some] / 2, rounded=True)

    def visit(self, query: Tile, gallery: Tile, scores: Tensor) -> None:
        assert isinstance(query.rows, slice)
        assert isinstance(gallery.rows, slice)
        tolerance = self.scope * self.scorer.tolerance(query, gallery)
        own = self._own_of(query.rows)
        self._leave_out_own(own, gallery.rows, scores, tolerance)
        span = slice(self._starts[query.rows.start], self._starts[query.rows.stop])
        thresholds = self._thresholds(own, query.rows, span, tolerance)
        for number, shown in enumerate(self._shown):
            hidden = np.flatnonzero(~shown[gallery.rows])
            tile = scores if number == len(self._shown) - 1 else scores.clone()
            if hidden.size:
                tile[:, torch.from_numpy(hidden).to(tile.device)] = torch.nan
            for close in KERNELS[self.backend.kernel](tile, thresholds, self._above[number, span]):
                seen = _take(tile, close.queries, close.columns)
                self._put_off(close, number, query.rows.start, gallery.rows.start, span.start, seen, tolerance)

    def finish(self) -> bool:
        """Decide what is left to decide; false when rounding errors were seen that come close to the tolerance."""
        self._decide()
        return not self._mistrusted

    def positions(self, team: Team) -> Positions:
        """What was counted, by all processes."""
        above = team.total(self._above + self._decided)
        ahead = {}
        for name, group in self._group.items():
            ahead[name] = np.zeros(len(self.pairs), dtype=np.int64)
            ahead[name][self._targets] = above[group]
        return Positions(self.pairs, self.protocols, ahead)

    def _leave_out_own(self, own: _Own, items: slice, scores: Tensor, tolerance: float) -> None:
        """Take the query's own person out of the tile, having looked whether its scores are what they were before."""
        here = slice(*np.searchsorted(own.rows, [items.start, items.stop]))
        lines, columns, wanted = own.lines[here], own.rows[here] - items.start, own.wanted[here]
        seen, margin = _take(scores, lines[wanted], columns[wanted]), own.margin[here][wanted]
        self._compare(seen, own.scores[here][wanted], (tolerance + self.scope * margin) / 2, rounded=True)
        _leave_out(scores, lines, columns)

    def _compare(self, seen: Floats, expected: Floats | Doubles, bound: Doubles, *, rounded: bool) -> None:
        """Notice scores that are further from what they should be than half the tolerance.

        An infinite score is right where it should be infinite; elsewhere, as NaN anywhere, it is an overflow.

        Args:
            rounded: whether one of the two was rounded to float32 by us.
        """
        with np.errstate(invalid="ignore", over="ignore"):
            difference = np.abs(seen - expected)
            within = difference <= (bound + 2.0**-23 * np.abs(expected) if rounded else bound)
        if not ((np.isfinite(difference) & within) | (seen == expected)).all():
            self._mistrusted = True

    def _own_of(self, queries: slice) -> _Own:
        """A block of queries' own people, once for all tiles of the block."""
        if queries.start not in self._own:
            pairs = np.arange(self.pairs.starts[queries.start], self.pairs.starts[queries.stop])
            pairs = pairs[np.argsort(self.pairs.rows[pairs], kind="stable")]
            lines = self.pairs.owners[pairs] - queries.start
            known = self._wanted[pairs], self._scores[pairs], self._margin[pairs]
            self._own[queries.start] = _Own(self.pairs.rows[pairs], lines, *known)
        return self._own[queries.start]

    def _thresholds(self, own: _Own, queries: slice, span: slice, tolerance: float) -> Thresholds:
        if tolerance not in own.thresholds:
            targets = self._targets[span]
            starts = self._starts[queries.start : queries.stop + 1] - span.start
            middle = self._scores[targets]
            margin = self._margin[targets] * self.scope + tolerance
            with np.errstate(over="ignore"):
                # Scores and margins are rounded to float32 here; without a margin they are exact, and stay so, as
                # infinite ones do.
                rounded = (margin > 0) & np.isfinite(middle)
                wide: Floats = np.where(rounded, margin + 2.0**-22 * np.abs(middle), 0).astype(np.float32)
                low, high = middle - wide, middle + wide
            own.thresholds.clear()
            own.thresholds[tolerance] = Thresholds(starts, low, high)
        return own.thresholds[tolerance]

    def _put_off(
        self, close: Close, group: int, query: int, item: int, threshold: int, seen: Floats, tolerance: float
    ) -> None:
        """Decide it together with others, since one call for many pairs is cheap; but do not let them pile up."""
        case = np.empty(len(seen), dtype=_CASE)
        case["group"], case["seen"], case["tolerance"] = group, seen, tolerance
        case["query"], case["item"], case["threshold"] = (
            close.queries + query,
            close.columns + item,
            close.thresholds + threshold,
        )
        with self._lock:
            self._undecided.append(case)
            if sum(map(len, self._undecided)) > _PENDING:
                self._decide()

    def _decide(self) -> None:
        """Count those of the close cases that come before their positive, by exact score and then by gallery row."""
        case = np.concatenate([np.empty(0, dtype=_CASE), *self._undecided])
        self._undecided.clear()
        targets = self._targets[case["threshold"]]
        unknown = np.unique(targets[np.isnan(self._exact[targets])])
        self._exact[unknown] = self._pairs(self.pairs.owners[unknown], self.pairs.rows[unknown])
        # A score may be close to many thresholds, of all groups.
        distinct, place = np.unique(case["query"] * len(self.gallery) + case["item"], return_inverse=True)
        exact = self._pairs(distinct // len(self.gallery), distinct % len(self.gallery))[place]
        own = self._exact[targets]
        self._compare(case["seen"], exact, case["tolerance"] / 2, rounded=False)
        before = (exact > own) | ((exact == own) & (case["item"] < self.pairs.rows[targets]))
        counters = case["group"] * len(self._targets) + case["threshold"]
        np.add.at(self._decided.reshape(-1), counters[before], 1)

    def _pairs(self, left: Ints, right: Ints) -> Doubles:
        with np.errstate(invalid="ignore", over="ignore"):  # NaN and inf are named when the tiles are cut
            return self.scorer.pairs(self.query, self.gallery, left, right, fast=self.backend.fast)


def _take(scores: Tensor, lines: Ints, columns: Ints) -> NDArray[np.float32]:
    """Some scores, as an array; on the CPU without the ceremony of tensors."""
    if scores.device.type == "cpu":
        taken: NDArray[np.float32] = scores.numpy()[lines, columns]
        return taken
    device = scores.device
    return scores[torch.from_numpy(lines).to(device), torch.from_numpy(columns).to(device)].cpu().numpy()


def _leave_out(scores: Tensor, lines: Ints, columns: Ints) -> None:
    if scores.device.type == "cpu":
        scores.numpy()[lines, columns] = np.nan
    else:
        scores[torch.from_numpy(lines).to(scores.device), torch.from_numpy(columns).to(scores.device)] = torch.nan


def _by_score(owners: Ints, scores: Floats) -> Ints:
    """The order by owner and then by score. One number of both is sorted, which is much faster than two."""
    bits = (scores + np.float32(0)).view(np.int32).astype(np.int64)
    order: Ints = np.argsort(owners << 32 | (np.where(bits < 0, bits ^ 0x7FFFFFFF, bits) + (1 << 31)), kind="stable")
    return order
