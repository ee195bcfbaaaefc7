"""The processes that draw a street's pictures: one or several, and the same files in the same order."""

from __future__ import annotations

import io
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from PIL import Image

from common.workers import spread
from data.street.config import StreetConfig
from data.street.drawing.picture import draw
from data.street.layouts import Place, layout_of
from data.street.truth import joints_line, parts_path, picture_line, save_parts
from data.street.world import World

_BATCH = 16
"""Pictures that a worker draws at a time."""


@dataclass(frozen=True)
class Written:
    """What a worker says of a picture that is done."""

    place: Place
    line: str
    joints: str


def drawn(part: Path, config: StreetConfig, workers: int) -> Generator[Written, None, None]:
    """Draw every picture into `part`; tells of each one that is done, in the layout's order."""
    batches = _batches(config)
    if workers == 1:
        world = World(config)
        for batch in batches:
            yield from _draw_some(world, part, batch)
        return
    yield from spread(_draw_in_worker, batches, workers, _prepare, (config, part))


def _batches(config: StreetConfig) -> Iterator[list[Place]]:
    rest = layout_of(config.layout).places(World(config))
    while batch := list(islice(rest, _BATCH)):
        yield batch


def _draw_some(world: World, part: Path, batch: list[Place]) -> list[Written]:
    """Draw and store some pictures."""
    done = []
    for place in batch:
        causes = world.causes(place.shot, place.occluded)
        drawn = draw(causes, world.config.height, world.config.width)
        _save(drawn.picture, part / place.path, causes.camera.quality)
        save_parts(drawn, part / parts_path(place))
        done.append(Written(place, picture_line(place, causes, drawn), joints_line(place, drawn)))
    return done


def _save(picture: Image.Image, file: Path, quality: int) -> None:
    """As JPEG; a PNG is of what the JPEG of that quality shows, since cameras compress whatever comes after."""
    if file.suffix == ".jpg":
        picture.save(file, "JPEG", quality=quality)
        return
    compressed = io.BytesIO()
    picture.save(compressed, "JPEG", quality=quality)
    Image.open(compressed).save(file, "PNG", compress_level=1)


_worker: tuple[World, Path] | None = None
"""What a worker process draws from; never set in the parent."""


def _prepare(config: StreetConfig, part: Path) -> None:
    global _worker
    _worker = World(config), part


def _draw_in_worker(batch: list[Place]) -> list[Written]:
    assert _worker is not None
    return _draw_some(*_worker, batch)
