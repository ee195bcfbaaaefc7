"""Evaluation equals a naive loop over a stable sort, however the work is cut."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import retrieval.evaluation as evaluation
from common.errors import UserError
from retrieval.columns import Columns, Features
from retrieval.evaluation import PerQuery, evaluate, share_of_blocks, summarise
from retrieval.protocols import PROTOCOLS, protocol
from retrieval.scorers import Precomputed, scorer
from tests.retrieval.naive import features_of, naive_evaluation

COLUMNS = ("rows", "ap", "ap_trap", "inp", "first_rank", "valid")


def assert_equal(left: PerQuery, right: PerQuery, rtol: float = 0) -> None:
    for name in COLUMNS:
        np.testing.assert_allclose(getattr(left, name), getattr(right, name), rtol=rtol, atol=0, err_msg=name)


def judged(scores: np.ndarray, query: Columns, gallery: Columns, name: str, **options: object) -> PerQuery:
    left, right = (Features(np.zeros((len(of), 1), dtype=np.float32), of) for of in (query, gallery))
    return evaluate(Precomputed(scores), left, right, protocol(name), **options)  # type: ignore[arg-type]


def random_case(seed: int, queries: int, items: int, levels: int) -> tuple[np.ndarray, Columns, Columns]:
    """Scores of `levels` different values (0: all different), pids from −1 and cameras from −1."""
    rng = np.random.default_rng(seed)
    scores = rng.random((queries, items), dtype=np.float32)
    if levels:
        scores = np.floor(scores * levels)
    query = Columns.of(rng.integers(-1, 5, queries), rng.integers(-1, 3, queries))
    gallery = Columns.of(rng.integers(-1, 5, items), rng.integers(-1, 3, items))
    return scores, query, gallery


@given(
    seed=st.integers(0, 2**32 - 1),
    queries=st.integers(1, 9),
    items=st.integers(1, 40),
    levels=st.sampled_from([0, 1, 2, 5, 64]),
    name=st.sampled_from(sorted(PROTOCOLS)),
    block=st.integers(1, 10),
)
@settings(deadline=None, max_examples=200)
def test_equals_naive_loop(seed: int, queries: int, items: int, levels: int, name: str, block: int) -> None:
    scores, query, gallery = random_case(seed, queries, items, levels)
    result = judged(scores, query, gallery, name, block=block)
    assert_equal(result, naive_evaluation(scores, query, gallery, name), rtol=1e-12)
    assert (result.ap_trap[result.valid] <= result.ap[result.valid]).all()


@given(seed=st.integers(0, 2**32 - 1), levels=st.sampled_from([0, 3]), tile=st.integers(1, 50))
@settings(deadline=None, max_examples=30)
def test_gallery_tiles_do_not_matter(seed: int, levels: int, tile: int) -> None:
    scores, query, gallery = random_case(seed, 7, 40, levels)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(evaluation, "_GALLERY_TILE", tile)
        assert_equal(
            judged(scores, query, gallery, "market"), naive_evaluation(scores, query, gallery, "market"), 1e-12
        )


@pytest.mark.parametrize("name", ["cosine", "euclidean"])
def test_block_size_does_not_matter(name: str) -> None:
    """Whole numbers with a norm that is a power of two, so that every product is exact and full of ties."""
    rng = np.random.default_rng(0)

    def whole(rows: int) -> Features:
        vectors = rng.choice([-1.0, 1.0], (rows, 16))
        return features_of(vectors, rng.integers(-1, 6, rows), rng.integers(0, 3, rows))

    query, gallery = whole(37), whole(201)
    reference = evaluate(scorer(name), query, gallery, protocol("market"))
    dots = query.vectors @ gallery.vectors.T
    assert_equal(reference, naive_evaluation(dots, query.columns, gallery.columns, "market"), rtol=1e-12)
    for block in (1, 5, 36, 37, 1000):
        assert_equal(evaluate(scorer(name), query, gallery, protocol("market"), block=block), reference)


def test_processes_put_together_equal_one() -> None:
    rng = np.random.default_rng(1)
    query = features_of(rng.standard_normal((53, 33)), rng.integers(0, 9, 53), rng.integers(0, 3, 53))
    gallery = features_of(rng.standard_normal((300, 33)), rng.integers(-1, 8, 300), rng.integers(0, 3, 300))

    def run(**options: object) -> PerQuery:
        return evaluate(scorer("cosine"), query, gallery, protocol("market"), block=8, **options)  # type: ignore[arg-type]

    whole = run()
    shares = [share_of_blocks(53, rank=rank, world=3, block=8) for rank in range(3)]
    assert sorted(np.concatenate(shares)) == list(range(53))
    assert_equal(PerQuery.merge([run(rows=share) for share in reversed(shares)]), whole)
    # Rows that tear blocks apart are slower and no different.
    assert_equal(PerQuery.merge([run(rows=range(1, 53, 2)), run(rows=range(0, 53, 2))]), whole)
    assert len(run(rows=[])) == 0
    with pytest.raises(ValueError, match="query row 3 was evaluated twice"):
        PerQuery.merge([run(rows=[3, 4]), run(rows=[3])])
    with pytest.raises(ValueError, match=r"rows must lie in 0\.\.52"):
        run(rows=[53])


def test_camc_micro_case() -> None:
    gallery = Columns.of([1, 2, 1, 1, 1, 3, 1, 1], [0, 1, 1, 1, 2, 2, 2, 0])
    scores = -np.arange(8, dtype=np.float32)[None]
    result = judged(scores, Columns.of([1], [0]), gallery, "market")
    assert result.ap[0] == pytest.approx(0.64583, abs=5e-6)
    assert result.first_rank[0] == 2


def test_all_equal_scores_follow_the_gallery_order() -> None:
    result = judged(np.zeros((1, 4), dtype=np.float32), Columns.of([1]), Columns.of([2, 2, 1, 2]), "market")
    assert result.first_rank[0] == 3


def test_infinite_scores_are_ranked() -> None:
    scores = np.array([[-np.inf, 0, np.inf]], dtype=np.float32)
    assert judged(scores, Columns.of([1]), Columns.of([1, 2, 2]), "market").first_rank[0] == 3


@pytest.mark.parametrize("role", ["query", "gallery"])
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_broken_features_name_the_row(role: str, value: float) -> None:
    sets = {"query": np.ones((6, 4)), "gallery": np.ones((9, 4))}
    sets[role][[3, 5], 2] = value
    query, gallery = (features_of(vectors, np.ones(len(vectors))) for vectors in sets.values())
    with pytest.raises(UserError, match=f"{role} features: row 3 holds NaN or inf"):
        evaluate(scorer("cosine"), query, gallery, protocol("market"), block=2)


def test_nan_scores_name_the_row() -> None:
    scores = np.zeros((4, 3), dtype=np.float32)
    scores[2, 1] = np.nan
    with pytest.raises(UserError, match="gave NaN for query row 2"):
        judged(scores, Columns.of([1] * 4), Columns.of([1] * 3), "market")


def test_what_does_not_fit_is_refused() -> None:
    query, gallery = features_of(np.ones((2, 4)), [1, 2]), features_of(np.ones((2, 5)), [1, 2])
    with pytest.raises(UserError, match=r"vectors of query and gallery do not fit: \(4,\) and \(5,\)"):
        evaluate(scorer("cosine"), query, gallery, protocol("market"))
    with pytest.raises(ValueError, match=r"gave \(2, 2\) scores for 2 query rows from 0 and 3 gallery rows"):
        judged(np.zeros((2, 2), dtype=np.float32), Columns.of([1, 2]), Columns.of([1, 2, 3]), "market")


def test_empty_gallery_has_no_positive() -> None:
    result = judged(np.zeros((2, 0), dtype=np.float32), Columns.of([1, 2]), Columns.of([]), "market")
    assert not result.valid.any()
    with pytest.raises(UserError, match=r"none of the 2 queries has a positive .* use the protocol 'no-camera'"):
        summarise(result, gallery=0, protocol="market", scorer="cosine")


def test_training_precision_does_not_reach_the_scores() -> None:
    rng = np.random.default_rng(2)
    query = features_of(rng.standard_normal((20, 64)), np.arange(20))
    gallery = features_of(rng.standard_normal((90, 64)), np.arange(90) % 20)
    reference = evaluate(scorer("cosine"), query, gallery, protocol("market"))
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("medium")
    try:
        with torch.autocast("cpu", dtype=torch.bfloat16):
            assert_equal(evaluate(scorer("cosine"), query, gallery, protocol("market")), reference)
        assert torch.get_float32_matmul_precision() == "medium"
    finally:
        torch.set_float32_matmul_precision(before)
