"""A scene: the ground, walls and clutter before one camera, drawn once as a long strip that shots look at."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from data.street.palette import Array

_HEIGHT, _LENGTH = 160, 1600
"""Pixels of the strip; a crop shows about 0.8 of its height."""

GROUNDS = {
    "asphalt": (112, 112, 115),
    "paving": (146, 142, 135),
    "gravel": (142, 133, 118),
    "grass": (110, 116, 84),
    "tiles": (156, 152, 149),
}
WALLS = ("brick", "plaster", "glass", "hedge", "shutter")
_STONES = ((142, 84, 66), (176, 164, 146), (120, 126, 136), (198, 190, 176), (96, 92, 90), (158, 134, 108))
_CLUTTER = ((40, 44, 50), (150, 40, 38), (52, 80, 128), (196, 194, 188), (60, 88, 56), (170, 140, 70), (90, 70, 56))

Colour = tuple[int, int, int]


@dataclass(frozen=True)
class Scene:
    """One camera's surroundings.

    Attributes:
        strip: `(160, 1600, 3)` uint8 sRGB picture as a Pillow image.
        brightness: `(1600,)` how much light falls at each place along the strip, 1 in the open.
    """

    strip: Image.Image
    brightness: Array

    @classmethod
    def draw(cls, horizon: float, generator: np.random.Generator) -> Scene:
        """A place whose ground meets the wall at `horizon` of the height from the top (below 0: ground only)."""
        strip = Image.new("RGB", (_LENGTH, _HEIGHT))
        pen = ImageDraw.Draw(strip)
        line, left = int(horizon * _HEIGHT), 0
        # The ground changes along the street, and cameras share its kinds: it tells neither camera nor person.
        while left < _LENGTH:
            piece = _paved(int(generator.integers(120, 400)), line, generator)
            strip.paste(piece, (left, 0))
            left += piece.width
        if line > 8:  # lower than that there is nothing to be seen of a wall
            _build(pen, line, generator)
        _clutter(pen, line, generator)
        pixels = np.asarray(strip.filter(ImageFilter.GaussianBlur(0.7)), dtype=np.float32)
        grain = generator.normal(0.0, 1.0, (_HEIGHT, _LENGTH, 1)) * 6.0
        blotches = _smooth(generator, (_HEIGHT // 8, _LENGTH // 16), (_HEIGHT, _LENGTH))[..., None] * 7.0
        brightness = _shadows(generator)
        lit = (pixels + grain + blotches) * np.sqrt(brightness)[None, :, None]
        return cls(Image.fromarray(np.clip(lit, 0, 255).astype(np.uint8)), brightness)

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


_LINEAR: Array = ((np.arange(256) / 255.0) ** 2.2).astype(np.float32)


def _smooth(generator: np.random.Generator, coarse: tuple[int, int], fine: tuple[int, int]) -> Array:
    """Noise `fine` that changes slowly, about ±1."""
    small = Image.fromarray(generator.normal(0.0, 1.0, coarse).astype(np.float32))
    return np.asarray(small.resize((fine[1], fine[0]), Image.Resampling.BICUBIC))


def _shadows(generator: np.random.Generator) -> Array:
    """Light along the street: stretches of open sun and of shade with soft edges."""
    steps = generator.choice((0.6, 0.8, 1.0, 1.1), size=14)
    light = np.repeat(steps, -(-_LENGTH // 14))[:_LENGTH]
    kernel = np.ones(40) / 40
    return np.convolve(np.pad(light, 40, mode="edge"), kernel, mode="same")[40:-40].astype(np.float32)


def _shaded(colour: Colour, factor: float) -> Colour:
    red, green, blue = (int(min(max(value * factor, 0), 255)) for value in colour)
    return red, green, blue


def _paved(length: int, line: int, generator: np.random.Generator) -> Image.Image:
    """A stretch of ground with joints, kerbs and painted lines, closer together towards the horizon."""
    names = sorted(GROUNDS)
    ground = names[int(generator.integers(len(names)))]
    base, start = _shaded(GROUNDS[ground], float(generator.uniform(0.88, 1.1))), max(line, -60)
    piece = Image.new("RGB", (length, _HEIGHT), base)
    pen = ImageDraw.Draw(piece)
    if ground in ("paving", "tiles"):
        slope = float(generator.uniform(-0.8, 0.8))
        for joint in range(-200, length + 200, 26 if ground == "paving" else 44):
            foot = joint + slope * (_HEIGHT - start) + joint % 7
            pen.line([(joint, start), (foot, _HEIGHT)], fill=_shaded(base, 0.8))
        depth = float(start + 4)
        while depth < _HEIGHT:
            pen.line([(0, depth), (length, depth)], fill=_shaded(base, 0.82))
            depth += 3.0 + 0.16 * (depth - start)
    if generator.random() < 0.7:
        kerb = start + float(generator.uniform(0.1, 0.5)) * (_HEIGHT - start)
        pen.rectangle([0, kerb, length, kerb + 5], fill=_shaded(base, 1.25))
        pen.rectangle([0, kerb + 6, length, kerb + 8], fill=_shaded(base, 0.6))
    for _ in range(3):
        x, y = float(generator.uniform(0, length)), float(generator.uniform(max(start, 0), _HEIGHT))
        long, thick = float(generator.uniform(20, 130)), float(generator.uniform(2, 9))
        tint = (205, 200, 180) if generator.random() < 0.4 else _shaded(base, float(generator.uniform(0.6, 1.2)))
        pen.polygon([(x, y), (x + long, y + 4), (x + long + 8, y + 4 + thick), (x + 6, y + thick)], fill=tint)
    return piece


def _build(pen: ImageDraw.ImageDraw, line: int, generator: np.random.Generator) -> None:
    """A row of house fronts, shop windows and hedges along the horizon."""
    x = 0
    while x < _LENGTH:
        wide = int(generator.integers(70, 260))
        kind = WALLS[int(generator.integers(len(WALLS)))]
        base = _shaded(_STONES[int(generator.integers(len(_STONES)))], float(generator.uniform(0.75, 1.15)))
        if kind == "hedge":
            base = (58, 84, 44)
        pen.rectangle([x, 0, x + wide, line], fill=base)
        if kind == "brick":
            for y in range(0, line, 5):
                pen.line([(x, y), (x + wide, y)], fill=_shaded(base, 0.82))
        elif kind in ("glass", "plaster"):
            pane = (62, 76, 88) if kind == "glass" else (86, 92, 98)
            step = 38 if kind == "glass" else 60
            for left in range(x + 6, x + wide - step // 2, step):
                tint = _shaded(pane, float(generator.uniform(0.6, 1.7)))
                pen.rectangle([left, 2, left + step * 0.66, line * 0.8], fill=tint)
        elif kind == "shutter":
            for left in range(x, x + wide, 7):
                pen.line([(left, 0), (left, line)], fill=_shaded(base, 0.75))
        else:
            for _ in range(wide // 2):
                spot_x, spot_y = x + generator.random() * wide, generator.random() * line
                tint = _shaded(base, float(generator.uniform(0.5, 1.6)))
                pen.ellipse([spot_x - 3, spot_y - 3, spot_x + 3, spot_y + 3], fill=tint)
        x += wide
    pen.rectangle([0, line - 2, _LENGTH, line + 1], fill=(70, 68, 66))


def _clutter(pen: ImageDraw.ImageDraw, line: int, generator: np.random.Generator) -> None:
    """Posts, bins, parked cars and planters standing about."""
    foot = max(line, 4)
    for _ in range(22):
        x = float(generator.uniform(0, _LENGTH))
        base = foot + float(generator.uniform(0.0, 0.3)) * (_HEIGHT - foot)
        tint = _shaded(_CLUTTER[int(generator.integers(len(_CLUTTER)))], float(generator.uniform(0.7, 1.2)))
        kind = int(generator.integers(4))
        if kind == 0:
            pen.rectangle([x, base - 150, x + 4, base], fill=tint)
        elif kind == 1:
            pen.rounded_rectangle([x, base - 26, x + 18, base], 3, fill=tint)
            pen.rectangle([x, base - 26, x + 18, base - 22], fill=_shaded(tint, 0.6))
        elif kind == 2:
            pen.rounded_rectangle([x, base - 30, x + 110, base - 6], 8, fill=tint)
            pen.polygon([(x + 18, base - 30), (x + 32, base - 46), (x + 80, base - 46), (x + 94, base - 30)], fill=tint)
            pen.rectangle([x + 34, base - 43, x + 78, base - 31], fill=(54, 62, 70))
            for wheel in (x + 20, x + 84):
                pen.ellipse([wheel - 8, base - 14, wheel + 8, base + 2], fill=(24, 24, 26))
        else:
            pen.rectangle([x, base - 12, x + 30, base], fill=_shaded(tint, 0.8))
            pen.ellipse([x - 3, base - 34, x + 33, base - 8], fill=(64, 92, 50))
