"""The ways of comparing two pictures, by name."""

from __future__ import annotations

from collections.abc import Callable

from common.errors import unknown_name
from retrieval.scorers.given import Precomputed, Rescored
from retrieval.scorers.parts import VisibleParts
from retrieval.scorers.scorer import Linear, Scorer
from retrieval.scorers.vectors import Cosine, Euclidean

__all__ = ["SCORERS", "Cosine", "Euclidean", "Linear", "Precomputed", "Rescored", "Scorer", "VisibleParts", "scorer"]

SCORERS: dict[str, Callable[[], Scorer]] = {
    "cosine": Cosine,
    "euclidean": Euclidean,
    "visible-parts": VisibleParts,
    "visible-parts-sum": lambda: VisibleParts(normalised=False),
}


def scorer(name: str) -> Scorer:
    """The scorer of that name; raises `UserError` with the closest name otherwise."""
    try:
        return SCORERS[name]()
    except KeyError:
        raise unknown_name("scorer", name, SCORERS) from None
