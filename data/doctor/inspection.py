"""One picture file, read once: whether it can be decoded, how large it is, and a small version to compare it by."""

from __future__ import annotations

import hashlib
import io
import stat
import struct
import warnings
import zlib
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps
from PIL.JpegImagePlugin import JpegImageFile

from data.pictures import FORMATS

HEIGHT, WIDTH = 16, 9
"""Of the small version: 16 rows of 8 differences between neighbours are the 128 bits that near duplicates share."""

LARGEST_FILE = 64 << 20
"""Bytes. What is larger is no crop of a person and is not read, so that a worker's memory stays small."""

_MARGIN = 2
"""A JPEG is decoded at a half, quarter or eighth of its size where that is still this many times the small version."""
_SMOOTH = Image.Resampling.BILINEAR
"""Overlapping windows: with BOX, a picture and its copy at half the size would differ five times as much."""

_ORIENTATION = 0x0112
_END_OF_JPEG = b"\xff\xd9"
_TAIL = 1 << 16
_DECODER_ERRORS = (OSError, SyntaxError, ValueError, EOFError, IndexError, struct.error, zlib.error)
_TOO_LARGE = (Image.DecompressionBombError, Image.DecompressionBombWarning)
_PICTURES = (b"\xff\xd8\xff", b"\x89PNG", b"GIF8", b"BM", b"II*\0", b"MM\0*", b"RIFF")
_BEGINNINGS = (
    (b"<!doctype html", "a web page, which is what a failed download leaves"),
    (b"<html", "a web page, which is what a failed download leaves"),
    (b"version https://git-lfs", "a pointer of Git LFS; fetch the pictures with git lfs pull"),
    (b"8bps", "a Photoshop document"),
    (b"%pdf", "a PDF"),
    (b"pk\x03\x04", "a ZIP archive"),
)


class State(IntEnum):
    """What became of reading a file."""

    FINE = 0
    CLOSED = 1
    """The file cannot be opened or read (permissions, a broken disk)."""
    EMPTY = 2
    NO_PICTURE = 3
    """It is readable, but its beginning is not that of a picture."""
    BROKEN = 4
    """It begins as a picture and ends too early or in nonsense."""
    SHORT = 5
    """A JPEG that can be decoded although its last bytes are missing."""
    HUGE = 6
    """More bytes or pixels than a picture of a person has; not looked into."""


DECODED = (State.FINE, State.SHORT)


@dataclass(frozen=True)
class Look:
    """What is known of a file after one look.

    Attributes:
        fault: why it is not fine, in a few words; empty when it is.
        digest: 16 bytes that equal those of another file when all of its bytes do; zeros when it was not read.
        height, width: in pixels, upright; 0 when that is not known.
        turned: it is upright only for programs that heed the EXIF orientation.
        small: `(16, 9, 3)` uint8, the upright picture made small; zeros when it was not decoded.
    """

    state: State
    fault: str = ""
    digest: bytes = bytes(16)
    height: int = 0
    width: int = 0
    turned: bool = False
    small: NDArray[np.uint8] | None = None


def inspect(path: Path) -> Look:
    """Look at one file; whatever is wrong with it is in what is returned, nothing is raised."""
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):
            return Look(State.CLOSED, "it is no ordinary file")  # a pipe would be waited for
        if status.st_size > LARGEST_FILE:
            return Look(State.HUGE, f"{status.st_size / (1 << 20):,.0f} MiB")
        content = path.read_bytes()
    except OSError as error:
        return Look(State.CLOSED, error.strerror or type(error).__name__)
    if not content:
        return Look(State.EMPTY, "0 bytes")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of Pillow, about EXIF data that nobody reads
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        return _looked_into(content)


def _looked_into(content: bytes) -> Look:
    digest = hashlib.blake2b(content, digest_size=16).digest()
    try:
        image = Image.open(io.BytesIO(content), formats=FORMATS)
    except _TOO_LARGE:
        return Look(State.HUGE, f"more than {Image.MAX_IMAGE_PIXELS:,} pixels", digest)
    except _DECODER_ERRORS:
        if content.startswith(_PICTURES):
            return Look(State.BROKEN, "it begins as a picture and ends or breaks off in its header", digest)
        return Look(State.NO_PICTURE, _nature(content), digest)
    return _decoded(image, content, digest)


def _decoded(image: Image.Image, content: bytes, digest: bytes) -> Look:
    width, height = image.size
    try:
        if isinstance(image, JpegImageFile):
            image.draft(None, (WIDTH * _MARGIN, HEIGHT * _MARGIN))
        small = _rgb(image).resize((WIDTH, HEIGHT), _SMOOTH)
    except _DECODER_ERRORS as error:
        return Look(State.BROKEN, str(error) or type(error).__name__, digest, height, width)
    orientation = _orientation(image)
    if orientation > 1:
        small.getexif()[_ORIENTATION] = orientation
        small = ImageOps.exif_transpose(small).resize((WIDTH, HEIGHT), _SMOOTH)
    if orientation > 4:
        height, width = width, height
    short = isinstance(image, JpegImageFile) and _END_OF_JPEG not in content[-_TAIL:]
    state, fault = (State.SHORT, "its end is missing") if short else (State.FINE, "")
    return Look(state, fault, digest, height, width, orientation > 1, np.asarray(small))


def _rgb(image: Image.Image) -> Image.Image:
    if image.mode in ("I", "F") or image.mode.startswith("I;16"):
        deep = np.asarray(image)
        if image.mode == "F" or deep.min() < 0 or deep.max() > 65535:
            raise ValueError(f"pixels of mode {image.mode} have no fixed white")
        return Image.fromarray((deep // 257).astype(np.uint8)).convert("RGB")
    if image.has_transparency_data:
        return Image.alpha_composite(Image.new("RGBA", image.size, "grey"), image.convert("RGBA")).convert("RGB")
    return image.convert("RGB")


def _orientation(image: Image.Image) -> int:
    """1 to 8 as EXIF counts; 1 is upright, and what broken EXIF data counts as."""
    try:
        told = image.getexif().get(_ORIENTATION)
    except _DECODER_ERRORS:
        return 1
    return told if isinstance(told, int) and 1 <= told <= 8 else 1


def _nature(content: bytes) -> str:
    """What a file is that is no picture, as far as its beginning tells."""
    beginning = content[:64].lstrip().lower()
    for mark, nature in _BEGINNINGS:
        if beginning.startswith(mark):
            return nature
    if not any(content):
        return "zeros from beginning to end, as an interrupted download leaves"
    if content[:1024].isascii() and b"\0" not in content[:1024]:
        return f"a text that begins with {content[:24].decode('ascii').strip()!r}"
    return "no picture of a kind that is read"
