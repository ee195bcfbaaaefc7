"""Which gallery pictures count for a query: a protocol is a rule for *good* and a rule for *junk*, and has a name.

A good item is a positive. A junk item is taken out of the ranking before anything is counted, and an item that is
both is junk. All others are negatives. The rules look at labels only, one block of queries at a time.
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
Rule = Callable[[Columns, Columns], Mask]
"""From q query rows and G gallery rows to `(q, G)` bool."""


@dataclass(frozen=True)
class Protocol:
    """A named way of judging a ranking.

    Attributes:
        name: what a user types, and what results are labelled with.
        explanation: one sentence for a listing.
        good, junk: the two rules, each from (query columns, gallery columns) to `(q, G)` bool.
    """

    name: str
    explanation: str
    good: Rule
    junk: Rule


def same_pid(query: Columns, gallery: Columns) -> Mask:
    """`(q, G)`: the same identity (an unknown one, −1, is like any other here; `distractor` takes it out)."""
    mask: Mask = query.pids[:, None] == gallery.pids[None, :]
    return mask


def same_camera(query: Columns, gallery: Columns) -> Mask:
    """`(q, G)`: the same camera, and it is known. An unknown camera equals no other, not even an unknown one."""
    mask: Mask = query.camids[:, None] == gallery.camids[None, :]
    mask[query.camids == UNKNOWN] = False
    return mask


def distractor(query: Columns, gallery: Columns) -> Mask:
    """`(q, G)`, read-only: gallery items of nobody (pid −1): background and bad detections."""
    return np.broadcast_to(gallery.pids == UNKNOWN, (len(query), len(gallery)))


def _other_camera(query: Columns, gallery: Columns) -> Mask:
    return same_pid(query, gallery) & ~same_camera(query, gallery)


def _seen_by_this_camera(query: Columns, gallery: Columns) -> Mask:
    return same_pid(query, gallery) & same_camera(query, gallery) | distractor(query, gallery)


PROTOCOLS: dict[str, Protocol] = {
    protocol.name: protocol
    for protocol in (
        Protocol(
            "market",
            "the same person from another camera; pictures of that person from the query's own camera are left out",
            good=_other_camera,
            junk=_seen_by_this_camera,
        ),
        Protocol(
            "no-camera",
            "the same person from any camera; for data that has one camera or does not name them",
            good=same_pid,
            junk=distractor,
        ),
    )
}


def protocol(name: str) -> Protocol:
    """The protocol of that name; raises `UserError` with the closest name otherwise."""
    try:
        return PROTOCOLS[name]
    except KeyError:
        raise unknown_name("protocol", name, PROTOCOLS) from None
