"""The faster decoder and resizer of `data.decoder=opencv`: plain JPEGs by OpenCV, everything else by Pillow.

Decoded pixels are Pillow's to the bit, since both ask libjpeg-turbo for the same; resized ones differ from Pillow's by
one level at most. OpenCV's own resizing has no low-pass filter, so it only enlarges; what shrinks goes through torch's
antialiased form.
"""

from __future__ import annotations

import functools
import importlib
import importlib.util
import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from PIL import Image

from common.errors import UserError
from data.pictures import DRAFT_MARGIN

Pixels = NDArray[np.uint8]

_START, _END = b"\xff\xd8\xff", b"\xff\xd9"
_FRAMES = (0xC0, 0xC1, 0xC2)  # baseline, extended, progressive; all others are rare
_EXIF = 0xE1  # APP1: may hold an orientation, in EXIF or in XMP
_SCANS = 0xDA
_REDUCED = {1: 0, 2: 16, 4: 32, 8: 64}
"""OpenCV's flags for decoding at a half, quarter and eighth."""


def require_opencv() -> None:
    """Raise `UserError` when OpenCV is not there; ask before long work that needs it."""
    if importlib.util.find_spec("cv2") is None:
        raise UserError(
            f"data.decoder=opencv needs OpenCV: {sys.executable} -m pip install opencv-python-headless (or set"
            " data.decoder=pillow, whose pixels differ by one level at most)"
        )


@functools.cache
def _opencv() -> Any:
    cv2 = importlib.import_module("cv2")
    # Threads of its own would stand still in processes forked from this one.
    cv2.setNumThreads(1)
    return cv2


def version() -> str:
    """OpenCV's."""
    return str(_opencv().__version__)


def read_plain_jpeg(path: Path, size: tuple[int, int]) -> Pixels | None:
    """Decode what is certainly a whole, upright JPEG of one or three channels.

    Args:
        size: `(height, width)` that the caller will resize to; a large JPEG is decoded smaller as in `open_picture`.

    Returns:
        RGB `(h, w, 3)`, or None: let Pillow decide what it is and what may be wrong with it.
    """
    try:
        data = path.read_bytes()
    except OSError:
        return None
    found = plain_jpeg_size(data)
    limit = Image.MAX_IMAGE_PIXELS
    if found is None or (limit is not None and found[0] * found[1] > limit):
        return None
    fits = min(found[0] // (size[0] * DRAFT_MARGIN), found[1] // (size[1] * DRAFT_MARGIN))
    reduced = _REDUCED[next((scale for scale in (8, 4, 2) if fits >= scale), 1)]
    cv2 = _opencv()
    flags = cv2.IMREAD_COLOR_RGB | cv2.IMREAD_IGNORE_ORIENTATION | reduced
    try:
        pixels: Pixels | None = cv2.imdecode(np.frombuffer(data, np.uint8), flags)
    except cv2.error:
        return None
    return pixels


def plain_jpeg_size(data: bytes) -> tuple[int, int] | None:
    """`(height, width)` from the header of a JPEG of 8 bits and one or three channels that no EXIF or XMP block turns.

    None for all others, and for one whose end is missing.
    """
    if not data.startswith(_START) or not data.endswith(_END):
        return None
    at, size = 2, None
    while at + 10 <= len(data) and data[at] == 0xFF:
        marker = data[at + 1]
        if marker == _SCANS:
            return size
        if marker == _EXIF:
            return None
        if marker in _FRAMES:
            if data[at + 4] != 8 or data[at + 9] not in (1, 3):
                return None
            size = (data[at + 5] << 8 | data[at + 6], data[at + 7] << 8 | data[at + 8])
        at += 2 + (data[at + 2] << 8 | data[at + 3])
    return None


def resize(pixels: Pixels, out: Pixels) -> None:
    """Fill `out`, `(H, W, 3)`, with `(h, w, 3)`: bilinear, with a low-pass filter where it shrinks."""
    height, width = out.shape[:2]
    if pixels.shape == out.shape:
        out[...] = pixels
    elif height >= pixels.shape[0] and width >= pixels.shape[1]:
        cv2 = _opencv()
        cv2.resize(pixels, (width, height), dst=out, interpolation=cv2.INTER_LINEAR)
    else:
        channels_last = torch.from_numpy(pixels).permute(2, 0, 1)[None]
        shrunk = F.interpolate(channels_last, (height, width), mode="bilinear", antialias=True)
        out[...] = shrunk[0].permute(1, 2, 0).numpy()
