"""A camera: its place, the light before it and how it answers to light; the same for everybody it sees."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageFilter

from data.street.paint import Light
from data.street.palette import Array
from data.street.views import View

BLOCK = 5
"""Cameras that are drawn together, to be unlike one another."""

_PROPERTIES = 18
_LUMA: Array = np.array([0.30, 0.59, 0.11], dtype=np.float32)


@dataclass(frozen=True)
class Camera:
    """The permanent cause on the other side.

    Attributes:
        pitch, roll: radians that it looks down and is turned.
        distance: metres to the people it sees.
        street: radians between its view and the way people walk.
        sun, sky: `(3,)` linear light of its place.
        sun_from: `(3,)` unit vector towards the sun as its picture lies.
        gains: `(3,)` white balance.
        exposure: factor on the light.
        gamma: exponent from light to the stored value; below 1/2.2 flattens, above darkens.
        contrast: strength of the tone curve, 0 none.
        saturation: 1 as it is, 0 grey.
        lift: haze added to every pixel.
        blur: standard deviation in parts of the picture's height.
        noise: standard deviation in grey values of 255.
        lines: part of the picture's lines the sensor really has.
        quality: of the JPEG.
    """

    pitch: float
    roll: float
    distance: float
    street: float
    sun: Array
    sky: Array
    sun_from: Array
    gains: Array
    exposure: float
    gamma: float
    contrast: float
    saturation: float
    lift: float
    blur: float
    noise: float
    lines: float
    quality: int

    @classmethod
    def draw(cls, number: int, generator: np.random.Generator) -> Camera:
        """Camera `number` (from 0 on) of the block of `BLOCK` cameras that `generator` stands for.

        Within a block each property takes each fifth of its range once, in shuffled order, so that cameras are
        unlike one another however few there are.
        """
        ranks = np.argsort(generator.random((BLOCK, _PROPERTIES)), axis=0)
        shares = iter(((ranks + generator.random((BLOCK, _PROPERTIES))) / BLOCK)[number % BLOCK].tolist())

        def between(low: float, high: float) -> float:
            return low + (high - low) * float(next(shares))

        hue, warmth, side = between(0.0, 2 * np.pi), between(-0.5, 0.5), between(0.0, 2 * np.pi)
        cast = 0.18 * np.cos(hue - np.array([0.0, 2.1, 4.2]))
        height = between(0.5, 1.1)
        sun_from = np.array([np.cos(side) * np.cos(height), np.sin(height), np.sin(side) * np.cos(height)])
        sunny = between(0.15, 1.0)
        sun = np.array([1.0 + 0.15 * warmth, 1.0, 1.0 - 0.2 * warmth]) * sunny
        sky = np.array([0.95, 1.0, 1.08]) * (1.25 - 0.55 * sunny)
        return cls(
            pitch=between(0.03, 0.55),
            roll=between(-0.06, 0.06),
            distance=between(4.0, 11.0),
            street=between(0.0, np.pi),
            sun=sun.astype(np.float32),
            sky=sky.astype(np.float32),
            sun_from=sun_from.astype(np.float32),
            gains=np.exp(cast).astype(np.float32),
            exposure=float(2.0 ** between(-0.3, 0.45)),
            gamma=between(0.39, 0.52),
            contrast=between(0.0, 0.5),
            saturation=between(0.55, 1.1),
            lift=between(0.0, 0.04),
            blur=between(0.001, 0.007),
            noise=between(0.5, 4.5),
            lines=between(0.5, 1.0),
            quality=int(between(55, 92)),
        )

    def view(self, heading: float, generator: np.random.Generator) -> View:
        """How it sees somebody who heads that way; they stand nearer or farther each time."""
        near = float(np.exp(generator.normal(0.0, 0.15)))
        pitch = float(np.clip(self.pitch / near + generator.normal(0.0, 0.02), 0.0, 0.8))
        return View(heading, pitch, self.roll + float(generator.normal(0.0, 0.02)), self.distance * near)

    def light(self, brightness: float) -> Light:
        """The light at a place of that brightness: in the shade there is less sun and as much sky."""
        return Light(self.sun_from, self.sun * np.float32(max(brightness - 0.4, 0.0) / 0.6), self.sky)

    def develop(self, light: Array, generator: np.random.Generator) -> Image.Image:
        """The picture stored for linear light `(H, W, 3)`: colour response, optics, sensor."""
        exposed = light * (self.gains * np.float32(self.exposure * np.exp(generator.normal(0.0, 0.12))))
        grey = (exposed @ _LUMA)[..., None]
        exposed = np.maximum(grey + np.float32(self.saturation) * (exposed - grey), 0.0) + np.float32(self.lift)
        toned = np.minimum(exposed, 1.0) ** np.float32(self.gamma)
        toned = toned + np.float32(self.contrast) * (toned * toned * (3.0 - 2.0 * toned) - toned)
        height, width = light.shape[:2]
        picture = Image.fromarray((toned * 255.0).astype(np.uint8))
        softness = self.blur * height * float(np.exp(generator.normal(0.0, 0.3)))
        picture = picture.filter(ImageFilter.GaussianBlur(softness))
        lines = (max(int(width * self.lines), 8), max(int(height * self.lines), 16))
        small = np.asarray(picture.resize(lines, Image.Resampling.BILINEAR), dtype=np.float32)
        grain = generator.standard_normal((*small.shape[:2], 3), dtype=np.float32) * np.float32(self.noise)
        noisy = Image.fromarray(np.clip(small + grain, 0, 255).astype(np.uint8))
        return noisy.resize((width, height), Image.Resampling.BICUBIC)
