"""Every scorer equals its formula, and keeps what it promises: fast and exact scores no further apart than it says."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch

from common.errors import UserError
from retrieval.columns import Columns, Features, Ints
from retrieval.scorers import SCORERS, Precomputed, Rescored, Scorer, scorer
from retrieval.streaming.tiles import Tile, cut

CPU = torch.device("cpu")


def some_features(seed: int, rows: int, structured: bool) -> Features:
    """Vectors, parts and visibilities, with a zero vector and a duplicate among them."""
    rng = np.random.default_rng(seed)
    vectors = rng.standard_normal((rows, 40)).astype(np.float32)
    parts = rng.standard_normal((rows, 3, 24)).astype(np.float32)
    if structured:  # rounding errors of such vectors do not cancel
        for array in (vectors, parts):
            array[:] = np.abs(array) * 0.001 + 1
    vectors[2] = 0
    parts[1, 1] = 0
    vectors[3], parts[3] = vectors[4], parts[4]
    visibility = rng.choice([0, 0.25, 1], (rows, 3)).astype(np.float32)
    return Features(vectors, Columns.of(np.arange(rows)), parts, visibility)


def precomputed() -> Scorer:
    return Precomputed(np.random.default_rng(5).standard_normal((9, 31)).astype(np.float32))


def rescored() -> Scorer:
    rows = np.array([[3, 0, 30], [1, -1, -1]] * 4 + [[7, 8, 9]])
    scores = np.random.default_rng(6).standard_normal(rows.shape).astype(np.float32)
    return Rescored(scorer("cosine"), rows, scores)


EVERY: dict[str, Callable[[], Scorer]] = {**SCORERS, "precomputed": precomputed, "rescored": rescored}


def tiles(kind: Scorer, query: Features, gallery: Features, rows: Ints | slice, items: Ints | slice) -> list[Tile]:
    return [
        kind.prepare(cut(features, part, CPU, role))
        for features, part, role in ((query, rows, "query"), (gallery, items, "gallery"))
    ]


@pytest.mark.parametrize("structured", [False, True])
@pytest.mark.parametrize("name", EVERY)
def test_fast_and_exact_scores_agree(name: str, structured: bool) -> None:
    kind = EVERY[name]()
    query, gallery = some_features(0, 9, structured), some_features(1, 31, structured)
    left, right = np.indices((9, 31)).reshape(2, -1)
    exact = kind.pairs(query, gallery, left, right, fast=False)
    assert exact.dtype == np.float64
    assert (kind.pairs(query, gallery, left, right, fast=True) == exact).all()
    sides = tiles(kind, query, gallery, slice(0, 9), slice(0, 31))
    scores = kind.scores(*sides)
    assert scores.dtype == torch.float32
    tolerance = kind.tolerance(*sides)
    assert np.abs(scores.numpy() - exact.reshape(9, 31)).max() <= tolerance / 2
    # A tolerance that swallows the differences it is for would be no help.
    assert tolerance < 1e-3 * max(1, float(np.ptp(exact[np.abs(exact) < 1e9])))
    # Scattered rows, as positives are asked for, and the same pictures in two tiles.
    some, few = np.array([8, 1, 2]), np.array([30, 0, 3, 1])
    scattered = kind.scores(*tiles(kind, query, gallery, some, few)).numpy()
    assert np.abs(scattered - exact.reshape(9, 31)[np.ix_(some, few)]).max() <= tolerance / 2


@pytest.mark.parametrize("name", SCORERS)
def test_equal_pictures_score_equal(name: str) -> None:
    query, gallery = some_features(0, 9, False), some_features(1, 31, False)
    gallery.visibility[3] = gallery.visibility[4]  # type: ignore[index]
    exact = scorer(name).pairs(query, gallery, np.arange(9).repeat(2), np.tile([3, 4], 9), fast=False)
    assert (exact[::2] == exact[1::2]).all()


def _cosine(a: np.ndarray, b: np.ndarray) -> float:
    length = float(np.linalg.norm(a.astype(np.float64)) * np.linalg.norm(b.astype(np.float64)))
    return float(a.astype(np.float64) @ b.astype(np.float64)) / length if length else 0.0


def _naive(name: str, query: Features, row: int, gallery: Features, item: int) -> float:
    a, b = query.vectors[row], gallery.vectors[item]
    if name == "cosine":
        return _cosine(a, b)
    if name == "euclidean":
        return -float(((a.astype(np.float64) - b) ** 2).sum())
    assert query.parts is not None
    assert gallery.parts is not None
    total, weights = (1 + _cosine(a, b)) / 2, 1.0
    for part in range(query.parts.shape[1]):
        weight = 1.0
        if query.visibility is not None and gallery.visibility is not None:
            weight = float(query.visibility[row, part]) * float(gallery.visibility[item, part])
        total += weight * (1 + _cosine(query.parts[row, part], gallery.parts[item, part])) / 2
        weights += weight
    return total / weights if name == "visible-parts" else total


@pytest.mark.parametrize("seen", [True, False])
@pytest.mark.parametrize("name", SCORERS)
def test_equals_the_formula(name: str, seen: bool) -> None:
    query, gallery = some_features(0, 5, False), some_features(1, 6, False)
    if not seen:
        query, gallery = (Features(of.vectors, of.columns, of.parts) for of in (query, gallery))
    kind = scorer(name)
    scores = kind.scores(*tiles(kind, query, gallery, slice(0, 5), slice(0, 6)))
    for row in range(5):
        for item in range(6):
            assert float(scores[row, item]) == pytest.approx(_naive(name, query, row, gallery, item), abs=3e-4)


def test_parts_are_needed_for_parts() -> None:
    plain = Features(np.ones((2, 3), dtype=np.float32), Columns.of([1, 2]))
    with pytest.raises(UserError, match="'visible-parts' compares body parts and these features have none; use cosine"):
        scorer("visible-parts").prepare(cut(plain, slice(0, 2), CPU, "query"))


def test_rescored_lists_come_first() -> None:
    """Listed rows by their new scores, ties by row; then the others as the base has them."""
    base = Precomputed(np.array([[5, 4, 3, 2, 1]], dtype=np.float32))
    kind = Rescored(base, np.array([[4, 1, 2, -1]]), np.array([[0.5, 0.5, 0.9, 99]], dtype=np.float32))
    query, gallery = (Features(np.zeros((rows, 1), np.float32), Columns.of([0] * rows)) for rows in (1, 5))
    for items in (slice(0, 5), np.arange(5)):
        scores = kind.scores(*tiles(kind, query, gallery, slice(0, 1), items))[0]
        assert np.argsort(-scores.numpy(), kind="stable").tolist() == [2, 1, 4, 0, 3]
    exact = kind.pairs(query, gallery, np.zeros(5, dtype=np.int64), np.arange(5), fast=True)
    assert np.argsort(-exact, kind="stable").tolist() == [2, 1, 4, 0, 3]
    assert kind.name == "precomputed, first 4 re-scored"
    with pytest.raises(UserError, match="the pairwise comparison gave NaN for query row 0"):
        Rescored(base, np.array([[4, 1]]), np.array([[0.5, np.nan]], dtype=np.float32))
    with pytest.raises(ValueError, match=r"\(1, 2\) rows and \(1, 3\) scores"):
        Rescored(base, np.array([[4, 1]]), np.zeros((1, 3), dtype=np.float32))


def test_unknown_names_suggest() -> None:
    with pytest.raises(UserError, match="unknown scorer 'cosin', did you mean 'cosine'"):
        scorer("cosin")
