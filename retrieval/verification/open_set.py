"""The open set: half of the people who are asked for are not in the gallery, and shall not be found there.

One half of the people asked for is known, the other unknown: its pictures are taken out of the gallery. A threshold on
the best score lets a share of the unknown people's queries pass, and that share is the false accept rate. *Rank-1 at
FAR* (the detection and identification rate at rank 1; Phillips, Grother and Micheals, "Evaluation Methods in Face
Recognition", 2011) is the share of the known people's queries whose best picture is of them and passes too. Both halves
take both parts in turn, each with a threshold of its own, and the rate is of all queries together.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from retrieval.columns import Ints
from retrieval.protocols import Mask
from retrieval.streaming.exact import Doubles
from retrieval.verification.estimates import Estimate, plain
from retrieval.verification.impostors import Impostors
from retrieval.verification.population import ENOUGH, Population


@dataclass(frozen=True)
class OpenSet:
    """Rank-1 at one false accept rate.

    Attributes:
        far: the share of unknown people's queries that may pass.
        rank1: the share of known people's queries whose best picture is right and passes.
        above: what the best score must be above, with the first and with the second half known.
        known, unknown: how many queries were asked in these parts, both times together.
    """

    far: float
    rank1: Estimate
    above: tuple[float, ...]
    known: int
    unknown: int

    def as_dict(self) -> dict[str, Any]:
        """Ready for JSON."""
        return {
            "far": self.far,
            "rank-1": self.rank1.as_dict(),
            "above": [plain(score) for score in self.above],
            "known_queries": self.known,
            "unknown_queries": self.unknown,
        }


@dataclass(frozen=True, eq=False)
class Side:
    """One half known, the other unknown.

    Attributes:
        known: `(k,)` the person of each known query that has a genuine pair.
        right: `(k,)` whether its best picture is the right one.
        best: `(k,)` the score of its best genuine pair.
        unknown: `(u,)` the person of each unknown query, by falling score.
        nearest: `(u,)` that score: the highest there is.
    """

    known: Ints
    right: Mask
    best: Doubles
    unknown: Ints
    nearest: Doubles

    @classmethod
    def of(cls, population: Population, genuine: Doubles, found: Impostors, half: int) -> Side:
        """The half of that number known.

        Args:
            genuine: the scores of `population.genuine`.
        """
        part = np.where(population.person >= 0, population.half[population.person], -1)
        # The gallery that is left: the known half, and everybody who is not asked for.
        scores, rows = found.nearest[:, [half, 2]], found.rows[:, [half, 2]]
        first = np.lexsort((rows, -scores), axis=1)[:, :1]
        nearest: Doubles = np.take_along_axis(scores, first, axis=1)[:, 0]
        nearest_row: Ints = np.take_along_axis(rows, first, axis=1)[:, 0]

        owners, own_rows = (of[population.genuine] for of in (population.pairs.owners, population.pairs.rows))
        order = np.lexsort((own_rows, -genuine, owners))
        queries, place = np.unique(owners[order], return_index=True)
        place = order[place][part[queries] == half]
        queries, best, best_row = owners[place], genuine[place], own_rows[place]
        right = (best > nearest[queries]) | ((best == nearest[queries]) & (best_row < nearest_row[queries]))

        strangers = np.flatnonzero(part == 1 - half)
        strangers = strangers[np.argsort(-nearest[strangers], kind="stable")]
        return cls(population.person[queries], right, best, population.person[strangers], nearest[strangers])

    def above(self, far: float, drawn: Doubles) -> Doubles:
        """`(R,)` the least of the unknown queries' scores such that the share above it is not above `far`."""
        weights = drawn[:, self.unknown]
        higher = np.cumsum(weights, axis=1) - weights  # equal scores have one threshold: that of the first counts
        allowed = (higher / weights.sum(axis=1, keepdims=True) <= far).sum(axis=1)
        scores: Doubles = self.nearest[allowed - 1]
        return scores

    def hits(self, above: Doubles, drawn: Doubles) -> Doubles:
        """`(R,)` how many known queries are answered rightly, with a score above the threshold."""
        counted: Doubles = (drawn[:, self.known] * (self.right & (self.best > above[:, None]))).sum(axis=1)
        return counted


def enough(sides: tuple[Side, Side], far: float) -> bool:
    """Whether there are unknown queries enough to tell a rate as low as this."""
    return _fewest(sides) >= ENOUGH / far


def shortage(sides: tuple[Side, Side], far: float) -> str:
    """What to say where there are not."""
    return (
        f"not told, since a false accept rate of {100 * far:g} % needs {math.ceil(ENOUGH / far):,} queries of people "
        f"taken as unknown, and there are {_fewest(sides):,}"
    )


def rank1(sides: tuple[Side, Side], far: float, drawn: Doubles) -> Doubles:
    """`(R,)` rank-1 at that false accept rate.

    Args:
        drawn: `(R, I)` how often each person counts.
    """
    hits = sum(side.hits(side.above(far, drawn), drawn) for side in sides)
    asked = sum(drawn[:, side.known].sum(axis=1) for side in sides)
    rates: Doubles = hits / asked
    return rates


def _fewest(sides: tuple[Side, Side]) -> int:
    """Unknown queries of the half that has less of them."""
    return min(len(side.unknown) for side in sides)
