"""Every score is shown once, whoever computes it, and a mistake in any thread comes out as one sentence."""

from __future__ import annotations

import threading
import time
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor

from common.errors import UserError
from retrieval.columns import Columns, Features
from retrieval.scorers import Euclidean, Precomputed, Scorer, scorer
from retrieval.streaming.products import available
from retrieval.streaming.stream import ALONE, Backend, Team, stream
from retrieval.streaming.tiles import Tile
from tests.retrieval.naive import features_of

CPU = torch.device("cpu")
BACKEND = Backend("torch", "plain", threads=1, queries=4, gallery=7)


def some(rows: int, seed: int) -> Features:
    return features_of(np.random.default_rng(seed).standard_normal((rows, 12)), np.arange(rows))


def collected(
    kind: Scorer,
    query: Features,
    gallery: Features,
    backend: Backend,
    team: Team = ALONE,
    symmetric: bool = False,
) -> tuple[np.ndarray, np.ndarray]:
    """The scores as they came, and how often each came."""
    scores, times = np.zeros((len(query), len(gallery))), np.zeros((len(query), len(gallery)), dtype=int)

    def visit(left: Tile, right: Tile, tile: Tensor) -> None:
        scores[left.rows, right.rows] = tile.numpy()
        times[left.rows, right.rows] += 1
        tile.fill_(torch.nan)  # the visitor may

    stream(kind, query, gallery, visit, device=CPU, backend=backend, team=team, symmetric=symmetric)
    return scores, times


@pytest.mark.parametrize("name", available())
@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize(("queries", "items"), [(10, 30), (1, 1), (4, 7), (3, 0), (0, 5)])
def test_every_score_once(name: str, threads: int, queries: int, items: int) -> None:
    query, gallery = some(queries, 0), some(items, 1)
    scores, times = collected(scorer("euclidean"), query, gallery, replace(BACKEND, product=name, threads=threads))
    assert (times == 1).all()
    expected = -((query.vectors[:, None].astype(float) - gallery.vectors[None]) ** 2).sum(axis=2)
    np.testing.assert_allclose(scores, expected, atol=1e-4)


@pytest.mark.parametrize("threads", [1, 2])
def test_the_upper_half(threads: int) -> None:
    features = some(23, 0)
    scores, times = collected(scorer("cosine"), features, features, replace(BACKEND, threads=threads), symmetric=True)
    block = np.arange(23) // 7
    assert (times == (block[:, None] <= block[None, :])).all()
    mirrored = np.where(times > 0, scores, scores.T)
    np.testing.assert_allclose(mirrored, collected(scorer("cosine"), features, features, BACKEND)[0], atol=1e-6)


def test_a_team_shares_the_gallery() -> None:
    query, gallery = some(9, 0), some(40, 1)
    shares = [collected(scorer("cosine"), query, gallery, BACKEND, Team(rank, 3))[1] for rank in range(3)]
    assert (np.sum(shares, axis=0) == 1).all()
    assert all(0 < share.sum() < share.size for share in shares)


def test_one_visit_at_a_time_for_the_same_queries() -> None:
    busy: set[int] = set()
    together: list[int] = []

    def visit(left: Tile, right: Tile, tile: Tensor) -> None:
        assert isinstance(left.rows, slice)
        assert left.rows.start not in busy
        busy.add(left.rows.start)
        together.append(len(busy))
        time.sleep(0.002)
        busy.discard(left.rows.start)

    stream(scorer("cosine"), some(12, 0), some(70, 1), visit, device=CPU, backend=replace(BACKEND, threads=4))
    assert len(together) == 30
    assert max(together) > 1


@pytest.mark.parametrize("symmetric", [False, True])
def test_every_block_is_prepared_once_however_slow_somebody_is(symmetric: bool) -> None:
    prepared: list[slice] = []

    class Noting(Euclidean):
        def prepare(self, tile: Tile) -> Tile:
            if tile.role == "gallery":
                assert isinstance(tile.rows, slice)
                prepared.append(tile.rows)
            return super().prepare(tile)

    def visit(left: Tile, right: Tile, tile: Tensor) -> None:
        assert isinstance(right.rows, slice)
        time.sleep(0.003 if right.rows.start == 0 else 0)

    features = some(70, 0)
    backend = replace(BACKEND, threads=3)
    stream(Noting(), features, features, visit, device=CPU, backend=backend, symmetric=symmetric)
    assert sorted(rows.start for rows in prepared) == list(range(0, 70, 7))


def test_a_failure_in_any_thread_ends_all_of_them() -> None:
    class Failure(Exception):
        pass

    main = threading.get_ident()
    seen: list[int] = []

    def visit(left: Tile, right: Tile, tile: Tensor) -> None:
        seen.append(threading.get_ident())
        if threading.get_ident() != main:
            raise Failure
        time.sleep(0.005)

    threads = torch.get_num_threads()
    with pytest.raises(Failure):
        stream(scorer("cosine"), some(40, 0), some(700, 1), visit, device=CPU, backend=replace(BACKEND, threads=2))
    assert torch.get_num_threads() == threads
    assert len(seen) < 1000


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("role", ["query", "gallery"])
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_broken_features_name_the_row(role: str, value: float, threads: int) -> None:
    sets = {"query": np.ones((6, 4), np.float32), "gallery": np.ones((9, 4), np.float32)}
    sets[role][[3, 5], 2] = value
    query, gallery = (features_of(vectors, np.ones(len(vectors))) for vectors in sets.values())
    with pytest.raises(UserError, match=f"{role} features: row 3 holds NaN or inf"):
        collected(scorer("cosine"), query, gallery, replace(BACKEND, threads=threads))


def test_vectors_beyond_float32_are_refused() -> None:
    query, gallery = features_of(np.ones((2, 4)), [1, 2]), features_of(np.full((3, 4), 1e30), [1, 2, 3])
    with pytest.raises(UserError, match="gallery features: row 0 has the length 2.0e\\+30, too much"):
        collected(scorer("euclidean"), query, gallery, BACKEND)


def test_what_does_not_fit_is_refused() -> None:
    query, gallery = features_of(np.ones((2, 4)), [1, 2]), features_of(np.ones((2, 5)), [1, 2])
    with pytest.raises(UserError, match=r"vectors of query and gallery do not fit: \(4,\) and \(5,\)"):
        collected(scorer("cosine"), query, gallery, BACKEND)
    parts = Features(query.vectors, query.columns, np.ones((2, 3, 4), np.float32))
    with pytest.raises(UserError, match=r"parts of query and gallery do not fit: \(3, 4\) and None"):
        collected(scorer("cosine"), parts, query, BACKEND)


def test_scores_that_are_not_numbers_name_the_row() -> None:
    scores = np.zeros((10, 9), dtype=np.float32)
    scores[6, 8] = np.nan
    with pytest.raises(UserError, match="scorer 'precomputed' gave NaN for query row 6"):
        collected(Precomputed(scores), some(10, 0), some(9, 1), BACKEND)
    with pytest.raises(ValueError, match=r"gave \(4, 2\) scores for 4 query rows and 3 gallery rows"):
        collected(Precomputed(scores[:, :2]), some(10, 0), some(3, 1), BACKEND)


def test_the_choice_says_what_it_is() -> None:
    small = Backend.choose(CPU, some(3, 0), some(4, 1))
    assert small.kernel == "plain"
    assert str(replace(small, product="onednn", threads=2)) == "onednn product, plain kernels, 2 threads"
    large = np.broadcast_to(np.float32(0), (10_000, 4))
    many = Features(large, Columns.of(np.zeros(10_000)))
    assert Backend.choose(CPU, many, many).kernel == "compiled"
