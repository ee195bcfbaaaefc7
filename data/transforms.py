"""From a picture to pixels: the fixed part (`Preprocessing`) and the random part (`Augmentation`).

Pixels stay uint8 `(H, W, 3)` in the loader's processes and are normalised on the device: a quarter of the traffic,
and every step is a copy of slices. What an augmentation did is drawn first and kept (`Draw`), so that a mask or a
pose map of the same picture can be moved along with it.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageEnhance
from torch import Tensor

from configs.schema import Augment, Data
from data import opencv
from data.pictures import open_picture

Pixels = NDArray[np.uint8]

ERASE_ATTEMPTS = 100  # rectangles tried before a picture is left whole, as in Zhong et al. 2020


@dataclass(frozen=True)
class Preprocessing:
    """What every picture goes through; a checkpoint carries it, so that evaluation repeats it exactly.

    Attributes:
        height, width: pixels.
        mean, std: of the RGB channels in [0, 1].
        decoder: what opens and resizes; the other one's pixels differ by one level at most.
    """

    height: int
    width: int
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    decoder: Literal["pillow", "opencv"] = "pillow"

    @classmethod
    def of(cls, data: Data) -> Preprocessing:
        """As the configuration says; `UserError` when the decoder it names is not installed."""
        if data.decoder == "opencv":
            opencv.require_opencv()
        return cls(data.height, data.width, data.mean, data.std, data.decoder)

    def as_dict(self) -> dict[str, Any]:
        """Plain values for a checkpoint's card and a feature file's manifest."""
        values = asdict(self)
        if self.decoder == "pillow":  # as it was written down before there was another
            del values["decoder"]
        return {"interpolation": "bilinear", **values, "mean": list(self.mean), "std": list(self.std)}

    def read(self, path: Path, out: Pixels) -> None:
        """Fill `out`, `(height, width, 3)`, with a picture file; `UserError` names one that cannot be read."""
        size = (self.height, self.width)
        if self.decoder == "pillow":
            out[...] = np.asarray(self.resize(open_picture(path, size)))
            return
        pixels = opencv.read_plain_jpeg(path, size)
        opencv.resize(np.array(open_picture(path, size)) if pixels is None else pixels, out)

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
    nothing was erased. The picture is flipped first, then enlarged to 9/8 of its size and cut back at `enlarge_top` and
    `enlarge_left` where `enlarge` is 1, then padded and cropped, then erased.
    """

    flip: int
    top: int
    left: int
    erase_top: int
    erase_left: int
    erase_height: int
    erase_width: int
    enlarge: int = 0
    enlarge_top: int = 0
    enlarge_left: int = 0


ENLARGED = 9 / 8
"""Height and width of an enlarged picture, in those of the picture."""


class Draw(NamedTuple):
    """The random decisions for one picture."""

    geometry: Geometry
    jitter: tuple[tuple[str, float], ...]  # ("brightness" | "contrast" | "saturation", factor) in order


_ENHANCE = {"brightness": ImageEnhance.Brightness, "contrast": ImageEnhance.Contrast, "saturation": ImageEnhance.Color}


class Augmentation:
    """Resize → colour jitter → flip → enlarge → pad and crop → (normalise) → erase, the order of published recipes.

    Example:
        >>> draw = augmentation.draw(np.random.default_rng(0))
        >>> preprocessing.read(path, out=pixels)
        >>> augmentation.write(pixels, draw, out=batch[0])
    """

    def __init__(self, config: Augment, preprocessing: Preprocessing) -> None:
        self.config = config
        self.preprocessing = preprocessing
        # The mean colour is zero once normalised, so erased pixels carry no signal.
        mean = np.rint(np.array(preprocessing.mean) * 255)
        self.erase_fill = np.array(mean if config.erase_fill is None else config.erase_fill).astype(np.uint8)
        self._erased_row = np.tile(self.erase_fill, (preprocessing.width, 1))

    def draw(self, random: np.random.Generator) -> Draw:
        config = self.config
        flip = int(random.random() < config.flip)
        jitter: tuple[tuple[str, float], ...] = ()
        if config.jitter:
            factors = random.uniform(1 - config.jitter, 1 + config.jitter, len(_ENHANCE))
            names = list(_ENHANCE)
            jitter = tuple((names[i], float(factors[i])) for i in random.permutation(len(names)))
        top, left = (int(random.integers(0, 2 * config.pad + 1)) for _ in range(2))
        erase = self._rectangle(random) if random.random() < config.erase else (0, 0, 0, 0)
        enlarge = (0, 0, 0)
        if config.enlarge and random.random() < config.enlarge:
            height, width = self._enlarged()
            spare = (height - self.preprocessing.height, width - self.preprocessing.width)
            enlarge = (1, int(random.integers(0, spare[0] + 1)), int(random.integers(0, spare[1] + 1)))
        return Draw(Geometry(flip, top, left, *erase, *enlarge), jitter)

    def write(self, pixels: Pixels, draw: Draw, out: Pixels) -> None:
        """Fill `out` with the augmented picture.

        Args:
            pixels: `(H, W, 3)` as `Preprocessing.read` leaves them; they are not changed.
            out: `(H, W, 3)`, a row of a batch; what it holds does not matter.
        """
        if draw.jitter:
            pixels = _jittered(pixels, draw.jitter)
        geometry = draw.geometry
        if geometry.flip:
            # NumPy copies a mirrored picture pixel by pixel, which takes ten times as long.
            pixels = torch.flip(torch.from_numpy(pixels), (1,)).numpy()
        if geometry.enlarge:
            pixels = self._enlarge(pixels, geometry.enlarge_top, geometry.enlarge_left)
        pad, fill = self.config.pad, self.config.pad_fill
        shift(pixels, geometry.top - pad, geometry.left - pad, fill, out)
        if geometry.erase_height:
            rows = slice(geometry.erase_top, geometry.erase_top + geometry.erase_height)
            columns = slice(geometry.erase_left, geometry.erase_left + geometry.erase_width)
            out[rows, columns] = self._erased_row[: geometry.erase_width]

    def _enlarged(self) -> tuple[int, int]:
        """Height and width of an enlarged picture."""
        return round(self.preprocessing.height * ENLARGED), round(self.preprocessing.width * ENLARGED)

    def _enlarge(self, pixels: Pixels, top: int, left: int) -> Pixels:
        """`(H, W, 3)` of the enlarged picture, from row `top` and column `left` on."""
        height, width = self._enlarged()
        enlarged = np.asarray(Image.fromarray(pixels).resize((width, height), Image.Resampling.BILINEAR))
        return np.ascontiguousarray(
            enlarged[top : top + self.preprocessing.height, left : left + self.preprocessing.width]
        )

    def _rectangle(self, random: np.random.Generator) -> tuple[int, int, int, int]:
        """Top, left, height, width of a rectangle of a random area and aspect that fits in the picture."""
        height, width = self.preprocessing.height, self.preprocessing.width
        for _ in range(ERASE_ATTEMPTS):
            area = _between(random, self.config.erase_area) * height * width
            aspect = _between(random, self.config.erase_aspect)
            tall, wide = round(math.sqrt(area * aspect)), round(math.sqrt(area / aspect))
            if 0 < tall < height and 0 < wide < width:
                return int(random.integers(0, height - tall + 1)), int(random.integers(0, width - wide + 1)), tall, wide
        return 0, 0, 0, 0


def shift(pixels: Pixels, down: int, right: int, fill: int, out: Pixels) -> None:
    """Fill `out` with `pixels` from row `down` and column `right` on; what lies outside is `fill`.

    Args:
        pixels, out: `(H, W, 3)`, each without gaps in memory.
    """
    height, width = pixels.shape[:2]
    if abs(down) >= height or abs(right) >= width:
        out[...] = fill
        return
    # One copy of all bytes, moved along: what runs over into a neighbouring row lies in the border, which comes next.
    source, target = pixels.reshape(-1), out.reshape(-1)
    along = (down * width + right) * 3
    if along >= 0:
        target[: len(target) - along] = source[along:]
    else:
        target[-along:] = source[:along]
    if down:
        (out[height - down :] if down > 0 else out[:-down])[...] = fill
    if right:
        (out[:, width - right :] if right > 0 else out[:, :-right])[...] = fill


def _between(random: np.random.Generator, range_: tuple[float, float]) -> float:
    """The number that `random.uniform(*range_)` gives, sooner."""
    low, high = range_
    return low + (high - low) * random.random()


def _jittered(pixels: Pixels, jitter: tuple[tuple[str, float], ...]) -> Pixels:
    picture = Image.fromarray(pixels)
    for name, factor in jitter:
        picture = _ENHANCE[name](picture).enhance(factor)
    return np.array(picture)
