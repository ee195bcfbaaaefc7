"""The faster decoder gives Pillow's pixels, resized within one level, and leaves to Pillow what is not plain."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from common.errors import UserError
from configs.schema import Data
from data import opencv
from data.opencv import plain_jpeg_size, read_plain_jpeg, resize
from data.pictures import open_picture
from data.transforms import Pixels, Preprocessing

SIZE = (32, 16)


def made(height: int, width: int, seed: int = 0) -> Image.Image:
    """Blobs and noise."""
    random = np.random.default_rng(seed)
    blobs = Image.fromarray(random.integers(0, 256, (height // 8 + 2, width // 8 + 2, 3), dtype=np.uint8))
    noise = random.integers(-20, 21, (height, width, 3))
    pixels = np.asarray(blobs.resize((width, height), Image.Resampling.BICUBIC)) + noise
    return Image.fromarray(pixels.clip(0, 255).astype(np.uint8))


def jpeg(picture: Image.Image, **how: Any) -> bytes:
    file = io.BytesIO()
    picture.save(file, "JPEG", **how)
    return file.getvalue()


def levels(left: Any, right: Any) -> int:
    """The largest difference of two pictures."""
    return int(np.abs(np.asarray(left, dtype=int) - np.asarray(right, dtype=int)).max())


def fast(size: tuple[int, int] = SIZE) -> Preprocessing:
    pytest.importorskip("cv2")
    return Preprocessing(*size, (0.5, 0.5, 0.5), (0.5, 0.5, 0.5), "opencv")


def read(preprocessing: Preprocessing, path: Path) -> Pixels:
    pixels = np.full((*SIZE, 3), 99, np.uint8)
    preprocessing.read(path, pixels)
    return pixels


def said(preprocessing: Preprocessing, path: Path) -> str:
    """What a user hears of a picture."""
    try:
        return f"a picture of mean {read(preprocessing, path).mean():.0f}"
    except UserError as error:
        return str(error)


@pytest.mark.parametrize("mode", ["RGB", "L"])
@pytest.mark.parametrize(
    "how", [{}, {"progressive": True}, {"subsampling": 0}, {"comment": b"x"}, {"icc_profile": b"y"}]
)
def test_plain_pictures_have_a_size(mode: str, how: dict[str, Any]) -> None:
    assert plain_jpeg_size(jpeg(made(45, 23).convert(mode), **how)) == (45, 23)


def test_all_others_are_left_to_pillow() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    whole = jpeg(made(40, 20))
    others = [
        jpeg(made(40, 20), exif=exif),
        jpeg(made(40, 20), xmp=b"<x/>"),
        jpeg(made(40, 20).convert("CMYK")),
        whole[:-2],
        whole + b"behind",
        whole[:30],
        whole[:20] + whole[-2:],
        whole[:3] + b"\xff\xd9",
        b"\x89PNG",
        b"",
    ]
    assert [plain_jpeg_size(other) for other in others] == [None] * len(others)
    for length in range(len(whole)):
        plain_jpeg_size(whole[:length] + b"\xff\xd9")


@pytest.mark.parametrize("height", [8, 31, 32, 33, 64, 200])
@pytest.mark.parametrize("width", [5, 15, 16, 17, 40])
def test_resizing_is_pillow_s_within_a_level(height: int, width: int, monkeypatch: pytest.MonkeyPatch) -> None:
    if height <= SIZE[0] and width <= SIZE[1] and (height, width) != SIZE:
        pytest.importorskip("cv2")
    for seed, kind in enumerate(("blobs", "noise", "black and white")):
        pixels = np.array(made(height, width, seed))
        if kind != "blobs":
            pixels = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
        if kind == "black and white":
            pixels = (pixels // 128 * 255).astype(np.uint8)
        expected = Image.fromarray(pixels).resize(SIZE[::-1], Image.Resampling.BILINEAR)
        found = np.full((*SIZE, 3), 99, np.uint8)
        resize(pixels, found)
        assert levels(found, expected) <= 1


@pytest.mark.parametrize("size", [(64, 32), (20, 10), (32, 16), (130, 65), (301, 155), (513, 257), (600, 90)])
@pytest.mark.parametrize("how", [{}, {"progressive": True, "quality": 30}, {"subsampling": 0}])
def test_jpegs_are_read_as_pillow_reads_them(size: tuple[int, int], how: dict[str, Any], tmp_path: Path) -> None:
    preprocessing = fast()
    for mode in ("RGB", "L"):
        path = tmp_path / f"{mode}.jpg"
        path.write_bytes(jpeg(made(*size).convert(mode), **how))
        decoded = read_plain_jpeg(path, SIZE)
        assert decoded is not None
        assert levels(decoded, open_picture(path, SIZE)) == 0, "also at a half, quarter and eighth"
        slow = Preprocessing(*SIZE, preprocessing.mean, preprocessing.std)
        assert levels(read(preprocessing, path), read(slow, path)) <= 1


@pytest.mark.parametrize("suffix", ["png", "bmp", "webp", "gif"])
def test_what_is_no_jpeg_is_read_too(suffix: str, tmp_path: Path) -> None:
    preprocessing = fast()
    made(50, 20).save(tmp_path / f"a.{suffix}")
    slow = Preprocessing(*SIZE, preprocessing.mean, preprocessing.std)
    assert levels(read(preprocessing, tmp_path / f"a.{suffix}"), read(slow, tmp_path / f"a.{suffix}")) <= 1


@pytest.mark.parametrize("orientation", range(1, 9))
def test_turned_pictures_are_upright(orientation: int, tmp_path: Path) -> None:
    preprocessing = fast()
    exif = Image.Exif()
    exif[0x0112] = orientation
    (tmp_path / "a.jpg").write_bytes(jpeg(made(50, 20), exif=exif))
    slow = Preprocessing(*SIZE, preprocessing.mean, preprocessing.std)
    assert levels(read(preprocessing, tmp_path / "a.jpg"), read(slow, tmp_path / "a.jpg")) <= 1


def test_what_is_broken_is_named_as_by_pillow(tmp_path: Path) -> None:
    preprocessing = fast()
    path = tmp_path / "a.jpg"
    whole = jpeg(made(100, 50))
    for content in (whole[: len(whole) // 2], b"", b"no picture", whole[:300] + b"\xff\xd9"):
        path.write_bytes(content)
        assert said(preprocessing, path) == said(Preprocessing(*SIZE, preprocessing.mean, preprocessing.std), path)
    path.unlink()
    with pytest.raises(UserError, match="there is no picture"):
        read(preprocessing, path)


def test_too_many_pixels_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    preprocessing = fast()
    (tmp_path / "a.jpg").write_bytes(jpeg(made(100, 50)))
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 4999)
    with pytest.raises(UserError, match="more pixels than a picture of a person needs"):
        read(preprocessing, tmp_path / "a.jpg")


def test_the_decoder_is_part_of_the_preprocessing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(opencv, "require_opencv", lambda: None)
    assert "decoder" not in Preprocessing.of(Data()).as_dict(), "as it was before there was a choice"
    assert Preprocessing.of(Data(decoder="opencv")).as_dict()["decoder"] == "opencv"


def test_shrinking_needs_no_opencv(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(opencv, "_opencv", lambda: pytest.fail("asked for OpenCV"))
    pixels = np.zeros((*SIZE, 3), np.uint8)
    resize(np.full((64, 8, 3), 7, np.uint8), pixels)
    assert (pixels == 7).all()
