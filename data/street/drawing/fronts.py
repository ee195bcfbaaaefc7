"""What is in front of somebody: an obstacle or a passer-by, moved until it hides as much of them as it shall."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from data.street.causes.causes import Causes
from data.street.causes.poses import joints
from data.street.drawing.bodies import limbs
from data.street.drawing.obstacles import obstacle
from data.street.drawing.paint import SUPERSAMPLING, Mask, Painted, Surface, averaged, rasterise, shade
from data.street.drawing.views import Light, View

_COARSE = 64
"""Rows, or fewer than twice as many, on which a place is looked for before it is settled sample by sample."""

_TOWARDS = {"below": (0, 1), "left": (-1, 0), "right": (1, 0)}
"""Right and down, the way to each side."""


@dataclass(frozen=True)
class Front:
    """Something in front.

    Attributes:
        solid: `(height, width)` samples of the picture that it hides.
        painted: its pixels.
        view: how it stands on the ground, when it is somebody.
    """

    solid: Mask
    painted: Painted
    view: View | None = None


def front_of(causes: Causes, surface: Surface, light: Light) -> Front | None:
    """What hides a part of the person of `surface`; None when nothing stands before them."""
    occluder = causes.occluder
    if occluder is None or occluder.family == "crop":
        return None
    if causes.passer is not None:
        return _passer(causes, surface, light)
    drawn = obstacle(occluder, light, surface.height, surface.width)
    wanted = occluder.hidden * surface.whole
    shift = shift_to_hide(surface.solid, drawn.solid, occluder.side, wanted)
    solid, colour = (moved(samples, occluder.side, shift) for samples in (drawn.solid, drawn.colour))
    return Front(solid, Painted(averaged(colour), averaged(solid.astype(np.float32))))


def _passer(causes: Causes, surface: Surface, light: Light) -> Front:
    """Somebody who walks by a little nearer to the camera."""
    figure, occluder = causes.passer, causes.occluder
    assert figure is not None
    assert occluder is not None
    points = joints(figure.person, figure.pose)
    body = limbs(figure.person, figure.outfit, figure.pose, points)
    nearer = 1.04 + 0.12 * occluder.form[0]
    height, width = surface.height // SUPERSAMPLING, surface.width // SUPERSAMPLING
    x, y = surface.view.centre
    aside = (occluder.form[1] - 0.5) * 0.2 * width if occluder.side == "below" else 0.0
    place = x + aside, y + (0.01 + 0.04 * occluder.form[2]) * height
    seen = surface.view
    view = replace(seen, heading=figure.pose.heading, scale=seen.scale * nearer, centre=place)
    alone = rasterise(body, view, height, width)
    whole = np.pad(alone.owner > 0, 1)
    wanted = occluder.hidden * surface.whole
    shift = shift_to_hide(surface.solid, whole, occluder.side, wanted, alone.top - 1, alone.left - 1)
    right, down = _TOWARDS[occluder.side]
    place = place[0] + right * shift / SUPERSAMPLING, place[1] + down * shift / SUPERSAMPLING
    there = rasterise(body, replace(view, centre=place), height, width)
    folds = causes.stand.folds[1], causes.stand.folds[0]
    return Front(there.solid, shade(there, there.solid, light, folds), there.view)


def moved(samples: NDArray[Any], side: str, shift: int) -> NDArray[Any]:
    """A picture's samples moved by `shift` towards the side they come from, or farther in when it is negative.

    What comes in from that side repeats the edge there; from the far side comes nothing.
    """
    axis, sign = (0, 1) if side == "below" else (1, 1 if side == "right" else -1)
    length = samples.shape[axis]
    places = np.arange(length) - sign * shift
    there = samples.take(places, axis=axis, mode="clip")
    from_afar = places < 0 if sign > 0 else places >= length
    there[(from_afar, slice(None)) if axis == 0 else (slice(None), from_afar)] = 0
    return there


def shift_to_hide(person: Mask, front: Mask, side: str, wanted: float, top: int = 0, left: int = 0) -> int:
    """How far `front` must move towards the side it comes from so that it hides `wanted` samples or nearly.

    Args:
        person: `(height, width)` where there is somebody to hide.
        front: where something is, its edge repeated beyond that side; its first sample lies at (`top`, `left`).
        side: "below", "left" or "right".
    """
    if side == "below":
        return shift_to_hide(person.T, front.T, "right", wanted, left, top)
    if side == "left":
        left = person.shape[1] - left - front.shape[1]
        return shift_to_hide(person[:, ::-1], front[:, ::-1], "right", wanted, top, left)
    height, width = person.shape
    rows, columns = np.arange(height) - top, np.arange(-width, 2 * width) - left
    # Where `front` is when it lies farthest in, and all the way that it came.
    strip = front.take(rows, axis=0, mode="clip").take(columns, axis=1, mode="clip")
    strip[:, columns < 0] = False
    step = max(min(height, width) // _COARSE, 1)
    coarse = _hidden(person[::step, ::step], strip[::step, ::step], np.arange(0, 2 * width + 1, step) // step)
    # From the first place, outside, up to the one that hides most: beyond that it would leave on the other side.
    found = int(np.argmin(np.abs(coarse[: int(np.argmax(coarse)) + 1] * step**2 - wanted))) * step
    first, last = max(found - step, 0), min(found + step, 2 * width)
    exact = _hidden(person, strip, np.arange(first, last + 1))
    shift: int = width - first - int(np.argmin(np.abs(exact - wanted)))
    return shift


def _hidden(person: Mask, strip: Mask, begins: NDArray[np.int64]) -> NDArray[np.int64]:
    """How many samples of the person each piece of the strip hides, by the columns at which they begin."""
    width = person.shape[1]
    return np.array([np.count_nonzero(person & strip[:, begin : begin + width]) for begin in begins.tolist()])
