"""Every protocol by its name; `docs/protocols.md` lists them, and `python3 -m retrieval.protocols` writes that list."""

from __future__ import annotations

from common.errors import UserError, unknown_name
from retrieval.protocols.general import CLOTH_CHANGING, MARKET, NO_CAMERA, SAME_CLOTHES, STANDARD
from retrieval.protocols.protocol import Protocol
from retrieval.protocols.published import PUBLISHED
from retrieval.protocols.rules import EVERYONE, SOMEBODY, Choice, Mask, Rule

__all__ = ["EVERYONE", "PROTOCOLS", "SOMEBODY", "Choice", "Mask", "Protocol", "Rule", "protocol"]

PROTOCOLS: dict[str, Protocol] = {
    protocol.name: protocol for protocol in (MARKET, NO_CAMERA, STANDARD, CLOTH_CHANGING, SAME_CLOTHES, *PUBLISHED)
}


def protocol(name: str) -> Protocol:
    """The protocol of that name; raises `UserError` with those of the dataset of that name, or the closest name."""
    if name in PROTOCOLS:
        return PROTOCOLS[name]
    of_dataset = [known for known, rule in PROTOCOLS.items() if name in rule.datasets]
    if of_dataset:
        raise UserError(f"unknown protocol '{name}'; the dataset '{name}' is judged by {', '.join(of_dataset)}")
    raise unknown_name("protocol", name, PROTOCOLS)
