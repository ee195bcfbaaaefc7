"""Evaluation equals a naive loop over a stable sort, however the work is cut and whoever does it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from torch import Tensor

from common.errors import UserError
from retrieval.columns import Columns, Features, Ints
from retrieval.protocols import PROTOCOLS, Choice, Protocol, protocol
from retrieval.ranking import positions as counting
from retrieval.ranking import thresholds
from retrieval.ranking.evaluation import PerQuery, evaluate, summarise
from retrieval.ranking.positions import positions
from retrieval.scorers import Cosine, Precomputed, Rescored, Scorer, scorer
from retrieval.streaming.products import available
from retrieval.streaming.stream import Backend, Team
from retrieval.streaming.tiles import Tile
from tests.retrieval.naive import exact_scores, features_of, naive_evaluation
from tests.retrieval.teams import together

COLUMNS = ("rows", "ap", "ap_trap", "inp", "first_rank", "valid")
WHOLE = sorted(name for name, rule in PROTOCOLS.items() if rule.draws is None)
PLAIN = Backend("torch", "plain", threads=1)


def assert_equal(left: PerQuery, right: PerQuery, rtol: float = 0) -> None:
    for name in COLUMNS:
        np.testing.assert_allclose(getattr(left, name), getattr(right, name), rtol=rtol, atol=0, err_msg=name)


def empty(columns: Columns) -> Features:
    return Features(np.zeros((len(columns), 1), dtype=np.float32), columns)


def judged(scores: np.ndarray, query: Columns, gallery: Columns, name: str, **options: object) -> PerQuery:
    return evaluate(Precomputed(scores), empty(query), empty(gallery), protocol(name), **options)  # type: ignore[arg-type]


def random_columns(rng: np.random.Generator, rows: int) -> Columns:
    return Columns.of(rng.integers(-1, 5, rows), rng.integers(-1, 4, rows), rng.integers(-1, 3, rows))


@st.composite
def backends(draw: st.DrawFn) -> Backend:
    return Backend(
        product=draw(st.sampled_from(available())),
        kernel=draw(st.sampled_from(["compiled", "plain"])),
        threads=draw(st.sampled_from([1, 1, 2])),
        queries=draw(st.sampled_from([1, 4, 10])),
        gallery=draw(st.sampled_from([1, 7, 33, 70])),
    )


@given(
    seed=st.integers(0, 2**32 - 1),
    queries=st.integers(1, 9),
    items=st.integers(0, 60),
    levels=st.sampled_from([0, 1, 2, 5, 64]),
    name=st.sampled_from(WHOLE),
    backend=backends(),
)
@settings(deadline=None, max_examples=200)
def test_equals_naive_loop(seed: int, queries: int, items: int, levels: int, name: str, backend: Backend) -> None:
    """Scores of `levels` different values (0: all different), unknown people, cameras and clothes among the labels."""
    rng = np.random.default_rng(seed)
    scores = rng.random((queries, items), dtype=np.float32)
    if levels:
        scores = np.floor(scores * levels)
    query, gallery = random_columns(rng, queries), random_columns(rng, items)
    result = judged(scores, query, gallery, name, backend=backend)
    assert_equal(result, naive_evaluation(scores, query, gallery, protocol(name)), rtol=1e-12)
    assert (result.ap_trap[result.valid] <= result.ap[result.valid]).all()


@given(
    seed=st.integers(0, 2**32 - 1),
    width=st.sampled_from([1, 2, 7, 64, 100]),
    kind=st.sampled_from(["any", "signs", "crowded", "copies"]),
    name=st.sampled_from(["cosine", "euclidean", "visible-parts", "visible-parts-sum"]),
    backend=backends(),
)
@settings(deadline=None, max_examples=120)
def test_equals_the_order_of_exact_scores(seed: int, width: int, kind: str, name: str, backend: Backend) -> None:
    """Also where float32 cannot tell: vectors that are almost or exactly the same."""
    rng = np.random.default_rng(seed)

    def some(rows: int) -> Features:
        vectors = rng.standard_normal((rows, width))
        parts = rng.standard_normal((rows, 2, 5))
        if kind == "signs":
            vectors, parts = np.sign(vectors), np.sign(parts)
        elif kind == "crowded":
            vectors, parts = 1 + 1e-6 * vectors, 1 + 1e-6 * parts
        elif kind == "copies":
            few = rng.integers(0, 4, rows)
            vectors, parts = vectors[np.minimum(few, rows - 1)], parts[np.minimum(few, rows - 1)]
        visibility = rng.choice([0, 0.5, 1], (rows, 2)).astype(np.float32)
        return Features(vectors.astype(np.float32), random_columns(rng, rows), parts.astype(np.float32), visibility)

    query, gallery = some(int(rng.integers(1, 12))), some(int(rng.integers(1, 120)))
    rule = protocol("market")
    expected = naive_evaluation(exact_scores(scorer(name), query, gallery), query.columns, gallery.columns, rule)
    assert_equal(evaluate(scorer(name), query, gallery, rule, backend=backend), expected, rtol=1e-12)


def clustered(seed: int, rows: int, width: int = 48) -> Features:
    rng = np.random.default_rng(seed)
    pids = rng.integers(-1, 20, rows)
    vectors = np.random.default_rng(9).standard_normal((21, width))[pids] + 0.9 * rng.standard_normal((rows, width))
    return features_of(vectors, pids, rng.integers(0, 4, rows), rng.integers(0, 3, rows))


def test_nothing_about_the_machine_matters() -> None:
    """Bit by bit the same for tile sizes, threads, kernels, products and processes."""
    query, gallery = clustered(0, 90), clustered(1, 700)
    rule, kind = protocol("market"), scorer("cosine")
    reference = evaluate(kind, query, gallery, rule)
    expected = naive_evaluation(exact_scores(kind, query, gallery), query.columns, gallery.columns, rule)
    assert_equal(reference, expected, rtol=1e-12)
    backends = [
        Backend(product, kernel, threads, queries, items)
        for product in available()
        for kernel in ("compiled", "plain")
        for threads, queries, items in ((1, 512, 2048), (2, 13, 64), (3, 90, 1))
    ]
    for backend in backends:
        assert_equal(evaluate(kind, query, gallery, rule, backend=backend), reference)
        small = replace(backend, gallery=50)

        def of_one(team: Team, backend: Backend = small) -> PerQuery:
            return evaluate(kind, query, gallery, rule, backend=backend, team=team)

        for found in together(2, of_one):
            assert_equal(found, reference)


def test_the_gallery_may_lie_on_disk(tmp_path: Path) -> None:
    query, gallery = clustered(0, 30), clustered(1, 200)
    np.save(tmp_path / "a.npy", gallery.vectors)
    mapped = Features(np.load(tmp_path / "a.npy", mmap_mode="r"), gallery.columns)
    for kernel in ("plain", "compiled"):
        backend = replace(PLAIN, kernel=kernel, gallery=64)
        assert_equal(
            evaluate(scorer("cosine"), query, mapped, protocol("market"), backend=backend),
            evaluate(scorer("cosine"), query, gallery, protocol("market")),
        )


@given(seed=st.integers(0, 2**32 - 1), backend=backends())
@settings(deadline=None, max_examples=30)
def test_several_protocols_from_one_pass(seed: int, backend: Backend) -> None:
    """Also such as show other pictures or ask other queries."""
    rng = np.random.default_rng(seed)
    query, gallery = (
        Features(rng.integers(0, 3, (rows, 2)).astype(np.float32), random_columns(rng, rows)) for rows in (12, 80)
    )
    first = Protocol("market", "", PROTOCOLS["market"].good, asked=Choice("", lambda columns: columns.camids == 0))
    hidden = rng.random(80) < 0.3
    part = Protocol("no-camera", "", shown=Choice("", lambda columns: (columns.pids != -1) & ~hidden))
    every = [first, PROTOCOLS["cloth-changing"], part, PROTOCOLS["same-clothes"]]
    found = positions(Cosine(), query, gallery, every, backend=backend)
    for rule in every:
        assert_equal(found.judge(rule.name), evaluate(Cosine(), query, gallery, rule, backend=PLAIN))
    scores = exact_scores(Cosine(), query, gallery)
    assert_equal(found.judge("market"), naive_evaluation(scores, query.columns, gallery.columns, first), 1e-12)
    left = Columns(np.where(hidden, -1, gallery.columns.pids), gallery.columns.camids, gallery.columns.clothes)
    assert_equal(found.judge("no-camera"), naive_evaluation(scores, query.columns, left, PROTOCOLS["no-camera"]), 1e-12)


def test_cameras() -> None:
    query, gallery = clustered(2, 60), clustered(3, 200)
    table = positions(Cosine(), query, gallery, [protocol("market")]).cameras("market")
    scores = exact_scores(Cosine(), query, gallery)
    assert table.asked.tolist() == table.found.tolist() == [0, 1, 2, 3]
    for column in range(4):
        of_camera = naive_evaluation(scores, query.columns, gallery.columns, protocol("market"), camera=column)
        for line in range(4):
            mine = of_camera.valid & (query.columns.camids == line)
            assert table.queries[line, column] == mine.sum()
            if line == column:
                assert not mine.any()
                assert np.isnan(table.mAP[line, column])
            else:
                assert table.mAP[line, column] == pytest.approx(of_camera.ap[mine].mean(), rel=1e-12)
                assert table.rank1[line, column] == pytest.approx((of_camera.first_rank[mine] == 1).mean())
    assert table.as_dict()["mAP"][0][0] is None
    assert len(table.table().splitlines()) == 6


class Careless(Scorer):
    """A cosine whose fast scores are further from the exact ones than it says."""

    name = "careless"

    def __init__(self, error: float) -> None:
        self.error = error
        self.sound = Cosine()

    def prepare(self, tile: Tile) -> Tile:
        return self.sound.prepare(tile)

    def scores(self, query: Tile, gallery: Tile) -> Tensor:
        scores = self.sound.scores(query, gallery)
        return scores + self.error * torch.sin(1e5 * scores)

    def pairs(self, query: Features, gallery: Features, left: Ints, right: Ints, *, fast: bool) -> NDArray[np.float64]:
        return self.sound.pairs(query, gallery, left, right, fast=fast)

    def tolerance(self, query: Tile, gallery: Tile) -> float:
        return 1e-6


@pytest.mark.parametrize("kernel", ["plain", "compiled"])
@pytest.mark.parametrize("world", [1, 2])
def test_rounding_beyond_the_tolerance_is_noticed(kernel: str, world: int, monkeypatch: pytest.MonkeyPatch) -> None:
    query, gallery = clustered(0, 60), clustered(1, 500)
    rule, backend = protocol("market"), replace(PLAIN, kernel=kernel, gallery=200)
    reference = evaluate(Cosine(), query, gallery, rule, backend=backend)
    scopes: list[float] = []
    start = counting._Counting.__init__

    def noted(self: Any, *arguments: Any) -> None:
        scopes.append(arguments[-1])
        start(self, *arguments)

    monkeypatch.setattr(counting._Counting, "__init__", noted)
    kind = Careless(1e-4)
    for found in together(world, lambda team: evaluate(kind, query, gallery, rule, backend=backend, team=team)):
        assert_equal(found, reference)
    assert sorted(set(scopes)) == [1, 16, 256]


@pytest.mark.parametrize("kernel", ["plain", "compiled"])
def test_a_scorer_that_says_two_things_is_refused(kernel: str) -> None:
    class Lying(Careless):
        def tolerance(self, query: Tile, gallery: Tile) -> float:
            return 0.0

    with pytest.raises(UserError, match="'careless': its scores in float32 have little to do with the exact"):
        backend = replace(PLAIN, kernel=kernel)
        evaluate(Lying(1e-3), clustered(0, 60), clustered(1, 500), protocol("market"), backend=backend)


def test_close_cases_are_decided_in_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(counting, "_PENDING", 10)
    query, gallery = (features_of(np.ones((rows, 4)), np.arange(rows) % 5) for rows in (12, 90))
    result = evaluate(Cosine(), query, gallery, protocol("no-camera"), backend=replace(PLAIN, gallery=16))
    scores = np.zeros((12, 90))
    assert_equal(result, naive_evaluation(scores, query.columns, gallery.columns, protocol("no-camera")), 1e-12)


@pytest.mark.parametrize("kernel", ["plain", "compiled"])
def test_positives_are_looked_at_in_batches(kernel: str, monkeypatch: pytest.MonkeyPatch) -> None:
    query, gallery = clustered(0, 60), clustered(1, 500)
    reference = evaluate(Cosine(), query, gallery, protocol("market"), backend=PLAIN)
    monkeypatch.setattr(thresholds, "_TOGETHER", 7)
    monkeypatch.setattr(thresholds, "_LARGEST", 11)
    for threads in (1, 2):
        backend = replace(PLAIN, kernel=kernel, threads=threads)
        assert_equal(evaluate(Cosine(), query, gallery, protocol("market"), backend=backend), reference)


def test_rescored_lists_are_ranked_first() -> None:
    query, gallery = clustered(0, 20), clustered(1, 150)
    scores = exact_scores(Cosine(), query, gallery)
    rng = np.random.default_rng(3)
    listed = np.argsort(-scores, axis=1)[:, :10]
    listed[4, 6:] = -1
    again = np.round(rng.standard_normal(listed.shape), 1).astype(np.float32)
    expected = scores.copy()
    for row in range(20):
        for item, score in zip(listed[row], again[row], strict=True):
            if item >= 0:
                expected[row, item] = 100 + score
    kind = Rescored(Cosine(), listed, again)
    for backend in (PLAIN, Backend("torch", "compiled", 2, 7, 40)):
        result = evaluate(kind, query, gallery, protocol("market"), backend=backend)
        naive = naive_evaluation(expected, query.columns, gallery.columns, protocol("market"))
        assert_equal(result, naive, rtol=1e-12)


@pytest.mark.parametrize("kernel", ["plain", "compiled"])
@pytest.mark.parametrize(
    ("name", "value"),
    [
        *((name, value) for name in ("cosine", "euclidean", "visible-parts") for value in (np.nan, np.inf, -np.inf)),
        ("euclidean", 1e30),
    ],
)
@pytest.mark.parametrize("side", [0, 1])
def test_broken_numbers_are_one_sentence_and_no_warning(side: int, value: float, name: str, kernel: str) -> None:
    rng = np.random.default_rng(0)
    sets = []
    for rows in (20, 50):
        columns = Columns.of(np.arange(rows) % 5, np.arange(rows) // 5 % 3)
        parts = rng.standard_normal((rows, 2, 4)).astype(np.float32)
        sets.append(Features(rng.standard_normal((rows, 8)).astype(np.float32), columns, parts))
    sets[side].vectors[7, 3] = value
    with pytest.raises(UserError, match=f"{['query', 'gallery'][side]} features: row 7 "):
        evaluate(scorer(name), sets[0], sets[1], protocol("market"), backend=Backend("torch", kernel, 2, 8, 16))


@pytest.mark.parametrize("kernel", ["plain", "compiled"])
@pytest.mark.parametrize("name", ["cosine", "visible-parts"])
@pytest.mark.parametrize("scale", [1e-40, 1e-25, 1e-13, 1e25])
def test_lengths_do_not_matter_to_angles(scale: float, name: str, kernel: str) -> None:
    rng = np.random.default_rng(0)
    sets = []
    for rows in (20, 120):
        vectors, parts = rng.standard_normal((rows, 64)), rng.standard_normal((rows, 2, 8))
        vectors[::3] *= scale
        parts[1::3] *= scale
        pids = np.arange(rows) % 6
        sets.append(Features(vectors.astype(np.float32), Columns.of(pids), parts.astype(np.float32)))
    query, gallery = sets
    scores = exact_scores(scorer(name), query, gallery)
    expected = naive_evaluation(scores, query.columns, gallery.columns, protocol("no-camera"))
    backend = Backend("torch", kernel, 1, 8, 32)
    assert_equal(evaluate(scorer(name), query, gallery, protocol("no-camera"), backend=backend), expected, rtol=1e-12)


@pytest.mark.parametrize("kernel", ["plain", "compiled"])
def test_the_layout_in_memory_does_not_matter(kernel: str) -> None:
    query, gallery = clustered(0, 40, width=64), clustered(1, 300, width=64)
    turned = Features(np.asfortranarray(gallery.vectors), gallery.columns)
    backend = Backend("torch", kernel, 2, 16, 64)
    assert_equal(
        evaluate(Cosine(), query, turned, protocol("market"), backend=backend),
        evaluate(Cosine(), query, gallery, protocol("market"), backend=backend),
    )


def test_camc_micro_case() -> None:
    gallery = Columns.of([1, 2, 1, 1, 1, 3, 1, 1], [0, 1, 1, 1, 2, 2, 2, 0])
    scores = -np.arange(8, dtype=np.float32)[None]
    result = judged(scores, Columns.of([1], [0]), gallery, "market")
    assert result.ap[0] == pytest.approx(0.64583, abs=5e-6)
    assert result.first_rank[0] == 2


def test_all_equal_scores_follow_the_gallery_order() -> None:
    result = judged(np.zeros((1, 4), dtype=np.float32), Columns.of([1]), Columns.of([2, 2, 1, 2]), "market")
    assert result.first_rank[0] == 3


@pytest.mark.parametrize("kernel", ["plain", "compiled"])
def test_infinite_scores_are_ranked(kernel: str) -> None:
    scores = np.array([[-np.inf, 0, np.inf, -np.inf], [np.inf, np.inf, 0, np.inf]], dtype=np.float32)
    query, gallery = Columns.of([1, 1]), Columns.of([1, 2, 2, 2])
    result = judged(scores, query, gallery, "market", backend=replace(PLAIN, kernel=kernel))
    assert result.first_rank.tolist() == [3, 1]


def test_any_rank_may_be_read() -> None:
    gallery = Columns.of([2, 2, 1])
    result = judged(-np.arange(3, dtype=np.float32)[None], Columns.of([1]), gallery, "market")
    scores = summarise(result, gallery=3, protocol=protocol("market"), scorer="x", ranks=(1, 2, 3, 50))
    assert scores.cmc == {1: 0, 2: 0, 3: 1, 50: 1}


def test_nothing_to_find_is_said() -> None:
    result = judged(np.zeros((2, 0), dtype=np.float32), Columns.of([1, 2]), Columns.of([]), "market")
    assert not result.valid.any()
    with pytest.raises(UserError, match=r"none of the 2 queries has a positive .* use the protocol 'no-camera'"):
        summarise(result, gallery=0, protocol=protocol("market"), scorer="cosine")
    with pytest.raises(UserError, match=r"'cloth-changing': it needs to know the clothes"):
        summarise(result, gallery=0, protocol=protocol("cloth-changing"), scorer="cosine")


def test_training_precision_does_not_reach_the_scores() -> None:
    rng = np.random.default_rng(2)
    query = features_of(rng.standard_normal((20, 64)), np.arange(20))
    gallery = features_of(rng.standard_normal((90, 64)), np.arange(90) % 20)
    reference = evaluate(scorer("cosine"), query, gallery, protocol("market"))
    seen = []

    class Watched(Careless):
        def scores(self, query: Tile, gallery: Tile) -> Tensor:
            seen.append(torch.backends.mkldnn.matmul.fp32_precision)  # type: ignore[attr-defined]
            return self.sound.scores(query, gallery)

    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("medium")
    try:
        with torch.autocast("cpu", dtype=torch.bfloat16):
            assert_equal(evaluate(scorer("cosine"), query, gallery, protocol("market")), reference)
            assert_equal(evaluate(Watched(0), query, gallery, protocol("market")), reference)
        assert torch.get_float32_matmul_precision() == "medium"
    finally:
        torch.set_float32_matmul_precision(before)
    assert set(seen) == {"ieee"}


@pytest.mark.parametrize("kernel", ["plain", "compiled"])
def test_a_pair_is_scored_exactly_once_for_all_its_thresholds(kernel: str) -> None:
    """A network that gives the same for everything: every score is close to every threshold."""
    query, gallery = (features_of(np.zeros((rows, 4)), np.arange(rows) % 5) for rows in (10, 200))
    scored: list[tuple[int, int]] = []

    class Counted(Careless):
        def pairs(
            self, query: Features, gallery: Features, left: Ints, right: Ints, *, fast: bool
        ) -> NDArray[np.float64]:
            scored.extend(zip(left.tolist(), right.tolist(), strict=True))
            return super().pairs(query, gallery, left, right, fast=fast)

    hidden = np.arange(200) % 7 == 0
    part = Protocol("part", "", shown=Choice("", lambda columns: (columns.pids != -1) & ~hidden))
    every = [protocol("no-camera"), part]
    found = positions(Counted(0), query, gallery, every, backend=replace(PLAIN, kernel=kernel))
    others = [(row, item) for row, item in scored if row % 5 != item % 5]
    assert len(others) == len(set(others)) == 10 * 160
    expected = naive_evaluation(np.zeros((10, 200)), query.columns, gallery.columns, protocol("no-camera"))
    assert_equal(found.judge("no-camera"), expected, rtol=1e-12)


@pytest.mark.parametrize("kernel", ["plain", "compiled"])
@pytest.mark.parametrize("sign", [-1, 1])
def test_positives_too_far_for_float32_are_refused(sign: int, kernel: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Their exact scores are finite, so that they have an order, which infinite ones lost. No sample may miss them."""
    monkeypatch.setattr(counting, "_SAMPLE", 1)
    matrix = sign * np.array([[5e38, 1.0, 2.0, 3.0]])

    class Far(Precomputed):
        def scores(self, query: Tile, gallery: Tile) -> Tensor:
            return torch.from_numpy(matrix[query.rows][:, gallery.rows]).float()

        def pairs(
            self, query: Features, gallery: Features, left: Ints, right: Ints, *, fast: bool
        ) -> NDArray[np.float64]:
            found: NDArray[np.float64] = matrix[left, right]
            return found

        def tolerance(self, query: Tile, gallery: Tile) -> float:
            return 1e30

    query, gallery = empty(Columns.of([1])), empty(Columns.of([1, 1, 2, 2]))
    with pytest.raises(UserError, match="'far': its scores in float32 .* are the features very large"):
        evaluate(Far(matrix, "far"), query, gallery, protocol("market"), backend=replace(PLAIN, kernel=kernel))


@pytest.mark.parametrize("kernel", ["plain", "compiled"])
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_an_overflow_in_the_product_is_noticed(value: float, kernel: str) -> None:
    """A positive whose score is finite in a small tile and not in the stream."""

    class Overflowing(Cosine):
        def prepare(self, tile: Tile) -> Tile:
            tile = super().prepare(tile)
            if isinstance(tile.rows, slice) and tile.role == "gallery":
                tile.vector[3] = value
            return tile

    query, gallery = (features_of(np.eye(5)[np.arange(rows) % 5], np.arange(rows) % 5) for rows in (5, 20))
    with pytest.raises(UserError, match="'cosine': its scores in float32 have little to do with the exact"):
        evaluate(Overflowing(), query, gallery, protocol("no-camera"), backend=replace(PLAIN, kernel=kernel))


@given(seed=st.integers(0, 2**32 - 1), backend=backends())
@settings(deadline=None, max_examples=40)
def test_infinite_scores_of_a_scorer_with_a_tolerance(seed: int, backend: Backend) -> None:
    class Tolerant(Precomputed):
        def tolerance(self, query: Tile, gallery: Tile) -> float:
            return 1e-3

    rng = np.random.default_rng(seed)
    scores = rng.choice([-np.inf, 0, 1e-4, 1, np.inf], (6, 40)).astype(np.float32)
    query, gallery = random_columns(rng, 6), random_columns(rng, 40)
    result = evaluate(Tolerant(scores), empty(query), empty(gallery), protocol("no-camera"), backend=backend)
    assert_equal(result, naive_evaluation(scores, query, gallery, protocol("no-camera")), rtol=1e-12)


@pytest.mark.parametrize("kernel", ["plain", "compiled"])
def test_a_finite_score_is_not_an_infinite_one(kernel: str) -> None:
    class Bounded(Precomputed):
        def scores(self, query: Tile, gallery: Tile) -> Tensor:
            scores = super().scores(query, gallery)
            return scores.clamp(max=1) if isinstance(gallery.rows, slice) else scores

    scores = np.array([[np.inf, 0.5, 0.2]], dtype=np.float32)
    query, gallery = empty(Columns.of([1])), empty(Columns.of([1, 2, 2]))
    with pytest.raises(UserError, match="'precomputed': its scores in float32 have little to do with the exact"):
        evaluate(Bounded(scores), query, gallery, protocol("market"), backend=replace(PLAIN, kernel=kernel))
