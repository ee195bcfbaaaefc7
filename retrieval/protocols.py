"""Which gallery pictures count for a query: a protocol is a handful of rules over labels, and has a name.

For one query, a gallery picture is

- not there, for any query, when the protocol does not show it (a detector's mistake, a camera that is left out);
- a positive, when it is of the query's own person and *good*;
- junk, taken out of the ranking before anything is counted, when it is of that person and not good;
- a negative, when it is of somebody else.

That is how every protocol of the field is made, and it is what lets one pass over the scores serve any number of them:
the negatives are the same for all.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from common.contracts import UNKNOWN
from common.errors import unknown_name
from retrieval.columns import Columns

Mask = NDArray[np.bool_]
Choice = Callable[[Columns], Mask]
"""From N rows to `(N,)` bool."""
Rule = Callable[[Columns, Columns], Mask]
"""From n query rows and n gallery rows, of the same person pair by pair, to `(n,)` bool."""


def everyone(columns: Columns) -> Mask:
    """`(N,)`: all of them."""
    return np.ones(len(columns), dtype=bool)


def somebody(columns: Columns) -> Mask:
    """`(N,)`: pictures of a known person; pid −1 marks background and bad detections."""
    mask: Mask = columns.pids != UNKNOWN
    return mask


def all_of_them(query: Columns, gallery: Columns) -> Mask:
    """`(n,)`: any picture of the same person."""
    return np.ones(len(query), dtype=bool)


def same_camera(query: Columns, gallery: Columns) -> Mask:
    """`(n,)`: the same camera, and it is known. An unknown camera equals no other, not even an unknown one."""
    mask: Mask = (query.camids == gallery.camids) & (query.camids != UNKNOWN)
    return mask


def same_clothes(query: Columns, gallery: Columns) -> Mask:
    """`(n,)`: the same outfit, and it is known."""
    mask: Mask = (query.clothes == gallery.clothes) & (query.clothes != UNKNOWN)
    return mask


def other_clothes(query: Columns, gallery: Columns) -> Mask:
    """`(n,)`: another outfit; both are known."""
    mask: Mask = (query.clothes != gallery.clothes) & (query.clothes != UNKNOWN) & (gallery.clothes != UNKNOWN)
    return mask


@dataclass(frozen=True)
class Protocol:
    """A named way of judging a ranking.

    Attributes:
        name: what a user types, and what results are labelled with.
        explanation: one sentence for a listing.
        good: which pictures of the query's own person are to be found; the others are junk.
        shown: which gallery pictures there are.
        asked: which queries there are.
        hint: what to look at when no query has a positive.
    """

    name: str
    explanation: str
    good: Rule = all_of_them
    shown: Choice = somebody
    asked: Choice = everyone
    hint: str = "check that query and gallery share identities"


def _other_camera(query: Columns, gallery: Columns) -> Mask:
    return ~same_camera(query, gallery)


def _other_camera_and_clothes(query: Columns, gallery: Columns) -> Mask:
    return ~same_camera(query, gallery) & other_clothes(query, gallery)


def _other_camera_same_clothes(query: Columns, gallery: Columns) -> Mask:
    return ~same_camera(query, gallery) & same_clothes(query, gallery)


_CLOTHES = (
    "it needs to know the clothes in every picture, and people whom another camera saw in such clothes; "
    "without them use 'market'"
)

PROTOCOLS: dict[str, Protocol] = {
    protocol.name: protocol
    for protocol in (
        Protocol(
            "market",
            "the same person from another camera; pictures of that person from the query's own camera are left out",
            good=_other_camera,
            hint="check that query and gallery share identities, and if all pictures come from one camera "
            "(or the camera numbers mean nothing) use the protocol 'no-camera'",
        ),
        Protocol(
            "no-camera",
            "the same person from any camera; for data that has one camera or does not name them",
        ),
        Protocol(
            "cloth-changing",
            "the same person in other clothes from another camera; that person's other pictures are left out",
            good=_other_camera_and_clothes,
            hint=_CLOTHES,
        ),
        Protocol(
            "same-clothes",
            "the same person in the same clothes from another camera; that person's other pictures are left out",
            good=_other_camera_same_clothes,
            hint=_CLOTHES,
        ),
    )
}


def protocol(name: str) -> Protocol:
    """The protocol of that name; raises `UserError` with the closest name otherwise."""
    try:
        return PROTOCOLS[name]
    except KeyError:
        raise unknown_name("protocol", name, PROTOCOLS) from None
