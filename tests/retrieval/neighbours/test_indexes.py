"""What faiss finds: the same as the exact lists but for rounding, or most of them; and its absence is told."""

from __future__ import annotations

import sys
from collections.abc import Callable

import numpy as np
import pytest
import torch

from common.errors import UserError
from retrieval.columns import Features, Ints
from retrieval.neighbours import indexes
from retrieval.neighbours.indexes import INDEXES, known
from retrieval.neighbours.search import Neighbours, neighbours, own_neighbours
from retrieval.scorers import Scorer, VisibleParts, scorer
from retrieval.streaming.stream import Backend, Team
from tests.retrieval.naive import exact_scores, features_of
from tests.retrieval.teams import together

faiss = pytest.importorskip("faiss")
BACKEND = Backend("torch", "plain", threads=2)
NAMES = [name for name, index in INDEXES.items() if index.build is not None]


def spread(rows: int, seed: int, width: int = 16) -> Features:
    return features_of(np.random.default_rng(seed).standard_normal((rows, width)), np.arange(rows))


def clustered(rows: int, seed: int) -> Features:
    """Some pictures of each of many people."""
    rng = np.random.default_rng(seed)
    people = rng.integers(0, rows // 8, rows)
    return features_of(rng.standard_normal((rows // 8, 64))[people] + 1.2 * rng.standard_normal((rows, 64)), people)


def found_of(best: Neighbours, found: Neighbours) -> float:
    """The share of the true lists that was found."""
    shares = [len({*ours} & {*theirs}) / len(ours) for ours, theirs in zip(best.rows, found.rows, strict=True)]
    return float(np.mean(shares))


@pytest.mark.parametrize("name", ["cosine", "euclidean"])
@pytest.mark.parametrize("left_out", [0, 400])
def test_flat_equals_the_exact_lists(name: str, left_out: int) -> None:
    query, gallery, kind = spread(40, 0), spread(700, 1), scorer(name)
    rng = np.random.default_rng(2)
    pairs = (rng.integers(0, 40, left_out), rng.integers(0, 700, left_out))
    expected = neighbours(kind, query, gallery, 15, leave_out=pairs)
    found = neighbours(kind, query, gallery, 15, leave_out=pairs, index="flat", backend=BACKEND)
    np.testing.assert_array_equal(found.rows, expected.rows)
    np.testing.assert_allclose(found.scores, expected.scores, atol=1e-4)
    assert found.rows.dtype == np.int64
    assert found.scores.dtype == np.float32


@pytest.mark.parametrize("index", NAMES)
@pytest.mark.parametrize("name", ["cosine", "euclidean"])
def test_scores_are_on_the_scale_of_the_scorer(index: str, name: str) -> None:
    query, gallery, kind = spread(20, 0), spread(300, 1), scorer(name)
    found = neighbours(kind, query, gallery, 5, index=index, backend=BACKEND)
    assert (found.rows >= 0).all()
    exact = exact_scores(kind, query, gallery)
    np.testing.assert_allclose(found.scores, np.take_along_axis(exact, found.rows, axis=1), atol=1e-4)
    assert (np.diff(found.scores, axis=1) <= 0).all()


@pytest.mark.parametrize(("index", "floor"), [("flat", 0.999), ("ivf", 0.8), ("hnsw", 0.95)])
@pytest.mark.parametrize("name", ["cosine", "euclidean"])
def test_most_neighbours_are_found(index: str, floor: float, name: str) -> None:
    features, kind = clustered(4000, 0), scorer(name)
    query = features.take(slice(0, 300))
    best = neighbours(kind, query, features, 10)
    found = neighbours(kind, query, features, 10, index=index, backend=BACKEND)
    assert found_of(best, found) > floor


@pytest.mark.parametrize("index", NAMES)
@pytest.mark.parametrize("items", [0, 1, 5, 40])
def test_small_sets_work(index: str, items: int, capfd: pytest.CaptureFixture[str]) -> None:
    found = neighbours(scorer("cosine"), spread(3, 0), spread(items, 1), 7, index=index, backend=BACKEND)
    assert found.rows.shape == found.scores.shape == (3, 7)
    assert ((found.rows >= 0).sum(axis=1) == min(items, 7)).all()
    assert (np.isneginf(found.scores) == (found.rows < 0)).all()
    own, lowest = own_neighbours(scorer("cosine"), spread(items, 1), 3, index=index, backend=BACKEND)
    assert own.rows.shape == (items, 3)
    assert (own.rows[:, 0] == np.arange(items)).all()
    expected = exact_scores(scorer("cosine"), spread(items, 1), spread(items, 1)).min(axis=1, initial=np.inf)
    np.testing.assert_allclose(lowest, expected, atol=1e-5)
    assert capfd.readouterr() == ("", "")  # faiss has nothing to complain of


@pytest.mark.parametrize("name", ["cosine", "euclidean"])
def test_what_is_not_found_is_marked(name: str) -> None:
    """Only some of the lists are looked into, so that not all of a long list can be filled."""
    values, rows = indexes.search(
        "ivf", scorer(name), spread(5, 0), spread(900, 1), 900, device=torch.device("cpu"), threads=1
    )
    assert (rows[:, 0] >= 0).all()
    assert (rows[:, -1] < 0).all()
    assert (np.isneginf(values) == (rows < 0)).all()


def test_equal_scores_come_by_row() -> None:
    gallery = features_of(np.ones((50, 8)), np.arange(50))
    for name in ("cosine", "euclidean"):
        found = neighbours(scorer(name), spread(4, 0, 8), gallery, 50, index="flat", backend=BACKEND)
        assert (found.rows == np.arange(50)).all()


def test_large_sets_go_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    query, gallery = spread(50, 0), spread(333, 1)
    expected = neighbours(scorer("euclidean"), query, gallery, 9, index="flat", backend=BACKEND)
    monkeypatch.setattr(indexes, "_ROWS", 10)
    found = neighbours(scorer("euclidean"), query, gallery, 9, index="flat", backend=BACKEND)
    np.testing.assert_array_equal(found.rows, expected.rows)


def test_the_lowest_of_many_is_the_lowest_of_a_sample(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("retrieval.neighbours.search._SAMPLE", 100)
    features = spread(250, 0)
    _, lowest = own_neighbours(scorer("cosine"), features, 2, index="flat", backend=BACKEND)
    exact = exact_scores(scorer("cosine"), features, features)
    np.testing.assert_allclose(lowest, exact[:, ::3].min(axis=1), atol=1e-5)


@pytest.mark.parametrize("index", NAMES)
def test_every_process_gets_the_same_lists(index: str) -> None:
    query, gallery = spread(31, 0), spread(600, 1)
    pairs = (np.arange(31), np.arange(31))

    def work(team: Team) -> tuple[Ints, Ints]:
        kind = scorer("cosine")
        found = neighbours(kind, query, gallery, 8, index=index, backend=BACKEND, team=team, leave_out=pairs)
        own, _ = own_neighbours(kind, gallery, 8, index=index, backend=BACKEND, team=team)
        return found.rows, own.rows

    found, *others = together(3, work)
    for other in others:
        for ours, theirs in zip(found, other, strict=True):
            np.testing.assert_array_equal(ours, theirs)
    assert (
        found_of(neighbours(scorer("cosine"), gallery, gallery, 8), Neighbours(found[1], np.empty(0, np.float32))) > 0.6
    )
    assert not (found[0] == np.arange(31)[:, None]).any()


def test_threads_are_put_back() -> None:
    before = faiss.omp_get_max_threads()
    seen = []
    index = indexes.INDEXES["flat"]

    def build(*arguments: object) -> object:
        seen.append(faiss.omp_get_max_threads())
        assert index.build is not None
        return index.build(*arguments)  # type: ignore[arg-type]

    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(indexes.INDEXES, "flat", indexes.Index("", build))
        faiss.omp_set_num_threads(2)
        neighbours(scorer("cosine"), spread(3, 0), spread(9, 1), 2, index="flat", backend=Backend("torch", "plain", 1))
        assert seen == [1]
        assert faiss.omp_get_max_threads() == 2
    faiss.omp_set_num_threads(before)


def _search(index: str, kind: Scorer, query: Features, gallery: Features) -> object:
    return neighbours(kind, query, gallery, 1, index=index, backend=BACKEND)


@pytest.mark.parametrize("index", NAMES)
@pytest.mark.parametrize(
    ("mistake", "sentence"),
    [
        (
            lambda index: _search(index, VisibleParts(), spread(2, 0), spread(3, 1)),
            "knows the scorers 'cosine' and 'euclidean', not 'visible-parts'; use one of these, or the index 'exact'",
        ),
        (
            lambda index: _search(index, scorer("cosine"), spread(2, 0), spread(3, 1, 4)),
            r"vectors of query and gallery do not fit: \(16,\) and \(4,\)",
        ),
        (
            lambda index: _search(
                index, scorer("euclidean"), spread(2, 0), features_of(np.array([[0.0] * 16, [np.nan] * 16]), [1, 2])
            ),
            "gallery features: row 1 holds NaN",
        ),
    ],
)
def test_mistakes_are_told(index: str, mistake: Callable[[str], object], sentence: str) -> None:
    with pytest.raises(UserError, match=sentence):
        mistake(index)


def test_names() -> None:
    assert known("exact").build is None
    with pytest.raises(UserError, match="unknown index 'flatt', did you mean 'flat'\\? known: exact, flat, hnsw, ivf"):
        known("flatt")


def test_a_missing_faiss_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "faiss", None)
    with pytest.raises(UserError, match="the index 'ivf' needs faiss: type 'pip install faiss-cpu'"):
        neighbours(scorer("cosine"), spread(2, 0), spread(3, 1), 1, index="ivf")
    neighbours(scorer("cosine"), spread(2, 0), spread(3, 1), 1)


def test_torch_keeps_its_threads() -> None:
    before = torch.get_num_threads()
    neighbours(scorer("cosine"), spread(3, 0), spread(50, 1), 2, index="hnsw", backend=BACKEND)
    assert torch.get_num_threads() == before
