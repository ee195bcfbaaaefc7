"""How large a picture is, from its header alone."""

from __future__ import annotations

from pathlib import Path

from PIL import Image
from PIL.JpegImagePlugin import JpegImageFile

from data.pictures import FORMATS, open_picture

_ORIENTATION = 0x0112
_LYING = (5, 6, 7, 8)
"""EXIF orientations by which height and width change places."""


def size_of(path: Path) -> tuple[int, int]:
    """Width and height in pixels as `open_picture` shows it (upright); `UserError` names one that cannot be read."""
    try:
        with Image.open(path, formats=FORMATS) as image:
            # Of other formats EXIF data behind the pixels would take decoding the picture.
            told = isinstance(image, JpegImageFile) or "exif" in image.info
            lying = told and image.getexif().get(_ORIENTATION) in _LYING
            return (image.height, image.width) if lying else (image.width, image.height)
    except Exception:  # whatever it is, opening the whole picture says it in a sentence, or does well without
        return open_picture(path).size
