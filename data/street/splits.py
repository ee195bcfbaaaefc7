"""Named splits: the question that a street is made to answer, in three sizes.

    python3 -m data.street OUT --split clothes --size small

`tiny` is for tests, `small` for a CPU in minutes, `large` for one GPU.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from common.errors import unknown_name
from data.street.config import StreetConfig
from data.street.writer import write_street

SIZES: dict[str, dict[str, int]] = {
    "tiny": {"identities": 8, "cameras": 3, "height": 64, "width": 32},
    "small": {"identities": 100, "cameras": 4, "height": 128, "width": 64},
    "large": {"identities": 1000, "cameras": 6, "height": 256, "width": 128},
}
"""What a size decides in every split."""

Settings = Mapping[str, str | int | float]


@dataclass(frozen=True)
class NamedSplit:
    """One question.

    Attributes:
        name: what a user types.
        explanation: what changes in it, and who wants it.
        settings: of the streets, beside those of the size.
        parts: the streets by name, and what differs in each.
    """

    name: str
    explanation: str
    settings: Settings
    parts: Mapping[str, Settings]

    def streets(self, size: str) -> dict[str, StreetConfig]:
        """The configs of its streets by part."""
        if size not in SIZES:
            raise unknown_name("size", size, SIZES)
        return {part: StreetConfig(**{**SIZES[size], **self.settings, **own}) for part, own in self.parts.items()}  # type: ignore[arg-type]


_ONE: Mapping[str, Settings] = {"street": {}}

SPLITS: dict[str, NamedSplit] = {
    split.name: split
    for split in (
        NamedSplit("standard", "other cameras, same clothes: supervised training and its baseline",
                   {"train_share": 0.6, "shots": 3}, _ONE),
        NamedSplit("city2city", "another city: other people, fashion, cameras and places (domain adaptation)",
                   {"train_share": 0.6, "shots": 3}, {"source": {"city": 0}, "target": {"city": 1}}),
        NamedSplit("clothes", "other clothes in the same and in other cameras (cloth-changing)",
                   {"layout": "ltcc", "train_share": 0.6, "outfits": 8, "shots": 2, "cameras": 3}, _ONE),
        NamedSplit("occlusion", "queries that are partly hidden, a whole gallery (occlusion)",
                   {"layout": "occluded", "train_share": 0.6, "shots": 3, "occluded": 0.3}, _ONE),
        NamedSplit("detail", "people who share their clothes and differ in small things (fine detail)",
                   {"train_share": 0.6, "shots": 3, "sharing": 5, "likeness": 0.7}, _ONE),
        NamedSplit("pose", "other clothes and any heading, known by the body (shape from pose)",
                   {"layout": "ltcc", "train_share": 0.6, "outfits": 3, "shots": 2, "cameras": 3, "headings": 1.0},
                   _ONE),
    )
}  # fmt: skip


def split_of(name: str) -> NamedSplit:
    """The split of that name; raises `UserError` with the closest name otherwise."""
    try:
        return SPLITS[name]
    except KeyError:
        raise unknown_name("split", name, SPLITS) from None


def write_split(out: Path, split: str, size: str, *, workers: int = 1, force: bool = False) -> dict[str, Path]:
    """Write the streets of a split, or find them there; returns their folders by part.

    A split of one street is `out` itself (part `street`); a split of several has a folder for each below `out`.
    """
    streets = split_of(split).streets(size)
    folders = {part: out if len(streets) == 1 else out / part for part in streets}
    for part, config in streets.items():
        write_street(folders[part], config, workers=workers, force=force)
    return folders
