from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from data.doctor import near
from data.doctor.inspection import inspect
from data.doctor.near import BITS, CORRELATION, correlations, hashes, near_pairs
from tests.data.doctor.trees import drawn, save

Small = NDArray[np.uint8]


def smooth(seed: int, count: int) -> Small:
    """Small versions as pictures have them."""
    random = np.random.default_rng(seed)
    coarse = random.integers(0, 256, (count, 5, 3, 3), dtype=np.uint8)
    return np.stack([np.asarray(Image.fromarray(c).resize((9, 16), Image.Resampling.BICUBIC)) for c in coarse])


def with_copies(seed: int, count: int, noise: int) -> Small:
    """`count` small versions, and as many that differ from them by noise."""
    small, random = smooth(seed, count), np.random.default_rng(seed)
    copies = np.clip(small.astype(int) + random.integers(-noise, noise + 1, small.shape), 0, 255).astype(np.uint8)
    return np.concatenate([small, copies])


def everything(first: NDArray[np.int64], _: NDArray[np.int64]) -> NDArray[np.bool_]:
    return np.ones(len(first), dtype=bool)


def naive_bits(one: Small, other: Small) -> int:
    apart = 0
    for row in range(16):
        for column in range(8):
            signs = []
            for small in (one, other):
                grey = small.astype(int) @ [299, 587, 114]
                signs.append(grey[row, column + 1] > grey[row, column])
            apart += signs[0] != signs[1]
    return apart


def naive_correlation(one: Small, other: Small) -> float:
    pixels = [small.reshape(-1, 3).astype(float) - small.reshape(-1, 3).mean(axis=0) for small in (one, other)]
    return float(np.corrcoef(pixels[0].ravel(), pixels[1].ravel())[0, 1])


def naive_pairs(small: Small) -> set[tuple[int, int]]:
    return {
        (i, j)
        for i in range(len(small))
        for j in range(i + 1, len(small))
        if naive_bits(small[i], small[j]) <= BITS and naive_correlation(small[i], small[j]) >= CORRELATION
    }


@pytest.mark.parametrize("noise", [0, 1, 2, 3])
def test_pairs_equal_the_loops(noise: int) -> None:
    small = with_copies(noise, 12, noise)
    pairs = near_pairs(small, everything)
    found = {(first, second) for first, second, _, _ in pairs}
    assert found == naive_pairs(small)
    assert {(row, row + 12) for row in range(12)} >= found
    assert len(found) > 8
    for first, second, bits, correlation in pairs:
        assert bits == naive_bits(small[first], small[second])
        assert correlation == pytest.approx(naive_correlation(small[first], small[second]), abs=1e-5)


def test_only_wanted_pairs() -> None:
    small = with_copies(0, 8, 0)
    pairs = near_pairs(small, lambda first, second: np.minimum(first, second) == 3)
    assert [pair[:2] for pair in pairs] == [(3, 11)]


def test_many_that_look_alike_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Thousands of the same picture cost a number of comparisons that is linear in how many there are."""
    compared = 0

    def counting(first: NDArray[np.int64], second: NDArray[np.int64]) -> NDArray[np.bool_]:
        nonlocal compared
        compared += len(first)
        return np.zeros(len(first), dtype=bool)

    monkeypatch.setattr(near, "_AHEAD", 10)
    near_pairs(np.repeat(smooth(1, 1), 2000, axis=0), counting)
    assert compared <= 8 * 10 * 2000


def test_the_same_signs_in_other_colours_are_not_the_same() -> None:
    """The bits tell light from dark only; the pixels are compared too."""
    random = np.random.default_rng(0)
    ramp = np.tile(np.linspace(20, 220, 9), (16, 1))[..., None]
    one, other = (np.concatenate([ramp, ramp, random.integers(80, 150, (16, 9, 1))], axis=-1) for _ in range(2))
    small = np.stack([one, other]).astype(np.uint8)
    assert 0.8 < naive_correlation(small[0], small[1]) < CORRELATION
    assert naive_bits(small[0], small[1]) <= BITS
    assert near_pairs(small, everything) == []


def test_too_few() -> None:
    assert near_pairs(smooth(0, 1), everything) == []
    assert near_pairs(smooth(0, 1)[:0], everything) == []


def test_correlation_of_flat_ones_is_zero() -> None:
    flat = np.full((2, 16, 9, 3), 7, dtype=np.uint8)
    rows = np.array([0]), np.array([1])
    assert correlations(flat, *rows).tolist() == [0.0]
    assert hashes(flat).tolist() == [[0] * 8] * 2


COPIES: dict[str, tuple[Callable[[Image.Image], Image.Image], dict[str, int], str]] = {
    "saved again": (lambda image: image, {"quality": 50}, ".jpg"),
    "as PNG": (lambda image: image, {}, ".png"),
    "half the size": (lambda image: image.resize((image.width // 2, image.height // 2)), {"quality": 80}, ".jpg"),
    "twice the size": (lambda image: image.resize((image.width * 2, image.height * 2)), {"quality": 80}, ".jpg"),
    "brighter": (lambda image: image.point(lambda value: min(255, int(value * 1.08))), {"quality": 80}, ".jpg"),
}


@pytest.mark.parametrize("how", COPIES)
def test_copies_are_found(tmp_path: Path, how: str) -> None:
    change, options, suffix = COPIES[how]
    small = []
    for person in range(10):
        image = drawn(person, 0, 0, (128, 64)).point(lambda value: value // 2 + 50)
        small.append(inspect(save(tmp_path / f"{person}.jpg", image, quality=95)).small)
    for person in range(10):
        with Image.open(tmp_path / f"{person}.jpg") as image:
            small.append(inspect(save(tmp_path / f"copy{person}{suffix}", change(image), **options)).small)
    pairs = near_pairs(np.stack([look for look in small if look is not None]), everything)
    assert [pair[:2] for pair in pairs] == [(person, person + 10) for person in range(10)]
