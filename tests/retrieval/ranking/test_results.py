"""Metrics from ranks, and summaries."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from retrieval.protocols import protocol
from retrieval.ranking.ranks import Ranks
from retrieval.ranking.results import CameraTable, PerQuery, Scores, summarise
from tests.retrieval.naive import naive_metrics


def ranks_of(*queries: list[int]) -> Ranks:
    """From the ranks of each query's positives."""
    owners = np.concatenate([np.full(len(ranks), query) for query, ranks in enumerate(queries)])
    ahead = np.concatenate([np.array(sorted(ranks)) - np.arange(1, len(ranks) + 1) for ranks in queries])
    return Ranks.of(len(queries), owners.astype(np.int64), ahead.astype(np.int64))


def test_golden_precisions() -> None:
    ranks = ranks_of([1, 3, 6])
    assert ranks.trapezoid_precision()[0] == pytest.approx(0.677778, abs=5e-7)
    assert ranks.average_precision()[0] == pytest.approx(0.722222, abs=5e-7)
    assert ranks.inverse_negative_penalty().tolist() == [0.5]


def test_perfect_ranking_is_exactly_one() -> None:
    ranks = ranks_of(list(range(1, 8)))
    for metric in (ranks.average_precision, ranks.trapezoid_precision, ranks.inverse_negative_penalty):
        assert metric().tolist() == [1]


def test_single_match_at_rank_two() -> None:
    ranks = ranks_of([2])
    assert (ranks.average_precision()[0], ranks.trapezoid_precision()[0]) == (0.5, 0.25)


@given(st.lists(st.lists(st.booleans(), max_size=12), min_size=1, max_size=6), st.randoms())
@settings(deadline=None, max_examples=200)
def test_equals_one_ranking_after_the_other(rankings: list[list[bool]], random: object) -> None:
    """From negatives ahead of each positive, given in any order, for queries with none and with many."""
    owners, ahead = [], []
    for query, hits in enumerate(rankings):
        for place, hit in enumerate(hits):
            if hit:
                owners.append(query)
                ahead.append(place - sum(hits[:place]))
    order = list(range(len(owners)))
    random.shuffle(order)  # type: ignore[attr-defined]
    ranks = Ranks.of(len(rankings), np.array(owners, dtype=np.int64)[order], np.array(ahead, dtype=np.int64)[order])
    for query, hits in enumerate(rankings):
        expected = naive_metrics(hits) if any(hits) else (np.nan, np.nan, np.nan, 0)
        found = (
            ranks.average_precision()[query],
            ranks.trapezoid_precision()[query],
            ranks.inverse_negative_penalty()[query],
            ranks.first()[query],
        )
        np.testing.assert_allclose(found, expected, rtol=1e-12)


def per_query() -> PerQuery:
    nan = np.nan
    return PerQuery(
        rows=np.array([0, 1, 2]),
        ap=np.array([0.5, nan, 1]),
        ap_trap=np.array([0.25, nan, 1]),
        inp=np.array([0.5, nan, 1]),
        first_rank=np.array([2, 0, 1]),
        valid=np.array([True, False, True]),
    )


def summary() -> Scores:
    return summarise(per_query(), gallery=3, protocol=protocol("market"), scorer="cosine", expand="aqe")


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
    assert plain["expand"] == "aqe"
    assert all(type(value) in (float, int, str, bool) for value in scores.as_dict().values())
    first, names, values = scores.table().splitlines()
    assert "2 of 3 queries" in first
    assert "expansion aqe, no re-ranking;" in first
    assert dict(zip(names.split(), values.split(), strict=True))["mAP_trap"] == "62.50"


def test_camera_table() -> None:
    table = CameraTable.of(np.array([3, 3, 0]), {1: per_query(), 7: per_query()})
    assert table.asked.tolist() == [0, 3]
    assert table.found.tolist() == [1, 7]
    assert table.queries.tolist() == [[1, 1], [1, 1]]
    assert table.mAP.tolist() == [[1, 1], [0.5, 0.5]]
    assert table.rank1.tolist() == [[1, 1], [0, 0]]
    lines = table.table().splitlines()
    assert lines[1].split() == ["query", "\\", "gallery", "camera", "1", "camera", "7"]
    assert lines[3].split() == ["camera", "3", "50.0", "/", "0.0", "50.0", "/", "0.0"]
    assert json.loads(json.dumps(table.as_dict(), allow_nan=False))["gallery_cameras"] == [1, 7]
