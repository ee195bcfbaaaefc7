"""What an evaluation says: numbers per query, which processes can put together, and their summary."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from common.errors import UserError

CMC_RANKS = (1, 5, 10, 20)

METRICS = ("mAP", "mAP_trap", "mINP", *(f"rank-{k}" for k in CMC_RANKS))
"""The names of `Scores.metrics`."""


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

    def to_array(self) -> NDArray[np.float64]:
        """`(n, 6)` float64 without loss, the form in which processes exchange it."""
        return np.stack([self.rows, self.ap, self.ap_trap, self.inp, self.first_rank, self.valid], axis=1).astype(
            np.float64
        )

    @classmethod
    def from_array(cls, array: NDArray[np.float64]) -> PerQuery:
        """The inverse of `to_array`; several arrays may have been concatenated, and the rows are put in order.

        Raises:
            ValueError: a query row is there twice, which would give it double weight.
        """
        rows = array[:, 0].astype(np.int64)
        order = np.argsort(rows, kind="stable")
        rows = rows[order]
        twice = rows[1:][rows[1:] == rows[:-1]]
        if twice.size:
            raise ValueError(f"query row {twice[0]} was evaluated twice")
        _, ap, ap_trap, inp, first, valid = array[order].T.copy()
        return cls(rows, ap, ap_trap, inp, first.astype(np.int64), valid.astype(bool))

    @classmethod
    def merge(cls, pieces: Iterable[PerQuery]) -> PerQuery:
        """The pieces of several processes as one, whatever their order. Raises as `from_array` does."""
        return cls.from_array(np.concatenate([piece.to_array() for piece in pieces]))


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
        protocol, scorer, rerank: how it was measured.
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

    def metrics(self) -> dict[str, float]:
        """Name → fraction: mAP, mAP_trap, mINP, rank-1, rank-5, …"""
        ranks = {f"rank-{k}": share for k, share in self.cmc.items()}
        return {"mAP": self.mAP, "mAP_trap": self.mAP_trap, "mINP": self.mINP, **ranks}

    def as_dict(self) -> dict[str, float | int | str | bool]:
        """Ready for JSON: the metrics, then what they were measured on and how."""
        return {
            **self.metrics(),
            "queries": self.queries,
            "valid_queries": self.valid_queries,
            "gallery": self.gallery,
            "protocol": self.protocol,
            "scorer": self.scorer,
            "rerank": self.rerank,
        }

    def table(self) -> str:
        """Two lines of numbers in per cent, under a line that says how they were measured."""
        metrics = self.metrics()
        how = f"protocol {self.protocol}, {self.scorer} scores, {'with' if self.rerank else 'no'} re-ranking"
        counted = f"{self.valid_queries} of {self.queries} queries count, gallery {self.gallery}"
        names = "  ".join(f"{name:>8}" for name in metrics)
        values = "  ".join(f"{100 * value:8.2f}" for value in metrics.values())
        return f"{how}; {counted}; in %\n{names}\n{values}"


def summarise(per_query: PerQuery, *, gallery: int, protocol: str, scorer: str, rerank: bool = False) -> Scores:
    """The means over all queries that have a positive.

    Args:
        gallery: how many rows the gallery has.
        protocol, scorer, rerank: how `per_query` was made.

    Raises:
        UserError: no query has a positive, so there is nothing to average.
    """
    valid = per_query.valid
    if not valid.any():
        raise UserError(
            f"none of the {len(per_query)} queries has a positive among the {gallery} gallery rows under the protocol "
            f"'{protocol}': check that query and gallery share identities, and if all pictures come from one camera "
            "(or the camera numbers mean nothing) use the protocol 'no-camera'"
        )
    first = per_query.first_rank[valid]
    return Scores(
        mAP=float(per_query.ap[valid].mean()),
        mAP_trap=float(per_query.ap_trap[valid].mean()),
        mINP=float(per_query.inp[valid].mean()),
        cmc={k: float((first <= k).mean()) for k in CMC_RANKS},
        queries=len(per_query),
        valid_queries=int(valid.sum()),
        gallery=gallery,
        protocol=protocol,
        scorer=scorer,
        rerank=rerank,
    )
