"""Positions on a grid, number by number."""

from __future__ import annotations

import math

import pytest
import torch

from modeling.layers.positions import GridPositions, sines


def test_every_number() -> None:
    found = sines((3, 5), 12)
    assert found.shape == (15, 12)
    for y in range(3):
        for x in range(5):
            expected = []
            for at in (y, x):
                phases = [at / 10000 ** (k / 3) for k in range(3)]
                expected += [math.sin(phase) for phase in phases] + [math.cos(phase) for phase in phases]
            assert found[5 * y + x].tolist() == pytest.approx(expected, abs=1e-6)


def test_they_are_added_with_learned_strength() -> None:
    positions = GridPositions(8, strength=0.02)
    tokens = torch.randn(2, 6, 8)
    torch.testing.assert_close(positions(tokens, (2, 3)), tokens + 0.02 * sines((2, 3), 8))
    with torch.no_grad():
        positions.strength[3] = 5.0
    moved = positions(tokens, (2, 3)) - tokens
    torch.testing.assert_close(moved[0, :, 3], 5 * sines((2, 3), 8)[:, 3])
    positions(tokens, (3, 2)).sum().backward()
    assert positions.strength.grad is not None
    assert positions.strength.grad.any()


def test_every_place_is_another() -> None:
    places = sines((24, 12), 64)
    assert torch.pdist(places).min() > 0.1
