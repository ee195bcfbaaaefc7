"""Vehicles in the way, from the side: cars, vans and bicycles, with the gaps that one looks through."""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from data.street.causes.occluders import Occluder
from data.street.causes.palette import Array
from data.street.drawing.easel import Easel, Point

_RUBBER: Array = np.array([0.012, 0.012, 0.013], dtype=np.float32)
_GLASS: Array = np.array([0.03, 0.04, 0.05], dtype=np.float32)
_PALE_GLASS: Array = np.array([0.16, 0.2, 0.24], dtype=np.float32)
_STEEL: Array = np.array([0.30, 0.31, 0.32], dtype=np.float32)
_LAMP: Array = np.array([0.7, 0.68, 0.6], dtype=np.float32)

_HATCH: tuple[Point, ...] = (
    (0.01, 0.30), (0.02, 0.62), (0.10, 0.95), (0.20, 1.0), (0.52, 1.0), (0.60, 0.94), (0.73, 0.64), (0.94, 0.56),
    (0.99, 0.44), (1.0, 0.22), (0.99, 0.14), (0.01, 0.14),
)  # fmt: skip
_SALOON: tuple[Point, ...] = (
    (0.0, 0.30), (0.01, 0.60), (0.16, 0.66), (0.28, 0.95), (0.36, 1.0), (0.54, 1.0), (0.60, 0.96), (0.73, 0.66),
    (0.94, 0.57), (0.99, 0.44), (1.0, 0.22), (0.99, 0.14), (0.0, 0.14),
)  # fmt: skip
_CABINS: dict[bool, tuple[tuple[Point, ...], ...]] = {
    True: (
        ((0.08, 0.68), (0.13, 0.92), (0.21, 0.94), (0.21, 0.66)),
        ((0.225, 0.66), (0.225, 0.94), (0.385, 0.94), (0.385, 0.65)),
        ((0.405, 0.65), (0.405, 0.94), (0.53, 0.94), (0.585, 0.90), (0.69, 0.64)),
    ),
    False: (
        ((0.25, 0.68), (0.32, 0.92), (0.38, 0.94), (0.38, 0.66)),
        ((0.395, 0.66), (0.395, 0.94), (0.455, 0.94), (0.455, 0.65)),
        ((0.475, 0.65), (0.475, 0.94), (0.54, 0.94), (0.59, 0.91), (0.69, 0.65)),
    ),
}


def car(easel: Easel, occluder: Occluder) -> None:
    """A parked car that faces right, before somebody who stands behind it; the taller the more it shall hide."""
    first, second, third = occluder.form
    tall = easel.height * min(0.46 + 0.5 * occluder.hidden + 0.1 * second, 0.98)
    ground = easel.height * (1.0 + 0.14 * second)
    long = tall * (2.5 + 0.4 * first)
    nose = easel.width * 0.5 + long * (0.25 + 0.45 * third)
    place_car(easel, (nose, ground), long, tall, occluder.colour, hatch=first > 0.5)


def place_car(easel: Easel, nose: Point, long: float, tall: float, paint: Array, *, hatch: bool) -> None:
    """A car that faces right, its nose's foot at `nose`, that many samples long and tall."""

    def at(point: Point) -> Point:
        return nose[0] - (1.0 - point[0]) * long, nose[1] - point[1] * tall

    outline = _HATCH if hatch else _SALOON
    easel.polygon([at(point) for point in outline], paint, up=0.25)
    # What faces the sky is lit by it: roof and bonnet; below the waist the doors turn to the ground.
    for start, end in pairwise(outline[1:10]):
        low = [(start[0], start[1] - 0.045), (end[0], end[1] - 0.045)]
        easel.polygon([at(start), at(end), at(low[1]), at(low[0])], paint, up=0.85)
    easel.polygon([at(point) for point in ((0.0, 0.36), (0.995, 0.36), (1.0, 0.2), (0.0, 0.2))], paint, up=-0.25)
    easel.polygon([at(point) for point in ((0.0, 0.2), (1.0, 0.2), (0.99, 0.13), (0.0, 0.13))], paint * 0.35, up=-0.5)
    for pane in _CABINS[hatch]:
        easel.polygon([at(point) for point in pane], _GLASS, up=0.1)
        bright = [pane[1], pane[2], ((pane[2][0] * 2 + pane[-1][0]) / 3, 0.82), (pane[1][0] - 0.01, 0.8)]
        easel.polygon([at(point) for point in bright], _PALE_GLASS, up=0.4)
    seams = (0.39, 0.70) if hatch else (0.46, 0.70)
    for seam in (seams[0] - 0.18, *seams):
        easel.line([at((seam, 0.64)), at((seam - 0.012, 0.22))], tall * 0.008, paint * 0.25)
        easel.line([at((seam - 0.06, 0.57)), at((seam - 0.025, 0.57))], tall * 0.022, paint * 0.45, up=0.5)
    easel.line(
        [at((0.02, 0.6)), at((0.7, 0.6)), at((0.97, 0.5))], tall * 0.012, np.minimum(paint * 1.5 + 0.02, 1.0), up=0.7
    )
    easel.polygon([at(point) for point in ((0.93, 0.53), (0.985, 0.44), (0.985, 0.38), (0.94, 0.42))], _LAMP, right=0.5)
    easel.polygon(
        [at(point) for point in ((0.0, 0.56), (0.035, 0.56), (0.04, 0.44), (0.005, 0.42))],
        paint * 0.1 + np.array([0.3, 0.0, 0.0]),
    )
    easel.polygon([at(point) for point in ((0.635, 0.7), (0.665, 0.71), (0.67, 0.64), (0.64, 0.63))], paint * 0.7)
    easel.polygon([at(point) for point in ((0.1, 0.14), (0.9, 0.14), (0.9, -0.02), (0.1, -0.02))], _RUBBER, up=-0.9)
    for hub in (0.19, 0.81):
        _wheel(easel, *at((hub, 0.2)), 0.2 * tall * 1.02, arch=paint * 0.15)


def van(easel: Easel, occluder: Occluder) -> None:
    """A delivery van that faces right, higher than people are."""
    first, second, third = occluder.form
    top = easel.height * (0.16 * first - 0.08)
    ground = easel.height * (1.0 + 0.12 * second)
    tall = ground - top
    long, nose = tall * 2.0, easel.width * 0.97

    def at(x: float, y: float) -> Point:
        return nose - (1.0 - x) * long, ground - y * tall

    paint = occluder.colour
    body = [at(0, 0.12), at(0, 0.97), at(0.03, 1.0), at(0.70, 1.0), at(0.78, 0.94), at(0.90, 0.56), at(0.98, 0.50),
            at(1.0, 0.32), at(1.0, 0.12)]  # fmt: skip
    easel.polygon(body, paint, up=0.05)
    easel.polygon(
        [at(0, 1.0), at(0.7, 1.0), at(0.78, 0.94), at(0.76, 0.92), at(0.69, 0.96), at(0, 0.96)], paint, up=0.8
    )
    easel.polygon([at(0.9, 0.56), at(0.98, 0.5), at(0.985, 0.46), at(0.89, 0.52)], paint, up=0.85)
    easel.polygon([at(0, 0.3), at(1.0, 0.3), at(1.0, 0.12), at(0, 0.12)], paint * 0.9, up=-0.3)
    easel.polygon([at(0, 0.17), at(1.0, 0.17), at(1.0, 0.11), at(0, 0.11)], _RUBBER * 2, up=-0.3)
    easel.polygon([at(0.66, 0.86), at(0.765, 0.86), at(0.865, 0.57), at(0.66, 0.57)], _GLASS, up=0.1)
    easel.polygon([at(0.66, 0.86), at(0.765, 0.86), at(0.79, 0.79), at(0.66, 0.74)], _PALE_GLASS, up=0.4)
    easel.box(*at(0.725, 0.86), *at(0.735, 0.57), paint * 0.4)
    stripe = 1.0 - paint
    if third > 0.4:  # a firm's lettering
        easel.polygon([at(0.0, 0.5), at(0.6, 0.5), at(0.57, 0.44), at(0.0, 0.44)], stripe * 0.6)
        for letter in range(9):
            easel.box(
                *at(0.12 + 0.045 * letter, 0.72),
                *at(0.15 + 0.045 * letter, 0.62 + 0.02 * (letter * 7 % 3)),
                stripe * 0.5,
            )
    for seam in (0.2, 0.42, 0.635, 0.84):
        easel.line([at(seam, 0.94 if seam < 0.8 else 0.56), at(seam, 0.18)], tall * 0.006, paint * 0.3)
    easel.line([at(0.0, 0.56), at(0.64, 0.56)], tall * 0.008, paint * 0.5, up=0.5)
    easel.box(*at(0.6, 0.53), *at(0.63, 0.5), _RUBBER * 3)
    easel.polygon([at(0.945, 0.47), at(0.99, 0.44), at(0.99, 0.36), at(0.95, 0.38)], _LAMP, right=0.5)
    easel.box(*at(0.855, 0.66), *at(0.885, 0.53), _RUBBER * 2)
    easel.polygon([at(0.1, 0.12), at(0.9, 0.12), at(0.9, -0.02), at(0.1, -0.02)], _RUBBER, up=-0.9)
    for hub in (0.2, 0.84):
        _wheel(easel, *at(hub, 0.145), 0.145 * tall, arch=_RUBBER)


def bicycle(easel: Easel, occluder: Occluder) -> None:
    """A bicycle that leans against something, seen from the side; only its tubes and tyres hide anything."""
    first, second, third = occluder.form
    metre = easel.width * (1.15 + 0.5 * first)
    ground = easel.height * (1.0 + 0.04 * second)
    rear = easel.width * (0.5 - 0.55 * (1.15 + 0.5 * first) * (0.55 + 0.9 * (third - 0.5)))
    place_bicycle(easel, (rear, ground), metre, occluder.colour)
    _luggage(easel, (rear, ground), metre, occluder)


def place_bicycle(easel: Easel, rear: Point, metre: float, paint: Array) -> None:
    """A bicycle that faces right, the foot of its rear wheel at `rear`, of that many samples a metre."""

    def at(x: float, y: float) -> Point:
        return rear[0] + x * metre, rear[1] - y * metre

    tube = 0.042 * metre
    hubs = (0.0, 0.35), (1.06, 0.35)
    for hub in hubs:
        x, y = at(*hub)
        for spoke in range(16):
            turn = spoke * np.pi / 8 + 0.1
            tip = x + 0.33 * metre * float(np.cos(turn)), y + 0.33 * metre * float(np.sin(turn))
            easel.line([(x, y), tip], 0.007 * metre, _STEEL)
        easel.ring(x, y, 0.35 * metre, 0.045 * metre, _RUBBER)
        easel.ring(x, y, 0.31 * metre, 0.014 * metre, _STEEL)
        easel.disc(x, y, 0.035 * metre, 0.035 * metre, _STEEL)
        arc = [
            (x + 0.39 * metre * float(np.cos(turn)), y - 0.39 * metre * float(np.sin(turn)))
            for turn in np.linspace(0.3, 2.6, 9)
        ]
        easel.line(arc, 0.03 * metre, paint * 0.5, up=0.6)
    crank, seat, head = (0.42, 0.30), (0.27, 0.82), (0.88, 0.86)
    for start, end in (
        (hubs[0], crank),
        (hubs[0], (0.29, 0.76)),
        (crank, seat),
        (crank, (0.90, 0.74)),
        ((0.29, 0.76), head),
    ):
        easel.line([at(*start), at(*end)], tube, paint, up=0.3)
    easel.line([at(*hubs[1]), at(0.90, 0.74), at(0.85, 1.02)], tube, paint * 0.8, right=0.2)
    easel.line([at(*seat), at(0.26, 0.9)], 0.03 * metre, _STEEL)
    easel.polygon([at(0.12, 0.97), at(0.32, 0.95), at(0.42, 0.92), at(0.3, 0.89), at(0.14, 0.9)], _RUBBER * 3, up=0.6)
    easel.line([at(0.76, 1.08), at(0.86, 1.04), at(0.96, 1.06)], 0.035 * metre, _RUBBER * 4, up=0.5)
    x, y = at(*crank)
    easel.disc(x, y, 0.1 * metre, 0.1 * metre, _STEEL * 0.4)
    easel.line([at(*crank), at(0.5, 0.16)], 0.03 * metre, _STEEL)
    easel.box(*at(0.45, 0.17), *at(0.56, 0.13), _RUBBER * 2)


def _luggage(easel: Easel, rear: Point, metre: float, occluder: Occluder) -> None:
    """What a bicycle carries, with which it hides more."""

    def at(x: float, y: float) -> Point:
        return rear[0] + x * metre, rear[1] - y * metre

    paint = occluder.colour
    if occluder.hidden > 0.12:
        easel.polygon(
            [at(-0.2, 0.72), at(0.16, 0.72), at(0.13, 0.36), at(-0.17, 0.36)], 0.04 + 0.3 * paint[::-1], up=0.1
        )
        easel.box(*at(-0.2, 0.76), *at(0.18, 0.71), _RUBBER * 4, facing=(0.0, 0.7))
    if occluder.hidden > 0.2:
        easel.polygon(
            [at(0.92, 1.04), at(1.32, 1.04), at(1.26, 0.76), at(0.97, 0.76)], np.array([0.32, 0.22, 0.12]), up=0.1
        )
        for bar in range(5):
            easel.line(
                [at(0.93, 1.02 - 0.06 * bar), at(1.31, 1.02 - 0.06 * bar)], 0.012 * metre, np.array([0.1, 0.06, 0.03])
            )


def _wheel(easel: Easel, x: float, y: float, radius: float, arch: Array) -> None:
    """A wheel in its arch."""
    easel.disc(x, y - 0.06 * radius, 1.18 * radius, 1.16 * radius, arch * 0.2)
    easel.disc(x, y, radius, radius, _RUBBER)
    easel.disc(x, y, 0.66 * radius, 0.66 * radius, _STEEL * 0.5)
    for spoke in range(5):
        turn = spoke * 2 * np.pi / 5 + 0.3
        tip = x + 0.6 * radius * float(np.cos(turn)), y + 0.6 * radius * float(np.sin(turn))
        easel.line([(x, y), tip], 0.2 * radius, _STEEL)
    easel.disc(x, y, 0.14 * radius, 0.14 * radius, _STEEL * 0.7)
