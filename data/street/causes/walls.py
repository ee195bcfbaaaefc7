"""Walls and clutter: the fronts along a street and what stands about before them, in metres on an easel."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from data.street.causes.grounds import Perspective
from data.street.causes.occluders import THINGS
from data.street.causes.palette import Array, linear
from data.street.drawing.easel import Easel
from data.street.drawing.vehicles import place_bicycle, place_car

Generator = np.random.Generator

_STONES = (
    (142, 84, 66),
    (186, 172, 150),
    (120, 126, 136),
    (204, 196, 182),
    (104, 98, 94),
    (162, 136, 106),
    (176, 150, 138),
)
_PAINTS = (
    (40, 44, 50), (150, 40, 38), (52, 80, 128), (196, 194, 188), (60, 88, 56), (170, 140, 70), (90, 70, 56),
    (224, 222, 216), (110, 116, 122),
)  # fmt: skip
_LEAVES = ((58, 84, 44), (76, 100, 52), (48, 70, 44))
_PANE: Array = linear((66, 78, 90))
_DARK: Array = linear((44, 44, 46))


def _tint(colours: tuple[tuple[int, int, int], ...], generator: Generator) -> Array:
    """One of the colours, as this piece has it."""
    found: Array = linear(colours[int(generator.integers(len(colours)))]) * np.float32(generator.uniform(0.7, 1.25))
    return np.minimum(found, 0.9)


class Front:
    """A piece of wall from `left` to `right` that stands on row `foot`, `metre` samples a metre."""

    def __init__(self, easel: Easel, left: float, right: float, foot: float, metre: float) -> None:
        self.easel, self.left, self.right, self.foot, self.metre = easel, left, right, foot, metre

    def box(self, left: float, low: float, right: float, high: float, colour: Array, up: float = 0.0) -> None:
        """A rectangle in metres from the left and above the foot, cut off where the front ends."""
        end = min(self.left + right * self.metre, self.right)
        self.easel.box(
            self.left + left * self.metre, self.foot - high * self.metre, end, self.foot - low * self.metre, colour,
            facing=(0.0, up),
        )  # fmt: skip

    @property
    def wide(self) -> float:
        return (self.right - self.left) / self.metre

    @property
    def tall(self) -> float:
        return self.foot / self.metre


def _window(front: Front, left: float, low: float, wide: float, tall: float, generator: Generator) -> None:
    frame = _tint(((222, 220, 212), (90, 84, 78)), generator)
    front.box(left, low, left + wide, low + tall, frame)
    pane = _PANE * np.float32(generator.uniform(0.4, 1.8))
    front.box(left + 0.07, low + 0.07, left + wide - 0.07, low + tall - 0.07, pane)
    front.box(left + 0.07, low + 0.55 * tall, left + 0.6 * wide, low + tall - 0.07, pane * 1.7, up=0.3)
    front.box(left + 0.47 * wide, low, left + 0.53 * wide, low + tall, frame)
    front.box(left - 0.06, low - 0.1, left + wide + 0.06, low, frame * 0.8, up=0.6)


def _plaster(front: Front, generator: Generator) -> None:
    colour = _tint(_STONES[1:], generator)
    front.box(0, 0, front.wide, front.tall, colour)
    front.box(0, 0, front.wide, 0.5, colour * 0.6)
    place, door = float(generator.uniform(0.3, 1.0)), bool(generator.random() < 0.6)
    while place + 1.0 < front.wide:
        if door:
            wood = _tint(_PAINTS, generator)
            front.box(place - 0.1, 0, place + 1.05, 2.25, colour * 0.5)
            front.box(place, 0, place + 0.95, 2.15, wood)
            front.box(place + 0.12, 1.2, place + 0.83, 1.95, _PANE)
            door = False
        else:
            for floor in range(2):
                _window(front, place, 1.0 + 2.9 * floor, 1.05, 1.35, generator)
        place += float(generator.uniform(1.7, 2.6))


def _brick(front: Front, generator: Generator) -> None:
    colour, course = _tint(_STONES[:3], generator), 0.16
    front.box(0, 0, front.wide, front.tall, colour)
    shades = generator.uniform(0.78, 1.18, 64)
    for row in range(int(min(front.tall, 4.5) / course)):
        front.box(0, row * course, front.wide, row * course + 0.035, colour * 0.6)
        for brick in range(3):
            left = float(shades[(row * 5 + brick * 7) % 64] - 0.78) * 2.5 * front.wide
            front.box(left, row * course + 0.04, left + 0.4, (row + 1) * course, colour * float(shades[row % 64]))
    if generator.random() < 0.7:
        place = float(generator.uniform(0.4, 1.2))
        while place + 1.0 < front.wide:
            _window(front, place, 1.1, 0.95, 1.4, generator)
            place += 2.4


def _stone(front: Front, generator: Generator) -> None:
    colour = _tint(_STONES[3:], generator)
    front.box(0, 0, front.wide, front.tall, colour * 0.55)
    for row in range(int(min(front.tall, 4.5) / 0.45) + 1):
        place = -0.4 * (row % 2)
        while place < front.wide:
            shade = colour * float(generator.uniform(0.82, 1.12))
            front.box(max(place, 0.0), row * 0.45 + 0.025, place + 0.85, row * 0.45 + 0.45, shade, up=0.1)
            place += 0.88


def _shop(front: Front, generator: Generator) -> None:
    colour, sign = _tint(_PAINTS, generator), _tint(_PAINTS, generator)
    front.box(0, 0, front.wide, front.tall, _tint(_STONES, generator))
    front.box(0.1, 0, front.wide - 0.1, 2.7, colour)
    place = 0.25
    while place + 0.6 < front.wide:
        wide = min(float(generator.uniform(1.0, 1.9)), front.wide - place - 0.2)
        front.box(place, 0.35, place + wide, 2.5, _PANE * np.float32(generator.uniform(0.5, 1.6)))
        for _ in range(5):  # goods behind the glass
            left, low = place + 0.1 + 0.8 * wide * float(generator.random()), 0.4 + float(generator.uniform(0.0, 1.0))
            reach = min(float(generator.uniform(0.15, 0.4)), place + wide - left)
            front.box(left, low, left + reach, low + float(generator.uniform(0.15, 0.5)), _tint(_PAINTS, generator))
        front.box(place, 1.7, place + 0.7 * wide, 2.5, _PANE * 2.2, up=0.3)
        place += wide + 0.12
    front.box(0.05, 2.75, front.wide - 0.05, 3.35, sign)
    pale = np.minimum(1.0 - sign, 0.8)
    for letter in range(int(front.wide * 1.6)):
        left = 0.5 + 0.42 * letter
        if left + 0.5 < front.wide and letter % 6 != 4:
            front.box(left, 2.9, left + 0.28, 3.0 + 0.06 * (letter * 7 % 4), pale)
    if generator.random() < 0.6:  # an awning
        for stripe in range(int(front.wide / 0.4) + 1):
            shade = sign if stripe % 2 else np.array([0.75, 0.74, 0.7])
            front.box(0.4 * stripe, 2.3, 0.4 * (stripe + 1), 2.8, shade, up=0.7)


def _shutter(front: Front, generator: Generator) -> None:
    colour = _tint(_PAINTS[5:], generator)
    front.box(0, 0, front.wide, front.tall, _tint(_STONES, generator))
    front.box(0.15, 0, front.wide - 0.15, 2.8, colour)
    for slat in range(18):
        front.box(0.15, slat * 0.155, front.wide - 0.15, slat * 0.155 + 0.05, colour * 0.6, up=-0.2)
    if generator.random() < 0.6:  # somebody's name on it
        ink = _tint(_PAINTS, generator)
        points = [
            (
                front.left + (0.4 + 0.22 * step) * front.metre,
                front.foot - float(generator.uniform(0.6, 2.0)) * front.metre,
            )
            for step in range(int(max(front.wide - 0.8, 0.5) / 0.22))
        ]
        front.easel.line(points, 0.1 * front.metre, ink)


def _hedge(front: Front, generator: Generator) -> None:
    colour, tall = linear(_LEAVES[int(generator.integers(len(_LEAVES)))]), float(generator.uniform(1.2, 3.5))
    front.box(0, 0, front.wide, front.tall, _tint(((168, 180, 190), (120, 128, 120), (176, 166, 150)), generator))
    front.box(0, 0, front.wide, tall, colour * 0.35)
    count = int(min(front.wide * tall * 9, 160))
    for x, y, size, shade in generator.random((count, 4)).tolist():
        wide = (0.09 + 0.12 * size) * front.metre
        left = min(max(front.left + x * (front.right - front.left), front.left + wide), front.right - wide)
        front.easel.disc(left, front.foot - y * tall * front.metre, wide, wide * 0.8, colour * (0.5 + shade),
                         right=0.8 * (size - 0.5), up=0.5 * shade)  # fmt: skip


def _fence(front: Front, generator: Generator) -> None:
    behind, colour = _tint(_LEAVES, generator) * 0.5, _tint(((150, 120, 84), (70, 74, 78), (210, 206, 196)), generator)
    front.box(0, 0, front.wide, front.tall, _tint(((150, 160, 150), (170, 176, 182), (110, 116, 104)), generator))
    front.box(0, 0, front.wide, 1.3, behind)
    pace = float(generator.uniform(0.16, 0.3))
    for paling in range(int(front.wide / pace)):
        front.box(paling * pace, 0.05, paling * pace + 0.62 * pace, 1.7 + 0.05 * (paling % 2), colour)
    for rail in (0.35, 1.4):
        front.box(0, rail, front.wide, rail + 0.08, colour * 0.8, up=0.4)


def _office(front: Front, generator: Generator) -> None:
    frame, pace = _tint(((70, 74, 80), (180, 182, 184)), generator), float(generator.uniform(1.0, 1.6))
    front.box(0, 0, front.wide, front.tall, frame)
    for column in range(int(front.wide / pace) + 1):
        for floor in range(int(min(front.tall, 6.0) / 1.5) + 1):
            pane = _PANE * np.float32(generator.uniform(0.4, 2.2))
            front.box(column * pace + 0.08, floor * 1.5 + 0.1, (column + 1) * pace, floor * 1.5 + 1.45, pane, up=0.2)


_FRONTS: Mapping[str, Callable[[Front, Generator], None]] = {
    "brick": _brick, "plaster": _plaster, "shop": _shop, "hedge": _hedge, "shutter": _shutter, "stone": _stone,
    "fence": _fence, "office": _office,
}  # fmt: skip


def build(
    easel: Easel, foot: float, perspective: Perspective, weights: Mapping[str, float], generator: Generator
) -> None:
    """A row of fronts that stand on row `foot`, from one end of the easel to the other."""
    metre, left = perspective.scale(foot), 0.0
    names, shares = list(weights), list(weights.values())
    while left < easel.width:
        right = min(left + float(generator.uniform(3.0, 8.0)) * metre, easel.width)
        kind = names[int(generator.choice(len(names), p=shares))]
        _FRONTS[kind](Front(easel, left, right, foot, metre), generator)
        left = right
    easel.box(0, foot - 0.06 * metre, easel.width, foot, _DARK)


def place(easel: Easel, kind: str, x: float, foot: float, metre: float, generator: Generator) -> float:
    """One piece of clutter whose left end is at `x` and that stands on row `foot`; returns its width."""
    colour = _tint(THINGS["car"].colours if kind == "car" else _PAINTS, generator)
    if kind == "car":
        place_car(
            easel, (x + 4.3 * metre, foot), 4.3 * metre, 1.45 * metre, colour, hatch=bool(generator.random() < 0.5)
        )
        return 4.3 * metre
    if kind == "bicycle":
        place_bicycle(easel, (x + 0.35 * metre, foot), metre, colour)
        return 1.8 * metre
    if kind in ("post", "tree", "sign", "bollard"):
        wide = {"post": 0.13, "tree": float(generator.uniform(0.25, 0.5)), "sign": 0.07, "bollard": 0.14}[kind] * metre
        tall = {"bollard": 0.95, "sign": 2.6}.get(kind, 9.0) * metre
        easel.column(x, x + wide, foot - tall, foot, linear((82, 68, 54)) if kind == "tree" else colour * 0.6)
        if kind == "sign":
            middle, top = x + wide / 2, foot - 2.5 * metre
            easel.disc(middle, top, 0.3 * metre, 0.3 * metre, linear((190, 40, 40)))
            easel.disc(middle, top, 0.21 * metre, 0.21 * metre, linear((220, 218, 210)))
        if kind == "tree":
            for _ in range(40):
                aside, high = float(generator.normal(0.0, 0.8)), float(generator.uniform(2.4, 4.5))
                leaf = linear(_LEAVES[0]) * float(generator.uniform(0.5, 1.5))
                easel.disc(x + aside * metre, foot - high * metre, 0.22 * metre, 0.17 * metre, leaf, up=0.4)
        return wide
    if kind == "bin":
        easel.column(x, x + 0.5 * metre, foot - 0.85 * metre, foot, colour, taper=0.12)
        easel.column(x - 0.04 * metre, x + 0.54 * metre, foot - 0.95 * metre, foot - 0.83 * metre, colour * 0.6)
        return 0.5 * metre
    easel.box(x, foot - 0.5 * metre, x + 1.1 * metre, foot, colour * 0.7)
    for leaf, high, shade in generator.random((20, 3)).tolist():
        bush = linear(_LEAVES[1]) * (0.5 + shade)
        easel.disc(x + leaf * 1.1 * metre, foot - (0.5 + 0.5 * high) * metre, 0.13 * metre, 0.1 * metre, bush, up=0.4)
    return 1.1 * metre
