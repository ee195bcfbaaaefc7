"""Augmentation equals loops over single pixels, and its draws stay within what the configuration says."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageEnhance

from configs.schema import Augment, Data
from data.transforms import Augmentation, Draw, Geometry, Pixels, Preprocessing, shift

HEIGHT, WIDTH = 24, 16
SMALL = Preprocessing(HEIGHT, WIDTH, (0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
WHOLE = Geometry(0, 0, 0, 0, 0, 0, 0)


def picture(seed: int = 0, height: int = HEIGHT, width: int = WIDTH) -> Image.Image:
    return Image.fromarray(np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8))


def written(augmentation: Augmentation, pixels: Image.Image | Pixels, draw: Draw, before: int = 99) -> Pixels:
    """The augmented picture in a row that held something else before."""
    out = np.full((HEIGHT, WIDTH, 3), before, np.uint8)
    augmentation.write(np.array(pixels), draw, out)
    return out


def naive_apply(pixels: Pixels, geometry: Geometry, pad: int, fill: int, erased: tuple[int, int, int]) -> Pixels:
    """One output pixel after the other: erased, from the border, or from the flipped picture."""
    height, width = pixels.shape[:2]
    out = np.zeros_like(pixels)
    for row in range(height):
        for column in range(width):
            below, beside = row - geometry.erase_top, column - geometry.erase_left
            y, x = row + geometry.top - pad, column + geometry.left - pad
            if 0 <= below < geometry.erase_height and 0 <= beside < geometry.erase_width:
                out[row, column] = erased
            elif not (0 <= y < height and 0 <= x < width):
                out[row, column] = fill
            else:
                out[row, column] = pixels[y, width - 1 - x if geometry.flip else x]
    return out


@given(seed=st.integers(0, 2**32 - 1), pad=st.sampled_from([0, 1, 3, 10, 30]), fill=st.sampled_from([0, 127, 255]))
@settings(deadline=None, max_examples=60)
def test_augmenting_equals_a_naive_loop(seed: int, pad: int, fill: int) -> None:
    augmentation = Augmentation(Augment(pad=pad, pad_fill=fill), SMALL)
    draw = augmentation.draw(np.random.default_rng(seed))
    source = picture(seed)
    before = np.array(source)
    expected = naive_apply(before, draw.geometry, pad, fill, (124, 116, 104))
    pixels = before.copy()
    for rest in (0, 99):
        np.testing.assert_array_equal(written(augmentation, pixels, draw, rest), expected)
    np.testing.assert_array_equal(pixels, before)


def test_every_part_of_the_geometry_matters() -> None:
    """The loop twin is not blind: each change of a draw changes the pixels."""
    augmentation = Augmentation(Augment(pad=4), SMALL)
    base = Geometry(0, 4, 4, 2, 3, 5, 6, 1, 1, 1)
    seen = {written(augmentation, picture(), Draw(base, ())).tobytes()}
    for name in Geometry._fields:
        value = 1 - base.enlarge if name == "enlarge" else getattr(base, name) + 1
        seen.add(written(augmentation, picture(), Draw(base._replace(**{name: value}), ())).tobytes())
    assert len(seen) == 1 + len(Geometry._fields)


def test_an_enlarged_picture_is_cut_from_a_larger_one() -> None:
    source, geometry = picture(), Geometry(1, 0, 0, 0, 0, 0, 0, 1, 2, 1)
    pixels = written(Augmentation(Augment(pad=0), SMALL), source, Draw(geometry, ()))
    larger = np.array(source.transpose(Image.Transpose.FLIP_LEFT_RIGHT).resize((18, 27), Image.Resampling.BILINEAR))
    np.testing.assert_array_equal(pixels, larger[2:26, 1:17])


def test_how_often_and_where_a_picture_is_enlarged() -> None:
    augmentation = Augmentation(Augment(enlarge=0.5, erase_fill=(1, 2, 3)), SMALL)
    drawn = [augmentation.draw(np.random.default_rng(seed)).geometry for seed in range(400)]
    larger = [geometry for geometry in drawn if geometry.enlarge]
    assert 160 < len(larger) < 240
    assert {geometry.enlarge_top for geometry in larger} == set(range(4))
    assert {geometry.enlarge_left for geometry in larger} == set(range(3))
    assert augmentation.erase_fill.tolist() == [1, 2, 3]
    plain = Augmentation(Augment(), SMALL)
    assert [plain.draw(np.random.default_rng(seed)).geometry[:7] for seed in range(400)] == [g[:7] for g in drawn]


def test_the_middle_of_the_border_is_the_picture_itself() -> None:
    pixels = written(Augmentation(Augment(pad=4), SMALL), picture(), Draw(WHOLE._replace(top=4, left=4), ()))
    np.testing.assert_array_equal(pixels, picture())


@given(down=st.integers(-9, 9), right=st.integers(-9, 9))
@settings(deadline=None, max_examples=200)
def test_shift_equals_naive_loop(down: int, right: int) -> None:
    pixels = np.asarray(picture(1, height=5, width=4))
    shifted = np.full_like(pixels, 99)
    shift(pixels, down, right, 7, shifted)
    for row in range(5):
        for column in range(4):
            y, x = row + down, column + right
            expected = pixels[y, x] if 0 <= y < 5 and 0 <= x < 4 else 7
            assert (shifted[row, column] == expected).all()


@pytest.mark.parametrize(("down", "right"), [(5, 0), (-5, 0), (0, 4), (0, -4), (100, 100), (-6, 1)])
def test_shift_beyond_the_picture_is_all_border(down: int, right: int) -> None:
    out = np.zeros((5, 4, 3), np.uint8)
    shift(np.zeros_like(out), down, right, 9, out)
    assert (out == 9).all()


def test_resize() -> None:
    same = picture()
    assert SMALL.resize(same) is same
    large = picture(height=50, width=40)
    np.testing.assert_array_equal(SMALL.resize(large), large.resize((WIDTH, HEIGHT), Image.Resampling.BILINEAR))
    turned = picture(height=WIDTH, width=HEIGHT)
    assert SMALL.resize(turned).size == (WIDTH, HEIGHT)


def test_reading_is_pillow_s_resizing(tmp_path: Path) -> None:
    large = picture(height=50, width=40)
    large.save(tmp_path / "a.png")
    pixels = np.full((HEIGHT, WIDTH, 3), 99, np.uint8)
    SMALL.read(tmp_path / "a.png", pixels)
    np.testing.assert_array_equal(pixels, SMALL.resize(large))


def test_preprocessing_of_a_configuration() -> None:
    data = Data(height=32, width=20, mean=(0.1, 0.2, 0.3), std=(0.4, 0.5, 0.6))
    assert Preprocessing.of(data).as_dict() == {
        "interpolation": "bilinear",
        "height": 32,
        "width": 20,
        "mean": [0.1, 0.2, 0.3],
        "std": [0.4, 0.5, 0.6],
    }


def test_normalise() -> None:
    pixels = torch.from_numpy(np.stack([np.asarray(picture(seed)) for seed in range(3)]))
    out = SMALL.normalise(pixels)
    assert out.shape == (3, 3, HEIGHT, WIDTH)
    assert out.dtype == torch.float32
    assert out.is_contiguous(memory_format=torch.channels_last)
    for channel in range(3):
        expected = (pixels[..., channel].double() / 255 - SMALL.mean[channel]) / SMALL.std[channel]
        torch.testing.assert_close(out[:, channel].double(), expected, rtol=1e-5, atol=2e-6)


def test_erased_pixels_normalise_to_nothing() -> None:
    augmentation = Augmentation(Augment(pad=0), SMALL)
    pixels = written(augmentation, picture(), Draw(Geometry(0, 0, 0, 1, 2, 10, 7), ()))
    out = SMALL.normalise(torch.from_numpy(pixels[None]))[0]
    assert out[:, 1:11, 2:9].abs().max() <= 0.5 / 255 / min(SMALL.std) + 1e-5
    assert out[:, 0].abs().max() > 0.1


def draws(config: Augment, count: int = 400, preprocessing: Preprocessing = SMALL) -> list[Draw]:
    random = np.random.default_rng(0)
    return [Augmentation(config, preprocessing).draw(random) for _ in range(count)]


@pytest.mark.parametrize("probability", [0.0, 1.0])
def test_never_and_always(probability: float) -> None:
    for draw in draws(Augment(flip=probability, erase=0), 50):
        assert draw.geometry.flip == probability
        assert draw.geometry[3:7] == (0, 0, 0, 0)
    for draw in draws(Augment(erase=probability, flip=0), 50):
        assert draw.geometry.flip == 0
        assert (draw.geometry.erase_height > 0) == (draw.geometry.erase_width > 0) == bool(probability)


def test_probabilities_between() -> None:
    many = draws(Augment(flip=0.2, erase=0.7), 1000)
    assert np.mean([draw.geometry.flip for draw in many]) == pytest.approx(0.2, abs=0.05)
    assert np.mean([draw.geometry.erase_height > 0 for draw in many]) == pytest.approx(0.7, abs=0.05)


@pytest.mark.parametrize("pad", [0, 1, 3])
def test_offsets_take_every_place(pad: int) -> None:
    many = draws(Augment(pad=pad))
    places = {(draw.geometry.top, draw.geometry.left) for draw in many}
    assert places == {(top, left) for top in range(2 * pad + 1) for left in range(2 * pad + 1)}


@pytest.mark.parametrize(
    ("area", "aspect"), [((0.02, 0.4), (0.3, 3.3)), ((0.1, 0.1), (2.0, 2.0)), ((0.3, 0.5), (0.5, 1))]
)
def test_erased_rectangles(area: tuple[float, float], aspect: tuple[float, float]) -> None:
    large = Preprocessing(256, 128, SMALL.mean, SMALL.std)
    many = [
        draw.geometry for draw in draws(Augment(erase=1, erase_area=area, erase_aspect=aspect), preprocessing=large)
    ]
    shares, aspects = [], []
    for geometry in many:
        tall, wide = geometry.erase_height, geometry.erase_width
        assert 0 < tall < 256
        assert 0 < wide < 128
        assert 0 <= geometry.erase_top <= 256 - tall
        assert 0 <= geometry.erase_left <= 128 - wide
        # A side is rounded by up to half a pixel.
        assert (tall - 0.5) * (wide - 0.5) <= area[1] * 256 * 128
        assert (tall + 0.5) * (wide + 0.5) >= area[0] * 256 * 128
        assert (tall - 0.5) / (wide + 0.5) <= aspect[1]
        assert (tall + 0.5) / (wide - 0.5) >= aspect[0]
        shares.append(tall * wide / 256 / 128)
        aspects.append(tall / wide)
    if area[0] < area[1]:
        assert min(shares) < area[0] + 0.1 * (area[1] - area[0])
        assert max(shares) > area[1] - 0.1 * (area[1] - area[0])
        assert len({(geometry.erase_top, geometry.erase_left) for geometry in many}) > 200


def test_rectangles_reach_every_border() -> None:
    many = [draw.geometry for draw in draws(Augment(erase=1), 1000)]
    assert min(geometry.erase_top for geometry in many) == 0
    assert min(geometry.erase_left for geometry in many) == 0
    assert max(geometry.erase_top + geometry.erase_height for geometry in many) == HEIGHT
    assert max(geometry.erase_left + geometry.erase_width for geometry in many) == WIDTH


def test_a_rectangle_that_cannot_fit_leaves_the_picture_whole() -> None:
    for config in (Augment(erase=1, erase_area=(1, 1)), Augment(erase=1, erase_area=(0, 0))):
        assert all(draw.geometry[3:7] == (0, 0, 0, 0) for draw in draws(config, 5))


def test_jitter() -> None:
    assert all(draw.jitter == () for draw in draws(Augment(jitter=0), 10))
    many = draws(Augment(jitter=0.3))
    orders = {tuple(name for name, _ in draw.jitter) for draw in many}
    assert len(orders) == 6
    assert all(set(order) == {"brightness", "contrast", "saturation"} for order in orders)
    for name in ("brightness", "contrast", "saturation"):
        factors = np.array([dict(draw.jitter)[name] for draw in many])
        assert 0.7 <= factors.min() < 0.72
        assert 1.28 < factors.max() <= 1.3
    pairs = np.array([[dict(draw.jitter)["brightness"], dict(draw.jitter)["contrast"]] for draw in many])
    assert abs(np.corrcoef(pairs.T)[0, 1]) < 0.2


def test_jitter_is_applied_in_its_order() -> None:
    augmentation = Augmentation(Augment(pad=0), SMALL)
    steps = (("contrast", 1.3), ("saturation", 0.4), ("brightness", 0.8))
    expected = picture()
    expected = ImageEnhance.Contrast(expected).enhance(1.3)
    expected = ImageEnhance.Color(expected).enhance(0.4)
    expected = ImageEnhance.Brightness(expected).enhance(0.8)
    np.testing.assert_array_equal(written(augmentation, picture(), Draw(WHOLE, steps)), expected)
    turned = written(augmentation, picture(), Draw(WHOLE, steps[::-1]))
    assert (turned != np.asarray(expected)).any()


def test_border_and_erased_pixels_are_not_jittered() -> None:
    draw = Draw(Geometry(0, 0, 0, 10, 5, 4, 4), (("brightness", 0.5),))
    pixels = written(Augmentation(Augment(pad=2, pad_fill=100), SMALL), picture(), draw)
    assert (pixels[:2] == 100).all()
    assert (pixels[:, :2] == 100).all()
    assert (pixels[10:14, 5:9] == (124, 116, 104)).all()


@pytest.mark.parametrize("config", [Augment(), Augment(pad=0, jitter=0.4, erase=1, erase_area=(0.1, 0.3))])
def test_a_draw_is_what_numpy_s_own_calls_give(config: Augment) -> None:
    """A run from before a call was replaced by a faster one can be gone on from."""
    for seed in range(300):
        random = np.random.default_rng(seed)
        flip, factors, order = int(random.random() < config.flip), None, None
        if config.jitter:
            factors, order = random.uniform(1 - config.jitter, 1 + config.jitter, 3), random.permutation(3)
        top, left = random.integers(0, 2 * config.pad + 1, size=2)
        erased = [0, 0, 0, 0]
        for _ in range(100 if random.random() < config.erase else 0):
            area = random.uniform(*config.erase_area) * HEIGHT * WIDTH
            aspect = random.uniform(*config.erase_aspect)
            tall, wide = round(math.sqrt(area * aspect)), round(math.sqrt(area / aspect))
            if 0 < tall < HEIGHT and 0 < wide < WIDTH:
                places = [random.integers(0, HEIGHT - tall + 1), random.integers(0, WIDTH - wide + 1)]
                erased = [*map(int, places), tall, wide]
                break
        draw = Augmentation(config, SMALL).draw(np.random.default_rng(seed))
        assert list(draw.geometry) == [flip, top, left, *erased, 0, 0, 0]
        if factors is not None and order is not None:
            names = ("brightness", "contrast", "saturation")
            assert draw.jitter == tuple((names[i], factors[i]) for i in order)


def test_a_draw_is_its_seed() -> None:
    augmentation = Augmentation(Augment(jitter=0.2), SMALL)
    first, again, other = (augmentation.draw(np.random.default_rng(seed)) for seed in (5, 5, 6))
    assert first == again
    assert first != other
    assert all(type(value) is int for value in first.geometry)
    assert math.prod(len(step) for step in first.jitter) == 8
