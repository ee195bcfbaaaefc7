"""Verification and the open set equal loops over all pairs, however the work is cut and however float32 rounds."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from torch import Tensor

import retrieval.verification.grid as grid_module
import retrieval.verification.open_set as open_set_module
import retrieval.verification.population as population_module
import retrieval.verification.verify as verification_module
from common.errors import UserError
from retrieval.columns import Columns, Features, Ints
from retrieval.protocols import protocol
from retrieval.scorers import Cosine, Precomputed, scorer
from retrieval.streaming import compiled
from retrieval.streaming.stream import Backend, Team
from retrieval.streaming.tiles import Tile
from retrieval.verification.estimates import percent
from retrieval.verification.grid import exact_scores, grid_of
from retrieval.verification.impostors import impostors
from retrieval.verification.population import Population
from retrieval.verification.result import sentence
from retrieval.verification.verify import Verification, _Measurement, verify
from tests.retrieval.naive_pairs import Naive, blank, labels
from tests.retrieval.teams import together

CPU = torch.device("cpu")
KERNELS = ["plain", *(["compiled"] if compiled.kernels("streaming") is not None else [])]


def small(kernel: str = "plain", threads: int = 1, queries: int = 7, gallery: int = 11) -> Backend:
    return Backend("torch", kernel, threads, queries, gallery)


@pytest.fixture
def lenient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every rate is told that is not below one pair or query, and there are few thresholds to loop over."""
    be_lenient(monkeypatch)


def be_lenient(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(grid_module, "BINS", 64)
    patch.setattr(population_module, "ENOUGH", 1)
    patch.setattr(open_set_module, "ENOUGH", 1)
    patch.setattr(verification_module, "FARS", (0.3, 0.1, 0.03))
    patch.setattr(verification_module, "OPEN_FARS", (0.15, 0.4))


def assert_equals_naive(
    found: Verification, scores: np.ndarray, query: Columns, gallery: Columns, people: Population
) -> None:
    naive = Naive(scores, query, gallery, people, dict.fromkeys(people.pids.tolist(), 1))
    edges = found.roc.thresholds
    assert found.genuine == sum(good for *_, good in naive.pairs)
    assert found.impostor == sum(not good for *_, good in naive.pairs)
    assert found.people == len(people.pids)
    assert found.roc.far.tolist() == [naive.rate(edge, genuine=False) for edge in edges]
    assert found.roc.tpr.tolist() == [naive.rate(edge, genuine=True) for edge in edges]
    assert found.eer.value == pytest.approx(naive.equal_error_rate(edges), abs=1e-12)
    for point in found.points:
        assert point.threshold.value == naive.lowest(edges, point.far)
        assert point.tpr.value == naive.rate(point.threshold.value, genuine=True)
    assert found.threshold.value == naive.lowest(edges, found.far)

    chosen = tuple(naive.lowest(edges, found.far, half) for half in (0, 1))
    assert tuple(trial.threshold for trial in found.held_out.trials) == chosen
    for half, trial in enumerate(found.held_out.trials):
        assert trial.far.value == naive.rate(chosen[half], genuine=False, half=1 - half)
        assert trial.tpr.value == naive.rate(chosen[half], genuine=True, half=1 - half)
    assert (found.held_out.far.value, found.held_out.tpr.value) == naive.held_out(chosen)  # type: ignore[arg-type]

    for opened in found.open_set:
        assert opened.above == tuple(naive.above(opened.far, known) for known in (0, 1))
        assert opened.rank1.value == naive.rank1(opened.far)


@given(
    seed=st.integers(0, 2**32 - 1),
    levels=st.sampled_from([0, 2, 5, 64]),
    likeness=st.sampled_from([0.0, 0.3, 2.0]),
    name=st.sampled_from(["market", "no-camera", "cloth-changing"]),
)
@settings(deadline=None, max_examples=40)
def test_equals_loops(seed: int, levels: int, likeness: float, name: str) -> None:
    """Ties included: scores of `levels` different values, or all different; the more alike, the better the scores."""
    query, gallery = labels(seed, 14, 26)
    scores = np.random.default_rng(seed).random((14, 26), dtype=np.float32)
    scores += np.float32(likeness) * (query.pids[:, None] == gallery.pids)
    if levels:
        scores = np.floor(scores * levels)
    people = Population.of(query, gallery, protocol(name), seed)
    assume(people.found.sum() >= 4)
    with pytest.MonkeyPatch.context() as patch:
        be_lenient(patch)
        found = verify(
            Precomputed(scores),
            blank(query),
            blank(gallery),
            protocol(name),
            far=0.2,
            seed=seed,
            draws=3,
            backend=small(),
        )
        assert_equals_naive(found, scores, query, gallery, people)


def vectors(columns: Columns, seed: int, width: int = 24, alike: float = 1.0) -> Features:
    """Of one person, around one point; with parts, of which some are hidden."""
    random = np.random.default_rng(seed)
    points = np.random.default_rng(0).standard_normal((99, width))
    found = alike * points[columns.pids] + random.standard_normal((len(columns), width))
    parts = points[columns.pids][:, None, :8] + random.standard_normal((len(columns), 3, 8))
    visible = random.integers(0, 2, (len(columns), 3))
    return Features(*(found.astype(np.float32), columns, parts.astype(np.float32), visible.astype(np.float32)))


@pytest.mark.usefixtures("lenient")
@pytest.mark.parametrize("name", ["cosine", "euclidean", "visible-parts"])
def test_any_scorer(name: str) -> None:
    query, gallery = (vectors(columns, seed) for seed, columns in enumerate(labels(3, 25, 60)))
    left, right = (index.ravel() for index in np.indices((25, 60)))
    exact = scorer(name).pairs(query, gallery, left, right, fast=False).reshape(25, 60)
    people = Population.of(query.columns, gallery.columns, protocol("market"), 0)
    found = verify(scorer(name), query, gallery, protocol("market"), far=0.1, draws=5, backend=small())
    assert found.scorer == name
    assert len(found.open_set) == 2
    assert_equals_naive(found, exact, query.columns, gallery.columns, people)


@pytest.mark.usefixtures("lenient")
def test_people_drawn_again_count_as_often_as_they_are_drawn() -> None:
    """Every line of the bootstrap is what the loops say when each person's pairs are counted so often."""
    query, gallery = labels(5, 30, 40, people=7)
    scores = np.random.default_rng(1).random((30, 40), dtype=np.float32) + (query.pids[:, None] == gallery.pids) / 3
    scores = np.floor(scores * 40).astype(np.float32)
    people = Population.of(query, gallery, protocol("no-camera"), 0)
    ours, theirs, backend = blank(query), blank(gallery), small()
    given_scores = Precomputed(scores)
    genuine = exact_scores(
        given_scores, ours, theirs, people.pairs.owners[people.genuine], people.pairs.rows[people.genuine], backend
    )
    grid = grid_of(given_scores, ours, theirs, people, genuine, 0.3, CPU, backend)
    found = impostors(given_scores, ours, theirs, people, grid, device=CPU, backend=backend)
    measurement = _Measurement(people, grid, genuine, found, 0.2)
    _, drawn = people.drawn(6, seed=2)
    assert len({tuple(line) for line in drawn.tolist()}) > 3
    rates = measurement.rates(drawn)
    chosen = tuple(float(measurement.thresholds[edge]) for edge in measurement.chosen)
    for line, weights in enumerate(drawn.astype(int).tolist()):
        naive = Naive(scores, query, gallery, people, dict(zip(people.pids.tolist(), weights, strict=True)))
        expected = {"eer": naive.equal_error_rate(grid.edges)}
        for far in (0.2, 0.3, 0.1, 0.03):
            threshold = naive.lowest(grid.edges, far)
            expected |= {f"threshold at {far}": threshold, f"tpr at {far}": naive.rate(threshold, genuine=True)}
        for half in (0, 1):
            for kind in ("far", "tpr"):
                expected[f"{kind} of trial {half}"] = naive.rate(chosen[half], kind == "tpr", half=1 - half)
        expected["far of trials"], expected["tpr of trials"] = naive.held_out(chosen)  # type: ignore[arg-type]
        expected |= {f"rank-1 at {far}": naive.rank1(far) for far in (0.15, 0.4)}
        assert {name: values[line] for name, values in rates.items()} == pytest.approx(expected, abs=1e-12)


# By hand -----------------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("lenient")
def test_four_people_by_hand() -> None:
    """Genuine 9, 8, 7, 3 against the impostors 5, 4, and ten of 1: at 4.5 one of twelve passes, and one is missed."""
    scores = np.ones((4, 4), dtype=np.float32)
    scores[range(4), range(4)] = [9, 8, 7, 3]
    scores[0, 1], scores[3, 2] = 5, 4
    columns = Columns.of(range(4))
    found = verify(Precomputed(scores), blank(columns), blank(columns), protocol("no-camera"), far=1 / 12, draws=2)
    step = found.resolution
    assert step == 2**-3  # 8 / 64, from the smallest score to the largest
    assert found.threshold.value == 4 + step / 2
    assert (found.genuine, found.impostor) == (4, 12)
    at = dict(zip(found.roc.thresholds.tolist(), zip(found.roc.far, found.roc.tpr, strict=True), strict=True))
    assert at[4 + step / 2] == (1 / 12, 3 / 4)
    assert at[4 - step / 2] == (2 / 12, 3 / 4)
    assert at[3 - step / 2] == (2 / 12, 1)
    assert at[9 - step / 2] == (0, 1 / 4)
    assert at[9 + step / 2] == (0, 0)
    assert list(at)[-1] == 9 + step / 2
    # From (2/12, 0 missed) straight to (2/12, 1/4 missed): both are the same at 2/12.
    assert found.eer.value == pytest.approx(2 / 12)


@pytest.mark.usefixtures("lenient")
def test_an_open_set_by_hand() -> None:
    """Eight people; whoever is unknown looks at most 0.4 like anybody, except one who looks 0.9 like everybody."""
    columns = Columns.of(range(8))
    people = Population.of(columns, columns, protocol("no-camera"), 0)
    first, second = (np.flatnonzero(people.half == half) for half in (0, 1))
    scores = np.full((8, 8), 0.1, dtype=np.float32)
    scores[range(8), range(8)] = 0.8
    scores[first[0], second] = 0.9  # found in the second half's gallery with 0.9, though unknown there
    scores[first[1], first[2]] = 0.85  # mistaken for somebody else
    found = verify(Precomputed(scores), blank(columns), blank(columns), protocol("no-camera"), far=0.2, draws=2)
    assert [opened.far for opened in found.open_set] == [0.4]  # of four unknown queries 15 % is none
    (opened,) = found.open_set
    # One of four may pass, so what must be exceeded is the second highest: 0.1, both times.
    assert opened.above == pytest.approx((0.1, 0.1))
    assert (opened.known, opened.unknown) == (8, 8)
    assert opened.rank1.value == 7 / 8


@pytest.mark.usefixtures("lenient")
@pytest.mark.parametrize("width", [1, 3, 100])
@pytest.mark.parametrize("world", [1, 2])
def test_of_equal_scores_the_first_in_the_gallery_is_the_best(width: int, world: int) -> None:
    """Pairs of people of one half look the same, in the order a b b a: every a is found and no b."""
    people = Columns.of(range(8))
    half = Population.of(people, people, protocol("no-camera"), 0).half
    order = np.concatenate([np.flatnonzero(half == side).reshape(2, 2)[:, [0, 1, 1, 0]].ravel() for side in (0, 1)])
    alike = {(int(one), int(other)) for four in order.reshape(4, 4) for one in four for other in four}
    scores = np.array([[0.8 if (row, other) in alike else 0.1 for other in order.tolist()] for row in range(8)])
    given_scores = Precomputed(scores.astype(np.float32))

    def work(team: Team) -> float:
        found = verify(
            given_scores,
            blank(people),
            blank(Columns.of(order)),
            protocol("no-camera"),
            far=0.2,
            draws=2,
            backend=small(gallery=width),
            team=team,
        )
        return found.open_set[-1].rank1.value

    assert together(world, work) == [0.5] * world


# The same for any way of computing --------------------------------------------------------------------------------


def told(found: Verification) -> dict[str, Any]:
    return {**found.as_dict(), "roc": found.roc.as_dict(finer=1.0)}


@pytest.fixture(scope="module")
def case() -> tuple[Features, Features]:
    """Hard enough that thresholds lie among many scores."""
    query, gallery = labels(11, 90, 400, people=20)
    return vectors(query, 1, 40, alike=0.7), vectors(gallery, 2, 40, alike=0.7)


@pytest.fixture(scope="module")
def reference(case: tuple[Features, Features]) -> dict[str, Any]:
    return told(verify(scorer("cosine"), *case, protocol("market"), far=0.05, draws=50, backend=small("plain")))


@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize(
    ("threads", "queries", "gallery"), [(1, 90, 400), (1, 1, 33), (3, 8, 64), (2, 512, 2048), (4, 90, 7)]
)
def test_tiles_threads_and_kernels_do_not_matter(
    case: tuple[Features, Features],
    reference: dict[str, Any],
    kernel: str,
    threads: int,
    queries: int,
    gallery: int,
) -> None:
    backend = small(kernel, threads, queries, gallery)
    assert told(verify(scorer("cosine"), *case, protocol("market"), far=0.05, draws=50, backend=backend)) == reference


def test_the_library_does_not_matter(case: tuple[Features, Features], reference: dict[str, Any]) -> None:
    backend = replace(small(), product="numpy")
    assert told(verify(scorer("cosine"), *case, protocol("market"), far=0.05, draws=50, backend=backend)) == reference


@pytest.mark.parametrize("world", [2, 3])
def test_several_processes_do_not_matter(
    case: tuple[Features, Features], reference: dict[str, Any], world: int
) -> None:
    def work(team: Team) -> dict[str, Any]:
        return told(verify(scorer("cosine"), *case, protocol("market"), far=0.05, draws=50, backend=small(), team=team))

    assert together(world, work) == [reference] * world


def test_the_seed_decides(case: tuple[Features, Features], reference: dict[str, Any]) -> None:
    def found(seed: int) -> dict[str, Any]:
        return told(verify(scorer("cosine"), *case, protocol("market"), far=0.05, draws=50, seed=seed, backend=small()))

    assert found(0) == reference
    other = found(1)
    assert other["interval"] != reference["interval"] or other["eer"] != reference["eer"]
    assert other["held_out"] != reference["held_out"]
    assert (other["threshold"], other["roc"]) == (reference["threshold"], reference["roc"])


class Noisy(Precomputed):
    """Scores that float32 has rounded, this way or that, by up to a half of what is admitted.

    Args:
        admitted: the tolerance that it tells.
    """

    def __init__(self, matrix: np.ndarray, error: float, admitted: float) -> None:
        super().__init__(matrix)
        self.error, self.admitted = error, admitted
        self.asked = 0

    def scores(self, query: Tile, gallery: Tile) -> Tensor:
        random = torch.Generator().manual_seed(len(query) + 1000 * len(gallery))
        exact = super().scores(query, gallery)
        return exact + self.error * (2 * torch.rand(exact.shape, generator=random) - 1)

    def pairs(self, query: Features, gallery: Features, left: Ints, right: Ints, *, fast: bool) -> np.ndarray:
        self.asked += len(left)
        return super().pairs(query, gallery, left, right, fast=fast)

    def tolerance(self, query: Tile, gallery: Tile) -> float:
        return self.admitted


@pytest.mark.usefixtures("lenient")
@pytest.mark.parametrize("admitted", [1e-3, 1e-5], ids=["honest", "too modest"])
@pytest.mark.parametrize(("queries", "gallery"), [(40, 90), (3, 8)])
def test_float32_decides_nothing(admitted: float, queries: int, gallery: int) -> None:
    """Half of the scores lie on an edge or close to it; what tolerance was told too small is found out."""
    query, items = labels(7, 40, 90)
    # With errors this large the step is 2⁻⁴, and edges are odd multiples of 2⁻⁵.
    scores = np.random.default_rng(7).integers(0, 64, (40, 90)).astype(np.float32) / 32
    scores += (query.pids[:, None] == items.pids) * np.float32(0.5)
    scores += np.random.default_rng(8).choice(np.array([-1e-4, 0, 1e-4], dtype=np.float32), scores.shape)
    people = Population.of(query, items, protocol("market"), 0)
    noisy = Noisy(scores, 4e-4, admitted)
    found = verify(
        noisy,
        blank(query),
        blank(items),
        protocol("market"),
        far=0.2,
        draws=2,
        backend=small(queries=queries, gallery=gallery),
    )
    if admitted == 1e-3:
        assert found.resolution == 2**-4
        assert np.isin(scores, found.roc.thresholds).mean() > 0.1
    assert_equals_naive(found, scores, query, items, people)


@pytest.mark.usefixtures("lenient")
def test_scores_just_below_an_edge() -> None:
    """The float32 number before it, also where the lowest edge is far below 0 and the number close to it."""
    query, items = labels(9, 40, 90)
    edges = (np.arange(-40, 8) + 0.5) / 16
    near = np.concatenate([edges, np.nextafter(edges.astype(np.float32), np.float32(-np.inf))])
    scores = np.random.default_rng(9).choice(near.astype(np.float32), (40, 90))
    people = Population.of(query, items, protocol("market"), 0)
    found = verify(
        Precomputed(scores), blank(query), blank(items), protocol("market"), far=0.2, draws=2, backend=small()
    )
    assert np.isin(scores, found.roc.thresholds).mean() > 0.4
    assert_equals_naive(found, scores, query, items, people)


def test_few_pairs_are_decided_in_float64(case: tuple[Features, Features], monkeypatch: pytest.MonkeyPatch) -> None:
    class Counting(Cosine):
        asked = 0

        def pairs(self, query: Features, gallery: Features, left: Ints, right: Ints, *, fast: bool) -> np.ndarray:
            self.asked += len(left)
            return super().pairs(query, gallery, left, right, fast=fast)

    sample = 512
    monkeypatch.setattr(grid_module, "_SAMPLE", sample)
    counting = Counting()
    found = verify(counting, *case, protocol("market"), far=0.05, draws=2, backend=small(queries=90, gallery=400))
    nearest = 90 * 3
    assert nearest < counting.asked - found.genuine < sample + nearest + 0.01 * found.impostor


# Ends and edges ------------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("lenient")
@pytest.mark.parametrize("value", [0.0, 1.0])
def test_everybody_the_same(value: float) -> None:
    columns = Columns.of(np.arange(8) % 4)
    scores = Precomputed(np.full((8, 8), value, dtype=np.float32))
    found = verify(scores, blank(columns), blank(columns), protocol("no-camera"), far=0.2, draws=3)
    assert found.threshold.value > value  # nobody passes
    assert found.held_out.tpr.value == found.held_out.far.value == 0
    assert found.eer.value == 0.5
    (*_, loose) = found.open_set
    # All scores are the same, so none is above, and the first of the gallery's pictures is the best.
    assert loose.rank1.value == 0


@pytest.mark.usefixtures("lenient")
def test_strangers_closer_than_anybody() -> None:
    """Then no threshold lets so few of them pass, and none is made up."""
    columns = Columns.of(np.arange(8) % 4)
    scores = np.where(columns.pids[:, None] == columns.pids, 0, 1).astype(np.float32)
    found = verify(Precomputed(scores), blank(columns), blank(columns), protocol("no-camera"), far=0.2, draws=3)
    assert found.threshold.value == math.inf
    assert found.as_dict()["threshold"] is None
    assert found.as_dict()["interval"] == [None, None]
    assert found.held_out.far.value == found.held_out.tpr.value == 0
    assert found.points[0].tpr.value == 0
    assert found.eer.value == 1
    assert found.roc.far[-1] == 1
    assert "no threshold: more than 20.0 % of pairs of different people are closer" in found.table()
    json.dumps(found.as_dict(), allow_nan=False)


@pytest.mark.usefixtures("lenient")
def test_infinite_scores() -> None:
    query, gallery = labels(2, 30, 60)
    scores = np.random.default_rng(2).random((30, 60), dtype=np.float32) + (query.pids[:, None] == gallery.pids)
    scores[:, 3], scores[5, :] = np.inf, -np.inf
    people = Population.of(query, gallery, protocol("market"), 0)
    found = verify(Precomputed(scores), blank(query), blank(gallery), protocol("market"), far=0.2, draws=2)
    naive = Naive(scores, query, gallery, people, dict.fromkeys(people.pids.tolist(), 1))
    assert found.roc.far.tolist() == [naive.rate(edge, genuine=False) for edge in found.roc.thresholds]
    assert found.roc.tpr.tolist() == [naive.rate(edge, genuine=True) for edge in found.roc.thresholds]


@pytest.mark.parametrize(("role", "row"), [("query", 4), ("gallery", 17)])
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_broken_features_are_named(case: tuple[Features, Features], role: str, row: int, value: float) -> None:
    query, gallery = (replace(features, vectors=features.vectors.copy()) for features in case)
    (query if role == "query" else gallery).vectors[row, 3] = value
    with pytest.raises(UserError, match=f"{role} features: row {row} holds NaN or inf"):
        verify(scorer("cosine"), query, gallery, protocol("market"), far=0.05, draws=2, backend=small())


def test_broken_scores_are_named() -> None:
    columns = Columns.of(np.arange(40) % 4)
    scores = np.zeros((40, 40), dtype=np.float32)
    scores[7, 3] = np.nan
    with pytest.raises(UserError, match="gave NaN for query row 7"):
        verify(Precomputed(scores), blank(columns), blank(columns), protocol("no-camera"), far=0.1)


def test_features_that_do_not_fit(case: tuple[Features, Features]) -> None:
    query, gallery = case
    with pytest.raises(UserError, match="do not fit"):
        verify(scorer("cosine"), query, replace(gallery, vectors=gallery.vectors[:, :5]), protocol("market"))


def test_too_few_pairs(case: tuple[Features, Features]) -> None:
    with pytest.raises(UserError, match="a false accept rate of 1e-05 needs 1,000,000 pairs of different people"):
        verify(scorer("cosine"), *case, protocol("market"), far=1e-5)


# What is told --------------------------------------------------------------------------------------------------------


def test_rates_are_told_only_where_there_are_pairs_enough(
    case: tuple[Features, Features], reference: dict[str, Any]
) -> None:
    assert 1e4 < reference["impostor_pairs"] < 1e5
    assert [point["far"] for point in reference["points"]] == [1e-1, 0.05, 1e-2, 1e-3]
    assert reference["open_set"] == []
    people = Population.of(case[0].columns, case[1].columns, protocol("market"))
    fewest = min((people.half[people.person[people.person >= 0]] == half).sum() for half in (0, 1))
    assert reference["open_set_problem"] == (
        "not told, since a false accept rate of 10 % needs 100 queries of people taken as unknown, and there are"
        f" {fewest}"
    )
    twice = [replace(f, **_twice(f)) for f in case]
    found = verify(scorer("cosine"), twice[0], twice[1], protocol("market"), far=0.05, draws=2)
    assert [point.far for point in found.points] == [1e-1, 0.05, 1e-2, 1e-3, 1e-4]
    enough = [replace(f, **_twice(f)) for f in twice]
    found = verify(scorer("cosine"), enough[0], enough[1], protocol("market"), far=0.1, draws=2)
    assert [point.far for point in found.points] == [1e-1, 1e-2, 1e-3, 1e-4]
    assert [opened.far for opened in found.open_set] == [0.1]
    assert found.open_set_problem is None
    assert found.table().count("open set") == 1


def _twice(features: Features) -> dict[str, Any]:
    rows = np.tile(np.arange(len(features)), 2)
    again = features.take(rows)
    return {name: getattr(again, name) for name in ("vectors", "columns", "parts", "visibility")}


def test_intervals_hold_what_they_promise(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a hundred samples of people, about 95 have the true rate in the interval of the equal error rate."""
    monkeypatch.setattr(grid_module, "BINS", 256)
    rate = 0.5 * math.erfc(1 / math.sqrt(2))  # of normal scores two standard deviations apart
    inside = 0
    for seed in range(100):
        random = np.random.default_rng(seed)
        columns = Columns.of(np.repeat(np.arange(40), 2))
        easy = random.normal(0, 0.3, 40)[columns.pids, None]  # people differ
        scores = (random.normal(0, math.sqrt(1 - 0.09), (80, 80)) + easy).astype(np.float32)
        scores += 2 * (columns.pids[:, None] == columns.pids)
        found = verify(
            Precomputed(scores), blank(columns), blank(columns), protocol("no-camera"), far=0.1, seed=seed, draws=100
        )
        inside += found.eer.low <= rate <= found.eer.high
    assert 86 <= inside <= 100


def test_table_and_sentence(case: tuple[Features, Features]) -> None:
    found = verify(scorer("cosine"), *case, protocol("market"), far=0.05, draws=50)
    lines = found.table().splitlines()
    assert lines[0].startswith("verification: protocol market, cosine scores; 20 people, ")
    assert f"{found.genuine:,} pairs of one person and {found.impostor:,} of two" in lines[0]
    assert [line.split()[0] for line in lines[1:-1]] == ["FAR", "10", "5", "1", "0.1", "EER", "open"]
    end = {
        line.index("TPR") + 3 if "TPR" in line else line.index(f"{100 * p.tpr.value:.2f}") + 5
        for line, p in zip(lines[2:6], found.points, strict=True)
    }
    assert len(end) == 1  # aligned
    asked = found.points[1]
    assert (asked.far, asked.threshold) == (0.05, found.threshold)
    assert lines[-2] == f"open set: {found.open_set_problem}"
    assert lines[-1] == sentence(found.as_dict())
    assert all(line == line.rstrip() for line in lines)


def test_the_sentence_in_full() -> None:
    facts = {
        "scorer": "cosine",
        "far": 0.01,
        "threshold": 0.6120605,
        "interval": [0.5981445, 0.6267089],
        "resolution": 2**-11,
        "held_out": {"far": {"value": 0.00981}, "tpr": {"value": 0.8729}},
    }
    assert sentence(facts) == (
        "same person when cosine ≥ 0.6121 (95 % interval 0.5981 to 0.6267): on people not used to choose it, 0.98 % of"
        " pairs of different people pass and 87.3 % of same-person pairs do"
    )


@pytest.mark.parametrize(
    ("share", "text"), [(0, "0.0"), (1, "100.0"), (0.873, "87.3"), (0.0098, "0.98"), (1e-6, "0.00010"), (0.01, "1.0")]
)
def test_percent(share: float, text: str) -> None:
    assert percent(share) == text


def test_plain_values(reference: dict[str, Any]) -> None:
    def leaves(value: Any) -> Iterator[Any]:
        if isinstance(value, dict):
            for name, inner in value.items():
                assert type(name) is str
                yield from leaves(inner)
        elif isinstance(value, list):
            for inner in value:
                yield from leaves(inner)
        else:
            yield value

    assert {type(leaf) for leaf in leaves(reference)} <= {str, int, float, type(None)}
    assert json.loads(json.dumps(reference, allow_nan=False)) == reference


def test_the_curve_is_thinned_for_json(reference: dict[str, Any], case: tuple[Features, Features]) -> None:
    found = verify(scorer("cosine"), *case, protocol("market"), far=0.05, draws=2)
    thin = found.roc.as_dict()
    assert len(thin["far"]) < 120
    assert thin["far"][0] == found.roc.far[0]
    assert all(after <= 0.9 * before for before, after in zip(thin["far"], thin["far"][1:], strict=False))
    assert thin["far"][-1] == 0
