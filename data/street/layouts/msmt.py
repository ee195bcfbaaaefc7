"""MSMT17's layout (V1): a folder per person below `train/` and `test/`, and four lists that say what is for what.

People of train and of test are numbered from 0 each. The lists divide the training pictures (`list_val.txt` has each
person's last shots) and the test pictures: a person's first shot in each camera is the query, the others the gallery.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import count

from data.street.config import StreetConfig
from data.street.layouts.layout import (
    GALLERY,
    QUERY,
    TRAIN,
    VALIDATION,
    Layout,
    Place,
    frame,
    is_for_validation,
    no_passers_by,
    one_outfit,
)
from data.street.world import Shot, World

FOLDERS = {TRAIN: "train", VALIDATION: "train", QUERY: "test", GALLERY: "test"}
LISTS = {TRAIN: "list_train.txt", VALIDATION: "list_val.txt", QUERY: "list_query.txt", GALLERY: "list_gallery.txt"}
TIMES = ("morning", "noon", "afternoon")
_THIRD = 70_000
"""Frames of each of `TIMES`, of which the name tells every tenth."""


def places(world: World) -> Iterator[Place]:
    """In the order of identity, camera and shot."""
    config, training = world.config, world.training
    numbers = {True: count(), False: count()}
    for identity in range(config.identities):
        trains = identity in training
        pid = next(numbers[trains])
        for camera in range(config.cameras):
            began = frame(world, identity, camera)
            for index in range(config.shots):
                split = QUERY if index == 0 else GALLERY
                if trains:
                    split = VALIDATION if is_for_validation(config, index) else TRAIN
                sequence = camera * config.shots + index
                yield _place(split, pid, sequence, Shot(identity, camera, index), began)


def _place(split: str, pid: int, sequence: int, shot: Shot, began: int) -> Place:
    """As MSMT17 names its files: identity, running number, camera, date and time, frame, box."""
    time, seen = TIMES[began // _THIRD], began % _THIRD // 10 + shot.index
    name = f"{pid:04d}_{sequence:03d}_{shot.camera + 1:02d}_0303{time}_{seen:04d}_0.jpg"
    return Place(shot, split, f"{FOLDERS[split]}/{pid:04d}/{name}", pid)


def _lists(world: World) -> Mapping[str, str]:
    """Lines `PERSON/FILE LABEL`."""
    lines: dict[str, list[str]] = {split: [] for split in LISTS}
    for place in places(world):
        lines[place.split].append(f"{place.path.partition('/')[2]} {place.pid}\n")
    return {LISTS[split]: "".join(told) for split, told in lines.items()}


def _check(config: StreetConfig) -> None:
    one_outfit("msmt", config)
    no_passers_by("msmt", config)


LAYOUT = Layout("msmt", "as MSMT17: a folder per person, and lists", "msmt", places, _lists, _check)
