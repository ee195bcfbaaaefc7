"""What bodies and clothes are made of: tapered solids round bones, each with its own way to be coloured."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import IntEnum

import numpy as np

from data.street.causes.palette import Array


class Part(IntEnum):
    """What a pixel belongs to; 0 is whatever is not the person."""

    BACKGROUND = 0
    HEAD = 1
    HAIR = 2
    TORSO = 3
    ARMS = 4
    HANDS = 5
    LEGS = 6
    FEET = 7
    BAG = 8


Brush = Callable[[Array, Array], Array]
"""The linear colours `(k, 3)` of points at `along` metres from a limb's start and `azimuth` from its front."""


@dataclass(frozen=True)
class Limb:
    """A tapered solid round a bone, in the frame of the body.

    Attributes:
        start, end: `(3,)` metres.
        wide, deep: half-widths in metres at even steps from start to end, across and ahead.
        brush: how it is coloured.
        part: what it belongs to.
        yaw: radians that its front is turned to the body's left.
        caps: how far each end bulges, in parts of its half-width: 1 a ball, 0.2 nearly cut off.
    """

    start: Array
    end: Array
    wide: tuple[float, ...]
    deep: tuple[float, ...]
    brush: Brush
    part: Part
    yaw: float = 0.0
    caps: tuple[float, float] = (1.0, 1.0)


def plain(colour: Array) -> Brush:
    """The brush of one colour."""
    return lambda along, azimuth: np.broadcast_to(colour, (len(along), 3))


def offset(x: float, y: float, z: float) -> Array:
    """`(3,)` metres to the body's left, up and ahead."""
    return np.array([x, y, z], dtype=np.float32)


def scaled(radii: Sequence[float], tall: float, slack: float = 0.0) -> tuple[float, ...]:
    """Half-widths in metres from parts of the height, `slack` metres wider."""
    return tuple(radius * tall + slack for radius in radii)


def tube(start: Array, end: Array, radii: tuple[float, ...], brush: Brush, part: Part) -> Limb:
    """A limb as deep as it is wide."""
    return Limb(start, end, radii, radii, brush, part)


def between(start: Array, end: Array, share: float) -> Array:
    """The point at `share` of the way."""
    return np.asarray(start + (end - start) * np.float32(share))


def clothed(
    radii: Sequence[float], covered: float, slack: float, flare: float = 0.0, close: float = 1.0
) -> tuple[float, ...]:
    """The half-widths of a limb at nine even steps, `slack` wider as far as cloth covers it, and then bare.

    Args:
        radii: of the bare limb at even steps.
        covered: the share of it that is under cloth.
        flare: how much farther the cloth stands off at the limb's end.
        close: which part of `slack` there is at the limb's start.
    """
    if covered <= 0.0:
        return tuple(radii)
    last, found = len(radii) - 1, []
    for step in range(9):
        share = step / 8.0
        low = min(int(share * last), last - 1)
        radius = radii[low] + (share * last - low) * (radii[low + 1] - radii[low])
        stands_off = slack * min(1.0, close + 4.0 * share) + flare * share
        found.append(radius + (stands_off if share <= covered + 0.06 else 0.0))
    return tuple(found)
