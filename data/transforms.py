"""From a picture to pixels: the fixed part (`Preprocessing`) and the random part (`Augmentation`).

Pixels stay uint8 `(H, W, 3)` in the loader's processes and are normalised on the device: a quarter of the traffic,
and every step is a copy of slices. What an augmentation did is drawn first and kept (`Draw`), so that a mask or a
pose map of the same picture can be moved along with it.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageEnhance
from torch import Tensor

from configs.schema import Augment, Data

Pixels = NDArray[np.uint8]

ERASE_ATTEMPTS = 100  # rectangles tried before a picture is left whole, as in Zhong et al. 2020


@dataclass(frozen=True)
class Preprocessing:
    """What every picture goes through; a checkpoint carries it, so that evaluation repeats it exactly.

    Attributes:
        height, width: pixels.
        mean, std: of the RGB channels in [0, 1].
    """

    height: int
    width: int
    mean: tuple[float, float, float]
    std: tuple[float, float, float]

    @classmethod
    def of(cls, data: Data) -> Preprocessing:
        return cls(data.height, data.width, data.mean, data.std)

    def as_dict(self) -> dict[str, Any]:
        """Plain values for a checkpoint's card and a feature file's manifest."""
        values = asdict(self)
        return {"interpolation": "bilinear", **values, "mean": list(self.mean), "std": list(self.std)}

    def resize(self, picture: Image.Image) -> Image.Image:
        if picture.size == (self.width, self.height):
            return picture
        return picture.resize((self.width, self.height), Image.Resampling.BILINEAR)

    def normalise(self, pixels: Tensor) -> Tensor:
        """uint8 `(B, H, W, 3)` on any device to float32 `(B, 3, H, W)`, channels-last in memory."""
        mean = torch.tensor(self.mean, device=pixels.device).mul_(255)
        scale = torch.tensor(self.std, device=pixels.device).mul_(255).reciprocal_()
        return ((pixels.float() - mean) * scale).permute(0, 3, 1, 2)


class Geometry(NamedTuple):
    """Where the pixels of an augmented picture came from; all in pixels of the output.

    `top`, `left`: offset of the crop in the picture padded on all sides. The erased rectangle is empty (0, 0) when
    nothing was erased. The picture is flipped first, then cropped, then erased.
    """

    flip: int
    top: int
    left: int
    erase_top: int
    erase_left: int
    erase_height: int
    erase_width: int


class Draw(NamedTuple):
    """The random decisions for one picture."""

    geometry: Geometry
    jitter: tuple[tuple[str, float], ...]  # ("brightness" | "contrast" | "saturation", factor) in order


_ENHANCE = {"brightness": ImageEnhance.Brightness, "contrast": ImageEnhance.Contrast, "saturation": ImageEnhance.Color}


class Augmentation:
    """Resize → flip → colour jitter → pad and crop → (normalise) → erase, the order of the published recipes.

    Example:
        >>> draw = augmentation.draw(np.random.default_rng(0))
        >>> pixels = augmentation.apply(picture, draw)
    """

    def __init__(self, config: Augment, preprocessing: Preprocessing) -> None:
        self.config = config
        self.preprocessing = preprocessing
        # The mean colour is zero once normalised, so erased pixels carry no signal.
        self.erase_fill = np.rint(np.array(preprocessing.mean) * 255).astype(np.uint8)

    def draw(self, random: np.random.Generator) -> Draw:
        config = self.config
        flip = int(random.random() < config.flip)
        jitter: tuple[tuple[str, float], ...] = ()
        if config.jitter:
            factors = random.uniform(1 - config.jitter, 1 + config.jitter, len(_ENHANCE))
            names = list(_ENHANCE)
            jitter = tuple((names[i], float(factors[i])) for i in random.permutation(len(names)))
        top, left = (int(v) for v in random.integers(0, 2 * config.pad + 1, size=2))
        erase = self._rectangle(random) if random.random() < config.erase else (0, 0, 0, 0)
        return Draw(Geometry(flip, top, left, *erase), jitter)

    def apply(self, picture: Image.Image, draw: Draw) -> Pixels:
        """The augmented picture as uint8 `(H, W, 3)`."""
        picture = self.preprocessing.resize(picture)
        for name, factor in draw.jitter:
            picture = _ENHANCE[name](picture).enhance(factor)
        pixels = np.asarray(picture)
        geometry = draw.geometry
        if geometry.flip:
            pixels = pixels[:, ::-1]
        pixels = shift(pixels, geometry.top - self.config.pad, geometry.left - self.config.pad, self.config.pad_fill)
        if geometry.erase_height:
            rows = slice(geometry.erase_top, geometry.erase_top + geometry.erase_height)
            columns = slice(geometry.erase_left, geometry.erase_left + geometry.erase_width)
            pixels[rows, columns] = self.erase_fill
        return pixels

    def _rectangle(self, random: np.random.Generator) -> tuple[int, int, int, int]:
        """Top, left, height, width of a rectangle of a random area and aspect that fits in the picture."""
        height, width = self.preprocessing.height, self.preprocessing.width
        for _ in range(ERASE_ATTEMPTS):
            area = random.uniform(*self.config.erase_area) * height * width
            aspect = random.uniform(*self.config.erase_aspect)
            tall, wide = round(math.sqrt(area * aspect)), round(math.sqrt(area / aspect))
            if 0 < tall < height and 0 < wide < width:
                return int(random.integers(0, height - tall + 1)), int(random.integers(0, width - wide + 1)), tall, wide
        return 0, 0, 0, 0


def shift(pixels: Pixels, down: int, right: int, fill: int) -> Pixels:
    """A copy that shows `pixels` from row `down` and column `right` on; what lies outside is `fill`."""
    height, width = pixels.shape[:2]
    out = np.full_like(pixels, fill)
    rows, columns = height - abs(down), width - abs(right)
    if rows > 0 and columns > 0:
        to = out[max(-down, 0) : max(-down, 0) + rows, max(-right, 0) : max(-right, 0) + columns]
        to[...] = pixels[max(down, 0) : max(down, 0) + rows, max(right, 0) : max(right, 0) + columns]
    return out
