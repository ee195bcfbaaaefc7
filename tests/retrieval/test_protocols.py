"""Rules of the protocols on labels written out by hand, and how scorers and columns are found and checked."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from common.errors import UserError
from retrieval.columns import Columns, Features
from retrieval.protocols import protocol
from retrieval.scorers import scorer
from retrieval.tiles import Tile

QUERY = Columns.of([1, 1, -1], [0, -1, 0])
GALLERY = Columns.of([1, 1, 1, 2, -1], [0, 1, -1, 0, 0])


def test_market() -> None:
    rule = protocol("market")
    good = rule.good(QUERY, GALLERY) & ~rule.junk(QUERY, GALLERY)
    assert good.astype(int).tolist() == [[0, 1, 1, 0, 0], [1, 1, 1, 0, 0], [0, 0, 0, 0, 0]]
    junk = rule.junk(QUERY, GALLERY)
    assert junk.astype(int).tolist() == [[1, 0, 0, 0, 1], [0, 0, 0, 0, 1], [0, 0, 0, 0, 1]]


def test_no_camera() -> None:
    rule = protocol("no-camera")
    good = rule.good(QUERY, GALLERY) & ~rule.junk(QUERY, GALLERY)
    assert good.astype(int).tolist() == [[1, 1, 1, 0, 0], [1, 1, 1, 0, 0], [0, 0, 0, 0, 0]]
    assert rule.junk(QUERY, GALLERY).astype(int).tolist() == [[0, 0, 0, 0, 1]] * 3


def test_unknown_names_suggest() -> None:
    with pytest.raises(UserError, match="unknown protocol 'markt', did you mean 'market'"):
        protocol("markt")
    with pytest.raises(UserError, match="unknown scorer 'cosin', did you mean 'cosine'"):
        scorer("cosin")


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16])
def test_scorers_equal_the_formulas(dtype: torch.dtype) -> None:
    generator = torch.Generator().manual_seed(0)
    left, right = (torch.randn(rows, 5, generator=generator).to(dtype) for rows in (3, 4))
    right[1] = 0
    right[2] = left[0]
    cosine, euclidean = scorer("cosine"), scorer("euclidean")
    query, gallery = (cosine.prepare(Tile(vectors)) for vectors in (left, right))  # type: ignore[attr-defined]
    cosines = cosine.scores(query, gallery)
    distances = euclidean.scores(Tile(left), Tile(right))
    assert cosines.dtype == distances.dtype == torch.float32
    for i, a in enumerate(left.double()):
        for j, b in enumerate(right.double()):
            norm = float(a.norm() * b.norm())
            assert float(cosines[i, j]) == pytest.approx(float(a @ b) / norm if norm else 0, abs=1e-6)
            assert float(distances[i, j]) == pytest.approx(-float((a - b).norm()), abs=2e-3)


def test_columns_and_features_check_their_shapes() -> None:
    with pytest.raises(ValueError, match="camids: expected int64"):
        Columns.of([1, 2], [1])
    with pytest.raises(ValueError, match="vectors: expected 2 dimensions and 2 rows"):
        Features(np.zeros((3, 4), dtype=np.float32), Columns.of([1, 2]))
    some = Features(np.eye(3, dtype=np.float32), Columns.of([4, 5, 6])).take(np.array([2, 0]))
    assert some.columns.pids.tolist() == [6, 4]
    assert some.vectors[0].tolist() == [0, 0, 1]
