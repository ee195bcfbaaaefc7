from __future__ import annotations

import numpy as np
import pytest

from data.readers.labels import outfits


@pytest.mark.parametrize("seed", range(10))
def test_outfits_equal_the_loops(seed: int) -> None:
    random = np.random.default_rng(seed)
    pids = random.integers(-1, 5, 40)
    values = random.choice(["", "-1", "2", "10", "3"], 40).tolist()
    known = sorted(
        {(pid, int(v)) for pid, v in zip(pids.tolist(), values, strict=True) if pid >= 0 and v not in ("", "-1")}
    )
    expected = []
    for pid, value in zip(pids.tolist(), values, strict=True):
        unknown = pid == -1 or value in ("", "-1")
        expected.append(-1 if unknown else known.index((pid, int(value))))
    assert outfits(pids, values).tolist() == expected


def test_outfits_by_name_and_of_nobody() -> None:
    assert outfits(np.array([1, 0, 1, 1]), ["red", "red", "blue", ""]).tolist() == [2, 0, 1, -1]
    assert outfits(np.array([1, 1]), ["01", "1"]).tolist() == [0, 1]
    assert outfits(np.zeros(0, dtype=np.int64), []).tolist() == []
    assert outfits(np.array([-1]), ["red"]).tolist() == [-1]
