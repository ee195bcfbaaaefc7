"""Solid parts to samples to pixels: a depth-buffered painter for limbs, shaded by one sun and the sky, in NumPy.

`rasterise` finds what is nearest at every sample; `shade` colours what of it is seen in the end, and nothing else.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from data.street.causes.palette import Array
from data.street.drawing.parts import Limb, Part
from data.street.drawing.solids import Solids
from data.street.drawing.views import Light, View

SUPERSAMPLING = 2
"""Samples per pixel along each side; the camera's own blur hides the rest of the steps."""

Mask = NDArray[np.bool_]
_Kind = TypeVar("_Kind", bound=np.generic)

_CLOTH = (Part.TORSO, Part.ARMS, Part.LEGS)


@dataclass(frozen=True)
class Surface:
    """What of a figure is nearest at every sample of a canvas that holds all of it, in the picture or beyond.

    Attributes:
        limbs, view, solids: what was drawn, how it is seen and how it lies in the picture.
        samples: of a pixel, along each side.
        height, width: samples of the picture.
        left, top: the canvas's first sample as the picture counts them, 0 or less.
        owner: `(rows, columns)` uint8 number of the limb that is nearest, from 1; 0 where none is.
        depth: how near it is, in samples; −inf where none is.
        along: steps from the limb's start, and
        aside, over: two parts of the unit normal there, as in `solids.Lie`.
    """

    limbs: Sequence[Limb]
    view: View
    solids: Solids
    samples: int
    height: int
    width: int
    left: int
    top: int
    owner: NDArray[np.uint8]
    depth: Array
    along: Array
    aside: Array
    over: Array

    def window(self, samples: NDArray[_Kind]) -> NDArray[_Kind]:
        """The part of a canvas that lies in the picture, `(height, width)`."""
        return samples[-self.top : self.height - self.top, -self.left : self.width - self.left]

    @cached_property
    def solid(self) -> Mask:
        """`(height, width)`: where in the picture the figure is."""
        return self.window(self.owner) > 0

    @cached_property
    def whole(self) -> int:
        """Samples of the figure, in the picture or beyond."""
        return int(np.count_nonzero(self.owner))

    def labels(self, label_of: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """`(height, width)`: what every sample of the picture is called, given the label of each `Part`."""
        names = label_of[[Part.BACKGROUND, *(limb.part for limb in self.limbs)]]
        found: NDArray[np.uint8] = names.take(self.window(self.owner))
        return found


@dataclass(frozen=True)
class Painted:
    """A figure on nothing.

    Attributes:
        colour: `(H, W, 3)` linear light, multiplied by `cover`.
        cover: `(H, W)` the part of each pixel where the figure is seen.
    """

    colour: Array
    cover: Array


def rasterise(limbs: Sequence[Limb], view: View, height: int, width: int, samples: int = SUPERSAMPLING) -> Surface:
    """What of `limbs` is nearest to the viewer of a picture of `height` by `width` pixels of `samples`² samples."""
    solids = Solids.of(limbs, view, samples)
    height, width = height * samples, width * samples
    left, top = np.minimum(solids.boxes[:, :2].min(axis=0), 0).tolist()
    right, bottom = np.maximum(solids.boxes[:, 2:].max(axis=0), (width, height)).tolist()
    columns = np.arange(left, right, dtype=np.float32)[None, :] + np.float32(0.5)
    rows = np.arange(top, bottom, dtype=np.float32)[:, None] + np.float32(0.5)
    size = bottom - top, right - left
    owner = np.zeros(size, dtype=np.uint8)
    depth = np.full(size, -np.inf, dtype=np.float32)
    along, aside, over = np.empty((3, *size), dtype=np.float32)
    for number, (first, upper, last, lower) in enumerate(solids.boxes.tolist()):
        box = slice(upper - top, lower - top), slice(first - left, last - left)
        lie = solids.lie(number, columns[:, box[1]], rows[box[0]])
        front, nearest = lie.depth, depth[box]
        front += lie.thick
        seen = front > nearest
        seen &= lie.facing > 0.0
        np.copyto(nearest, front, where=seen)
        np.copyto(owner[box], np.uint8(number + 1), where=seen)
        np.copyto(along[box], lie.along, where=seen)
        np.copyto(aside[box], lie.aside, where=seen)
        np.copyto(over[box], lie.over, where=seen)
    return Surface(limbs, view, solids, samples, height, width, left, top, owner, depth, along, aside, over)


def shade(surface: Surface, seen: Mask, light: Light, folds: tuple[float, float]) -> Painted:
    """Light what is seen of a figure and average it down to pixels.

    Args:
        seen: `(height, width)` samples of the picture where the figure is and nothing hides it.
        folds: where in the noise of folded cloth this moment lies, down and right, 0 to 1.
    """
    limbs, solids, samples = surface.limbs, surface.solids, surface.samples
    places = np.flatnonzero(seen)
    owner = surface.window(surface.owner)[seen]
    # Limb by limb, so that each brush is called once.
    places = places[np.argsort(owner, kind="stable")]
    counts = np.bincount(owner, minlength=len(limbs) + 1)[1:]
    rows = places // surface.width
    columns = places - rows * surface.width
    canvas = rows * surface.owner.shape[1] + columns - (surface.top * surface.owner.shape[1] + surface.left)
    along, aside, over = (buffer.ravel().take(canvas) for buffer in (surface.along, surface.aside, surface.over))
    run, fall, length = (np.repeat(number, counts) for number in (solids.run, solids.fall, solids.lengths))
    near, flat, lean = (np.repeat(number, counts) for number in (solids.near, solids.flat, solids.lean))
    # The front of a limb that leans towards the viewer shows what is farther along its bone.
    along = along * flat + (surface.depth.ravel().take(canvas) - near) * lean
    along = np.minimum(np.maximum(along, -1.0), 2.0) * length
    right, up = aside * fall + over * run, aside * run - over * fall
    ahead = np.sqrt(np.maximum(1.0 - aside * aside - over * over, np.float32(0.0)))
    yaw = np.repeat(np.array([limb.yaw for limb in limbs], dtype=np.float32), counts)
    azimuth = surface.view.azimuth(right, up, ahead, yaw)
    colour = np.empty((3, len(places)), dtype=np.float32)
    last = 0
    for limb, count in zip(limbs, counts.tolist(), strict=True):
        if count:
            first, last = last, last + count
            colour[:, first:last] = limb.brush(along[first:last], azimuth[first:last]).T
    cloth = np.repeat(np.array([limb.part in _CLOTH for limb in limbs], dtype=np.float32), counts)
    lit, sky = light.received(right, up, ahead, _folds(surface.height, surface.width, folds, rows, columns) * cloth)
    height, width = surface.height // samples, surface.width // samples
    pixels = (rows // samples) * width + columns // samples
    share = np.float32(1.0 / samples**2)
    seen_colour = np.empty((height * width, 3), dtype=np.float32)
    for channel in range(3):
        light_here = colour[channel] * (lit * light.sun[channel] + sky * light.sky[channel])
        seen_colour[:, channel] = np.bincount(pixels, light_here, height * width)
    seen_colour *= share
    cover = np.bincount(pixels, minlength=height * width).astype(np.float32) * share
    return Painted(seen_colour.reshape(height, width, 3), cover.reshape(height, width))


def averaged(samples: Array) -> Array:
    """Means over the samples of each pixel, `(H·S, W·S, ...)` to `(H, W, ...)`."""
    firsts = range(SUPERSAMPLING)
    # Sums of strided slices: many times faster than a mean over two short axes.
    rows = np.add.reduce([samples[first::SUPERSAMPLING] for first in firsts])
    total = np.add.reduce([rows[:, first::SUPERSAMPLING] for first in firsts])
    means: Array = total / np.float32(SUPERSAMPLING**2)
    return means


def _folds(height: int, width: int, at: tuple[float, float], rows: NDArray[Any], columns: NDArray[Any]) -> Array:
    """The noise of folded cloth at samples of a picture, which begins at `at` in it."""
    noise = _noise(height, width)
    places = (rows + int(at[0] * height)) * noise.shape[1] + (columns + int(at[1] * width))
    found: Array = noise.ravel().take(places)
    return found


@lru_cache(maxsize=2)
def _noise(height: int, width: int) -> Array:
    """Slow noise for the folds of cloth, about ±1, twice as high and wide: the same in every street."""
    generator = np.random.default_rng(0)
    folds = np.zeros((2 * height, 2 * width), dtype=np.float32)
    for cells, strength in ((28, 0.7), (60, 0.5)):
        coarse = generator.normal(0.0, strength, (cells, cells)).astype(np.float32)
        folds += np.asarray(Image.fromarray(coarse).resize((2 * width, 2 * height), Image.Resampling.BICUBIC))
    return folds
