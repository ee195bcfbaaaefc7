"""Float64 inner products are the same to the last bit in both forms, and what the order of summation says."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from retrieval.streaming import exact
from retrieval.streaming.exact import LANES, cosine, distances, inner, squares


def naive_inner(left: np.ndarray, right: np.ndarray) -> float:
    """64 running sums, then their sum as a tree, in Python's own floats."""
    sums = [0.0] * LANES
    for column, (a, b) in enumerate(zip(left.tolist(), right.tolist(), strict=True)):
        sums[column % LANES] += a * b
    while len(sums) > 1:
        half = len(sums) // 2
        sums = [a + b for a, b in zip(sums[:half], sums[half:], strict=True)]
    return sums[0]


@pytest.mark.parametrize("fast", [False, True])
@given(seed=st.integers(0, 2**32 - 1), width=st.sampled_from([1, 3, 63, 64, 65, 128, 200]), spread=st.integers(0, 12))
@settings(deadline=None, max_examples=40)
def test_equals_the_sum_as_written(fast: bool, seed: int, width: int, spread: int) -> None:
    rng = np.random.default_rng(seed)
    scale = 10.0 ** rng.integers(-spread, spread + 1, (7, width))
    left = (rng.standard_normal((7, width)) * scale).astype(np.float32)
    right = rng.standard_normal((5, width)).astype(np.float32)
    rows, others = rng.integers(0, 7, 30), rng.integers(0, 5, 30)
    found = inner(left, right, rows, others, fast=fast)
    assert found.tolist() == [naive_inner(left[a], right[b]) for a, b in zip(rows, others, strict=True)]


@pytest.mark.parametrize("fast", [False, True])
def test_pieces_do_not_matter(fast: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    vectors = np.random.default_rng(0).standard_normal((50, 70)).astype(np.float32)
    rows = np.arange(50)
    whole = inner(vectors, vectors, rows, rows[::-1].copy(), fast=fast)
    monkeypatch.setattr(exact, "_AT_ONCE", 3 * 70)
    assert (inner(vectors, vectors, rows, rows[::-1].copy(), fast=fast) == whole).all()
    assert len(inner(vectors, vectors, rows[:0], rows[:0], fast=fast)) == 0


@pytest.mark.parametrize("fast", [False, True])
def test_reads_memory_maps_and_parts_of_arrays(fast: bool, tmp_path: Path) -> None:
    vectors = np.random.default_rng(0).standard_normal((9, 4, 33)).astype(np.float32)
    np.save(tmp_path / "a.npy", vectors)
    mapped = np.load(tmp_path / "a.npy", mmap_mode="r")
    rows = np.arange(9)
    expected = [naive_inner(vector, vector) for vector in vectors[:, 2]]
    assert inner(mapped[:, 2], mapped[:, 2], rows, rows, fast=fast).tolist() == expected
    assert squares(mapped[:, 2], rows[[3, 1, 3]], fast=fast).tolist() == [expected[row] for row in (3, 1, 3)]


@pytest.mark.parametrize("fast", [False, True])
def test_cosine(fast: bool) -> None:
    vectors = np.array([[3, 4], [0, 0], [6, 8], [-4, 3]], dtype=np.float32)
    found = cosine(vectors, vectors, np.zeros(4, dtype=np.int64), np.arange(4), fast=fast)
    assert found.tolist() == [1, 0, 1, 0]


@pytest.mark.parametrize("fast", [False, True])
@pytest.mark.parametrize("width", [1, 63, 64, 130])
def test_distances_are_of_the_differences(fast: bool, width: int) -> None:
    """Of vectors that are almost the same nothing is left when large squares are subtracted from each other."""
    rng = np.random.default_rng(0)
    base = 100 * rng.standard_normal(width)
    left, right = ((base + 1e-4 * rng.standard_normal((6, width))).astype(np.float32) for _ in range(2))
    rows = np.arange(6)
    found = distances(left, right, rows, rows[::-1].copy(), fast=fast)
    for row, distance in enumerate(found):
        difference = left[row].astype(np.float64) - right[5 - row]
        assert distance == naive_inner(difference, difference)


def test_other_widths_are_refused() -> None:
    with pytest.raises(ValueError, match="vectors of 3 and of 4 numbers cannot be compared"):
        inner(np.ones((1, 3), np.float32), np.ones((1, 4), np.float32), np.array([0]), np.array([0]), fast=True)
