"""Occluded-Duke's layout: Market-1501's folders; something is in the way in every query and in no gallery picture.

Which picture is for what is as in the layout market. In training pictures something is in the way as often as the
config says.
"""

from __future__ import annotations

from collections.abc import Iterator

from data.street.config import StreetConfig
from data.street.layouts.layout import GALLERY, QUERY, TRAIN, Layout, Place, nothing, one_outfit
from data.street.layouts.market import FOLDERS, in_order
from data.street.world import Shot, World

OCCLUDED = {TRAIN: None, QUERY: True, GALLERY: False}


def places(world: World) -> Iterator[Place]:
    """Every picture of the street."""
    return in_order(world, _place)


def _place(split: str, pid: int, shot: Shot, frame: int) -> Place:
    """As DukeMTMC-reID names its files: identity, camera, frame."""
    name = f"{pid:04d}_c{shot.camera + 1}_f{frame:07d}.jpg"
    return Place(shot, split, f"{FOLDERS[split]}/{name}", pid, OCCLUDED[split])


def _check(config: StreetConfig) -> None:
    one_outfit("occluded", config)


LAYOUT = Layout(
    "occluded", "as Occluded-Duke: every query partly hidden, the gallery whole", "market", places, nothing, _check
)
