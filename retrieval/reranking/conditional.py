"""The first places of the hardest queries ranked anew, by how alike two pictures are given each other.

A network that looks at two pictures at once is too slow for all of Q×G. So a ranking by single pictures comes first,
and of the queries whose best picture is least like them, a share, the first k are put in order by

    D = (1 − λ) ‖q̂ − ĝ‖ + λ D_cond(q, g)

with unit vectors q̂, ĝ. All else stays: these k come before what came after them, and the other queries' order is as it
was. Equal D are in the order of the first ranking, so that λ = 0 changes nothing.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from common.errors import UserError
from retrieval.columns import Features, Ints
from retrieval.neighbours.search import neighbours
from retrieval.scorers import Rescored, Scorer
from retrieval.streaming.exact import Doubles
from retrieval.streaming.stream import ALONE, Backend, Team

Pairs = Callable[[Ints, Ints], Doubles]
"""From n query rows and n gallery rows to the `(n,)` conditional distances of these pairs, in [0, 2].

On several processes all ask for the same pairs and get the same distances.
"""


@dataclass(frozen=True)
class Conditional:
    """What is re-scored, and how much it counts.

    Attributes:
        k: places of a query that are ranked anew.
        lam: λ, the share of the conditional distance.
        hardest: the share of the queries that it is done for, above 0; rounded up.
    """

    k: int = 50
    lam: float = 0.5
    hardest: float = 0.1

    def check(self) -> None:
        """Raise `UserError` for what cannot be asked."""
        if self.k < 1 or not 0 <= self.lam <= 1 or not 0 < self.hardest <= 1:
            raise UserError(
                f"conditional scoring by {self}: k is a whole number from 1 on, lambda a share from 0 to 1, and the"
                " share of the hardest queries above 0 and up to 1, such as 50,0.5,0.1"
            )

    def as_dict(self) -> dict[str, Any]:
        """Ready for JSON."""
        return {"k": self.k, "lambda": self.lam, "hardest": self.hardest}

    def __str__(self) -> str:
        return f"{self.k},{self.lam:g},{self.hardest:g}"


def rescored(
    scorer: Scorer,
    query: Features,
    gallery: Features,
    pairs: Pairs,
    how: Conditional,
    *,
    leave_out: tuple[Ints, Ints] | None = None,
    device: torch.device | str = "cpu",
    backend: Backend | None = None,
    team: Team = ALONE,
) -> Scorer:
    """What ranks this gallery for these queries as above.

    Args:
        scorer: the cosine.
        leave_out: `(n,)` query rows and `(n,)` gallery rows of pairs that are not ranked, a protocol's junk: they take
            none of the k places, and say nothing of how hard a query is.

    Raises:
        UserError: see `neighbours`; or a conditional distance is NaN.
    """
    host = Backend.on_host(device, backend, query, gallery)
    places = max(1, min(how.k, len(gallery)))
    found = neighbours(
        scorer, query, gallery, places, device=device, backend=backend, team=team, leave_out=leave_out
    ).rows
    line, place = np.nonzero(found >= 0)
    cosines = np.full(found.shape, -np.inf)
    cosines[line, place] = scorer.pairs(query, gallery, line, found[line, place], fast=host.fast)
    hard = _hardest(cosines.max(axis=1, initial=-np.inf), how.hardest)
    rows = np.where(hard[:, None], found, -1)
    line, place = np.nonzero(rows >= 0)
    if not len(line):
        return scorer
    given = pairs(line, rows[line, place])
    if np.isnan(given).any():
        raise UserError(
            f"the conditional distance is NaN for query row {line[np.isnan(given).argmax()]}: the network's maps hold"
            " NaN or numbers beyond half precision; train it anew or leave --conditional out"
        )
    alone = np.sqrt(np.maximum(2 - 2 * cosines[line, place], 0))
    distances = np.full(rows.shape, np.inf)
    distances[line, place] = (1 - how.lam) * alone + how.lam * given
    order = np.argsort(distances, axis=1, kind="stable")
    after = np.empty(order.shape, dtype=np.float32)
    np.put_along_axis(after, order, np.arange(order.shape[1], dtype=np.float32)[None], axis=1)
    return Rescored(scorer, rows, -after)


def _hardest(best: Doubles, share: float) -> np.ndarray[Any, np.dtype[np.bool_]]:
    """`(Q,)`: the share of the queries whose best picture is least like them; none that has no picture at all."""
    there = np.flatnonzero(best > -np.inf)
    count = max(1, math.ceil(round(share * len(there), 6)))  # 0.07 · 100 is a little more than 7
    mask = np.zeros(len(best), dtype=bool)
    mask[there[np.argsort(best[there], kind="stable")[:count]]] = True
    return mask
