"""What an evaluation says: numbers per query and per pair of cameras, and their summary."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from common.contracts import UNKNOWN
from common.errors import UserError
from retrieval.columns import Ints
from retrieval.protocols import Protocol
from retrieval.protocols.draws import Draws
from retrieval.ranking.ranks import Ranks

CMC_RANKS = (1, 5, 10, 20)

METRICS = ("mAP", "mAP_trap", "mINP", *(f"rank-{k}" for k in CMC_RANKS))
"""The names of `Scores.metrics`, unless other ranks are asked for."""


@dataclass(frozen=True, eq=False)
class PerQuery:
    """One entry per evaluated query, sorted by query row.

    Attributes:
        rows: `(n,)` int64 row in the query set.
        ap: `(n,)` float64 average precision, step sum.
        ap_trap: `(n,)` float64 average precision, trapezoid.
        inp: `(n,)` float64 inverse negative penalty: positives / rank of the hardest one.
        first_rank: `(n,)` int64 junk-free 1-based rank of the first positive.
        valid: `(n,)` bool: the query has a positive. Where it has none, the metrics are NaN and `first_rank` is 0.
    """

    rows: NDArray[np.int64]
    ap: NDArray[np.float64]
    ap_trap: NDArray[np.float64]
    inp: NDArray[np.float64]
    first_rank: NDArray[np.int64]
    valid: NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.rows)

    @classmethod
    def of(cls, rows: Ints, owners: Ints, ahead: Ints) -> PerQuery:
        """From the positives of the queries in `rows`: whose each is, and how many negatives come before it."""
        ranks = Ranks.of(len(rows), np.searchsorted(rows, owners), ahead)
        return cls(
            rows=rows,
            ap=ranks.average_precision(),
            ap_trap=ranks.trapezoid_precision(),
            inp=ranks.inverse_negative_penalty(),
            first_rank=ranks.first(),
            valid=ranks.counts > 0,
        )

    def cmc(self, rank: int) -> float:
        """The share of the valid queries with a positive among their first `rank`; NaN when none is valid."""
        first = self.first_rank[self.valid]
        return float((first <= rank).mean()) if first.size else float("nan")


@dataclass(frozen=True, eq=False)
class CameraTable:
    """Results by the camera of the query (a line) and of the positives (a column); NaN where there is no such query.

    Attributes:
        asked, found: the camera numbers of lines and columns, ascending.
        queries: how many valid queries each is of.
        mAP, rank1: fractions.
    """

    asked: Ints
    found: Ints
    queries: Ints
    mAP: NDArray[np.float64]
    rank1: NDArray[np.float64]

    @classmethod
    def of(cls, camids: Ints, results: Mapping[int, PerQuery]) -> CameraTable:
        """From the queries' cameras and, for each camera of the gallery, the results of searching its positives."""
        found = np.array(sorted(results), dtype=np.int64)
        asked = np.unique(np.concatenate([np.empty(0, dtype=np.int64), *(camids[of.rows] for of in results.values())]))
        queries = np.zeros((len(asked), len(found)), dtype=np.int64)
        precision, first = np.full(queries.shape, np.nan), np.full(queries.shape, np.nan)
        for column, camera in enumerate(found):
            result = results[int(camera)]
            for line, other in enumerate(asked):
                mine = result.valid & (camids[result.rows] == other)
                if mine.any():
                    queries[line, column] = mine.sum()
                    precision[line, column] = result.ap[mine].mean()
                    first[line, column] = (result.first_rank[mine] <= 1).mean()
        return cls(asked, found, queries, precision, first)

    def as_dict(self) -> dict[str, Any]:
        """Ready for JSON; what is NaN here is null there."""

        def plain(values: NDArray[np.float64]) -> list[list[float | None]]:
            return [[None if np.isnan(value) else float(value) for value in line] for line in values]

        return {
            "query_cameras": self.asked.tolist(),
            "gallery_cameras": self.found.tolist(),
            "queries": self.queries.tolist(),
            "mAP": plain(self.mAP),
            "rank-1": plain(self.rank1),
        }

    def table(self) -> str:
        """mAP / rank-1 in per cent, a line per camera of the query."""
        head = "query \\ gallery".ljust(16) + "".join(f"{_named(camera):>16}" for camera in self.found)
        lines = [head]
        for line, camera in enumerate(self.asked):
            cells = [
                "–" if np.isnan(precision) else f"{100 * precision:.1f} / {100 * first:.1f}"
                for precision, first in zip(self.mAP[line], self.rank1[line], strict=True)
            ]
            lines.append(_named(camera).ljust(16) + "".join(f"{cell:>16}" for cell in cells))
        return "\n".join(["mAP / rank-1 by camera, in %", *lines])


def _named(camera: int) -> str:
    return "no camera known" if camera == UNKNOWN else f"camera {camera}"


@dataclass(frozen=True)
class Scores:
    """The summary of an evaluation; every metric is a fraction in [0, 1].

    Attributes:
        mAP: mean average precision, step sum (what most papers print).
        mAP_trap: the same with trapezoids (the original Market-1501 and CAIL code); about a point lower.
        mINP: mean inverse negative penalty (Ye et al., "Deep Learning for Person Re-identification").
        cmc: k → the share of valid queries with a positive among the first k.
        queries, valid_queries: how many were asked, and how many of these have a positive; means are over the latter.
        gallery: gallery rows, junk included.
        protocol, scorer, rerank, expand: how it was measured.
        draws: how the galleries were drawn of which this is the mean; None for one whole gallery.
        deviation: each metric's sample standard deviation (n − 1) over the draws, where there were any.
    """

    mAP: float
    mAP_trap: float
    mINP: float
    cmc: dict[int, float]
    queries: int
    valid_queries: int
    gallery: int
    protocol: str
    scorer: str
    rerank: bool
    expand: str | None = None
    draws: Draws | None = None
    deviation: Mapping[str, float] | None = None

    def metrics(self) -> dict[str, float]:
        """Name → fraction: mAP, mAP_trap, mINP, rank-1, rank-5, …"""
        ranks = {f"rank-{k}": share for k, share in self.cmc.items()}
        return {"mAP": self.mAP, "mAP_trap": self.mAP_trap, "mINP": self.mINP, **ranks}

    def as_dict(self) -> dict[str, float | int | str | bool | None]:
        """Ready for JSON: the metrics, then what they were measured on and how."""
        drawn: dict[str, float | int] = {}
        if self.draws is not None and self.deviation is not None:
            drawn = {"draws": self.draws.count, "seed": self.draws.seed}
            drawn |= {f"{name}_std": value for name, value in self.deviation.items()}
        return {
            **self.metrics(),
            "queries": self.queries,
            "valid_queries": self.valid_queries,
            "gallery": self.gallery,
            "protocol": self.protocol,
            "scorer": self.scorer,
            "rerank": self.rerank,
            "expand": self.expand,
            **drawn,
        }

    def table(self) -> str:
        """Lines of numbers in per cent, under a line that says how they were measured."""
        metrics = self.metrics()
        expanded = f"expansion {self.expand}, " if self.expand else ""
        again = "with" if self.rerank else "no"
        how = f"protocol {self.protocol}, {self.scorer} scores, {expanded}{again} re-ranking"
        counted = f"{self.valid_queries} of {self.queries} queries count, gallery {self.gallery}"
        names = "  ".join(f"{name:>8}" for name in metrics)
        values = "  ".join(f"{100 * value:8.2f}" for value in metrics.values())
        if self.draws is None or self.deviation is None:
            return f"{how}; {counted}; in %\n{names}\n{values}"
        drawn = f"mean of {self.draws.count} galleries drawn with seed {self.draws.seed}"
        spread = "  ".join(f"{100 * value:8.2f}" for value in self.deviation.values())
        return f"{how}; {counted}; {drawn}; in %\n{names}\n{values}\n{spread}  standard deviation over the draws"


def nothing_to_find(queries: int, gallery: int, protocol: Protocol) -> str:
    """The sentence for a protocol under which no query has a positive."""
    return (
        f"none of the {queries} queries has a positive among the {gallery} gallery rows under the protocol "
        f"'{protocol.name}': {protocol.hint}"
    )


def summarise(
    per_query: PerQuery,
    *,
    gallery: int,
    protocol: Protocol,
    scorer: str,
    rerank: bool = False,
    expand: str | None = None,
    ranks: Sequence[int] = CMC_RANKS,
) -> Scores:
    """The means over all queries that have a positive.

    Args:
        gallery: how many rows the gallery has.
        protocol, scorer, rerank, expand: how `per_query` was made.
        ranks: where to read the cumulative match curve; any are allowed, those beyond the gallery too.

    Raises:
        UserError: no query has a positive, so there is nothing to average.
    """
    valid = per_query.valid
    if not valid.any():
        raise UserError(nothing_to_find(len(per_query), gallery, protocol))
    return Scores(
        mAP=float(per_query.ap[valid].mean()),
        mAP_trap=float(per_query.ap_trap[valid].mean()),
        mINP=float(per_query.inp[valid].mean()),
        cmc={rank: per_query.cmc(rank) for rank in ranks},
        queries=len(per_query),
        valid_queries=int(valid.sum()),
        gallery=gallery,
        protocol=protocol.name,
        scorer=scorer,
        rerank=rerank,
        expand=expand,
    )


def over_draws(scores: Sequence[Scores], draws: Draws) -> Scores:
    """The means over drawn galleries, and their standard deviations; of queries and pictures the fewest are told."""
    table = np.array([list(one.metrics().values()) for one in scores])
    names = list(scores[0].metrics())
    mean = dict(zip(names, table.mean(axis=0).tolist(), strict=True))
    deviation = dict(zip(names, table.std(axis=0, ddof=1).tolist(), strict=True))
    return replace(
        scores[0],
        **{name: mean[name] for name in ("mAP", "mAP_trap", "mINP")},
        cmc={rank: mean[f"rank-{rank}"] for rank in scores[0].cmc},
        valid_queries=min(one.valid_queries for one in scores),
        gallery=min(one.gallery for one in scores),
        draws=draws,
        deviation=deviation,
    )
