"""Re-ranking equals the published loops, and is evaluated like any other scores."""

from __future__ import annotations

import numpy as np
import pytest

from common.errors import UserError
from retrieval.evaluation import evaluate
from retrieval.protocols import protocol
from retrieval.reranking import memory_need, rerank
from retrieval.scorers import Precomputed, scorer
from tests.retrieval.naive import features_of, naive_rerank


def people(seed: int, rows: int, identities: int, noise: float) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    pids = np.arange(rows) % identities
    centres = np.random.default_rng(99).standard_normal((identities, 16))
    return (centres[pids] + noise * rng.standard_normal((rows, 16))).astype(np.float32), pids


@pytest.mark.parametrize(("k1", "k2", "lam"), [(20, 6, 0.3), (5, 1, 0.3), (7, 3, 0.0), (6, 9, 1.0), (200, 4, 0.3)])
def test_equals_naive_loops(k1: int, k2: int, lam: float) -> None:
    query, _ = people(0, 23, 8, 0.9)
    gallery, _ = people(1, 90, 8, 0.9)
    result = rerank(query, gallery, k1, k2, lam)
    assert result.dtype == np.float32
    np.testing.assert_allclose(result, naive_rerank(query, gallery, k1, k2, lam), atol=2e-5)


def test_more_rows_than_a_block() -> None:
    query, _ = people(2, 30, 10, 0.7)
    gallery, _ = people(3, 260, 10, 0.7)
    np.testing.assert_allclose(rerank(query, gallery), naive_rerank(query, gallery, 20, 6, 0.3), atol=2e-5)


def test_identical_pictures_do_not_divide_by_zero() -> None:
    assert np.isfinite(rerank(np.ones((2, 4), dtype=np.float32), np.ones((5, 4), dtype=np.float32))).all()


def test_it_helps_and_is_evaluated_from_its_matrix() -> None:
    (left, asked), (right, known) = people(4, 40, 10, 1.3), people(5, 160, 10, 1.3)
    query, gallery = features_of(left, asked), features_of(right, known)
    plain = evaluate(scorer("cosine"), query, gallery, protocol("no-camera"))
    better = evaluate(Precomputed(-rerank(left, right)), query, gallery, protocol("no-camera"))
    assert better.ap.mean() > plain.ap.mean() + 0.02


def test_too_large_is_refused_beforehand() -> None:
    huge = np.broadcast_to(np.float32(0), (10**6, 256))
    with pytest.raises(UserError, match=r"takes about \d+\.\d GiB and 16\.0 GiB are allowed; re-rank a smaller set"):
        rerank(huge, huge)
    with pytest.raises(UserError, match="query has 3 and gallery 4 numbers"):
        rerank(np.ones((2, 3), dtype=np.float32), np.ones((2, 4), dtype=np.float32))
    assert memory_need(3368, 15913, 2048, 20, 6) < 1 << 30
