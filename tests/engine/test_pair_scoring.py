"""Conditional distances equal those of one pair after the other, from a few blocks of maps at a time."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from engine.maps import Maps
from engine.pair_scoring import PairScorer
from retrieval.columns import Ints
from retrieval.streaming.exact import Doubles
from retrieval.streaming.stream import ALONE, Team
from tests.engine.paired import PairedEmbedder
from tests.engine.toys import CPU
from tests.retrieval.teams import together

EACH = 64
"""Bytes of one picture's maps."""


class Watched(Maps):
    """Maps that remember which rows were read at once."""

    def __init__(self, seed: int, count: int) -> None:
        array = np.random.default_rng(seed).standard_normal((count, 4, 4, 2)).astype(np.float16)
        super().__init__(array)
        object.__setattr__(self, "reads", [])

    def read(self, rows: Ints) -> np.ndarray:
        self.reads.append(rows.tolist())  # type: ignore[attr-defined]
        return super().read(rows)


def scorer(block: int, team: Team = ALONE) -> tuple[PairScorer, Watched, Watched]:
    query, gallery = Watched(0, 7), Watched(1, 20)
    torch.manual_seed(3)
    made = PairScorer(PairedEmbedder(), query, gallery, CPU, team, block * EACH)
    made.at_once = 3
    return made, query, gallery


def some_pairs(seed: int = 0, count: int = 60) -> tuple[Ints, Ints]:
    rng = np.random.default_rng(seed)
    return rng.integers(0, 7, count), rng.integers(0, 20, count)


def naive(queries: Ints, gallery: Ints) -> Doubles:
    left, right = Watched(0, 7).array, Watched(1, 20).array
    found = []
    for i, j in zip(queries, gallery, strict=True):
        a, b = left[i].astype(np.float64), right[j].astype(np.float64)
        one = (a * b.mean(axis=0)).sum(axis=(1, 2)) + b.max(axis=(1, 2))
        other = (b * a.mean(axis=0)).sum(axis=(1, 2)) + a.max(axis=(1, 2))
        found.append(np.linalg.norm(one / np.linalg.norm(one) - other / np.linalg.norm(other)))
    return np.array(found)


@pytest.mark.parametrize("block", [1, 3, 1000])
def test_one_pair_after_the_other(block: int) -> None:
    """In any order, and some pairs twice."""
    queries, gallery = some_pairs()
    assert len(set(zip(queries.tolist(), gallery.tolist(), strict=True))) < len(queries)
    np.testing.assert_allclose(scorer(block)[0](queries, gallery), naive(queries, gallery), atol=1e-5)


def test_nobody_is_paired() -> None:
    none = np.empty(0, dtype=np.int64)
    assert scorer(3)[0](none, none).shape == (0,)


def test_maps_come_in_blocks_and_a_querys_once() -> None:
    made, query, gallery = scorer(3)
    made(*some_pairs(count=200))
    reads, theirs = query.reads, gallery.reads  # type: ignore[attr-defined]
    assert [row for rows in reads for row in rows] == list(range(7))
    assert [len(rows) for rows in reads] == [3, 3, 1]
    assert max(map(len, theirs)) == 3
    assert sum(map(len, theirs)) <= 20 * len(reads)


def test_what_was_computed_is_remembered() -> None:
    made, query, gallery = scorer(3)
    first = made(*some_pairs())
    count = len(query.reads) + len(gallery.reads)  # type: ignore[attr-defined]
    queries, items = some_pairs()
    np.testing.assert_array_equal(made(queries[::-2], items[::-2]), first[::-2])
    assert len(query.reads) + len(gallery.reads) == count  # type: ignore[attr-defined]
    more = some_pairs(1)
    np.testing.assert_allclose(made(*more), naive(*more), atol=1e-5)
    np.testing.assert_array_equal(made(*some_pairs()), first)


@pytest.mark.parametrize("world", [2, 3, 5])
def test_a_team_gets_the_same_to_the_last_bit(world: int) -> None:
    pairs = some_pairs()
    expected = scorer(2)[0](*pairs)
    shares = []

    def work(team: Team) -> Doubles:
        made, query, _ = scorer(2, team)
        found = made(*pairs)
        shares.append([row for rows in query.reads for row in rows])  # type: ignore[attr-defined]
        return found

    for found in together(world, work):
        np.testing.assert_array_equal(found, expected)
    assert sorted(row for share in shares for row in share) == list(range(7))
    assert max(map(len, shares)) < 7


def test_training_is_over() -> None:
    made, _, _ = scorer(3)
    made.embedder.train()
    made(*some_pairs())
    assert not made.embedder.training
