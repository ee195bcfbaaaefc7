"""Are these two pictures of the same person? Rates over all pairs, a threshold to decide by, and how sure both are.

    found = verify(Cosine(), query, gallery, protocol("market"), far=0.01)
    print(found.table())

A pair is *accepted* when its score reaches the threshold. The *false accept rate* (FAR) is the share of impostor pairs
that are accepted, the *true positive rate* (TPR) that of genuine pairs (`population` says what these are);
at the *equal error rate* (EER) as large a share of impostor pairs is accepted as of genuine ones is not. The threshold
for a rate is the lowest one (`grid` says which there are) at which no more than that are accepted. Nothing is
extrapolated: a rate is told only where ten impostor pairs or more may be accepted.

**Which number is which.**

- `threshold` is the one to use. It is chosen on everybody, since more people make a better one; so how well it does on
  the very same people says little about others. Its interval is how much it varies with who was asked.
- `held_out` says how such a threshold does on people it was not chosen on. The people are divided in two halves; a
  threshold is chosen on pairs within one half and tried on pairs within the other, and the other way round. Pairs
  across the halves are used for neither, since both sides would see the same people. The rates of both trials are put
  together; the intervals are those of the rates of these two thresholds.
- `points`, `eer` and the ROC curve describe the scores of everybody; thresholds are chosen anew in every draw for their
  intervals.
- `open_set`: see `retrieval.verification.open_set`.

Intervals are of 95 %, by drawing people again (`Population.drawn`).
"""

from __future__ import annotations

import numpy as np
import torch

from retrieval.columns import Features
from retrieval.protocols import Protocol
from retrieval.scorers import Scorer
from retrieval.streaming.exact import Doubles
from retrieval.streaming.stream import ALONE, Backend, Team, check_shapes
from retrieval.verification.estimates import Estimate
from retrieval.verification.grid import Grid, exact_scores, grid_of
from retrieval.verification.impostors import Impostors, impostors
from retrieval.verification.open_set import OpenSet, Side, enough, rank1, shortage
from retrieval.verification.population import Population
from retrieval.verification.result import HeldOut, Point, Roc, Trial, Verification
from retrieval.verification.roc import Tally, equal_error_rate, lowest

__all__ = ["Verification", "verify"]

FARS = (1e-1, 1e-2, 1e-3, 1e-4, 1e-5, 1e-6)
OPEN_FARS = (0.01, 0.1)
DRAWS = 1000


def verify(
    scorer: Scorer,
    query: Features,
    gallery: Features,
    protocol: Protocol,
    *,
    far: float = 0.01,
    seed: int = 0,
    draws: int = DRAWS,
    device: torch.device | str = "cpu",
    backend: Backend | None = None,
    team: Team = ALONE,
) -> Verification:
    """Score every pair in one pass over the gallery and find the threshold for a false accept rate.

    Memory: as `evaluate`, and about 100 KiB for each person asked for.

    Args:
        scorer: one whose scores mean the same for every query.
        far: the false accept rate of the threshold.
        seed: of the halves of the people, and of the draws.
        draws: how often people are drawn again for the intervals.
        backend, team: see `evaluate`; the result does not depend on them, and is the same on every process.

    Raises:
        UserError: there are too few people, or too few impostor pairs for `far`; query and gallery do not fit each
            other; or a feature or score is NaN (names the first row).
    """
    check_shapes(query, gallery)
    population = Population.of(query.columns, gallery.columns, protocol, seed)
    population.require(far)
    place = torch.device(device)
    backend = backend or Backend.choose(place, query, gallery)
    owners, rows = (of[population.genuine] for of in (population.pairs.owners, population.pairs.rows))
    genuine = exact_scores(scorer, query, gallery, owners, rows, backend)
    grid = grid_of(scorer, query, gallery, population, genuine, max(far, FARS[0]), place, backend)
    found = impostors(scorer, query, gallery, population, grid, device=place, backend=backend, team=team)
    return _Measurement(population, grid, genuine, found, far).result(scorer.name, draws, seed)


class _Measurement:
    """All rates, for any draw of the people."""

    def __init__(self, population: Population, grid: Grid, genuine: Doubles, found: Impostors, far: float) -> None:
        self.population, self.far = population, far
        self.thresholds = np.append(grid.edges, np.inf)
        people = np.arange(len(population.pids))
        by_bin = np.zeros((len(people), grid.count + 1), dtype=np.int64)
        np.add.at(by_bin, (population.person[population.pairs.owners[population.genuine]], grid.bins(genuine)), 1)
        self.genuine, self.impostor = Tally.of(by_bin), Tally.of(found.counts.sum(axis=1))
        self.fars = tuple(sorted({far, *filter(population.enough, FARS)}, reverse=True))
        self.sides = (Side.of(population, genuine, found, 0), Side.of(population, genuine, found, 1))
        self.open_fars = tuple(rate for rate in OPEN_FARS if enough(self.sides, rate))
        within = Tally.of(found.counts[people, population.half])
        members = [population.half == half for half in (0, 1)]
        self.chosen = [int(lowest(within.rates(half[None].astype(np.float64)), far)[0]) for half in members]
        self.trials = [
            (within.at(threshold, others), self.genuine.at(threshold, others))
            for threshold, others in zip(self.chosen, reversed(members), strict=True)
        ]

    def rates(self, drawn: Doubles) -> dict[str, Doubles]:
        """Name → `(R,)`, for `(R, I)` how often each person counts."""
        far, tpr = self.impostor.rates(drawn), self.genuine.rates(drawn)
        reached = np.hstack([tpr, np.zeros((len(drawn), 1))])
        rates = {"eer": equal_error_rate(far, tpr)}
        for rate in self.fars:
            place = lowest(far, rate)
            rates[f"threshold at {rate}"] = self.thresholds[place]
            rates[f"tpr at {rate}"] = reached[np.arange(len(drawn)), place]
        for kind, tallies in zip(("far", "tpr"), zip(*self.trials, strict=True), strict=True):
            for half, tally in enumerate(tallies):
                rates[f"{kind} of trial {half}"] = tally.rates(drawn)[:, 0]
            rates[f"{kind} of trials"] = _together(*tallies).rates(drawn)[:, 0]
        for rate in self.open_fars:
            rates[f"rank-1 at {rate}"] = rank1(self.sides, rate, drawn)
        return rates

    def result(self, scorer: str, draws: int, seed: int) -> Verification:
        """With intervals from that many draws."""
        population = self.population
        parts = [self.rates(drawn) for drawn in population.drawn(draws, seed)]
        found = {name: Estimate.of(np.concatenate([part[name] for part in parts])) for name in parts[0]}
        everybody = np.ones((1, len(population.pids)))
        impostor, genuine = zip(*self.trials, strict=True)
        return Verification(
            protocol=population.protocol.name,
            scorer=scorer,
            far=self.far,
            threshold=found[f"threshold at {self.far}"],
            held_out=HeldOut(
                far=found["far of trials"],
                tpr=found["tpr of trials"],
                trials=tuple(
                    Trial(
                        threshold=float(self.thresholds[self.chosen[half]]),
                        far=found[f"far of trial {half}"],
                        tpr=found[f"tpr of trial {half}"],
                        genuine=int(genuine[half].pairs.sum()),
                        impostor=int(impostor[half].pairs.sum()),
                    )
                    for half in (0, 1)
                ),
            ),
            eer=found["eer"],
            points=tuple(Point(rate, found[f"tpr at {rate}"], found[f"threshold at {rate}"]) for rate in self.fars),
            open_set=tuple(
                OpenSet(
                    far=rate,
                    rank1=found[f"rank-1 at {rate}"],
                    above=tuple(float(side.above(rate, everybody)[0]) for side in self.sides),
                    known=sum(len(side.known) for side in self.sides),
                    unknown=sum(len(side.unknown) for side in self.sides),
                )
                for rate in self.open_fars
            ),
            open_set_problem=None if self.open_fars else shortage(self.sides, max(OPEN_FARS)),
            roc=Roc(self.thresholds[:-1], self.impostor.rates(everybody)[0], self.genuine.rates(everybody)[0]),
            resolution=float(self.thresholds[1] - self.thresholds[0]),
            people=len(population.pids),
            genuine=len(population.genuine),
            impostor=population.all_impostors,
            draws=draws,
            seed=seed,
        )


def _together(one: Tally, other: Tally) -> Tally:
    return Tally(one.passes + other.passes, one.pairs + other.pairs)
