"""Solid parts to pixels: a depth-buffered painter for limbs, shaded by one sun and the sky, in NumPy."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from data.street.bodies import Limb, Part
from data.street.palette import Array
from data.street.views import View

SUPERSAMPLING = 2
"""Samples per pixel along each side; the camera's own blur hides the rest of the steps."""

_STEPS: Array = np.linspace(0.0, 1.0, 48, dtype=np.float32)
"""Where along a limb its half-width is tabled."""


_OPEN: Array = np.array([0.0, 0.22, 0.3], dtype=np.float32)
"""How a surface's lie decides what it gets of the sky: more from above, and less at the rim of a round limb."""


@dataclass(frozen=True)
class Light:
    """What falls on a person.

    Attributes:
        direction: `(3,)` unit vector towards the sun as the picture lies: right, up, to the viewer.
        sun, sky: `(3,)` linear colours.
    """

    direction: Array
    sun: Array
    sky: Array


@dataclass(frozen=True)
class Painted:
    """A figure on nothing.

    Attributes:
        colour: `(H, W, 3)` linear light, multiplied by `cover`.
        cover: `(H, W)` the part of each pixel that the person fills.
        parts: `(H·S, W·S)` uint8 `Part` of each sample, S = `SUPERSAMPLING`.
    """

    colour: Array
    cover: Array
    parts: NDArray[np.uint8]


class Canvas:
    """Buffers of `(H, W)` samples: the nearest surface so far, its normal, its colour and its part."""

    def __init__(self, height: int, width: int) -> None:
        self.depth: Array = np.full((height, width), -np.inf, dtype=np.float32)
        self.normal: Array = np.zeros((height, width, 3), dtype=np.float32)
        self.colour: Array = np.zeros((height, width, 3), dtype=np.float32)
        self.part: NDArray[np.uint8] = np.zeros((height, width), dtype=np.uint8)
        self._rows: Array = np.arange(height, dtype=np.float32)[:, None] + np.float32(0.5)
        self._columns: Array = np.arange(width, dtype=np.float32)[None, :] + np.float32(0.5)

    def draw(self, limb: Limb, view: View, ends: Array) -> None:
        """Draw one limb whose ends are projected to `ends` `(2, 4)`: x, y, depth, samples per metre."""
        (x, y, near, scale), (x_end, y_end, near_end, scale_end) = ends.tolist()
        wide, deep = _profile(limb.wide), _profile(limb.deep)
        cosine, sine = np.cos(view.heading + limb.yaw) ** 2, np.sin(view.heading + limb.yaw) ** 2
        scales = scale + (scale_end - scale) * _STEPS
        radius = np.sqrt(wide**2 * cosine + deep**2 * sine) * scales
        bulge = np.sqrt(wide**2 * sine + deep**2 * cosine) * scales
        margin = float(radius.max()) + 1.0
        height, width = self.depth.shape
        top, bottom = max(int(min(y, y_end) - margin), 0), min(int(max(y, y_end) + margin) + 1, height)
        left, right = max(int(min(x, x_end) - margin), 0), min(int(max(x, x_end) + margin) + 1, width)
        if top >= bottom or left >= right:
            return
        box = slice(top, bottom), slice(left, right)
        across, down = self._columns[:, left:right] - np.float32(x), self._rows[top:bottom] - np.float32(y)
        run, fall = np.float32(x_end - x), np.float32(y_end - y)
        if abs(run) + abs(fall) < 0.03:  # seen end on, or a ball: any direction will do
            run, fall = np.float32(0.03), np.float32(0.0)
        reach = np.float32(np.hypot(run, fall))
        share = (across * run + down * fall) / (reach * reach)
        clipped = np.minimum(np.maximum(share, np.float32(0.0)), np.float32(1.0))
        step = (clipped * np.float32(len(_STEPS) - 1)).astype(np.int32)
        here = radius[step]
        over = (share - clipped) * reach / here
        over *= np.where(over < 0.0, np.float32(1.0 / limb.caps[0]), np.float32(1.0 / limb.caps[1]))
        aside = (across * fall - down * run) / (reach * here)
        towards = 1.0 - aside * aside - over * over
        depth = np.float32(near) + clipped * np.float32(near_end - near)
        depth += bulge[step] * np.sqrt(np.maximum(towards, np.float32(0.0)))
        seen = (towards > 0.0) & (depth > self.depth[box])
        aside, over, facing = aside[seen], over[seen], np.sqrt(towards[seen])
        right, upward = (aside * fall + over * run) / reach, (aside * run - over * fall) / reach
        normal = np.stack([right, upward, facing], axis=1)
        along = np.clip(share[seen], -1.0, 2.0) * np.float32(np.linalg.norm(limb.end - limb.start))
        self.depth[box][seen] = depth[seen]
        self.normal[box][seen] = normal
        self.colour[box][seen] = limb.brush(along, view.azimuth(normal, limb.yaw))
        self.part[box][seen] = limb.part

    def shade(self, light: Light, folds: Array) -> Painted:
        """Light what was drawn, fold the cloth by `folds` (`(H, W)`, about ±1) and average down to pixels."""
        filled = self.part > 0
        part, normal = self.part[filled], self.normal[filled]
        cloth = (part == Part.TORSO) | (part == Part.ARMS) | (part == Part.LEGS)
        wrinkled = folds[filled] * cloth
        lit = np.maximum(normal @ light.direction + np.float32(0.25) * wrinkled, 0.0)
        open_sky = np.float32(0.5) + normal @ _OPEN + np.float32(0.06) * wrinkled
        self.colour[filled] *= lit[:, None] * light.sun + open_sky[:, None] * light.sky
        return Painted(_averaged(self.colour), _averaged(filled.astype(np.float32)), self.part)


def _profile(half_widths: tuple[float, ...]) -> Array:
    """Half-widths at `_STEPS` between those given at even distances."""
    knots = _STEPS[:: len(_STEPS) - 1] if len(half_widths) == 2 else np.linspace(0.0, 1.0, len(half_widths))
    return np.interp(_STEPS, knots, half_widths).astype(np.float32)


def _averaged(samples: Array) -> Array:
    """Means over the samples of each pixel."""
    firsts = range(SUPERSAMPLING)
    # Sums of strided slices: many times faster than a mean over two short axes.
    rows = np.add.reduce([samples[first::SUPERSAMPLING] for first in firsts])
    total = np.add.reduce([rows[:, first::SUPERSAMPLING] for first in firsts])
    means: Array = total / np.float32(SUPERSAMPLING**2)
    return means


def paint(limbs: list[Limb], view: View, light: Light, folds: Array, height: int, width: int) -> Painted:
    """A figure as `view` sees it; `folds` has `SUPERSAMPLING` times the picture's sides."""
    canvas = Canvas(height * SUPERSAMPLING, width * SUPERSAMPLING)
    ends = view.project(np.array([point for limb in limbs for point in (limb.start, limb.end)]))
    ends = (ends * np.float32(SUPERSAMPLING)).reshape(-1, 2, 4)
    for limb, pair in zip(limbs, ends, strict=True):
        canvas.draw(limb, view, pair)
    return canvas.shade(light, folds)
