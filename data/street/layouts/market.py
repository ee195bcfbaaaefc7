"""Market-1501's layout: `bounding_box_train/`, `query/` and `bounding_box_test/`, one outfit a person.

A test person's first shot in each camera is the query and the others are the gallery, so every query has matches in all
other cameras. Passers-by are people with the number 0 in the gallery.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from data.street.config import StreetConfig
from data.street.layouts.layout import GALLERY, QUERY, TRAIN, Layout, Place, frame, nothing, one_outfit
from data.street.world import Shot, World

FOLDERS = {TRAIN: "bounding_box_train", QUERY: "query", GALLERY: "bounding_box_test"}


Placed = Callable[[str, int, Shot, int], Place]
"""From split, number of the person, shot and frame to where the picture lies."""


def in_order(world: World, place: Placed) -> Iterator[Place]:
    """In the order of identity, camera and shot; passers-by last."""
    config, training = world.config, world.training
    for identity in range(config.identities):
        for camera in range(config.cameras):
            began = frame(world, identity, camera)
            for index in range(config.shots):
                split = TRAIN if identity in training else QUERY if index == 0 else GALLERY
                yield place(split, identity + 1, Shot(identity, camera, index), began + 25 * index)
    for number in range(config.distractors):
        yield place(GALLERY, 0, Shot(config.identities + number, number % config.cameras, 0), number)


def places(world: World) -> Iterator[Place]:
    """Every picture of the street."""
    return in_order(world, _place)


def _place(split: str, pid: int, shot: Shot, frame: int) -> Place:
    """As Market-1501 names its files: identity, camera and sequence, frame, box."""
    name = f"{pid:04d}_c{shot.camera + 1}s1_{frame:06d}_{shot.index:02d}.jpg"
    return Place(shot, split, f"{FOLDERS[split]}/{name}", pid)


def _check(config: StreetConfig) -> None:
    one_outfit("market", config)


LAYOUT = Layout("market", "as Market-1501: one outfit a person", "market", places, nothing, _check)
