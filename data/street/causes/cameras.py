"""A camera: its place, the light before it and how it answers to light; the same for everybody it sees."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from data.street.causes.cities import CAMERA_TRAITS, City
from data.street.causes.exposures import Exposure
from data.street.causes.palette import Array
from data.street.causes.stands import Stand
from data.street.drawing.views import Light, View

BLOCK = 5
"""Cameras that are drawn together, to be unlike one another."""

_MIDDLE = 0.95
"""Metres above the ground of what a camera points at: the middle of a person."""

_DETAIL = 0.2
"""Lines a person gets, in parts of the picture's, for each millimetre of focal length and at a metre's distance."""

_AS_DRAWN = (
    "roll", "distance", "street", "gamma", "contrast", "saturation", "lift", "blur", "shake", "halo", "noise",
)  # fmt: skip

_LUMA: Array = np.array([0.30, 0.59, 0.11], dtype=np.float32)
_STEPS = 32768
"""Of linear light in the table of a tone curve."""


@dataclass(frozen=True)
class Camera:
    """The permanent cause on the other side.

    Attributes:
        height: metres above the ground.
        roll: radians that it is turned.
        distance: metres to the people it sees.
        focal: millimetres of a 35 mm film; short for its distance it gives a person few lines, and short at all it
            sees a wide street, in which people lean outwards at either end.
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
        shake: factor by which a slow shutter smears sideways, 1 not at all.
        halo: how much it sharpens, which leaves bright and dark seams; 0 not at all.
        noise: standard deviation in grey values of 255 at middle grey; more in the dark.
        quality: of the JPEG.
    """

    height: float
    roll: float
    distance: float
    focal: float
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
    shake: float
    halo: float
    noise: float
    quality: int

    @classmethod
    def draw(cls, number: int, city: City, generator: np.random.Generator) -> Camera:
        """Camera `number` (from 0 on) of the block of `BLOCK` cameras that `generator` stands for.

        Within a block each property takes each fifth of the city's range once, in shuffled order, so that cameras
        are unlike one another however few there are.
        """
        ranks = np.argsort(generator.random((BLOCK, len(CAMERA_TRAITS))), axis=0)
        shares = (ranks + generator.random(ranks.shape)) / BLOCK
        found: dict[str, float] = {}
        for name, share in zip(CAMERA_TRAITS, shares[number % BLOCK].tolist(), strict=True):
            low, high = city.ranges[name]
            found[name] = low + (high - low) * share
        side, rise, sunny, warmth = (found[name] for name in ("sun_side", "sun_height", "sunny", "warmth"))
        sun_from = np.array([np.cos(side) * np.cos(rise), np.sin(rise), np.sin(side) * np.cos(rise)])
        sun = np.array([1.0 + 0.15 * warmth, 1.0, 1.0 - 0.2 * warmth]) * sunny
        sky = np.array([0.95, 1.0, 1.08]) * (1.25 - 0.55 * sunny)
        gains = np.exp([found["red"], 0.0, found["blue"]])
        return cls(
            height=float(_MIDDLE + found["distance"] * np.tan(found["pitch"])),
            focal=found["detail"] * found["distance"] / _DETAIL,
            sun=sun.astype(np.float32),
            sky=sky.astype(np.float32),
            sun_from=sun_from.astype(np.float32),
            gains=(gains / (gains @ _LUMA)).astype(np.float32),
            exposure=float(2.0 ** found["exposure"]),
            quality=int(found["quality"]),
            **{name: found[name] for name in _AS_DRAWN},
        )

    @property
    def pitch(self) -> float:
        """Radians that it looks down."""
        return float(np.arctan2(self.height - _MIDDLE, self.distance))

    @property
    def lines(self) -> float:
        """Part of the picture's lines that the sensor really has on a person."""
        return float(np.clip(_DETAIL * self.focal / self.distance, 0.4, 1.0))

    @property
    def horizon(self) -> float:
        """Where the ground ends behind people, in parts of the scene's height: the more it looks down, the higher."""
        return 0.62 - 1.5 * self.pitch

    def view(self, heading: float, stand: Stand) -> View:
        """How it sees somebody who heads that way; they stand nearer or farther each time."""
        pitch = float(np.clip(self.pitch / stand.near + stand.tilt, 0.0, 0.8))
        # Seen from above, what stands upright leans away from the middle of the frame.
        aside = (stand.place - 0.5) * 2.0 * float(np.arctan2(18.0, self.focal))
        lean = aside * float(np.sin(pitch))
        return View(heading, pitch, self.roll + stand.turn + 0.5 * lean, self.distance * stand.near)

    def light(self, brightness: float) -> Light:
        """The light at a place of that brightness: in the shade there is less sun and as much sky."""
        return Light(self.sun_from, self.sun * np.float32(max(brightness - 0.4, 0.0) / 0.6), self.sky)

    def develop(self, light: Array, exposure: Exposure) -> Image.Image:
        """The picture stored for linear light `(H, W, 3)`: colour response, optics, sensor."""
        height, width = light.shape[:2]
        # White balance and saturation are one matrix on the light.
        mixing = self.saturation * np.eye(3) + (1.0 - self.saturation) * _LUMA[:, None]
        mixing = (self.gains * self.exposure * exposure.gain)[:, None] * mixing * (_STEPS - 1)
        mixed = light.reshape(-1, 3) @ mixing.astype(np.float32)
        np.clip(mixed, 0.0, _STEPS - 1, out=mixed)
        toned = _tones(self.gamma, self.contrast, self.lift)[mixed.astype(np.uint16)]
        picture = Image.fromarray(toned.reshape(height, width, 3))

        smeared = 1.0 + (self.shake - 1.0) * exposure.shake
        columns, rows = max(int(width * self.lines / smeared), 8), max(int(height * self.lines), 16)
        # The optics' blur is done on the sensor's lines, which are fewer.
        picture = picture.resize((columns, rows), Image.Resampling.BILINEAR)
        picture = picture.filter(ImageFilter.GaussianBlur(self.blur * rows * exposure.softness))
        small = np.asarray(picture, dtype=np.float32)
        grain = np.random.default_rng(exposure.grain).standard_normal((2, *small.shape[:2]), dtype=np.float32)
        noise = np.float32(self.noise) * (np.float32(1.5) - small * np.float32(1 / 255))
        # Most of it is in the brightness; what is left is in the colour.
        noise *= np.stack([grain[0] + 0.5 * grain[1], grain[0] - 0.2 * grain[1], grain[0] - 0.6 * grain[1]], axis=-1)
        noise += small
        picture = Image.fromarray(np.clip(noise, 0, 255, out=noise).astype(np.uint8))
        if self.halo > 0.05:
            picture = picture.filter(_sharpening(self.halo))
        return picture.resize((width, height), Image.Resampling.BICUBIC)


@lru_cache(maxsize=64)
def _tones(gamma: float, contrast: float, lift: float) -> NDArray[np.uint8]:
    """`(_STEPS,)`: the stored value of each step of linear light."""
    toned = np.minimum(np.linspace(0.0, 1.0, _STEPS) + lift, 1.0) ** gamma
    toned += contrast * (toned * toned * (3.0 - 2.0 * toned) - toned)
    return (toned * 255.0).astype(np.uint8)


def _sharpening(halo: float) -> ImageFilter.Kernel:
    """A kernel that overdoes every edge."""
    side = -0.16 * halo
    return ImageFilter.Kernel((3, 3), (0, side, 0, side, 1.0 - 4.0 * side, side, 0, side, 0), scale=1.0)
