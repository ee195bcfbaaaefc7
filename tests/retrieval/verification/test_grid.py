"""The thresholds there are."""

from __future__ import annotations

import math

import numpy as np

from retrieval.verification.grid import BINS, Grid


def test_the_grid_spans_what_is_of_use() -> None:
    random = np.random.default_rng(0)
    genuine, sample = random.normal(0.7, 0.1, 5000), random.normal(0.1, 0.1, 16384)
    grid = Grid.around(genuine, sample, 0.1, 1e-7)
    edges = grid.edges
    assert grid.count <= BINS + 2
    assert math.log2(grid.step) % 1 == 0
    assert (np.diff(edges) == grid.step).all()
    assert edges[-2] <= genuine.max() < edges[-1]
    assert 0.19 < (sample >= edges[0]).mean() < 0.21  # twice what is asked for
    assert (edges / grid.step % 1 == 0.5).all()
    assert (grid.bins(edges) == np.arange(1, grid.count + 1)).all()
    assert grid.bins(np.array([-np.inf, np.inf, np.nextafter(edges[3], 0)])).tolist() == [0, grid.count, 3]
    # A scorer that cannot tell people apart is followed to where as many are accepted as are refused.
    blind = Grid.around(sample, sample, 0.1, 1e-7)
    assert (sample >= blind.edges[0]).mean() == 1
    # Float32 must be able to tell the edges apart.
    coarse = Grid.around(genuine, sample, 0.1, 1e-3)
    assert coarse.step >= 32e-3
    far_off = Grid.around(1e6 + genuine, 1e6 + sample, 0.1, 0)
    assert (far_off.edges.astype(np.float32) == far_off.edges).all()
    for same in (0.0, 1.0, -3e30, 1e-30):
        one = Grid.around(np.full(3, same), np.full(3, same), 0.1, 0)
        assert one.edges[0] <= same < one.edges[-1]
