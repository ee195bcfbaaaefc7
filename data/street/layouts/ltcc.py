"""LTCC's layout: `train/`, `query/` and `test/`, everybody in several outfits, which the file names tell.

A test person's first shot in each outfit and camera is the query and the others are the gallery (`test/`), so every
query has matches in the same and in other clothes in all other cameras.
"""

from __future__ import annotations

from collections.abc import Iterator

from common.errors import UserError
from data.street.config import StreetConfig
from data.street.layouts.layout import (
    GALLERY,
    QUERY,
    TRAIN,
    Layout,
    Place,
    frame,
    no_passers_by,
    nothing,
)
from data.street.world import Shot, World

FOLDERS = {TRAIN: "train", QUERY: "query", GALLERY: "test"}
SESSION = 250_000
"""Frames after which people come back in their next outfit; by then all have passed in the one before."""


def places(world: World) -> Iterator[Place]:
    """In the order of identity, camera, outfit and shot."""
    config, training = world.config, world.training
    for identity in range(config.identities):
        for camera in range(config.cameras):
            began = frame(world, identity, camera)
            for outfit in range(config.outfits):
                for index in range(config.shots):
                    split = TRAIN if identity in training else QUERY if index == 0 else GALLERY
                    # Another number in every outfit, or the same pose and background would come again in other clothes.
                    shot = Shot(identity, camera, outfit * config.shots + index, outfit)
                    yield _place(split, shot, began + SESSION * outfit + 25 * index)


def _place(split: str, shot: Shot, frame: int) -> Place:
    """As LTCC names its files: identity, outfit, camera, frame."""
    pid = shot.identity + 1
    name = f"{pid:03d}_{shot.outfit + 1}_c{shot.camera + 1}_{frame:06d}.png"
    return Place(shot, split, f"{FOLDERS[split]}/{name}", pid)


def _check(config: StreetConfig) -> None:
    if config.outfits < 2:
        raise UserError(
            f"outfits is {config.outfits}, but in the layout ltcc people change their clothes; give --outfits 2 or more"
        )
    no_passers_by("ltcc", config)


LAYOUT = Layout("ltcc", "as LTCC: everybody in several outfits in every camera", "ltcc", places, nothing, _check)
