"""Rules of the protocols on labels written out by hand, and whom they are asked about."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from common.errors import UserError
from retrieval.columns import Columns, Features
from retrieval.protocols import PROTOCOLS, Protocol, protocol
from retrieval.ranking.acquaintances import Acquaintances
from tests.retrieval.naive import naive_judgement

QUERY = Columns.of([1, 1, -1], [0, -1, 0], [5, 5, 5])
GALLERY = Columns.of([1, 1, 1, 2, -1, 1, 1], [0, 1, -1, 0, 0, 1, 1], [5, 5, 6, 5, 5, 6, -1])


def wanted(name: str) -> list[list[int]]:
    """A line per query: the gallery rows that are positives."""
    pairs = Acquaintances.of(QUERY, GALLERY)
    positives = pairs.positives(protocol(name))
    return [pairs.rows[positives & (pairs.owners == row)].tolist() for row in range(len(QUERY))]


def test_market() -> None:
    assert wanted("market") == [[1, 2, 5, 6], [0, 1, 2, 5, 6], []]


def test_no_camera() -> None:
    assert wanted("no-camera") == [[0, 1, 2, 5, 6], [0, 1, 2, 5, 6], []]


def test_cloth_changing() -> None:
    assert wanted("cloth-changing") == [[2, 5], [2, 5], []]


def test_same_clothes() -> None:
    assert wanted("same-clothes") == [[1], [0, 1], []]


@pytest.mark.parametrize("name", PROTOCOLS)
@given(seed=st.integers(0, 2**32 - 1), queries=st.integers(0, 6), items=st.integers(0, 20))
@settings(deadline=None, max_examples=50)
def test_the_list_equals_looking_at_every_pair(name: str, seed: int, queries: int, items: int) -> None:
    rng = np.random.default_rng(seed)
    query, gallery = (Columns.of(*(rng.integers(-1, 4, rows) for _ in range(3))) for rows in (queries, items))
    pairs = Acquaintances.of(query, gallery)
    every = [
        (row, item)
        for row in range(queries)
        for item in range(items)
        if query.pids[row] == gallery.pids[item] and query.pids[row] != -1
    ]
    assert list(zip(pairs.owners.tolist(), pairs.rows.tolist(), strict=True)) == every
    good = [naive_judgement(name, query, row, gallery, item) == "good" for row, item in every]
    assert pairs.positives(protocol(name)).tolist() == good


def test_who_is_asked_and_shown() -> None:
    rule = Protocol("x", "", asked=lambda columns: columns.camids == 0, shown=lambda columns: columns.camids != 1)
    pairs = Acquaintances.of(QUERY, GALLERY)
    positives = pairs.positives(rule)
    assert pairs.owners[positives].tolist() == [0, 0]
    assert pairs.rows[positives].tolist() == [0, 2]


def test_unknown_names_suggest() -> None:
    with pytest.raises(UserError, match="unknown protocol 'markt', did you mean 'market'"):
        protocol("markt")


def test_columns_and_features_check_their_shapes() -> None:
    with pytest.raises(ValueError, match="camids: expected int64"):
        Columns.of([1, 2], [1])
    with pytest.raises(ValueError, match="vectors: expected 2 dimensions and 2 rows"):
        Features(np.zeros((3, 4), dtype=np.float32), Columns.of([1, 2]))
    some = Features(np.eye(3, dtype=np.float32), Columns.of([4, 5, 6])).take(np.array([2, 0]))
    assert some.columns.pids.tolist() == [6, 4]
    assert some.vectors[0].tolist() == [0, 0, 1]
