"""Exact evaluation: each positive's rank is counted in one pass over the scores, without a Q×G array or a sorted row.

    per_query = evaluate(Cosine(), query, gallery, protocol("market"))
    print(summarise(per_query, gallery=len(gallery), protocol=protocol("market"), scorer="cosine").table())

First the scores of the positives alone are computed; they are the thresholds. Then the gallery passes by once, and for
every positive the pictures of *other* people that score higher are counted. A positive's rank is one more than that,
plus the positives before it; which of a person's own pictures are positives or junk is a matter of labels alone. So one
pass serves every protocol and every pair of cameras (`retrieval.ranking.positions.positions`).

**Order.** Higher scores come first, equal scores in the order of the gallery. The scores meant are the exact ones
(`Scorer.pairs`): wherever float32 cannot tell two of them apart, float64 decides. The ranks are therefore the same for
any tile size, number of threads or processes, matrix library and device.
"""

from __future__ import annotations

import torch

from retrieval.columns import Features
from retrieval.protocols import Protocol
from retrieval.ranking.positions import positions
from retrieval.ranking.results import PerQuery, Scores, summarise
from retrieval.scorers import Scorer
from retrieval.streaming.stream import ALONE, Backend, Team

__all__ = ["PerQuery", "Scores", "evaluate", "summarise"]


def evaluate(
    scorer: Scorer,
    query: Features,
    gallery: Features,
    protocol: Protocol,
    *,
    device: torch.device | str = "cpu",
    backend: Backend | None = None,
    team: Team = ALONE,
) -> PerQuery:
    """Rank the gallery for every query and judge the ranking.

    Memory: the queries, a few blocks of the gallery (which may be memory-mapped) and what is counted per positive.

    Args:
        backend: what computes; the fastest by default. The results do not depend on it.
        team: the processes that work on this together.

    Returns:
        One entry per query that the protocol asks, the same on every process.

    Raises:
        UserError: query and gallery do not fit each other, or a feature or score is NaN (names the first row).
    """
    found = positions(scorer, query, gallery, [protocol], device=device, backend=backend, team=team)
    return found.judge(protocol.name)
