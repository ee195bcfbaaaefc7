"""A picture file into an 8-bit RGB image, whatever kind of file it is."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

import numpy as np
from PIL import Image
from PIL.JpegImagePlugin import JpegImageFile

from common.errors import UserError

BEHIND = (128, 128, 128)
"""What shows through transparent pixels: mid-grey, which normalisation takes close to 0. Dropping the alpha channel
instead would show whatever colour the file happens to hold there, often the background that was cut away."""

DRAFT_MARGIN = 2
"""A JPEG is never decoded below so many times the size that it is resized to."""

_ORIENTATION = 0x0112
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_DECODER_ERRORS = (OSError, SyntaxError, ValueError, EOFError, IndexError, struct.error, zlib.error)
_TOO_LARGE = (Image.DecompressionBombError, Image.DecompressionBombWarning)


FORMATS = ("JPEG", "PNG", "BMP", "GIF", "TIFF", "WEBP", "PPM")
"""What is opened: other formats of Pillow, EPS among them, start programs of the machine."""


def open_picture(path: Path, size: tuple[int, int] | None = None) -> Image.Image:
    """Decode a picture upright (EXIF orientation), in mode RGB.

    Args:
        size: `(height, width)` that the caller will resize to. A JPEG of at least four times that is then decoded at
            a half, quarter or eighth of its size, never below twice `size`, so that the resizing still smooths.

    Raises:
        UserError: the file is not there, is empty, broken, no picture, of a kind that has no 8-bit reading, or larger
            than Pillow's limit against decompression bombs.
    """
    try:
        with Image.open(path, formats=FORMATS) as image:
            limit = Image.MAX_IMAGE_PIXELS
            if limit is not None and image.width * image.height > limit:
                raise Image.DecompressionBombError
            turn = _turn(image)
            if size is not None and isinstance(image, JpegImageFile):
                height, width = size if turn is None or turn in (2, 3, 4) else size[::-1]
                image.draft(None, (width * DRAFT_MARGIN, height * DRAFT_MARGIN))
            upright = _rgb(image)
            return upright if turn is None else upright.transpose(_TURNS[turn])
    except FileNotFoundError:
        raise UserError(f"there is no picture {path}; copy it again or remove it from the set") from None
    except _TOO_LARGE:
        raise UserError(
            f"{path} has more pixels than a picture of a person needs (limit {Image.MAX_IMAGE_PIXELS:,}); "
            f"crop or shrink it, or remove it from the set"
        ) from None
    except _DECODER_ERRORS as error:
        empty = path.is_file() and not path.stat().st_size
        fault = "the file is empty" if empty else str(error) or type(error).__name__
        raise UserError(
            f"the picture {path} cannot be read ({fault}); copy it again or remove it from the set"
        ) from error


def _turn(image: Image.Image) -> int | None:
    """The EXIF orientation when the picture is not upright; broken EXIF data counts as none."""
    if not isinstance(image, JpegImageFile):
        # Other formats may keep EXIF behind the pixels: a broken file must be found here, not taken for bad EXIF.
        image.load()
    try:
        orientation = image.getexif().get(_ORIENTATION)
    except _DECODER_ERRORS:
        return None
    return orientation if orientation in _TURNS else None


def _rgb(image: Image.Image) -> Image.Image:
    if image.mode in ("I", "F") or image.mode.startswith("I;16"):
        return _from_deep_grey(image).convert("RGB")
    if image.has_transparency_data:
        behind = Image.new("RGBA", image.size, (*BEHIND, 255))
        return Image.alpha_composite(behind, image.convert("RGBA")).convert("RGB")
    return image.convert("RGB")


def _from_deep_grey(image: Image.Image) -> Image.Image:
    """16-bit grey scaled so that 65535 becomes 255; Pillow's own `convert` would clip everything above 255."""
    grey = np.asarray(image)
    if image.mode == "F" or grey.min() < 0 or grey.max() > 65535:
        raise ValueError(f"pixels of mode {image.mode} have no fixed white; save it with 8 or 16 bits")
    return Image.fromarray(((grey.astype(np.uint32) + 128) // 257).astype(np.uint8))
