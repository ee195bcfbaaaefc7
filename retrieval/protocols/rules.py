"""What protocols are made of: rules over labels, each with the words for it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from common.contracts import UNKNOWN
from retrieval.columns import Columns, Ints

Mask = NDArray[np.bool_]

CAMERAS, CLOTHES = "camid", "clothes"
"""The columns that rules look at, beside the identities, as tables name them."""


def values_of(columns: Columns, name: str) -> Ints:
    """`(N,)` a column by its name."""
    return {CAMERAS: columns.camids, CLOTHES: columns.clothes}[name]


@dataclass(frozen=True)
class Choice:
    """Which rows take part.

    Attributes:
        words: to be read after "queries" or "gallery pictures"; empty for all.
        holds: from N rows to `(N,)` bool.
        column: what it looks at, where that can be wanting.
    """

    words: str
    holds: Callable[[Columns], Mask]
    column: str | None = None

    def __call__(self, columns: Columns) -> Mask:
        """`(N,)`."""
        return self.holds(columns)

    def __and__(self, other: Choice) -> Choice:
        """What both take."""
        words = " ".join(filter(None, (self.words, other.words)))
        return Choice(words, lambda columns: self.holds(columns) & other.holds(columns), self.column or other.column)


@dataclass(frozen=True)
class Rule:
    """Which pictures of the query's own person are to be found; that person's other pictures are junk.

    Attributes:
        good, junk: to be read after "pictures of that person"; empty where these are all, or none.
        holds: from n query rows and n gallery rows, of the same person pair by pair, to `(n,)` bool.
        uses: the columns that it looks at.
        needs: those without which nothing is good.
    """

    good: str
    junk: str
    holds: Callable[[Columns, Columns], Mask]
    uses: tuple[str, ...] = ()
    needs: tuple[str, ...] = ()

    def __call__(self, query: Columns, gallery: Columns) -> Mask:
        """`(n,)`."""
        return self.holds(query, gallery)

    def __and__(self, other: Rule) -> Rule:
        """Good is what both have as good; junk is what either has as junk."""
        return Rule(
            good=f"{self.good} {other.good}",
            junk=f"{self.junk} or {other.junk}",
            holds=lambda query, gallery: self.holds(query, gallery) & other.holds(query, gallery),
            uses=(*self.uses, *other.uses),
            needs=(*self.needs, *other.needs),
        )


def _known(columns: Columns) -> Mask:
    mask: Mask = columns.pids != UNKNOWN
    return mask


def _same_camera(query: Columns, gallery: Columns) -> Mask:
    """An unknown camera equals no other, not even an unknown one."""
    mask: Mask = (query.camids == gallery.camids) & (query.camids != UNKNOWN)
    return mask


def _same_clothes(query: Columns, gallery: Columns) -> Mask:
    mask: Mask = (query.clothes == gallery.clothes) & (query.clothes != UNKNOWN)
    return mask


def _other_clothes(query: Columns, gallery: Columns) -> Mask:
    mask: Mask = (query.clothes != gallery.clothes) & (query.clothes != UNKNOWN) & (gallery.clothes != UNKNOWN)
    return mask


EVERYONE = Choice("", lambda columns: np.ones(len(columns), dtype=bool))
SOMEBODY = Choice("", _known)
"""Pictures of a known person; pid −1 marks background and bad detections."""


def of_cameras(cameras: Mapping[int, str]) -> Choice:
    """Pictures of some cameras, given by their numbers and by what the dataset's authors call them."""
    numbers, names = ", ".join(map(str, cameras)), ", ".join(cameras.values())

    def holds(columns: Columns) -> Mask:
        return np.isin(columns.camids, list(cameras))

    return Choice(f"of camera{'s' * (len(cameras) > 1)} {numbers} ({names})", holds, CAMERAS)


ANY = Rule("", "", lambda query, gallery: np.ones(len(query), dtype=bool))
OTHER_CAMERA = Rule(
    good="from another camera",
    junk="from the query's camera",
    holds=lambda query, gallery: ~_same_camera(query, gallery),
    uses=(CAMERAS,),
)
OTHER_OUTFIT = Rule(
    good="in other clothes",
    junk="in its clothes or unknown ones",
    holds=_other_clothes,
    uses=(CLOTHES,),
    needs=(CLOTHES,),
)
SAME_OUTFIT = Rule(
    good="in the same clothes",
    junk="in other clothes or unknown ones",
    holds=_same_clothes,
    uses=(CLOTHES,),
    needs=(CLOTHES,),
)
