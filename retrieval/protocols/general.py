"""Protocols that are of no single dataset."""

from __future__ import annotations

from retrieval.protocols.protocol import Protocol
from retrieval.protocols.rules import OTHER_CAMERA, OTHER_OUTFIT, SAME_OUTFIT

_CLOTHES = (
    "it needs to know the clothes in every picture, and people whom another camera saw in such clothes; "
    "without them use 'market'"
)

MARKET = Protocol(
    "market",
    "the same person from another camera; pictures of that person from the query's own camera are left out",
    good=OTHER_CAMERA,
    hint="check that query and gallery share identities, and if all pictures come from one camera "
    "(or the camera numbers mean nothing) use the protocol 'no-camera'",
    datasets=("market", "duke", "msmt", "street"),
)
NO_CAMERA = Protocol("no-camera", "the same person from any camera; for data that has one camera or does not name them")
STANDARD = MARKET.called(
    "standard",
    "what papers on changed clothes print as standard or general: all clothes count",
    datasets=("ltcc", "vcclothes", "street-clothes"),
)
CLOTH_CHANGING = Protocol(
    "cloth-changing",
    "the same person in other clothes from another camera; that person's other pictures are left out, those from the "
    "query's own camera too, as CAL and AIM do it",
    good=OTHER_CAMERA & OTHER_OUTFIT,
    hint=_CLOTHES,
    datasets=("ltcc", "prcc", "vcclothes", "street-clothes", "street-pose"),
    instead=MARKET,
)
SAME_CLOTHES = Protocol(
    "same-clothes",
    "the same person in the same clothes from another camera; that person's other pictures are left out",
    good=OTHER_CAMERA & SAME_OUTFIT,
    hint=_CLOTHES,
    datasets=("ltcc", "prcc", "vcclothes", "street-clothes"),
    instead=MARKET,
)
