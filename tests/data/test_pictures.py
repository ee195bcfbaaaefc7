from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from common.errors import UserError
from data.pictures import open_picture

RAMP = np.arange(0, 32 * 16 * 3, dtype=np.uint32).reshape(32, 16, 3).astype(np.uint8)


def pixels(path: Path) -> NDArray[np.uint8]:
    image = open_picture(path)
    assert image.mode == "RGB"
    return np.asarray(image)


def test_rgb_is_kept(tmp_path: Path) -> None:
    Image.fromarray(RAMP).save(tmp_path / "a.png")
    assert np.array_equal(pixels(tmp_path / "a.png"), RAMP)
    assert open_picture(tmp_path / "a.png", (8, 4)).size == (16, 32)


def test_grey(tmp_path: Path) -> None:
    for suffix in ("png", "bmp", "tif"):
        Image.fromarray(RAMP[..., 0]).save(tmp_path / f"a.{suffix}")
        assert np.array_equal(pixels(tmp_path / f"a.{suffix}"), np.repeat(RAMP[..., :1], 3, axis=2))
    Image.new("1", (4, 4), 1).save(tmp_path / "bits.png")
    assert pixels(tmp_path / "bits.png").min() == 255


@pytest.mark.parametrize("suffix", ["png", "tif"])
def test_16_bit_grey_is_scaled(tmp_path: Path, suffix: str) -> None:
    deep = np.linspace(0, 65535, 64).round().astype(np.uint16).reshape(8, 8)
    Image.fromarray(deep).save(tmp_path / f"deep.{suffix}")
    expected = np.round(deep / 257).astype(np.uint8)
    assert np.array_equal(pixels(tmp_path / f"deep.{suffix}")[..., 1], expected)


def test_32_bit_grey(tmp_path: Path) -> None:
    Image.fromarray(np.full((4, 4), 65535, np.int32)).save(tmp_path / "a.tif")
    assert pixels(tmp_path / "a.tif").min() == 255
    Image.fromarray(np.full((4, 4), 70000, np.int32)).save(tmp_path / "b.tif")
    Image.fromarray(np.full((4, 4), 0.5, np.float32)).save(tmp_path / "c.tif")
    for name in ("b.tif", "c.tif"):
        with pytest.raises(UserError, match=rf"{name} cannot be read .*save it with 8 or 16 bits"):
            open_picture(tmp_path / name)


def test_transparency_shows_mid_grey(tmp_path: Path) -> None:
    rgba = np.dstack([RAMP, np.full((32, 16), 255, np.uint8)])
    Image.fromarray(rgba).save(tmp_path / "opaque.png")
    assert np.array_equal(pixels(tmp_path / "opaque.png"), RAMP)
    rgba[:16, :, 3] = 0
    Image.fromarray(rgba).save(tmp_path / "cut.png")
    assert (pixels(tmp_path / "cut.png")[:16] == 128).all()
    assert np.array_equal(pixels(tmp_path / "cut.png")[16:], RAMP[16:])
    Image.fromarray(np.zeros((4, 4, 2), np.uint8)).save(tmp_path / "la.png")
    assert (pixels(tmp_path / "la.png") == 128).all()


def test_palette(tmp_path: Path) -> None:
    image = Image.new("P", (4, 4), 1)
    image.putpalette([0, 0, 0, 10, 20, 30])
    image.save(tmp_path / "a.png")
    assert pixels(tmp_path / "a.png")[0, 0].tolist() == [10, 20, 30]
    image.save(tmp_path / "b.png", transparency=1)
    image.save(tmp_path / "c.png", transparency=b"\xff\x00")
    assert pixels(tmp_path / "b.png")[0, 0].tolist() == [128] * 3
    assert pixels(tmp_path / "c.png")[0, 0].tolist() == [128] * 3


def test_cmyk(tmp_path: Path) -> None:
    Image.new("CMYK", (16, 16), (0, 0, 0, 0)).save(tmp_path / "a.jpg")
    assert pixels(tmp_path / "a.jpg").min() > 250


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("suffix", ["jpg", "png"])
def test_exif_orientation(tmp_path: Path, orientation: int, suffix: str) -> None:
    corners = np.zeros((32, 16, 3), np.uint8)
    corners[:16, :8] = 255
    turned = Image.fromarray(corners)
    # What a camera held that way stores: the inverse of the turn that makes it upright.
    inverse = {2: 0, 3: 3, 4: 1, 5: 5, 6: 2, 7: 6, 8: 4}
    if orientation > 1:
        turned = turned.transpose(Image.Transpose(inverse[orientation]))
    exif = Image.Exif()
    exif[0x0112] = orientation
    turned.save(tmp_path / f"a.{suffix}", exif=exif)
    difference = np.abs(pixels(tmp_path / f"a.{suffix}").astype(int) - corners)
    assert difference.max() < 20


def test_broken_exif_is_no_reason_to_lose_a_picture(tmp_path: Path) -> None:
    Image.fromarray(RAMP).save(tmp_path / "a.jpg", exif=b"Exif\x00\x00garbage")
    assert open_picture(tmp_path / "a.jpg").size == (16, 32)


def test_large_jpegs_are_decoded_smaller(tmp_path: Path) -> None:
    Image.new("RGB", (512, 1024), (10, 200, 30)).save(tmp_path / "a.jpg")
    assert open_picture(tmp_path / "a.jpg").size == (512, 1024)
    assert open_picture(tmp_path / "a.jpg", (256, 128)).size == (256, 512)
    assert open_picture(tmp_path / "a.jpg", (64, 32)).size == (64, 128)
    assert open_picture(tmp_path / "a.jpg", (300, 150)).size == (512, 1024)
    assert open_picture(tmp_path / "a.jpg", (4000, 2000)).size == (512, 1024)
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (1024, 512)).save(tmp_path / "turned.jpg", exif=exif)
    assert open_picture(tmp_path / "turned.jpg", (256, 128)).size == (256, 512)


@pytest.mark.filterwarnings("ignore:Truncated File Read")
@pytest.mark.parametrize("suffix", ["jpg", "png", "tif", "bmp"])
def test_truncated_files(tmp_path: Path, suffix: str) -> None:
    noise = np.random.default_rng(0).integers(0, 255, (64, 32, 3), dtype=np.uint8)
    Image.fromarray(noise).save(tmp_path / f"a.{suffix}")
    whole = (tmp_path / f"a.{suffix}").read_bytes()
    for part in (0.02, 0.3, 0.6, 0.9):
        (tmp_path / f"a.{suffix}").write_bytes(whole[: int(len(whole) * part)])
        with pytest.raises(UserError, match=rf"a\.{suffix} cannot be read .*copy it again or remove it from the set"):
            open_picture(tmp_path / f"a.{suffix}")


def test_files_that_are_no_pictures(tmp_path: Path) -> None:
    (tmp_path / "empty.jpg").write_bytes(b"")
    with pytest.raises(UserError, match=r"empty.jpg cannot be read \(the file is empty\)"):
        open_picture(tmp_path / "empty.jpg")
    (tmp_path / "text.jpg").write_text("no picture")
    with pytest.raises(UserError, match=r"text.jpg cannot be read"):
        open_picture(tmp_path / "text.jpg")
    with pytest.raises(UserError, match=r"there is no picture .*gone.jpg; copy it again or remove it"):
        open_picture(tmp_path / "gone.jpg")
    with pytest.raises(UserError, match=r"cannot be read"):
        open_picture(tmp_path)


@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
@pytest.mark.parametrize("limit", [1000, 300])
def test_decompression_bombs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, limit: int) -> None:
    Image.new("RGB", (32, 32)).save(tmp_path / "a.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", limit)
    with pytest.raises(UserError, match=r"a.png has more pixels than .*limit"):
        open_picture(tmp_path / "a.png")


def test_the_warning_as_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Image.new("RGB", (32, 32)).save(tmp_path / "a.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1000)
    with pytest.raises(UserError, match=r"a.png has more pixels"):
        open_picture(tmp_path / "a.png")
