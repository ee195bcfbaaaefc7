"""Poolings against their formulas."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from common.errors import UserError
from modeling.layers.pooling import POOLINGS, GeMPooling, build_pooling


@pytest.fixture
def maps() -> Tensor:
    generator = torch.Generator().manual_seed(5)
    return torch.randn(3, 4, 6, 2, generator=generator, dtype=torch.float64).relu()


def gem(maps: Tensor, p: Tensor, eps: float = 1e-6) -> Tensor:
    """The formula, cell by cell."""
    batch, channels, height, width = maps.shape
    rows = []
    for b in range(batch):
        for c in range(channels):
            powers = [maps[b, c, y, x].clamp(min=eps) ** p for y in range(height) for x in range(width)]
            rows.append((sum(powers[1:], powers[0]) / len(powers)) ** (1 / p))
    return torch.stack(rows).view(batch, channels)


@pytest.mark.parametrize("p", [1.0, 3.0, 6.5])
def test_gem_is_its_formula_in_value_and_gradients(maps: Tensor, p: float) -> None:
    layer = GeMPooling(4).double()
    with torch.no_grad():
        layer.p.fill_(p)
    weights = torch.randn(3, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    mine, theirs = maps.clone().requires_grad_(), maps.clone().requires_grad_()
    exponent = torch.tensor(p, dtype=torch.float64, requires_grad=True)
    out, expected = layer(mine), gem(theirs, exponent)
    torch.testing.assert_close(out, expected)
    (out * weights).sum().backward()
    (expected * weights).sum().backward()
    torch.testing.assert_close(mine.grad, theirs.grad)
    torch.testing.assert_close(layer.p.grad, exponent.grad)
    assert layer.p.grad is not None
    assert layer.p.grad.item() != 0


def test_gem_stays_finite_on_dead_channels_for_any_exponent() -> None:
    layer = GeMPooling(2)
    with torch.no_grad():
        layer.p.fill_(20.0)
    maps = torch.zeros(1, 2, 4, 4)
    maps[0, 1, 0, 0] = 1e4
    maps.requires_grad_()
    layer(maps).sum().backward()
    assert layer.p.grad is not None
    assert maps.grad is not None
    assert bool(layer.p.grad.isfinite())
    assert bool(maps.grad.isfinite().all())


def test_gem_starts_at_three() -> None:
    layer = GeMPooling(8)
    assert layer.p.item() == 3
    assert layer.p.shape == ()


def test_average(maps: Tensor) -> None:
    torch.testing.assert_close(build_pooling("average", 4)(maps), maps.sum(dim=(2, 3)) / 12)


def test_maxavg_is_the_maximum_first_then_the_average(maps: Tensor) -> None:
    pooling = build_pooling("maxavg", 4)
    out = pooling(maps)
    assert pooling.channels == 8
    assert torch.equal(out[:, :4], maps.flatten(2).max(dim=2).values)
    torch.testing.assert_close(out[:, 4:], maps.flatten(2).mean(dim=2))


@pytest.mark.parametrize("name", POOLINGS)
def test_float32_under_autocast_and_on_half_maps(name: str, maps: Tensor) -> None:
    pooling = build_pooling(name, 4)
    half = maps.bfloat16()
    expected = pooling(half.float())
    with torch.autocast("cpu", torch.bfloat16):
        assert pooling(half).dtype == torch.float32
        torch.testing.assert_close(pooling(half), expected)
        torch.testing.assert_close(pooling(maps.float()), pooling(maps.float()).float())
    torch.testing.assert_close(pooling(half), expected)
    assert pooling(half).shape == (3, pooling.channels)


def test_unknown_name() -> None:
    with pytest.raises(UserError, match="unknown pooling 'averge', did you mean 'average'"):
        build_pooling("averge", 4)
