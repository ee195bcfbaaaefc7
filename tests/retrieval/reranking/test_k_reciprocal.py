"""Re-ranking equals the published loops, and is evaluated like any other scores."""

from __future__ import annotations

import tracemalloc
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from common.errors import UserError
from retrieval.columns import Columns, Features
from retrieval.neighbours.search import Neighbours, neighbours, own_neighbours
from retrieval.protocols import protocol
from retrieval.ranking.evaluation import evaluate
from retrieval.ranking.results import PerQuery
from retrieval.reranking import encoding, sets
from retrieval.reranking.jaccard import SparseDistances, jaccard
from retrieval.reranking.k_reciprocal import Reranked, rerank
from retrieval.scorers import Cosine, Precomputed, scorer
from retrieval.streaming.products import available
from retrieval.streaming.stream import Backend
from retrieval.streaming.tiles import cut
from tests.retrieval.naive import exact_scores, features_of, naive_evaluation, naive_rerank
from tests.retrieval.teams import together

CPU = torch.device("cpu")
BACKEND = Backend("torch", "plain", threads=1, queries=8, gallery=13)
BACKENDS = [
    Backend(name, kernel, threads, queries, gallery)
    for name, kernel, threads, queries, gallery in (
        ("torch", "plain", 3, 5, 64),
        ("numpy", "compiled", 1, 100, 7),
        (available()[0], "compiled", 2, 16, 31),
    )
]


def people(seed: int, rows: int, identities: int, noise: float) -> Features:
    rng = np.random.default_rng(seed)
    pids = np.arange(rows) % identities
    centres = np.random.default_rng(99).standard_normal((identities, 16))
    return features_of(centres[pids] + noise * rng.standard_normal((rows, 16)), pids)


def naive_jaccard(features: Features, k1: int, k2: int) -> tuple[np.ndarray, np.ndarray]:
    """`(N, N)` Jaccard and original distances in loops, where the published code gives NaN too.

    A row is in its own set whatever the ties, and a vector of length zero has no other neighbour.
    """
    cosines = exact_scores(Cosine(), features, features)
    total = len(features)
    ranking = np.argsort(-cosines, axis=1, kind="stable")
    for row in range(total):
        if not features.vectors[row].any():
            ranking[row] = row
    distance = np.maximum(2 - 2 * cosines, 0) / np.maximum((2 - 2 * cosines).max(axis=1, keepdims=True), 1e-6)

    def reciprocal(row: int, count: int) -> set[int]:
        return {int(j) for j in ranking[row, : count + 1] if row in ranking[j, : count + 1]}

    v = np.zeros((total, total))
    for i in range(total):
        core = reciprocal(i, k1)
        expanded = core | {i}
        for candidate in core:
            half = reciprocal(candidate, round(k1 / 2))
            if len(half & core) > 2 / 3 * len(half):
                expanded |= half
        for j in expanded:
            v[i, j] = 1 if i == j else np.exp(-distance[i, j])
        v[i] /= v[i].sum()
    if k2 > 1:
        v = np.array([v[ranking[i, :k2]].mean(axis=0) for i in range(total)])
    shared = np.array([[np.minimum(a, b).sum() for b in v] for a in v])
    return 1 - shared / (2 - shared), distance


def assert_keeps_its_promises(
    kind: Reranked, query: Features, gallery: Features, expected: np.ndarray, rounding: float = 2e-7
) -> None:
    """Fast and exact scores are those expected, for slices and for scattered rows, and within the tolerance."""
    asked, known = len(query), len(gallery)
    left, right = np.indices((asked, known)).reshape(2, -1)
    exact = kind.pairs(query, gallery, left, right, fast=False).reshape(asked, known)
    assert (kind.pairs(query, gallery, left, right, fast=True) == exact.ravel()).all()
    np.testing.assert_allclose(exact, expected, rtol=0, atol=rounding)
    rng = np.random.default_rng(0)
    half = (asked // 2, known // 3)
    for rows, items in (
        (slice(0, asked), slice(0, known)),
        (slice(half[0], asked), slice(half[1], known)),
        (rng.permutation(asked)[: half[0] + 1], rng.permutation(known)[: half[1] + 1]),
    ):
        sides = [
            kind.prepare(cut(of, part, CPU, role))
            for of, part, role in ((query, rows, "query"), (gallery, items, "gallery"))
        ]
        scores = kind.scores(*sides)
        assert scores.dtype == torch.float32
        chosen = exact[rows][:, items]
        assert scores.shape == chosen.shape
        tolerance = kind.tolerance(*sides)
        assert np.abs(scores.numpy() - chosen).max() <= tolerance / 2
        if kind.farthest.min() > 1:
            assert tolerance < 1e-4
            np.testing.assert_allclose(scores.numpy(), expected[rows][:, items], rtol=0, atol=1e-6)


@pytest.mark.parametrize(
    ("k1", "k2", "lam"),
    [(20, 6, 0.3), (5, 1, 0.3), (7, 3, 0.0), (6, 9, 1.0), (1, 1, 0.5), (90, 4, 0.3), (3, 300, 0.3)],
)
def test_equals_the_published_loops(k1: int, k2: int, lam: float) -> None:
    query, gallery = people(0, 23, 8, 0.9), people(1, 60, 8, 0.9)
    expected = -naive_rerank(query.vectors, gallery.vectors, k1, k2, lam)
    for backend in BACKENDS:
        kind = rerank(Cosine(), query, gallery, k1=k1, k2=k2, lam=lam, backend=backend)
        assert_keeps_its_promises(kind, query, gallery, expected)


def test_more_rows_than_a_thread_takes_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    query, gallery = people(2, 30, 10, 0.7), people(3, 120, 10, 0.7)
    expected = -naive_rerank(query.vectors, gallery.vectors, 20, 6, 0.3)
    for module in (sets, encoding):
        monkeypatch.setattr(module, "ROWS", 11)
    for module in (sets, encoding):
        monkeypatch.setattr(module, "AT_ONCE", 700)
    for backend in BACKENDS:
        assert_keeps_its_promises(rerank(Cosine(), query, gallery, backend=backend), query, gallery, expected)


@pytest.mark.parametrize(("asked", "known"), [(1, 40), (25, 1), (1, 1)])
def test_one_query_or_one_picture(asked: int, known: int) -> None:
    query, gallery = people(4, asked, 8, 0.9), people(5, known, 8, 0.9)
    expected = -naive_rerank(query.vectors, gallery.vectors, 6, 3, 0.3)
    for backend in BACKENDS:
        kind = rerank(Cosine(), query, gallery, k1=6, k2=3, backend=backend)
        assert_keeps_its_promises(kind, query, gallery, expected)


def awkward(seed: int, rows: int, different: int) -> Features:
    """Vectors of which many are equal, some of length zero."""
    rng = np.random.default_rng(seed)
    some = rng.integers(-2, 3, (different, 3)).astype(np.float32)
    return features_of(some[rng.integers(0, different, rows)], rng.integers(0, 4, rows))


@given(
    seed=st.integers(0, 2**32 - 1),
    asked=st.integers(1, 9),
    known=st.integers(1, 25),
    different=st.sampled_from([1, 2, 6, 40]),
    k1=st.integers(1, 12),
    k2=st.integers(1, 7),
    lam=st.sampled_from([0, 0.3, 1]),
    backend=st.sampled_from(BACKENDS),
)
@settings(deadline=None, max_examples=60)
def test_ties_duplicates_and_zero_vectors(
    seed: int, asked: int, known: int, different: int, k1: int, k2: int, lam: float, backend: Backend
) -> None:
    everyone = awkward(seed, asked + known, different)
    query, gallery = everyone.take(slice(0, asked)), everyone.take(slice(asked, asked + known))
    distances, original = naive_jaccard(everyone, k1, k2)
    # The farthest distances come in float32, which loses more where they are small.
    farthest = (2 - 2 * exact_scores(Cosine(), everyone, everyone)).max(axis=1).min()
    rounding = 3e-7 / min(1, max(farthest, 1e-6))
    kind = rerank(Cosine(), query, gallery, k1=k1, k2=k2, lam=lam, backend=backend)
    assert_keeps_its_promises(kind, query, gallery, ((lam - 1) * distances - lam * original)[:asked, asked:], rounding)
    found = jaccard(everyone, k1, k2, backend=backend)
    assert_well_formed(found)
    np.testing.assert_allclose(found.dense(), distances, rtol=0, atol=rounding)
    result = evaluate(kind, query, gallery, protocol("no-camera"), backend=backend)
    expected = naive_evaluation(
        exact_scores(kind, query, gallery), query.columns, gallery.columns, protocol("no-camera")
    )
    assert_same(result, expected, rtol=1e-12)


def test_a_zero_vector_is_nobodys_neighbour() -> None:
    vectors = people(6, 30, 5, 0.5).vectors
    vectors[[3, 17]] = 0
    distances = jaccard(features_of(vectors, np.zeros(30)), 6, 3).dense()
    np.testing.assert_allclose(distances[[3, 17]], np.eye(30)[[3, 17]] == 0, rtol=0, atol=1e-6)


def test_equal_pictures_are_at_no_distance() -> None:
    """Whatever rounding makes of their cosines, and of the farthest distance that theirs are divided by."""
    for seed in range(20):
        vectors = np.random.default_rng(seed).integers(1, 9, (1, 3)) * np.ones((12, 1))
        query, gallery = features_of(vectors[:4], np.zeros(4)), features_of(vectors[4:], np.zeros(8))
        scores = exact_scores(rerank(Cosine(), query, gallery, k1=5, lam=1.0), query, gallery)
        np.testing.assert_allclose(scores, 0, rtol=0, atol=1e-6)


def test_places_that_an_index_left_empty(monkeypatch: pytest.MonkeyPatch) -> None:
    """They count for nothing: what is found of 5 neighbours is found with any number of empty places after them."""
    features = people(15, 40, 5, 0.5)
    found, lowest = own_neighbours(Cosine(), features, 40)

    def sparse(*arguments: object, **options: object) -> tuple[Neighbours, np.ndarray]:
        gone = np.arange(40) >= 5
        return Neighbours(np.where(gone, -1, found.rows), np.where(gone, -np.inf, found.scores)), lowest

    monkeypatch.setattr(encoding, "own_neighbours", sparse)
    first, second = (jaccard(features, k1, 1) for k1 in (10, 39))
    assert_well_formed(first)
    assert (first.dense() == second.dense()).all()


def assert_well_formed(found: SparseDistances) -> None:
    dense = found.dense()
    assert (dense == dense.T).all()
    assert (found.distances >= 0).all()
    assert (found.distances < 1).all()
    assert (np.diff(found.starts) > 0).all()
    owners = np.repeat(np.arange(len(found)), np.diff(found.starts))
    assert (np.diff(owners * len(found) + found.columns) > 0).all()
    assert [of.dtype.name for of in (found.starts, found.columns, found.distances)] == ["int64", "int32", "float32"]


@pytest.mark.parametrize(("k1", "k2"), [(20, 6), (5, 1), (8, 30)])
def test_sparse_jaccard_distances(k1: int, k2: int, monkeypatch: pytest.MonkeyPatch) -> None:
    features = people(7, 100, 12, 0.6)
    expected, _ = naive_jaccard(features, k1, k2)
    found = jaccard(features, k1, k2, backend=BACKEND)
    assert_well_formed(found)
    np.testing.assert_allclose(found.dense(), expected, rtol=0, atol=1e-6)
    assert len(found.columns) == (expected < 1).sum() < expected.size
    for module in (sets, encoding):
        monkeypatch.setattr(module, "ROWS", 7)
    for module in (sets, encoding):
        monkeypatch.setattr(module, "AT_ONCE", 300)
    for backend in BACKENDS:
        other = jaccard(features, k1, k2, backend=backend)
        assert_well_formed(other)
        assert (other.columns == found.columns).all()
        np.testing.assert_allclose(other.dense(), expected, rtol=0, atol=1e-6)


def assert_same(left: PerQuery, right: PerQuery, rtol: float = 0) -> None:
    for name in ("rows", "ap", "ap_trap", "inp", "first_rank", "valid"):
        np.testing.assert_allclose(getattr(left, name), getattr(right, name), rtol=rtol, atol=0, err_msg=name)


def test_it_is_evaluated_as_its_matrix_is_and_it_helps() -> None:
    query, gallery = people(8, 40, 10, 1.3), people(9, 160, 10, 1.3)
    matrix = -naive_rerank(query.vectors, gallery.vectors, 20, 6, 0.3).astype(np.float32)
    expected = evaluate(Precomputed(matrix), query, gallery, protocol("no-camera"))
    for backend in [BACKEND, *BACKENDS]:
        kind = rerank(Cosine(), query, gallery, backend=backend)
        for other in [BACKEND, *BACKENDS]:
            assert_same(evaluate(kind, query, gallery, protocol("no-camera"), backend=other), expected)
    plain = evaluate(scorer("cosine"), query, gallery, protocol("no-camera"))
    assert expected.ap.mean() > plain.ap.mean() + 0.02
    assert kind.name == "cosine, k-reciprocal"


def test_it_is_a_scorer_like_others() -> None:
    query, gallery = people(13, 9, 5, 1.0), people(14, 40, 5, 1.0)
    kind = rerank(Cosine(), query, gallery, backend=BACKEND)
    exact = exact_scores(kind, query, gallery)
    found = neighbours(kind, query, gallery, 12, backend=BACKEND)
    assert (found.rows == np.argsort(-exact, axis=1, kind="stable")[:, :12]).all()
    with pytest.raises(ValueError, match="9 queries and 39 gallery rows are not what was re-ranked"):
        exact_scores(kind, query, gallery.take(slice(0, 39)))
    with pytest.raises(ValueError, match="8 queries and 41 gallery rows are not what was re-ranked"):
        exact_scores(kind, query.take(slice(0, 8)), gallery.take(np.arange(41) % 40))


def test_nothing_depends_on_what_computes(monkeypatch: pytest.MonkeyPatch) -> None:
    """To the last bit, given the same neighbours; the farthest distance, and what it divides, come in float32."""
    query, gallery = people(10, 70, 20, 1.0), people(11, 300, 20, 1.0)

    def everything() -> tuple[list[Reranked], list[SparseDistances]]:
        kinds = [rerank(Cosine(), query, gallery, backend=backend) for backend in BACKENDS]
        kinds += together(3, lambda team: rerank(Cosine(), query, gallery, backend=BACKEND, team=team))
        return kinds, [jaccard(gallery, backend=backend) for backend in BACKENDS]

    def assert_close(rtol: float) -> None:
        kinds, distances = everything()
        for kind in kinds:
            assert (kind.sets.members == kinds[0].sets.members).all()
            assert (kind.sets.starts == kinds[0].sets.starts).all()
            np.testing.assert_allclose(kind.sets.weights, kinds[0].sets.weights, rtol=rtol)
            np.testing.assert_allclose(kind.farthest, kinds[0].farthest, rtol=rtol)
        for found in distances:
            assert (found.starts == distances[0].starts).all()
            assert (found.columns == distances[0].columns).all()
            np.testing.assert_allclose(found.distances, distances[0].distances, rtol=0, atol=rtol)

    assert_close(1e-6)
    everyone = Features(np.concatenate([query.vectors, gallery.vectors]), Columns.of(np.zeros(370)))
    given = {len(features): own_neighbours(Cosine(), features, 21) for features in (gallery, everyone)}
    monkeypatch.setattr(encoding, "own_neighbours", lambda scorer, features, *rest, **options: given[len(features)])
    assert_close(0)


def test_no_large_array(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither N×N nor Q×G, which are 144 and 36 MB here in float32."""
    for module in (sets, encoding):
        monkeypatch.setattr(module, "AT_ONCE", 1 << 16)
    everyone = people(12, 6000, 300, 0.5)
    query, gallery = everyone.take(slice(0, 3000)), everyone.take(slice(3000, 6000))
    for kernel in ("plain", "compiled"):
        backend = replace(BACKEND, kernel=kernel, queries=256, gallery=512)
        tracemalloc.start()
        kind = rerank(Cosine(), query, gallery, backend=backend)
        result = evaluate(kind, query, gallery, protocol("no-camera"), backend=backend)
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert result.ap.mean() > 0.9
        assert peak < 32e6


def test_labels_are_not_looked_at() -> None:
    query, gallery = people(0, 23, 8, 0.9), people(1, 60, 8, 0.9)
    other = [features_of(of.vectors, np.arange(len(of)) % 3, np.arange(len(of)) % 2) for of in (query, gallery)]
    left, right = rerank(Cosine(), query, gallery), rerank(Cosine(), *other)
    assert (left.sets.weights == right.sets.weights).all()


def test_mistakes_are_told() -> None:
    query, gallery = people(0, 23, 8, 0.9), people(1, 2000, 8, 0.9)
    with pytest.raises(UserError, match="by their angle, not by the scorer 'euclidean'; use the scorer 'cosine'"):
        rerank(scorer("euclidean"), query, gallery)
    with pytest.raises(UserError, match="lam is 1.5: the weight of the original distance lies between 0 and 1"):
        rerank(Cosine(), query, gallery, lam=1.5)
    with pytest.raises(UserError, match="k1 is 0: at least one neighbour is needed"):
        rerank(Cosine(), query, gallery, k1=0)
    with pytest.raises(UserError, match="k2 is -1: at least one neighbour is needed"):
        jaccard(query, k2=-1)
    with pytest.raises(UserError, match="vectors of query and gallery do not fit"):
        rerank(Cosine(), query, features_of(np.ones((4, 3)), np.zeros(4)))
    gallery.vectors[1999, 4] = np.nan
    with pytest.raises(UserError, match="gallery features: row 1999 holds NaN or inf"):
        rerank(Cosine(), query, gallery)
