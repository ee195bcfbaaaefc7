"""Obstacles: things of the street that stand between a camera and a person, drawn as far in as they ever reach.

Moved out again, down or to their side, they hide less; where they are moved farther in, their last row or column
goes on.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from data.street.causes.occluders import Occluder
from data.street.causes.palette import Array
from data.street.drawing.easel import Easel, roughness, scattered
from data.street.drawing.vehicles import bicycle, car, van
from data.street.drawing.views import Light


@dataclass(frozen=True)
class Obstacle:
    """What is in the way, on nothing.

    Attributes:
        colour: `(H, W, 3)` float32 linear light, 0 where nothing is.
        solid: `(H, W)` where it hides what is behind it.
    """

    colour: Array
    solid: NDArray[np.bool_]


def obstacle(occluder: Occluder, light: Light, height: int, width: int) -> Obstacle:
    """The thing that `occluder` speaks of, at its natural place in `(height, width)` samples, lit by `light`.

    One from below stands on the bottom edge; one from a side reaches in from there. The more it shall hide, the larger
    it is and the farther it reaches; what it does hide depends on where it is moved.
    """
    figure, mirrored = _THINGS[occluder.kind], occluder.side == "right"
    if mirrored:  # drawn from the left under the light turned round, and turned back when it is done
        light = replace(light, direction=light.direction * np.array([-1.0, 1.0, 1.0], dtype=np.float32))
    easel = Easel(height, width, light)
    figure.draw(easel, occluder)
    relief = roughness(height, width, figure.stretch) * np.float32(figure.rough)
    return Obstacle(*easel.finished(relief, mirrored=mirrored))


def _reach(occluder: Occluder) -> float:
    """How much of the height something from below takes when it is as far in as it comes."""
    return min(0.38 + 0.75 * occluder.hidden, 0.96)


def _wall(easel: Easel, occluder: Occluder) -> None:
    """Brick, blocks or plaster; low with a coping, or the corner of a house."""
    first, second, third = occluder.form
    below, unit = occluder.side == "below", easel.width
    top = easel.height * (1.0 - _reach(occluder)) if below else 0.0
    edge = float(easel.width) if below else easel.width * min(0.45 + 0.6 * occluder.hidden, 0.96)
    colour = occluder.colour
    easel.box(0, top, edge, easel.height, colour)
    if first < 0.75:
        tall, wide = (0.075 * unit, 0.24 * unit) if first < 0.45 else (0.2 * unit, 0.42 * unit)
        rows, columns = int(easel.height / tall) + 2, int(easel.width / wide) + 2
        shades = scattered(rows * columns, 11).reshape(rows, columns)
        easel.box(0, top, edge, easel.height, np.minimum(colour * 0.75 + 0.06, 1.0))
        gap = max(0.08 * tall, 1.0)
        for row in range(rows):
            y = easel.height - (row + 1) * tall
            for column in range(columns):
                x = (column - 0.5 * (row % 2) - second) * wide
                box = max(x, 0.0), max(y, top), min(x + wide - gap, edge), y + tall - gap
                easel.box(*box, colour * float(0.72 + 0.5 * shades[row, column]), facing=(0.0, 0.1))
    else:  # plaster with a plinth and what has been stuck on it
        easel.box(0, easel.height * 0.86, edge, easel.height, colour * 0.55)
        for bill in range(2):
            x, y = (0.1 + 0.42 * bill + 0.2 * second) * unit, top + (0.25 + 0.3 * third + 0.07 * bill) * unit
            easel.box(
                x, y, min(x + 0.26 * unit, edge), y + 0.36 * unit, np.array([0.6, 0.58, 0.5]) * (1.0 - 0.5 * bill)
            )
            easel.box(x, y, min(x + 0.26 * unit, edge), y + 0.1 * unit, np.array([0.35, 0.12, 0.1]))
    if below:
        thick = 0.09 * unit
        easel.box(0, top - 0.3 * thick, edge, top + thick, np.minimum(colour * 0.4 + 0.22, 1.0), facing=(0.0, 0.5))
        easel.box(0, top + thick, edge, top + 1.6 * thick, colour * 0.4)
    else:
        easel.box(edge - 0.12 * unit, 0, edge, easel.height, np.minimum(colour * 0.6 + 0.15, 1.0), facing=(0.75, 0.0))
        pipe = (0.08 + 0.2 * third) * unit
        easel.column(pipe, pipe + 0.07 * unit, 0, easel.height, np.array([0.2, 0.2, 0.2]))


def _hedge(easel: Easel, occluder: Occluder) -> None:
    """Leaves over a dark inside, with an uneven rim."""
    first, second, _ = occluder.form
    unit, below = easel.width, occluder.side == "below"
    reach = easel.height * _reach(occluder) if below else easel.width * min(0.5 + 0.6 * occluder.hidden, 0.98)
    count = 480
    across, inwards, lie, shade = (scattered(count, 20 + key) for key in range(4))
    length = float(easel.width if below else easel.height)

    def rim(along: Array) -> Array:
        waves: Array = 0.06 * np.sin(along * (7 + 9 * second) + 6 * first) + 0.03 * np.sin(along * 31 + 5 * second)
        return reach + waves * unit

    rims = rim(across)
    order = np.argsort(inwards)[::-1]  # the rim first, so that its leaves lie behind
    steps = np.linspace(0.0, 1.0, 40)
    inside = [(float(step * length), float(end) - 0.03 * unit) for step, end in zip(steps, rim(steps), strict=True)]

    def placed(along: float, deep: float) -> tuple[float, float]:
        return (along, easel.height - deep) if below else (deep, along)

    dark = occluder.colour * 0.28
    easel.polygon([placed(0.0, -1.0), *(placed(*point) for point in inside), placed(length, -1.0)], dark)
    for leaf in order.tolist():
        x, y = placed(float(across[leaf]) * length, float(inwards[leaf]) * float(rims[leaf]))
        size = unit * (0.022 + 0.022 * float(shade[leaf]))
        tint = occluder.colour * float(0.45 + 1.1 * shade[leaf])
        sway = float(lie[leaf]) * 2.0 - 1.0
        easel.disc(x, y, size, size * 0.75, tint, right=0.7 * sway, up=0.15 + 0.5 * float(shade[leaf]))


def _pole(easel: Easel, occluder: Occluder) -> None:
    """A lamp post with a plate, or the trunk of a tree; it stands before the middle of the picture."""
    first, second, third = occluder.form
    unit, colour = easel.width, occluder.colour
    wide = unit * (0.1 + 0.06 * first + 0.62 * occluder.hidden)
    left = (unit - wide) / 2
    if occluder.hidden > 0.22 or first > 0.5:  # lamp posts are not that thick
        bark = np.array([0.10, 0.075, 0.05], dtype=np.float32) * np.float32(0.7 + 0.8 * second)
        easel.column(left, left + wide, 0, easel.height, bark, taper=-0.12)
        marks = scattered(90, 31)
        for mark in range(30):
            x, y = left + wide * float(0.06 + 0.86 * marks[3 * mark]), easel.height * float(marks[3 * mark + 1])
            long = unit * float(0.1 + 0.25 * marks[3 * mark + 2])
            turn = float(2.0 * marks[3 * mark] - 1.0) * 0.9
            sway = float(marks[3 * mark + 2] - 0.5) * 0.05 * unit
            easel.line([(x, y), (x + sway, y + long)], 0.018 * unit, bark * 0.45, right=turn)
            easel.line([(x + 0.02 * unit, y), (x + sway + 0.02 * unit, y + long)], 0.01 * unit, bark * 1.5, right=turn)
        easel.polygon(
            [(left - 0.02 * wide, easel.height * 0.93), (left + wide * 1.02, easel.height * 0.93),
             (left + wide * 1.2, easel.height), (left - wide * 0.2, easel.height)], bark * 0.7, up=0.2,
        )  # fmt: skip
        return
    easel.column(left, left + wide, 0, easel.height, colour)
    plate = easel.height * (0.12 + 0.25 * third)
    easel.column(left - 0.2 * wide, left + 1.2 * wide, easel.height * 0.86, easel.height, colour * 0.8)
    easel.box(left - 0.06 * unit, plate, left + wide + 0.06 * unit, plate + 0.2 * unit, np.array([0.55, 0.55, 0.5]))
    easel.box(
        left - 0.04 * unit,
        plate + 0.02 * unit,
        left + wide + 0.04 * unit,
        plate + 0.1 * unit,
        np.array([0.3, 0.05, 0.05]),
    )


def _bin(easel: Easel, occluder: Occluder) -> None:
    """A litter bin with lid, slot and label."""
    first, second, third = occluder.form
    unit, colour = easel.width, occluder.colour
    top = easel.height * (1.0 - _reach(occluder))
    wide = unit * min(0.5 + 0.2 * first + 0.6 * occluder.hidden, 1.1)
    left = (unit - wide) * (0.25 + 0.5 * second)
    right, lid = left + wide, 0.14 * unit
    easel.column(left, right, top + lid, easel.height * 1.02, colour, taper=0.14)
    for rib in (0.3, 0.92):
        y = top + lid + rib * (easel.height - top - lid)
        easel.column(left + 0.02 * wide, right - 0.02 * wide, y, y + 0.04 * unit, colour * 0.6, taper=0.02)
    easel.box(
        left + 0.12 * wide, top + lid * 1.25, right - 0.12 * wide, top + lid * 2.1, np.array([0.008, 0.008, 0.008])
    )
    easel.column(left - 0.04 * wide, right + 0.04 * wide, top + 0.5 * lid, top + lid * 1.1, colour * 0.75)
    easel.disc((left + right) / 2, top + 0.5 * lid, 0.54 * wide, 0.4 * lid, colour * 0.75, up=0.85)
    label = top + lid + (0.38 + 0.1 * third) * (easel.height - top - lid)
    easel.box(left + 0.33 * wide, label, left + 0.67 * wide, label + 0.2 * unit, np.array([0.65, 0.65, 0.6]))
    easel.disc((left + right) / 2, label + 0.1 * unit, 0.06 * unit, 0.06 * unit, np.array([0.05, 0.2, 0.08]))


def _board(easel: Easel, occluder: Occluder) -> None:
    """A panel with a picture and lines of writing: on legs, or held out on a post from the side."""
    first, second, third = occluder.form
    unit, colour = easel.width, occluder.colour
    if occluder.side == "below":
        wide = unit * min(0.55 + 0.2 * first + 0.5 * occluder.hidden, 1.06)
        left = (unit - wide) * (0.2 + 0.6 * second)
        top, bottom = easel.height * (1.0 - _reach(occluder)), easel.height * (0.9 + 0.06 * third)
        for leg in (0.1, 0.84):
            easel.box(left + leg * wide, top, left + (leg + 0.06) * wide, easel.height, np.array([0.05, 0.05, 0.05]))
    else:
        left, wide = 0.0, unit * min(0.5 + 0.6 * occluder.hidden, 0.97)
        span = min(0.35 + 0.6 * occluder.hidden + 0.1 * first, 0.92)
        top = easel.height * (0.04 + (0.92 - span) * second)
        bottom = top + easel.height * span
        easel.column(0.0, 0.09 * unit, 0.0, easel.height, np.array([0.12, 0.12, 0.12]))
    frame = 0.035 * unit
    easel.box(left, top, left + wide, bottom, np.array([0.08, 0.08, 0.085]), facing=(0.0, 0.1))
    inner = left + frame, top + frame, left + wide - frame, bottom - frame
    easel.box(*inner, np.minimum(colour * 0.9 + 0.04, 1.0), facing=(0.0, 0.1))
    pale, tall = np.minimum(1.0 - colour * 0.6, 0.75), inner[3] - inner[1]
    middle = (inner[0] + inner[2]) / 2
    if first < 0.4:
        easel.disc(middle, inner[1] + 0.3 * tall, 0.27 * wide, min(0.17 * tall, 0.3 * wide), pale * 0.8, up=0.1)
        easel.disc(middle, inner[1] + 0.3 * tall, 0.2 * wide, min(0.12 * tall, 0.22 * wide), colour * 0.4, up=0.1)
    elif first < 0.7:  # hills under a sky
        sky = inner[0] + 0.06 * wide, inner[1] + 0.05 * tall, inner[2] - 0.06 * wide, inner[1] + 0.46 * tall
        easel.box(*sky, np.array([0.45, 0.55, 0.65]))
        for peak, high in ((0.3, 0.2), (0.68, 0.12)):
            top_of = inner[0] + peak * wide, inner[1] + high * tall
            easel.polygon([top_of, (sky[2], sky[3]), (sky[0], sky[3])], pale[::-1] * 0.4 * (1.0 + peak))
    else:  # one great figure
        easel.box(inner[0] + 0.3 * wide, inner[1] + 0.08 * tall, inner[0] + 0.42 * wide, inner[1] + 0.46 * tall, pale)
        easel.box(inner[0] + 0.3 * wide, inner[1] + 0.08 * tall, inner[0] + 0.66 * wide, inner[1] + 0.15 * tall, pale)
        easel.disc(middle + 0.1 * wide, inner[1] + 0.34 * tall, 0.15 * wide, 0.12 * tall, pale)
    words = scattered(8, 41)
    for line in range(5):
        y = inner[1] + (0.54 + 0.08 * line) * tall
        easel.box(
            inner[0] + 0.08 * wide, y, inner[0] + (0.4 + 0.48 * float(words[line])) * wide, y + 0.035 * tall, pale
        )


def _bench(easel: Easel, occluder: Occluder) -> None:
    """A bench from behind: slats with gaps between them, seat, and iron legs."""
    first, second, _ = occluder.form
    unit, colour = easel.width, occluder.colour
    top = easel.height * (1.0 - min(_reach(occluder) + 0.04, 0.8))
    tall = easel.height - top
    left, right = (-0.1 * unit, 1.1 * unit) if second < 0.6 else (0.06 * unit, 1.3 * unit)
    iron, slats = np.array([0.02, 0.02, 0.022]), 4 if first < 0.5 else 5
    for leg in (left + 0.08 * unit, right - 0.14 * unit):
        easel.box(leg, top + 0.05 * tall, leg + 0.055 * unit, easel.height, iron)
        knee = top + 0.6 * tall
        foot = (leg + 0.16 * unit, easel.height), (leg + 0.1 * unit, easel.height)
        easel.polygon([(leg, knee), (leg + 0.05 * unit, knee), *foot], iron)
    for slat in range(slats):
        y = top + slat * 0.56 * tall / slats
        shade = colour * (0.85 + 0.3 * ((slat * 5) % 3) / 2)
        thick = 0.42 * tall / slats
        easel.box(left, y, right, y + thick, shade, facing=(0.0, 0.05))
        easel.box(left, y, right, y + 0.18 * thick, np.minimum(shade * 1.15, 1.0), facing=(0.0, 0.75))
    easel.box(left, top + 0.6 * tall, right, top + 0.69 * tall, colour * 0.7, facing=(0.0, -0.2))
    easel.box(left, top + 0.58 * tall, right, top + 0.61 * tall, colour, facing=(0.0, 0.8))


def _railing(easel: Easel, occluder: Occluder) -> None:
    """Upright bars between two rails; one looks through."""
    first, second, third = occluder.form
    unit, colour = easel.width, occluder.colour
    top = easel.height * (0.55 - 0.9 * occluder.hidden + 0.05 * third)
    pace = unit * (0.13 + 0.06 * first)
    thick = pace * min(0.22 + 0.9 * occluder.hidden, 0.5)
    x = -second * pace
    while x < easel.width:
        easel.column(x, x + thick, top + 0.05 * unit, easel.height, colour * 0.8)
        x += pace
    post = unit * (0.1 + 0.6 * second)
    easel.column(post, post + 0.1 * unit, top - 0.05 * unit, easel.height, colour)
    for y in (top, top + 0.14 * unit, easel.height - 0.16 * unit):
        easel.box(0, y, easel.width, y + 0.035 * unit, colour, facing=(0.0, 0.1))
        easel.box(0, y, easel.width, y + 0.015 * unit, colour, facing=(0.0, 0.8))


@dataclass(frozen=True)
class _Figure:
    """How a kind is drawn (from below or from the left), and how rough its surface is."""

    draw: Callable[[Easel, Occluder], None]
    rough: float
    stretch: float = 1.0


_THINGS: Mapping[str, _Figure] = {
    "wall": _Figure(_wall, 0.22),
    "hedge": _Figure(_hedge, 0.25),
    "pole": _Figure(_pole, 0.2, 5.0),
    "bin": _Figure(_bin, 0.1, 2.0),
    "board": _Figure(_board, 0.07),
    "bench": _Figure(_bench, 0.14, 0.4),
    "railing": _Figure(_railing, 0.1),
    "car": _Figure(car, 0.05, 0.3),
    "van": _Figure(van, 0.06),
    "bicycle": _Figure(bicycle, 0.08),
}
