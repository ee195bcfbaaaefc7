"""Expanded vectors equal the sums written out in loops, whoever computes them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import retrieval.reranking.expansion as expansion
from common.errors import UserError
from retrieval.columns import Features
from retrieval.protocols import protocol
from retrieval.ranking.evaluation import evaluate
from retrieval.reranking.expansion import (
    EXPANSIONS,
    alpha_query_expansion,
    average_query_expansion,
    database_augmentation,
)
from retrieval.scorers import Cosine
from retrieval.streaming.products import available
from retrieval.streaming.stream import Backend
from tests.retrieval.naive import exact_scores, features_of
from tests.retrieval.teams import together

BACKENDS = [
    Backend("torch", "plain", threads=1, queries=5, gallery=9),
    Backend("numpy", "compiled", threads=1, queries=64, gallery=64),
    Backend(available()[0], "compiled", threads=3, queries=7, gallery=31),
]


def people(seed: int, rows: int, identities: int = 10, noise: float = 1.0) -> Features:
    rng = np.random.default_rng(seed)
    pids = np.arange(rows) % identities
    centres = np.random.default_rng(99).standard_normal((identities, 16))
    lengths = rng.uniform(0.1, 9, (rows, 1))
    return features_of(lengths * (centres[pids] + noise * rng.standard_normal((rows, 16))), pids)


def unit(vector: np.ndarray) -> np.ndarray:
    length = float(np.sqrt((vector.astype(np.float64) ** 2).sum()))
    return vector / length if length else vector.astype(np.float64)


def naive(features: Features, others: Features, k: int, alpha: float, own: bool = False) -> np.ndarray:
    """One picture after the other, over a stable full sort; `own`: the two are one set, and a row is not its own."""
    cosines = exact_scores(Cosine(), features, others)
    lines = []
    for row, vector in enumerate(features.vectors):
        total = unit(vector)
        ranking = [item for item in np.argsort(-cosines[row], kind="stable") if not (own and item == row)]
        if vector.any():
            for item in ranking[:k]:
                total = total + max(cosines[row, item], 0) ** alpha * unit(others.vectors[item])
        lines.append(unit(total))
    return np.array(lines)


@pytest.mark.parametrize("k", [1, 4, 100])
@pytest.mark.parametrize("alpha", [0, 1, 3.5])
def test_query_expansion_equals_loops(k: int, alpha: float) -> None:
    query, gallery = people(0, 30), people(1, 70)
    for backend in BACKENDS:
        found = alpha_query_expansion(query, gallery, k, alpha, backend=backend)
        np.testing.assert_allclose(found.vectors, naive(query, gallery, k, alpha), rtol=0, atol=3e-7)
        assert found.vectors.dtype == np.float32
        assert found.columns is query.columns
    plain = average_query_expansion(query, gallery, k, backend=BACKENDS[0])
    np.testing.assert_allclose(plain.vectors, naive(query, gallery, k, 0), rtol=0, atol=3e-7)


@pytest.mark.parametrize("k", [1, 4, 100])
@pytest.mark.parametrize("alpha", [0, 3])
def test_database_augmentation_equals_loops(k: int, alpha: float) -> None:
    gallery = people(2, 60)
    for backend in BACKENDS:
        found = database_augmentation(gallery, k, alpha, backend=backend)
        np.testing.assert_allclose(found.vectors, naive(gallery, gallery, k, alpha, own=True), rtol=0, atol=3e-7)
        assert found.columns is gallery.columns


@given(
    seed=st.integers(0, 2**32 - 1),
    rows=st.integers(1, 20),
    different=st.sampled_from([1, 2, 5]),
    k=st.integers(1, 7),
    alpha=st.sampled_from([0, 2]),
    backend=st.sampled_from(BACKENDS),
)
@settings(deadline=None, max_examples=60)
def test_ties_duplicates_and_zero_vectors(
    seed: int, rows: int, different: int, k: int, alpha: float, backend: Backend
) -> None:
    rng = np.random.default_rng(seed)
    some = rng.integers(0, 3, (different, 3))
    some[0] *= rng.integers(0, 2)
    query, gallery = (features_of(some[rng.integers(0, different, count)], np.zeros(count)) for count in (rows, 12))
    found = alpha_query_expansion(query, gallery, k, alpha, backend=backend).vectors
    np.testing.assert_allclose(found, naive(query, gallery, k, alpha), rtol=0, atol=1e-6)
    found = database_augmentation(query, k, alpha, backend=backend).vectors
    np.testing.assert_allclose(found, naive(query, query, k, alpha, own=True), rtol=0, atol=1e-6)


def test_opposite_vectors_cancel() -> None:
    query, gallery = (features_of(np.array([[sign, 0]]), [0]) for sign in (1, -1))
    assert average_query_expansion(query, gallery, 1).vectors.tolist() == [[0, 0]]
    assert alpha_query_expansion(query, gallery, 1).vectors.tolist() == [[1, 0]]


def test_nothing_depends_on_what_computes(monkeypatch: pytest.MonkeyPatch) -> None:
    query, gallery = people(3, 40), people(4, 90)
    first = [of.vectors for of in (alpha_query_expansion(query, gallery), database_augmentation(gallery))]
    monkeypatch.setattr(expansion, "_AT_ONCE", 50)
    for backend in BACKENDS:
        expanded = alpha_query_expansion(query, gallery, backend=backend)
        augmented = database_augmentation(gallery, backend=backend)
        assert (expanded.vectors == first[0]).all()
        assert (augmented.vectors == first[1]).all()
    for expanded in together(2, lambda team: alpha_query_expansion(query, gallery, team=team)):
        assert (expanded.vectors == first[0]).all()


def test_augmentation_on_disk(tmp_path: Path) -> None:
    gallery = people(5, 50)
    np.save(tmp_path / "old.npy", gallery.vectors)
    old = np.load(tmp_path / "old.npy", mmap_mode="r")
    new = np.lib.format.open_memmap(tmp_path / "new.npy", "w+", np.float32, gallery.vectors.shape)
    found = database_augmentation(Features(old, gallery.columns), out=new)
    assert found.vectors is new
    new.flush()
    assert (np.load(tmp_path / "new.npy") == database_augmentation(gallery).vectors).all()
    for out in (gallery.vectors, np.empty((50, 15), np.float32), np.empty((50, 16))):
        with pytest.raises(ValueError, match=r"out: expected other memory of float32 and shape \(50, 16\)"):
            database_augmentation(gallery, out=out)  # type: ignore[arg-type]


def test_the_table() -> None:
    query, gallery = people(6, 40, noise=1.3), people(7, 160, noise=1.3)
    assert list(EXPANSIONS) == ["aqe", "alpha-qe", "dba"]
    plain = evaluate(Cosine(), query, gallery, protocol("no-camera")).ap.mean()
    for name, expand in EXPANSIONS.items():
        asked, known = expand(query, gallery, k=4, backend=BACKENDS[0])
        assert (asked is query, known is gallery) == (name == "dba", name != "dba")
        assert evaluate(Cosine(), asked, known, protocol("no-camera")).ap.mean() > plain + 0.02
    weighted, _ = EXPANSIONS["alpha-qe"](query, gallery, alpha=2)
    assert (weighted.vectors == alpha_query_expansion(query, gallery, alpha=2).vectors).all()


def test_parts_stay_what_they_are() -> None:
    gallery = people(8, 20)
    with_parts = Features(
        gallery.vectors, gallery.columns, np.ones((20, 2, 3), np.float32), np.ones((20, 2), np.float32)
    )
    found = database_augmentation(with_parts)
    assert found.parts is with_parts.parts
    assert found.visibility is with_parts.visibility


def test_mistakes_are_told() -> None:
    query, gallery = people(9, 5), people(10, 9)
    with pytest.raises(UserError, match="k is 0: expansion needs at least one neighbour"):
        average_query_expansion(query, gallery, 0)
    with pytest.raises(UserError, match="alpha is -1: give 0 for a plain mean"):
        database_augmentation(gallery, alpha=-1)
    with pytest.raises(UserError, match="vectors of query and gallery do not fit"):
        alpha_query_expansion(query, features_of(np.ones((4, 3)), np.zeros(4)))
    gallery.vectors[3, 4] = np.inf
    with pytest.raises(UserError, match="gallery features: row 3 holds NaN or inf"):
        average_query_expansion(query, gallery)
