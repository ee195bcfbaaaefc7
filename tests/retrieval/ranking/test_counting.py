"""Both kernels place every score among its thresholds as a loop does."""

from __future__ import annotations

import threading

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from retrieval.ranking import counting
from retrieval.ranking.counting import COLUMNS, KERNELS, ROWS, Thresholds

Placed = tuple[list[int], set[tuple[int, int, int]]]


def naive(scores: np.ndarray, thresholds: Thresholds) -> Placed:
    above, close = [0] * len(thresholds.low), set()
    for query in range(len(scores)):
        for threshold in range(thresholds.starts[query], thresholds.starts[query + 1]):
            for column, score in enumerate(scores[query]):
                if score > thresholds.high[threshold]:
                    above[threshold] += 1
                elif score >= thresholds.low[threshold]:
                    close.add((query, column, threshold))
    return above, close


def placed(kernel: str, scores: np.ndarray, thresholds: Thresholds) -> Placed:
    above = np.zeros(len(thresholds.low), dtype=np.int64)
    close: list[tuple[int, int, int]] = []
    for cases in KERNELS[kernel](torch.from_numpy(scores.copy()), thresholds, above):
        close += zip(cases.queries.tolist(), cases.columns.tolist(), cases.thresholds.tolist(), strict=True)
    assert len(set(close)) == len(close)
    return above.tolist(), set(close)


def random_case(seed: int, queries: int, columns: int, whole: bool, margin: float) -> tuple[np.ndarray, Thresholds]:
    """Scores with NaN, infinities and both zeros among them."""
    rng = np.random.default_rng(seed)
    scores = rng.standard_normal((queries, columns)).astype(np.float32)
    if whole:
        scores = np.round(scores)
    for value in (np.nan, np.inf, -np.inf, 0.0, -0.0):
        scores[rng.random(scores.shape) < 0.04] = value
    counts = rng.integers(0, 5, queries)
    counts[rng.integers(queries)] = 0
    middle = rng.standard_normal(counts.sum()).astype(np.float32)
    if whole:
        middle = np.round(middle)
    middle[rng.random(len(middle)) < 0.1] = -np.inf
    starts = np.concatenate([[0], np.cumsum(counts)])
    for query in range(queries):
        middle[starts[query] : starts[query + 1]].sort()
    return scores, Thresholds(starts, middle - np.float32(margin), middle + np.float32(margin))


@pytest.mark.parametrize("kernel", KERNELS)
@given(
    seed=st.integers(0, 2**32 - 1),
    queries=st.integers(1, 6),
    columns=st.sampled_from([0, 1, 5, 127, 128, 129, 300]),
    whole=st.booleans(),
    margin=st.sampled_from([0.0, 0.01, 0.6]),
)
@settings(deadline=None, max_examples=80)
def test_equals_a_loop(kernel: str, seed: int, queries: int, columns: int, whole: bool, margin: float) -> None:
    scores, thresholds = random_case(seed, queries, columns, whole, margin)
    assert placed(kernel, scores, thresholds) == naive(scores, thresholds)


@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("room", [1, 700])
def test_a_list_that_is_full_is_dealt_with(room: int, kernel: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """All scores are close to all thresholds: many more cases than the list has room for."""
    monkeypatch.setattr(counting, "_ROOM", room)
    monkeypatch.setattr(counting, "_mine", threading.local())
    thresholds = Thresholds(np.array([0, 2, 2, 5, 6]), np.zeros(6, np.float32), np.zeros(6, np.float32))
    scores = np.zeros((4, 150), dtype=np.float32)
    above, close = placed(kernel, scores, thresholds)
    assert above == [0] * 6
    assert (above, close) == naive(scores, thresholds)
    # The compiled one always has room for one block of a query.
    most = room if kernel == "plain" else max(room, 3 * 128)
    for cases in KERNELS[kernel](torch.from_numpy(scores), thresholds, np.zeros(6, dtype=np.int64)):
        assert 0 < len(cases.queries) == len(cases.columns) == len(cases.thresholds) <= most


def test_the_largest_tiles() -> None:
    """In their last row and last column, too."""
    one = np.array([0.5], dtype=np.float32)
    thresholds = Thresholds(np.array([0] * ROWS + [1]), one, one)
    for score, expected in ((0.4, ([0], set())), (0.5, ([0], {(ROWS - 1, 0, 0)})), (0.6, ([1], set()))):
        assert placed("plain", np.full((ROWS, 1), score, dtype=np.float32), thresholds) == expected
    scores = np.zeros((1, COLUMNS), dtype=np.float32)
    scores[0, -2:] = 0.6, 0.5
    assert placed("plain", scores, Thresholds(np.array([0, 1]), one, one)) == ([1], {(0, COLUMNS - 1, 0)})


@pytest.mark.parametrize(("rows", "columns"), [(ROWS + 1, 1), (1, COLUMNS + 1)])
def test_larger_tiles_are_refused(rows: int, columns: int) -> None:
    none = np.empty(0, dtype=np.float32)
    thresholds = Thresholds(np.zeros(rows + 1, dtype=np.int64), none, none)
    with pytest.raises(ValueError, match=rf"\({rows}, {columns}\) scores: the plain kernel takes up to 32767 × 65536"):
        list(KERNELS["plain"](torch.zeros(rows, columns), thresholds, np.zeros(0, dtype=np.int64)))


@pytest.mark.parametrize("kernel", KERNELS)
def test_counts_are_added(kernel: str) -> None:
    thresholds = Thresholds(np.array([0, 1]), np.zeros(1, np.float32), np.zeros(1, np.float32))
    above = np.array([5])
    assert list(KERNELS[kernel](torch.ones(1, 3), thresholds, above)) == []
    assert above.tolist() == [8]
