"""What a layout is: which pictures a street has, under which names in which folders, and the lists beside them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from common.errors import UserError
from data.street.config import StreetConfig
from data.street.world import Shot, Stream, World

TRAIN, VALIDATION, QUERY, GALLERY = "train", "validation", "query", "gallery"
SPLITS = (TRAIN, VALIDATION, QUERY, GALLERY)


@dataclass(frozen=True)
class Place:
    """Where a shot's picture lies.

    Attributes:
        shot: what is drawn.
        split: one of `SPLITS`.
        path: below the street's folder, with forward slashes; the suffix (.jpg, .png) is the format.
        pid: the number of the person in the file's name.
        occluded: True: something is in the way; False: nothing is; None: as often as the config says.
    """

    shot: Shot
    split: str
    path: str
    pid: int
    occluded: bool | None = None


@dataclass(frozen=True)
class Layout:
    """A way to lay pictures out.

    Attributes:
        name: what a user types.
        explanation: one sentence for a listing.
        reader: the name in `data.readers.READERS` that reads it.
        places: every picture, in the order in which they are written.
        lists: text files beside the pictures, contents by path.
        check: raises UserError for a config that this layout cannot show.
    """

    name: str
    explanation: str
    reader: str
    places: Callable[[World], Iterator[Place]]
    lists: Callable[[World], Mapping[str, str]]
    check: Callable[[StreetConfig], None]


def nothing(world: World) -> Mapping[str, str]:
    """No lists."""
    return {}


def frame(world: World, identity: int, camera: int) -> int:
    """When somebody comes into a camera's view, in frames from its start."""
    return int(world.generator(Stream.FRAME, identity, camera).integers(0, 200_000))


def one_outfit(name: str, config: StreetConfig) -> None:
    """Raise UserError for a config with outfits that the layout `name` cannot tell apart."""
    if config.outfits > 1:
        raise UserError(
            f"outfits is {config.outfits}, but the layout {name} does not tell outfits apart; give 1, or --layout ltcc"
        )


def no_passers_by(name: str, config: StreetConfig) -> None:
    """Raise UserError for a config with passers-by, for whom the layout `name` has no place."""
    if config.distractors:
        raise UserError(
            f"distractors is {config.distractors}, but the layout {name} has nobody whom no query asks for; "
            "give 0, or --layout market"
        )


def is_for_validation(config: StreetConfig, index: int) -> bool:
    """Whether a layout that keeps pictures of its training people for validation keeps their shot number `index`.

    It is the last fifth of what each camera took, and at least the last shot.
    """
    return index >= config.shots - max(1, config.shots // 5)
