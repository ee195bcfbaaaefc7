from __future__ import annotations

import io
import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from common.errors import UserError
from data.doctor.inspection import DECODED, State, inspect
from data.pictures import open_picture
from tests.data.doctor.trees import drawn, save


def jpeg(**options: object) -> bytes:
    file = io.BytesIO()
    drawn(1, 0, 0, (128, 64)).save(file, "JPEG", **options)
    return file.getvalue()


def png() -> bytes:
    file = io.BytesIO()
    drawn(1, 0, 0).save(file, "PNG")
    return file.getvalue()


FILES = {
    "whole.jpg": (jpeg(), State.FINE, ""),
    "whole.png": (png(), State.FINE, ""),
    "png_called.jpg": (png(), State.FINE, ""),
    "progressive.jpg": (jpeg(progressive=True), State.FINE, ""),
    "empty.jpg": (b"", State.EMPTY, "0 bytes"),
    "half.jpg": (jpeg()[: len(jpeg()) // 2], State.BROKEN, "truncated"),
    "header.jpg": (jpeg()[:100], State.BROKEN, "in its header"),
    "half.png": (png()[: len(png()) // 2], State.BROKEN, ""),
    "zeros_at_the_end.jpg": (jpeg()[:-10] + bytes(10), State.SHORT, "end is missing"),
    "text.jpg": (b"hello, I am a text", State.NO_PICTURE, "a text that begins with 'hello, I am a text'"),
    "page.jpg": (b"<!DOCTYPE html><html>Quota exceeded", State.NO_PICTURE, "web page"),
    "zeros.jpg": (bytes(500), State.NO_PICTURE, "zeros from beginning to end"),
    "noise.jpg": (bytes(range(128, 256)) * 9, State.NO_PICTURE, "no picture"),
}


@pytest.mark.parametrize("name", FILES)
def test_states(tmp_path: Path, name: str) -> None:
    content, state, fault = FILES[name]
    path = tmp_path / name
    path.write_bytes(content)
    look = inspect(path)
    assert look.state is state
    assert fault in look.fault
    assert str(tmp_path) not in look.fault
    assert "BytesIO" not in look.fault


@pytest.mark.parametrize("name", FILES)
def test_agrees_with_what_training_opens(tmp_path: Path, name: str) -> None:
    """Whatever training would stop at is not fine, and nothing else."""
    path = tmp_path / name
    path.write_bytes(FILES[name][0])
    try:
        open_picture(path)
        opens = True
    except UserError:
        opens = False
    assert (inspect(path).state in DECODED) is opens


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "I;16", "I"])
def test_every_mode_is_seen_as_training_sees_it(tmp_path: Path, mode: str) -> None:
    if mode.startswith("I"):
        deep = np.asarray(drawn(2, 0, 0).convert("L"), dtype=np.uint16 if mode == "I;16" else np.int32) * 257
        image = Image.fromarray(deep)
        assert image.mode == mode
    else:
        image = drawn(2, 0, 0).convert(mode)
    path = save(tmp_path / ("p.tif" if mode in ("CMYK", "I") else "p.png"), image)
    small = inspect(path).small
    assert small is not None
    expected = np.asarray(open_picture(path).resize((9, 16), Image.Resampling.BILINEAR))
    assert np.abs(small.astype(int) - expected).max() <= 1


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    look = inspect(tmp_path / "gone.jpg")
    assert look.state is State.CLOSED
    assert "No such file" in look.fault
    os.mkfifo(tmp_path / "pipe.jpg")
    assert inspect(tmp_path / "pipe.jpg").state is State.CLOSED


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_that_may_not_be_read(tmp_path: Path) -> None:
    path = save(tmp_path / "p.jpg", drawn(1, 0, 0))
    path.chmod(0)
    assert inspect(path).fault == "Permission denied"


def test_what_is_too_large(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = save(tmp_path / "p.png", drawn(1, 0, 0, (64, 32)))
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 64 * 32 - 1)
    look = inspect(path)
    assert (look.state, look.fault) == (State.HUGE, "more than 2,047 pixels")
    monkeypatch.setattr("data.doctor.inspection.LARGEST_FILE", 10)
    assert inspect(path).state is State.HUGE


@pytest.mark.parametrize("orientation", range(1, 9))
def test_orientation(tmp_path: Path, orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = save(tmp_path / "p.jpg", drawn(3, 0, 0, (96, 48)), exif=exif, quality=95)
    look, upright = inspect(path), open_picture(path)
    assert (look.width, look.height) == upright.size
    assert look.turned is (orientation > 1)
    assert look.small is not None
    assert look.small.shape == (16, 9, 3)
    expected = np.asarray(upright.resize((9, 16), Image.Resampling.BILINEAR)).astype(int)
    other = np.asarray(upright.transpose(Image.Transpose.ROTATE_180).resize((9, 16))).astype(int)
    assert np.abs(look.small - expected).mean() < 0.4 * np.abs(look.small - other).mean()


def test_digest_is_of_the_bytes(tmp_path: Path) -> None:
    one, copy = (save(tmp_path / name, drawn(1, 0, 0)) for name in ("a.jpg", "b.jpg"))
    again = save(tmp_path / "c.jpg", drawn(1, 0, 0), quality=60)
    assert inspect(one).digest == inspect(copy).digest != inspect(again).digest
