"""A scene: the ground, walls and clutter before one camera, drawn once as a long strip that shots look at."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from data.street.causes.cities import City
from data.street.causes.grounds import Perspective, paved
from data.street.causes.palette import Array
from data.street.causes.walls import build, place
from data.street.drawing.easel import Easel
from data.street.drawing.views import Light

_HEIGHT, _LENGTH = 216, 1728
"""Pixels of the strip; a crop shows about 0.7 of its height."""

_FEET = 0.94
"""Where the feet of people are, in parts of the height."""

_METRE = 0.39
"""A metre where people stand, in parts of the height."""

_DAY = Light(
    np.array([0.25, 0.55, 0.8], dtype=np.float32),
    np.full(3, 0.55, dtype=np.float32),
    np.full(3, 0.55, dtype=np.float32),
)
"""What shapes walls and clutter; how bright it is and in what colour, the camera's own light says."""

_LINEAR: Array = ((np.arange(256) / 255.0) ** 2.2).astype(np.float32)


@dataclass(frozen=True)
class Scene:
    """One camera's surroundings.

    Attributes:
        strip: sRGB picture of the whole street as a Pillow image.
        brightness: how much light falls at each place along the strip, 1 in the open.
    """

    strip: Image.Image
    brightness: Array

    @classmethod
    def draw(cls, horizon: float, city: City, generator: np.random.Generator) -> Scene:
        """A place whose ground meets the wall at `horizon` of the height from the top (below 0: ground only)."""
        perspective = Perspective((horizon - 0.2) * _HEIGHT, _FEET * _HEIGHT, _METRE * _HEIGHT)
        line = int(horizon * _HEIGHT)
        pixels, shadows = _grounds(line, perspective, city.grounds, generator), Image.new("L", (_LENGTH, _HEIGHT), 255)
        easel = Easel(_HEIGHT, _LENGTH, _DAY)
        if line > 8:  # lower than that there is nothing to be seen of a wall
            build(easel, line, perspective, city.walls, generator)
            foot = perspective.scale(line) * 0.5
            ImageDraw.Draw(shadows).rectangle((0, line, _LENGTH, line + foot), fill=150)
        _clutter(easel, shadows, line, perspective, city, generator)
        stored, solid = easel.stored()

        brightness = _shade(city, generator)
        soft = np.asarray(shadows.filter(ImageFilter.GaussianBlur(3.0)), dtype=np.float32) * np.float32(1 / 255)
        # Stored values go with about the root of the light.
        pixels *= (soft * np.sqrt(_slanted(brightness, generator)))[..., None]
        walls = np.sqrt(brightness)[None, :, None] * stored
        pixels[solid] = walls[solid]
        blotches = _smooth(generator, (_HEIGHT // 8, _LENGTH // 16), (_HEIGHT, _LENGTH)) * np.float32(5.0)
        pixels += (blotches + generator.standard_normal(blotches.shape, dtype=np.float32) * np.float32(3.0))[..., None]
        strip = Image.fromarray(np.clip(pixels, 0, 255, out=pixels).astype(np.uint8))
        return cls(strip.filter(ImageFilter.GaussianBlur(0.5)), brightness)

    def window(self, place: float, zoom: float, drop: float, height: int, width: int) -> Array:
        """What lies behind somebody at `place` in [0, 1] along the street, and how bright it is there.

        Args:
            zoom: part of the strip's height that the crop shows.
            drop: where in the rest the crop begins, 0 top to 1 bottom.

        Returns:
            `(height, width, 3)` linear reflectance under the light of the place.
        """
        tall = zoom * _HEIGHT
        wide = tall * width / height
        left = place * (_LENGTH - wide - 1)
        top = drop * (_HEIGHT - tall)
        crop = self.strip.resize((width, height), Image.Resampling.BILINEAR, box=(left, top, left + wide, top + tall))
        seen: Array = _LINEAR[np.asarray(crop)]
        return seen

    def brightness_at(self, place: float) -> float:
        """How much light falls on somebody at `place`, 1 in the open."""
        return float(self.brightness[int(place * (_LENGTH - 1))])


def _smooth(generator: np.random.Generator, coarse: tuple[int, int], fine: tuple[int, int]) -> Array:
    """Noise `fine` that changes slowly, about ±1."""
    small = Image.fromarray(generator.standard_normal(coarse, dtype=np.float32))
    return np.array(small.resize((fine[1], fine[0]), Image.Resampling.BICUBIC))


def _shade(city: City, generator: np.random.Generator) -> Array:
    """Light along the street: stretches of open sun and of shade with soft edges."""
    low, high = city.ranges["shade"]
    deep = float(generator.uniform(low, high))
    steps = generator.choice((deep, 0.5 * (deep + 1.0), 1.0, 1.08), size=14)
    light = np.repeat(steps, -(-_LENGTH // 14))[:_LENGTH]
    kernel = np.ones(30) / 30
    return np.convolve(np.pad(light, 30, mode="edge"), kernel, mode="same")[30:-30].astype(np.float32)


def _slanted(brightness: Array, generator: np.random.Generator) -> Array:
    """The same light as it lies on the ground, aslant, with the patches that leaves let through."""
    slope = float(generator.uniform(-1.2, 1.2))
    shifts = (slope * (np.arange(_HEIGHT) - _FEET * _HEIGHT)).astype(np.int32)
    light: Array = brightness[np.clip(np.arange(_LENGTH)[None, :] + shifts[:, None], 0, _LENGTH - 1)]
    leaves = _smooth(generator, (_HEIGHT // 6, _LENGTH // 16), (_HEIGHT, _LENGTH))
    under = _smooth(generator, (2, 12), (_HEIGHT, _LENGTH))
    dappled: Array = light * (1.0 - 0.3 * np.clip(0.4 + 1.1 * leaves, 0.0, 1.0) * np.clip(2.0 * under, 0.0, 1.0))
    return dappled


def _grounds(
    line: int, perspective: Perspective, weights: Mapping[str, float], generator: np.random.Generator
) -> Array:
    """Ground of changing kinds from the row `line` down: cameras share them, so it tells neither camera nor person."""
    pixels = np.zeros((_HEIGHT, _LENGTH, 3), dtype=np.float32)
    top, left = max(line, 0), 0
    names, shares = list(weights), list(weights.values())
    while left < _LENGTH:
        length = min(int(generator.integers(180, 520)), _LENGTH - left)
        kind = names[int(generator.choice(len(names), p=shares))]
        rows = np.arange(top, _HEIGHT, dtype=np.float32)
        pixels[top:, left : left + length] = paved(kind, rows, length, perspective, generator)
        left += length
    return pixels


def _clutter(
    easel: Easel, shadows: Image.Image, line: int, perspective: Perspective, city: City, generator: np.random.Generator
) -> None:
    """What stands about, the far things first, each with the shadow at its foot."""
    pen = ImageDraw.Draw(shadows)
    low, high = city.ranges["crowded"]
    names, shares = list(city.clutter), list(city.clutter.values())
    top = max(line, 4)
    for share in sorted(generator.random(int(generator.uniform(low, high))).tolist()):
        foot = top + (0.03 + 0.3 * share) * (_HEIGHT - top)
        metre, x = perspective.scale(foot), float(generator.uniform(-40.0, _LENGTH))
        wide = place(easel, names[int(generator.choice(len(names), p=shares))], x, foot, metre, generator)
        deep = 0.16 * metre
        pen.ellipse((x - 0.1 * metre, foot - deep, x + wide + 0.35 * metre, foot + deep), fill=90)
