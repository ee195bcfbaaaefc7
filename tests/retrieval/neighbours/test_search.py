"""The lists are those of a full sort by exact score and row, whatever computes them and however close scores are."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

import retrieval.neighbours.search as module
from common.errors import UserError
from retrieval.columns import Features, Floats, Ints
from retrieval.neighbours.search import Neighbours, neighbours, own_neighbours
from retrieval.scorers import Cosine, Precomputed, Rescored, Scorer, scorer
from retrieval.streaming.exact import Doubles
from retrieval.streaming.products import available
from retrieval.streaming.stream import ALONE, Backend, Team
from retrieval.streaming.tiles import Tile
from tests.retrieval.naive import exact_scores, features_of
from tests.retrieval.teams import together

BACKEND = Backend("torch", "plain", threads=1, queries=8, gallery=13)
KERNELS = ["plain", "compiled"]
KINDS = ["spread", "grid", "zeros", "copies", "almost"]


def vectors_of(kind: str, rows: int, seed: int, width: int = 9) -> np.ndarray:
    """Vectors that are easily told apart, and such that are not."""
    rng = np.random.default_rng(seed)
    spread = rng.standard_normal((rows, width))
    if kind == "grid":  # many equal scores, most of them exact in float32
        return rng.choice([-1.0, 0.0, 1.0], (rows, width))
    if kind == "zeros":
        return spread * (rng.random((rows, 1)) < 0.3)
    if kind == "copies":
        return spread[rng.integers(0, max(1, rows // 20), rows)]
    if kind == "almost":  # scores that float32 cannot tell apart and float64 can
        return spread[rng.integers(0, max(1, rows // 20), rows)] * (1 + 1e-7 * rng.standard_normal((rows, width)))
    return spread


def some(kind: str, rows: int, seed: int, width: int = 9) -> Features:
    rng = np.random.default_rng(seed + 1)
    bare = features_of(vectors_of(kind, rows, seed, width), np.arange(rows))
    parts = vectors_of(kind, 2 * rows, seed + 2, width).reshape(rows, 2, width).astype(np.float32)
    return replace(bare, parts=parts, visibility=rng.choice([0.0, 0.5, 1.0], (rows, 2)).astype(np.float32))


def naive_lists(scores: np.ndarray, k: int, left_out: tuple[Ints, Ints] | None = None) -> Ints:
    """Row after row, a full sort."""
    gone = set() if left_out is None else set(zip(*(of.tolist() for of in left_out), strict=True))
    rows = np.full((len(scores), k), -1)
    for line, values in enumerate(scores):
        order = sorted(range(len(values)), key=lambda item: (-values[item], item))
        kept = [item for item in order if (line, item) not in gone][:k]
        rows[line, : len(kept)] = kept
    return rows


def assert_lists(found: Neighbours, scores: np.ndarray, k: int, left_out: tuple[Ints, Ints] | None = None) -> None:
    expected = naive_lists(scores, k, left_out)
    np.testing.assert_array_equal(found.rows, expected)
    assert found.rows.dtype == np.int64
    assert found.scores.dtype == np.float32
    there = expected >= 0
    lines = np.nonzero(there)[0]
    np.testing.assert_allclose(found.scores[there], scores[lines, expected[there]], rtol=1e-5, atol=2e-5)
    assert (found.scores[~there] == -np.inf).all()
    with np.errstate(invalid="ignore"):
        assert not (np.diff(found.scores, axis=1) > 0).any()


def some_pairs(queries: int, items: int, count: int, seed: int) -> tuple[Ints, Ints] | None:
    rng = np.random.default_rng(seed)
    return (rng.integers(0, queries, count), rng.integers(0, items, count)) if items else None


@given(
    seed=st.integers(0, 2**31),
    kinds=st.tuples(st.sampled_from(KINDS), st.sampled_from(KINDS)),
    name=st.sampled_from(["cosine", "euclidean", "visible-parts", "visible-parts-sum"]),
    queries=st.integers(1, 20),
    items=st.integers(0, 90),
    k=st.integers(1, 100),
    left_out=st.integers(0, 60),
    backend=st.builds(
        Backend,
        st.sampled_from(available()),
        st.sampled_from(KERNELS),
        threads=st.integers(1, 2),
        queries=st.integers(1, 25),
        gallery=st.integers(1, 100),
    ),
)
@settings(deadline=None, max_examples=100)
def test_equals_a_full_sort(
    seed: int,
    kinds: tuple[str, str],
    name: str,
    queries: int,
    items: int,
    k: int,
    left_out: int,
    backend: Backend,
) -> None:
    # Of the same seed, so that query and gallery have vectors in common.
    query, gallery = some(kinds[0], queries, seed), some(kinds[1], items, seed)
    kind, pairs = scorer(name), some_pairs(queries, items, left_out, seed)
    found = neighbours(kind, query, gallery, k, backend=backend, leave_out=pairs)
    assert_lists(found, exact_scores(kind, query, gallery), k, pairs)
    own, lowest = own_neighbours(kind, gallery, k, backend=backend)
    scores = exact_scores(kind, gallery, gallery)
    assert_lists(own, scores, k)
    np.testing.assert_allclose(lowest, scores.min(axis=1, initial=np.inf), rtol=1e-5, atol=2e-5)


@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("k", [1, 7, 40])
@pytest.mark.parametrize("tile", [300, 1100])
def test_larger_tiles(kernel: str, kind: str, k: int, tile: int) -> None:
    """Large enough for buffers to run full and for a first bound to be taken from groups of scores."""
    features = some(kind, 900, seed=3)
    backend = Backend("torch", kernel, threads=2, queries=50, gallery=tile)
    query = features.take(slice(0, 90))
    scores = exact_scores(Cosine(), query, features)
    assert_lists(neighbours(Cosine(), query, features, k, backend=backend), scores, k)
    own, lowest = own_neighbours(Cosine(), features, k, backend=backend)
    assert_lists(Neighbours(own.rows[:90], own.scores[:90]), scores, k)
    np.testing.assert_allclose(lowest[:90], scores.min(axis=1), atol=1e-5)
    # Half of the scores tell as much as all of them.
    everyone = neighbours(Cosine(), features, features, k, backend=backend)
    np.testing.assert_array_equal(own.rows, everyone.rows)


@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("levels", [1, 3, 1000])
def test_given_scores_are_taken_as_they_are(kernel: str, levels: int) -> None:
    """They may be equal, infinite, and other from a to b than from b to a."""
    rng = np.random.default_rng(levels)
    scores = rng.integers(0, levels, (120, 120)).astype(np.float32)
    scores[rng.random(scores.shape) < 0.1] = -np.inf
    scores[rng.random(scores.shape) < 0.1] = np.inf
    scores[5] = -np.inf
    scores[6, 3:] = -np.inf
    features = some("zeros", 120, 0)
    backend = replace(BACKEND, kernel=kernel, threads=2, gallery=50)
    pairs = some_pairs(120, 120, 300, 0)
    for k in (1, 5, 119, 130):
        found = neighbours(Precomputed(scores), features, features, k, backend=backend, leave_out=pairs)
        np.testing.assert_array_equal(found.rows, naive_lists(scores, k, pairs))
        own, lowest = own_neighbours(Precomputed(scores), features, k, backend=backend)
        np.testing.assert_array_equal(own.rows, naive_lists(scores, k))
        np.testing.assert_array_equal(lowest, scores.min(axis=1))
        lines, places = np.nonzero(own.rows >= 0)
        np.testing.assert_array_equal(own.scores[lines, places], scores[lines, own.rows[lines, places]])


@pytest.mark.parametrize("kernel", KERNELS)
def test_rescored_lists_keep_their_rows(kernel: str) -> None:
    """Equal vectors have different scores here: what is done once for equal rows must not be done here."""
    query = features_of(vectors_of("copies", 30, 0), np.arange(30))
    gallery = features_of(np.ones((200, 9)), np.arange(200))
    rng = np.random.default_rng(0)
    listed = np.argsort(rng.random((30, 200)), axis=1)[:, :3]
    kind = Rescored(Cosine(), listed, rng.random((30, 3)).astype(np.float32))
    found = neighbours(kind, query, gallery, 9, backend=replace(BACKEND, kernel=kernel))
    np.testing.assert_array_equal(found.rows, naive_lists(exact_scores(kind, query, gallery), 9))


class Counting(Cosine):
    """Counts what is asked for exactly."""

    def __init__(self) -> None:
        self.pairs_asked = 0

    def pairs(self, query: Features, gallery: Features, left: Ints, right: Ints, *, fast: bool) -> Doubles:
        self.pairs_asked += len(left)
        return super().pairs(query, gallery, left, right, fast=fast)


@pytest.mark.parametrize("kernel", KERNELS)
def test_exact_scores_are_for_close_cases_only(kernel: str) -> None:
    features, kind = some("spread", 1600, 0, width=64), Counting()
    backend = Backend("torch", kernel, threads=2, gallery=512)
    neighbours(kind, features, features, 21, backend=backend)
    own_neighbours(kind, features, 21, backend=backend)
    # Of the list's 21 places; one in 16 rows is looked at for its rounding errors.
    assert 2 * 100 <= kind.pairs_asked < 2 * 1600


@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("kind", ["zeros", "equal"])
def test_thousands_of_equal_rows_take_no_more_memory_or_time(kernel: str, kind: str) -> None:
    rows, counting = 6000, Counting()
    vectors = vectors_of("spread", rows, 0, width=4)
    vectors[np.arange(rows) % 5 > 0] = 0 if kind == "zeros" else 1
    if kind == "zeros":
        vectors *= np.random.default_rng(0).choice([-1.0, 1.0], vectors.shape)  # −0 is no other number
    features = features_of(vectors, np.arange(rows))
    backend = Backend("torch", kernel, threads=2, queries=512, gallery=512)
    own_neighbours(counting, features.take(slice(0, 600)), 10, backend=backend)
    counting.pairs_asked = 0
    tracemalloc.start()
    own, _ = own_neighbours(counting, features, 10, backend=backend)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 24 << 20  # a line of it all would be 144 MB
    # Equal rows are asked about once, though there are 4800 of them.
    assert counting.pairs_asked < rows * (1 if kind == "zeros" else 100)
    assert_lists(
        Neighbours(own.rows[:15], own.scores[:15]), exact_scores(Cosine(), features.take(slice(0, 15)), features), 10
    )
    equal = np.flatnonzero(np.arange(rows) % 5 > 0)
    assert (own.rows[equal] == own.rows[1]).all()


@pytest.mark.parametrize("kernel", KERNELS)
def test_equal_queries_may_have_other_pairs_left_out(kernel: str) -> None:
    query, gallery = features_of(np.ones((12, 4)), np.arange(12)), features_of(np.ones((300, 4)), np.arange(300))
    pairs = some_pairs(12, 20, 60, 0)
    assert pairs is not None
    pairs = pairs[0] // 2 * 2, pairs[1]
    found = neighbours(Cosine(), query, gallery, 5, backend=replace(BACKEND, kernel=kernel), leave_out=pairs)
    np.testing.assert_array_equal(found.rows, naive_lists(np.ones((12, 300)), 5, pairs))


class Optimist(Cosine):
    """Says that rounding errors are smaller than they are."""

    def tolerance(self, query: Tile, gallery: Tile) -> float:
        return 1e-10


class Shaken(Scorer):
    """Cosines that are off by up to a tolerance which is larger than most of their differences."""

    name = "shaken"

    def __init__(self) -> None:
        self.base = Cosine()

    def prepare(self, tile: Tile) -> Tile:
        return self.base.prepare(tile)

    def scores(self, query: Tile, gallery: Tile) -> Tensor:
        scores = self.base.scores(query, gallery)
        generator = torch.Generator().manual_seed(len(gallery))
        return scores + 4e-4 * (2 * torch.rand(scores.shape, generator=generator) - 1)

    def pairs(self, query: Features, gallery: Features, left: Ints, right: Ints, *, fast: bool) -> Doubles:
        return self.base.pairs(query, gallery, left, right, fast=fast)

    def tolerance(self, query: Tile, gallery: Tile) -> float:
        return 1e-3


@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("symmetric", [True, False])
@pytest.mark.parametrize("rows", [100, 700])
def test_rounding_errors_do_not_reach_the_lists(
    rows: int, kernel: str, symmetric: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if symmetric:
        monkeypatch.setattr(module, "_BY_FEATURES_ALONE", (Shaken,))
    features = some("spread", rows, 5, width=3)
    backend = Backend("torch", kernel, threads=2, queries=60, gallery=300)
    own, _ = own_neighbours(Shaken(), features, 6, backend=backend)
    np.testing.assert_array_equal(own.rows, naive_lists(exact_scores(Cosine(), features, features), 6))


@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("kind", ["almost", "spread"])
def test_a_tolerance_that_does_not_hold_is_widened(kernel: str, kind: str) -> None:
    features = some(kind, 900, 1, width=256)
    backend = Backend("torch", kernel, threads=2, gallery=256)
    found = neighbours(Optimist(), features.take(slice(0, 200)), features, 15, backend=backend)
    assert_lists(found, exact_scores(Cosine(), features.take(slice(0, 200)), features), 15)


@pytest.mark.parametrize("world", [2, 3])
@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("kind", KINDS)
def test_processes_together_equal_one(world: int, kernel: str, kind: str) -> None:
    query, gallery = some(kind, 25, 0), some(kind, 160, 0)
    backend = replace(BACKEND, kernel=kernel)
    pairs = some_pairs(25, 160, 200, 0)

    def work(team: Team) -> tuple[list[Neighbours], Floats]:
        found = neighbours(Cosine(), query, gallery, 6, backend=backend, team=team, leave_out=pairs)
        far = neighbours(scorer("euclidean"), query, gallery, 170, backend=backend, team=team)
        own, lowest = own_neighbours(Cosine(), gallery, 6, backend=backend, team=team)
        return [found, far, own], lowest

    lists, alone = work(ALONE)
    for results, lowest in together(world, work):
        np.testing.assert_allclose(lowest, alone, atol=1e-6)
        for ours, expected in zip(results, lists, strict=True):
            np.testing.assert_array_equal(ours.rows, expected.rows)
            np.testing.assert_allclose(ours.scores, expected.scores, rtol=1e-5, atol=1e-5)


def test_processes_ask_for_few_exact_scores() -> None:
    query, gallery = some("spread", 64, 0, width=64), some("spread", 500, 1, width=64)

    def work(team: Team) -> int:
        kind = Counting()
        neighbours(kind, query, gallery, 20, backend=BACKEND, team=team)
        return kind.pairs_asked

    assert all(asked <= 64 for asked in together(2, work))


def test_one_long_vector_does_not_spoil_the_others() -> None:
    vectors = vectors_of("spread", 300, 0)
    vectors[77] *= 1e5
    features = features_of(vectors, np.arange(300))
    for kernel in KERNELS:
        own, _ = own_neighbours(scorer("euclidean"), features, 12, backend=replace(BACKEND, kernel=kernel))
        np.testing.assert_array_equal(own.rows, naive_lists(exact_scores(scorer("euclidean"), features, features), 12))


def test_a_row_is_its_own_first_neighbour_by_the_cosine() -> None:
    own, _ = own_neighbours(Cosine(), some("spread", 400, 0), 3)
    np.testing.assert_array_equal(own.rows[:, 0], np.arange(400))


def test_empty_sets() -> None:
    some_rows, none = some("spread", 4, 0), some("spread", 0, 0)
    found = neighbours(Cosine(), some_rows, none, 3)
    assert found.rows.tolist() == [[-1] * 3] * 4
    assert (found.scores == -np.inf).all()
    assert neighbours(Cosine(), none, some_rows, 3).rows.shape == (0, 3)
    own, lowest = own_neighbours(Cosine(), none, 3)
    assert own.rows.shape == (0, 3)
    assert lowest.shape == (0,)


@pytest.mark.parametrize(
    ("mistake", "sentence"),
    [
        (lambda a, b: neighbours(Cosine(), a, b, 0), "0 neighbours are asked for: ask for 1 or more"),
        (lambda a, b: own_neighbours(Cosine(), a, -1), "-1 neighbours are asked for: ask for 1 or more"),
        (lambda a, b: neighbours(Cosine(), a, b, 1, index="exakt"), "unknown index 'exakt', did you mean 'exact'"),
        (lambda a, b: own_neighbours(Cosine(), a, 1, index="hsnw"), "unknown index 'hsnw', did you mean 'hnsw'"),
        (
            lambda a, b: neighbours(Cosine(), a, features_of(np.ones((3, 4)), [0] * 3), 1),
            r"vectors of query and gallery do not fit: \(9,\) and \(4,\)",
        ),
        (
            lambda a, b: neighbours(Precomputed(np.full((5, 6), np.nan, np.float32)), a, b, 2),
            "gave NaN for query row 0",
        ),
    ],
)
def test_mistakes_are_told(mistake: Callable[[Features, Features], object], sentence: str) -> None:
    with pytest.raises(UserError, match=sentence):
        mistake(some("spread", 5, 0), some("spread", 6, 1))


class Broken(Cosine):
    """Gives NaN for one query."""

    def prepare(self, tile: Tile) -> Tile:
        prepared = super().prepare(tile)
        if tile.role == "query":
            rows = np.arange(tile.rows.start, tile.rows.stop) if isinstance(tile.rows, slice) else tile.rows
            prepared.vector[torch.from_numpy(rows == 3)] = torch.nan
        return prepared


class Liar(Precomputed):
    """Its scores in float32 are others than its exact ones."""

    def pairs(self, query: Features, gallery: Features, left: Ints, right: Ints, *, fast: bool) -> Doubles:
        return super().pairs(query, gallery, left, right, fast=fast) + 1


@pytest.mark.parametrize("kernel", KERNELS)
def test_scores_that_mean_nothing_are_told(kernel: str) -> None:
    features, backend = some("spread", 40, 0), replace(BACKEND, kernel=kernel)
    with pytest.raises(UserError, match="scorer 'cosine' gave NaN for query row 3: its ranking means nothing"):
        neighbours(Broken(), features, features, 2, backend=backend)
    with pytest.raises(UserError, match="scorer 'precomputed': its scores in float32 have little to do with the exact"):
        neighbours(Liar(np.eye(40, dtype=np.float32)), features, features, 2, backend=backend)


@pytest.mark.parametrize("pairs", [([5], [0]), ([0], [6]), ([-1], [0])])
def test_pairs_that_are_not_there_cannot_be_left_out(pairs: tuple[list[int], list[int]]) -> None:
    left_out = (np.array(pairs[0]), np.array(pairs[1]))
    with pytest.raises(ValueError, match="leave_out names rows from"):
        neighbours(Cosine(), some("spread", 5, 0), some("spread", 6, 1), 1, leave_out=left_out)
