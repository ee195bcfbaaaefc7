"""The street, written with its default settings when it is not there yet."""

from __future__ import annotations

from pathlib import Path

from data.readers import market
from data.samples import Dataset
from data.street import StreetConfig, write_street


def read(root: Path, name: str) -> Dataset:
    """Read the street in `root`; one that `python3 -m data.street` wrote otherwise is read as it is."""
    if not root.exists():
        write_street(root, StreetConfig())
    return market.read(root, name)
