"""Metrics from ranks, and summaries."""

from __future__ import annotations

import json

import numpy as np
import pytest

from retrieval.ranks import average_precision, inverse_negative_penalty, trapezoid_precision
from retrieval.results import PerQuery, Scores, summarise


def test_golden_precisions() -> None:
    ranks = np.array([1, 3, 6])
    assert trapezoid_precision(ranks) == pytest.approx(0.677778, abs=5e-7)
    assert average_precision(ranks) == pytest.approx(0.722222, abs=5e-7)
    assert inverse_negative_penalty(ranks) == 0.5


def test_perfect_ranking_is_exactly_one() -> None:
    ranks = np.arange(1, 8)
    assert average_precision(ranks) == trapezoid_precision(ranks) == inverse_negative_penalty(ranks) == 1


def test_single_match_at_rank_two() -> None:
    assert (average_precision(np.array([2])), trapezoid_precision(np.array([2]))) == (0.5, 0.25)


def summary() -> Scores:
    lines = [(0, 0.5, 0.25, 0.5, 2, 1), (1, np.nan, np.nan, np.nan, 0, 0), (2, 1, 1, 1, 1, 1)]
    return summarise(PerQuery.from_array(np.array(lines)), gallery=3, protocol="market", scorer="cosine")


def test_summary_leaves_out_queries_without_a_positive() -> None:
    scores = summary()
    assert (scores.mAP, scores.mAP_trap, scores.mINP) == (0.75, 0.625, 0.75)
    # The gallery has three rows: ranks beyond its end are reached by everybody.
    assert scores.cmc == {1: 0.5, 5: 1, 10: 1, 20: 1}
    assert (scores.queries, scores.valid_queries, scores.gallery) == (3, 2, 3)


def test_summary_as_json_and_text() -> None:
    scores = summary()
    plain = json.loads(json.dumps(scores.as_dict(), allow_nan=False))
    assert plain["mAP"] == 0.75
    assert plain["rank-1"] == 0.5
    assert plain["rerank"] is False
    assert all(type(value) in (float, int, str, bool) for value in scores.as_dict().values())
    first, names, values = scores.table().splitlines()
    assert "2 of 3 queries" in first
    assert dict(zip(names.split(), values.split(), strict=True))["mAP_trap"] == "62.50"


def test_exchange_form_loses_nothing() -> None:
    rng = np.random.default_rng(0)
    array = np.column_stack([np.arange(5)[::-1], rng.random((5, 3)), [0, 7, 2**40, 1, 3], [0, 1, 1, 1, 1]])
    array[0, 1:4] = np.nan
    per_query = PerQuery.from_array(array)
    assert per_query.rows.tolist() == [0, 1, 2, 3, 4]
    np.testing.assert_array_equal(per_query.to_array(), array[::-1])
    assert per_query.valid.tolist() == [True] * 4 + [False]
