"""A sheet of pictures with the maps of their joints over them: whether joints are where they should be, at a glance."""

from __future__ import annotations

import colorsys

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from common.errors import UserError
from configs.schema import Config
from data.loader import Pictures
from data.samplers import Key
from data.samples import Split
from data.transforms import Augmentation, Pixels, Preprocessing
from engine.inputs import Inputs

COLUMNS = 10
_SEED = 0
_GAP = 2


def pose_sheet(split: Split, inputs: Inputs, config: Config, device: torch.device) -> Image.Image:
    """Some pictures, evenly spread over the split, in four rows: as they are, with their maps, augmented as in
    training, and with the maps that the network is given then. Every joint has a colour.

    Raises:
        UserError: a picture cannot be read, or has no joints.
    """
    rows = np.linspace(0, len(split) - 1, min(COLUMNS, len(split))).round().astype(int).tolist()
    preprocessing = Preprocessing.of(config.data)
    height, width = config.data.height, config.data.width
    sheet = Image.new("RGB", (len(rows) * (width + _GAP) - _GAP, 4 * (height + _GAP) - _GAP), "white")
    for block, augment in enumerate((None, config.data.augment)):
        given = inputs.of([split], device, augment)
        augmentation = None if augment is None else Augmentation(augment, preprocessing)
        pictures = Pictures(split.file, preprocessing, augmentation, _SEED, plain=given.plain)
        raw = pictures.__getitems__([Key(row, 0, row) for row in rows])
        if isinstance(raw, str):
            raise UserError(raw)
        maps = given(raw, preprocessing.normalise(raw.pixels.to(device)))["poses"].float().cpu()
        for column, pixels in enumerate(raw.pixels.numpy()):
            for line, shown in enumerate((pixels, overlaid(pixels, maps[column]))):
                place = (column * (width + _GAP), (2 * block + line) * (height + _GAP))
                sheet.paste(Image.fromarray(shown), place)
    return sheet


def overlaid(pixels: Pixels, maps: Tensor) -> Pixels:
    """The picture `(H, W, 3)` in grey, and over it the maps `(J, h, w)`, each in its colour and as opaque as it is
    high."""
    size = (pixels.shape[0], pixels.shape[1])
    heights: NDArray[np.float32] = (
        F.interpolate(maps[None], size, mode="bilinear", align_corners=False)[0].clamp(0, 1).numpy()
    )
    colours = np.array([colorsys.hsv_to_rgb(joint / len(maps), 1, 1) for joint in range(len(maps))], np.float32) * 255
    total = heights.sum(0)[..., None]
    colour = np.einsum("jhw,jc->hwc", heights, colours) / np.maximum(total, 1e-6)
    opacity = heights.max(0)[..., None]
    grey = pixels.mean(2, keepdims=True)
    shown: Pixels = (grey * (1 - opacity) + colour * opacity).round().astype(np.uint8)
    return shown
