"""Contact sheets: a look at a street before it is used, one sheet for every cause.

A sheet changes one thing from column to column and another from row to row, and keeps all other causes as they are.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np
from PIL import Image, ImageDraw

from common.errors import unknown_name
from data.street.causes.causes import Causes
from data.street.config import StreetConfig
from data.street.drawing.picture import VISIBLE, Drawn, draw
from data.street.truth import COLOURS
from data.street.world import Shot, World

_GAP, _BONES = 2, (
    (5, 7), (7, 9), (6, 8), (8, 10), (5, 6), (5, 11), (6, 12), (11, 12), (11, 13), (13, 15), (12, 14), (14, 16), (0, 1),
    (0, 2), (1, 3), (2, 4),
)  # fmt: skip
"""Pairs of COCO's joints that a line joins."""

Row = list[Image.Image | None]
"""Pictures from left to right; None leaves a gap between blocks of columns."""

_ROWS = 6

HIDDEN = (0.15, 0.3, 0.45, 0.6)
"""Shares of a person that are hidden in the sheet about occlusion."""


class _Studio:
    """A world whose causes can be changed one at a time."""

    def __init__(self, config: StreetConfig) -> None:
        self.config = config
        self.world = World(config)

    def drawn(self, causes: Causes) -> Drawn:
        return draw(causes, self.config.height, self.config.width)

    def shown(self, causes: Causes) -> Image.Image:
        return self.drawn(causes).picture

    def plain(self, identity: int, camera: int = 0, index: int = 0, outfit: int = 0) -> Causes:
        """A shot with nothing in the way."""
        return self.world.causes(Shot(identity, camera, index, outfit), occluded=False)

    @property
    def people(self) -> range:
        return range(min(self.config.identities, _ROWS))


def _people(studio: _Studio) -> Iterator[Row]:
    """A row is a person; blocks of columns are cameras."""
    for identity in studio.people:
        row: Row = []
        for camera in range(min(studio.config.cameras, 4)):
            row += [studio.shown(studio.plain(identity, camera, index)) for index in range(min(studio.config.shots, 3))]
            row.append(None)
        yield row


def _outfits(studio: _Studio) -> Iterator[Row]:
    """A row is a person; a block of columns is an outfit, each from three sides."""
    for identity in studio.people:
        row: Row = []
        for outfit in range(3):
            for index, heading in enumerate((0.35, 1.5, 3.6)):
                causes = studio.plain(identity, outfit, 3 * outfit + index, outfit)
                pose = replace(causes.figure.pose, heading=heading)
                row.append(studio.shown(replace(causes, figure=replace(causes.figure, pose=pose))))
            row.append(None)
        yield row


def _poses(studio: _Studio) -> Iterator[Row]:
    """A row is a moment of the step; columns turn the person once round."""
    causes = studio.plain(0)
    for phase, pace in ((0.0, 1.0), (0.8, 1.0), (1.6, 1.0), (2.4, 1.0), (0.0, 0.1)):
        row: Row = []
        for heading in np.linspace(0.0, 2 * np.pi, 9)[:-1].tolist():
            pose = replace(causes.figure.pose, phase=phase, pace=pace, heading=heading)
            row.append(studio.shown(replace(causes, figure=replace(causes.figure, pose=pose))))
        yield row


def _cameras(studio: _Studio) -> Iterator[Row]:
    """A row is a person at one moment; each column is another camera looking on."""
    for identity in studio.people:
        causes = studio.plain(identity)
        cameras = range(max(studio.config.cameras, 5))
        yield [
            studio.shown(replace(causes, camera=studio.world.camera(camera), scene=studio.world.scene(camera)))
            for camera in cameras
        ]


def _cities(studio: _Studio) -> Iterator[Row]:
    """A block of columns is a city; a column in it is a camera, and everybody is somebody else."""
    cities = [_Studio(replace(studio.config, city=studio.config.city + offset)) for offset in (0, 1)]
    for identity in studio.people:
        row: Row = []
        for city in cities:
            row += [city.shown(city.plain(identity, camera)) for camera in range(min(studio.config.cameras, 4))]
            row.append(None)
        yield row


def _occlusion(studio: _Studio) -> Iterator[Row]:
    """A row is something in the way; from left to right it hides more and more."""
    index = 0
    for family in ("scenery", "vehicle", "person", "crop", "scenery", "vehicle"):
        found = None
        while found is None or found.family != family:
            causes = studio.world.causes(Shot(index % studio.config.identities, 0, index), occluded=True)
            found, index = causes.occluder, index + 1
        row: Row = [studio.shown(replace(causes, occluder=None, passer=None))]
        row += [studio.shown(replace(causes, occluder=replace(found, hidden=hidden))) for hidden in HIDDEN]
        yield row


def _details(studio: _Studio) -> Iterator[Row]:
    """A row is a person; all of them wear the same clothes and are alike in build."""
    people = min(_ROWS, studio.config.identities)
    same = _Studio(replace(studio.config, sharing=studio.config.identities, likeness=max(studio.config.likeness, 0.7)))
    for identity in range(people):
        yield [same.shown(same.plain(identity, camera)) for camera in range(max(studio.config.cameras, 6))]


def _truth(studio: _Studio) -> Iterator[Row]:
    """Pictures, the same with their joints, and their part maps; hidden joints are hollow."""
    for row in range(3):
        cells: Row = []
        for column in range(4):
            number = 4 * row + column
            identity, camera = number % studio.config.identities, number % studio.config.cameras
            drawn = studio.world.draw(Shot(identity, camera, number), occluded=column % 2 == 1)
            cells += [drawn.picture, with_joints(drawn), painted_parts(drawn), None]
        yield cells


SHEETS: dict[str, Callable[[_Studio], Iterator[Row]]] = {
    "people": _people,
    "outfits": _outfits,
    "poses": _poses,
    "cameras": _cameras,
    "cities": _cities,
    "occlusion": _occlusion,
    "details": _details,
    "truth": _truth,
}
"""What can be looked at, by name."""


def sheet_of(about: str) -> Callable[[_Studio], Iterator[Row]]:
    """What draws the sheet of that name; raises `UserError` with the closest name otherwise."""
    try:
        return SHEETS[about]
    except KeyError:
        raise unknown_name("sheet", about, SHEETS) from None


def contact_sheet(config: StreetConfig, about: str = "people") -> Image.Image:
    """The sheet `about` a cause in the street of `config`; `UserError` when there is no such sheet."""
    rows = list(sheet_of(about)(_Studio(config)))
    wide, tall = config.width + _GAP, config.height + _GAP
    widths = [sum(wide if cell else 2 * _GAP for cell in row) for row in rows]
    sheet = Image.new("RGB", (max(widths), len(rows) * tall), "white")
    for number, row in enumerate(rows):
        left = 0
        for cell in row:
            if cell is not None:
                sheet.paste(cell, (left, number * tall))
            left += wide if cell else 2 * _GAP
    return sheet


def with_joints(drawn: Drawn) -> Image.Image:
    """The picture with its 17 joints and the lines between them; a joint that is not seen is a ring."""
    picture = drawn.picture.copy()
    pen = ImageDraw.Draw(picture)
    joints = drawn.joints.tolist()
    for start, end in _BONES:
        pen.line([tuple(joints[start][:2]), tuple(joints[end][:2])], fill=(255, 255, 255))
    for number, (x, y, score) in enumerate(joints):
        # The person's left is red, their right green, the middle yellow.
        colour = (255, 220, 0) if number == 0 else (255, 60, 60) if number % 2 else (60, 230, 90)
        box = [x - 2, y - 2, x + 2, y + 2]
        pen.ellipse(box, fill=colour if score == VISIBLE else None, outline=colour)
    return picture


def painted_parts(drawn: Drawn) -> Image.Image:
    """The part map in colours."""
    return Image.fromarray(np.array(COLOURS, dtype=np.uint8)[drawn.parts])
