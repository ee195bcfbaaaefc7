"""PRCC's layout: a folder per person below `rgb/{train,val}` and `rgb/test/{A,B,C}`; people change before camera C.

Cameras A and B see the first outfit and C the second. Training people's last shots lie in `rgb/val`. All of a test
person's shots are tested with: those of A are the gallery, those of B and C the query.
"""

from __future__ import annotations

from collections.abc import Iterator

from common.errors import UserError
from data.street.config import StreetConfig
from data.street.layouts.layout import (
    GALLERY,
    QUERY,
    TRAIN,
    VALIDATION,
    Layout,
    Place,
    is_for_validation,
    no_passers_by,
    nothing,
)
from data.street.world import Shot, World

CAMERAS = "ABC"
OUTFITS = {"A": 0, "B": 0, "C": 1}
FOLDERS = {TRAIN: "rgb/train", VALIDATION: "rgb/val"}


def places(world: World) -> Iterator[Place]:
    """In the order of identity, camera and shot."""
    config, training = world.config, world.training
    for identity in range(config.identities):
        for camera, letter in enumerate(CAMERAS):
            for index in range(config.shots):
                shot = Shot(identity, camera, index, OUTFITS[letter])
                yield _for_training(shot, config) if identity in training else _for_test(shot)


def _for_training(shot: Shot, config: StreetConfig) -> Place:
    """The name tells the camera."""
    split, pid = VALIDATION if is_for_validation(config, shot.index) else TRAIN, shot.identity + 1
    path = f"{FOLDERS[split]}/{pid:03d}/{CAMERAS[shot.camera]}_cropped_rgb{shot.index + 1:03d}.jpg"
    return Place(shot, split, path, pid)


def _for_test(shot: Shot) -> Place:
    """The folder above the person's tells the camera."""
    letter, pid = CAMERAS[shot.camera], shot.identity + 1
    path = f"rgb/test/{letter}/{pid:03d}/cropped_rgb{shot.index + 1:03d}.jpg"
    return Place(shot, GALLERY if letter == "A" else QUERY, path, pid)


def _check(config: StreetConfig) -> None:
    if (config.cameras, config.outfits) != (3, 2):
        raise UserError(
            f"cameras is {config.cameras} and outfits {config.outfits}, but the layout prcc has cameras A and B for "
            "one outfit and C for another; give --cameras 3 --outfits 2"
        )
    no_passers_by("prcc", config)


LAYOUT = Layout("prcc", "as PRCC: one outfit in cameras A and B, another in C", "prcc", places, nothing, _check)
