"""An easel: flat shapes that know which way they face, drawn by Pillow and lit as bodies are."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from data.street.causes.palette import Array
from data.street.drawing.views import Light

Point = tuple[float, float]

_STRIPS = 20
"""Flat strips that make a round column."""

_BRIGHTEST = 2.5
"""The linear light that the greatest stored value stands for."""

_LINEAR: Array = (_BRIGHTEST * (np.arange(256, dtype=np.float32) / 255.0) ** 2.2).astype(np.float32)


_CLIPPED: NDArray[np.uint8] = np.minimum(np.arange(256) * _BRIGHTEST ** (1 / 2.2), 255.0).astype(np.uint8)


class Easel:
    """A picture of `(height, width)` samples, empty at first; later shapes lie over earlier ones.

    A shape's `colour` is `(3,)` linear reflectance; `right` and `up` are two parts of the unit vector that it faces
    along, and decide what light it gets.
    """

    def __init__(self, height: int, width: int, light: Light) -> None:
        self.height, self.width, self._light = height, width, light
        self._image = Image.new("RGBA", (width, height))
        self._pen = ImageDraw.Draw(self._image)

    def _lit(self, colour: Array, right: float, up: float) -> tuple[int, int, int, int]:
        ahead = max(1.0 - right * right - up * up, 0.0) ** 0.5
        direction = self._light.direction
        sun = max(right * float(direction[0]) + up * float(direction[1]) + ahead * float(direction[2]), 0.0)
        seen = colour * (sun * self._light.sun + (0.5 + 0.22 * up + 0.3 * ahead) * self._light.sky)
        red, green, blue = (round(255 * min(max(value / _BRIGHTEST, 0.0), 1.0) ** (1 / 2.2)) for value in seen.tolist())
        return red, green, blue, 255

    def polygon(self, points: Sequence[Point], colour: Array, right: float = 0.0, up: float = 0.0) -> None:
        self._pen.polygon(points, fill=self._lit(colour, right, up))

    def box(
        self, left: float, top: float, right: float, bottom: float, colour: Array, facing: Point = (0.0, 0.0)
    ) -> None:
        """An upright rectangle; `facing` is how far it faces right and up."""
        if right > left and bottom > top:
            self._pen.rectangle((left, top, right, bottom), fill=self._lit(colour, *facing))

    def disc(
        self, x: float, y: float, wide: float, tall: float, colour: Array, right: float = 0.0, up: float = 0.0
    ) -> None:
        """An ellipse round (x, y) of those half-axes."""
        self._pen.ellipse((x - wide, y - tall, x + wide, y + tall), fill=self._lit(colour, right, up))

    def ring(self, x: float, y: float, radius: float, thick: float, colour: Array) -> None:
        """A circle of that thickness, with nothing inside."""
        around = (x - radius, y - radius, x + radius, y + radius)
        self._pen.ellipse(around, outline=self._lit(colour, 0.0, 0.3), width=max(round(thick), 1))

    def line(self, points: Sequence[Point], thick: float, colour: Array, right: float = 0.0, up: float = 0.2) -> None:
        self._pen.line(points, fill=self._lit(colour, right, up), width=max(round(thick), 1), joint="curve")

    def column(self, left: float, right: float, top: float, bottom: float, colour: Array, taper: float = 0.0) -> None:
        """An upright round post; `taper` is how much narrower its foot is, in parts of its width."""
        lean = taper * (right - left)
        for strip in range(_STRIPS):
            first, last = strip / _STRIPS, (strip + 1) / _STRIPS
            heads = left + first * (right - left), left + last * (right - left)
            feet = heads[0] + lean * (0.5 - first), heads[1] + lean * (0.5 - last)
            corners = ((heads[0], top), (heads[1], top), (feet[1], bottom), (feet[0], bottom))
            self.polygon(corners, colour, right=float(first + last - 1.0) * 0.97)

    def stored(self) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
        """What was drawn as `(height, width, 3)` grey values 0–255 of light up to 1, and where something is."""
        image = np.asarray(self._image)
        return _CLIPPED[image[..., :3]], image[..., 3] > 0

    def finished(self, relief: Array, *, mirrored: bool) -> tuple[Array, NDArray[np.bool_]]:
        """What was drawn.

        Args:
            relief: `(height, width)` about ±1 times its strength: how rough and how stained the surfaces are.
            mirrored: whether to turn it left to right (its light was turned before).

        Returns:
            `(height, width, 3)` float32 linear light, 0 where nothing is, and `(height, width)` where something is.
        """
        stored = np.asarray(self._image)
        if mirrored:
            stored, relief = stored[:, ::-1], relief[:, ::-1]
        colour: Array = _LINEAR[stored[..., :3]]
        colour *= np.maximum(1.0 + relief, np.float32(0.1))[..., None]
        return colour, stored[..., 3] > 0


def scattered(count: int, key: int) -> Array:
    """`(count,)` numbers in [0, 1) without order, the same at any time: what makes bricks and leaves unlike."""
    mixed = np.arange(count, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15) + np.uint64(
        key * 0x5851F42D4C957F2D % 2**64
    )
    for shift in (30, 27, 31):
        mixed = (mixed ^ (mixed >> np.uint64(shift))) * np.uint64(0xBF58476D1CE4E5B9)
    share: Array = ((mixed >> np.uint64(40)).astype(np.float32) / np.float32(2**24)).astype(np.float32)
    return share


@lru_cache(maxsize=8)
def roughness(height: int, width: int, stretch: float = 1.0) -> Array:
    """`(height, width)` stains and grit, about ±1; `stretch` above 1 draws them out upwards."""
    total = np.zeros((height, width), dtype=np.float32)
    for number, (cells, strength) in enumerate(((5, 0.5), (20, 0.6), (72, 0.8))):
        rows, columns = max(round(2 * cells / stretch), 2), cells
        coarse = (scattered(rows * columns, number + 1).reshape(rows, columns) - np.float32(0.5)) * np.float32(2.0)
        total += np.float32(strength) * np.asarray(
            Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC)
        )
    return total
