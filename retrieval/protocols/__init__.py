"""Every protocol by its name; `docs/protocols.md` lists them, and `python3 -m retrieval.protocols` writes that list."""

from __future__ import annotations

from common.errors import UserError, unknown_name
from retrieval.protocols.general import CLOTH_CHANGING, MARKET, NO_CAMERA, SAME_CLOTHES, STANDARD
from retrieval.protocols.protocol import Protocol
from retrieval.protocols.published import PUBLISHED
from retrieval.protocols.rules import EVERYONE, SOMEBODY, Choice, Mask, Rule

__all__ = ["EVERYONE", "PROTOCOLS", "SOMEBODY", "Choice", "Mask", "Protocol", "Rule", "of_others", "protocol"]

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


def of_others(name: str, dataset: str, own: str) -> str | None:
    """The sentence about a protocol that belongs to other datasets than the one it judges; None where it does not.

    A score by it would carry the name of numbers that it cannot be compared with. General protocols are everybody's.

    Args:
        name: of the protocol.
        dataset: what is judged, as its user calls it.
        own: the protocol that its reader names, by which a dataset is known that is called otherwise.
    """
    published = {rule.name: rule for rule in PUBLISHED}
    if name not in published or name == own or dataset in published[name].datasets:
        return None
    datasets = published[name].datasets
    if own in published and set(datasets) & set(published[own].datasets):
        return None
    return (
        f"the protocol '{name}' is one of {', '.join(datasets)}, and '{dataset}' is judged by '{own}': do not compare "
        f"these scores with those that others print for {datasets[0]}"
    )
