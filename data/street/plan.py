"""Who goes where: which pictures a street has, in which folder, and under which name."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from data.street.config import StreetConfig
from data.street.world import Shot, Stream, World

TRAIN, QUERY, GALLERY = "bounding_box_train", "query", "bounding_box_test"
FOLDERS = (TRAIN, QUERY, GALLERY)


@dataclass(frozen=True)
class Place:
    """Where a shot's picture lies: `folder` in the street, `name` in it."""

    shot: Shot
    folder: str
    name: str


def train_people(world: World) -> frozenset[int]:
    """The identities (from 0) that are for training; all others are asked for in the test."""
    order = world.generator(Stream.SPLIT).permutation(world.config.identities)
    return frozenset(order[: world.config.train_identities].tolist())


def places(config: StreetConfig) -> Iterator[Place]:
    """Every picture of the street, in the order of identity, camera and shot; passers-by last.

    A test person's first shot in each camera is the query and the others are the gallery, so every query has
    matches in all other cameras.
    """
    world = World(config)
    training = train_people(world)
    for identity in range(config.identities):
        for camera in range(config.cameras):
            for index in range(config.shots):
                folder = TRAIN if identity in training else QUERY if index == 0 else GALLERY
                shot = Shot(identity, camera, index)
                yield Place(shot, folder, _name(identity + 1, shot, _frame(world, identity, camera) + 25 * index))
    for number in range(config.distractors):
        shot = Shot(config.identities + number, number % config.cameras, 0)
        yield Place(shot, GALLERY, _name(0, shot, number))


def _frame(world: World, identity: int, camera: int) -> int:
    """When somebody comes into a camera's view, in frames from its start."""
    return int(world.generator(Stream.FRAME, identity, camera).integers(0, 200_000))


def _name(pid: int, shot: Shot, frame: int) -> str:
    """As Market-1501 names its files: identity, camera and sequence, frame, box."""
    return f"{pid:04d}_c{shot.camera + 1}s1_{frame:06d}_{shot.index:02d}.jpg"
