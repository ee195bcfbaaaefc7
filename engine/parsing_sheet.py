"""Sheets of pictures with the body parts that a network sees in them: a picture, then the same with its parts."""

from __future__ import annotations

import colorsys
from collections.abc import Iterator, Sequence

import numpy as np
import torch.nn.functional as F
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from torch import Tensor

from data.transforms import Pixels

PAIRS = 6
"""Pictures in a row of a sheet, each followed by itself with its parts."""

OPACITY = 0.55
_GAP, _LEGEND = 2, 18
_NAMES = {1: ("person",), 2: ("upper body", "lower body"), 3: ("head", "torso", "legs")}


def names_of(parts: int) -> Sequence[str]:
    """What to call parts that are numbered from head to foot."""
    return _NAMES.get(parts) or [f"part {number}" for number in range(1, parts + 1)]


def colours_of(parts: int) -> NDArray[np.uint8]:
    """`(P + 1, 3)` a colour for the background, which is never shown, and for each part."""
    hues = [colorsys.hsv_to_rgb(part / parts, 1, 1) for part in range(parts)]
    return np.round(255 * np.array([(0, 0, 0), *hues])).astype(np.uint8)


def parsing_sheet(shown: Iterator[tuple[Pixels, Tensor]], pictures: int, height: int, width: int) -> Image.Image:
    """A sheet of `pictures` pictures in rows of `PAIRS`, and below it the name of every colour.

    Args:
        shown: pictures `(H, W, 3)` and the probabilities `(P + 1, h, w)` of background and parts in their cells.
        height, width: of each picture.
    """
    columns, rows = min(PAIRS, pictures), -(-pictures // PAIRS)
    wide, tall = 2 * width + 2 * _GAP, height + _GAP
    sheet = Image.new("RGB", (columns * wide - _GAP, rows * tall + _LEGEND), "white")
    parts = 1
    for number, (pixels, probabilities) in enumerate(shown):
        left, top = number % PAIRS * wide, number // PAIRS * tall
        parts = len(probabilities) - 1
        sheet.paste(Image.fromarray(pixels), (left, top))
        sheet.paste(Image.fromarray(overlaid(pixels, probabilities)), (left + width, top))
    return _with_legend(sheet, rows * tall, parts)


def overlaid(pixels: Pixels, probabilities: Tensor) -> Pixels:
    """The picture `(H, W, 3)` in grey, tinted with the colour of the likeliest part; the background is left grey.

    Args:
        probabilities: `(P + 1, h, w)`, drawn smoothly over the whole picture before the likeliest is taken.
    """
    size = (pixels.shape[0], pixels.shape[1])
    smooth = F.interpolate(probabilities[None].float(), size, mode="bilinear", align_corners=False)[0]
    likeliest: NDArray[np.int64] = smooth.argmax(0).cpu().numpy()
    grey = np.repeat(pixels.mean(2, keepdims=True), 3, axis=2)
    tinted = (1 - OPACITY) * grey + OPACITY * colours_of(len(probabilities) - 1)[likeliest]
    shown: Pixels = np.where(likeliest[..., None] > 0, tinted, grey).round().astype(np.uint8)
    return shown


def _with_legend(sheet: Image.Image, top: int, parts: int) -> Image.Image:
    """The sheet, made wider if the names need it."""
    entries = list(zip(names_of(parts), colours_of(parts)[1:].tolist(), strict=True))
    side, places, left = _LEGEND - 8, [], _GAP
    for name, _ in entries:
        places.append(left)
        left += side + 4 + int(ImageDraw.Draw(sheet).textlength(name)) + 10
    wider = Image.new("RGB", (max(sheet.width, left), sheet.height), "white")
    wider.paste(sheet, (0, 0))
    pen = ImageDraw.Draw(wider)
    for place, (name, colour) in zip(places, entries, strict=True):
        pen.rectangle([place, top + 4, place + side - 1, top + 4 + side - 1], fill=tuple(colour))
        pen.text((place + side + 4, top + 3), name, fill="black")
    return wider
