"""HCGA's attention against its equation, cell by cell."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from modeling.layers.spatial_attention import SpatialAttention


def normal(values: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """Over everything: there is one channel."""
    centred = values - values.mean()
    return weight * centred / (centred.square().mean() + 1e-5).sqrt() + bias


def between(values: Tensor, place: float) -> Tensor:
    """Linearly between the entries of the first dimension."""
    low = min(int(place), len(values) - 1)
    high = min(low + 1, len(values) - 1)
    return (1 - (place - low)) * values[low] + (place - low) * values[high]


def naive(layer: SpatialAttention, maps: Tensor) -> Tensor:
    count, _, height, width = maps.shape
    kernel = layer.around.weight[0]
    rows, columns = (height + 1) // 2, (width + 1) // 2
    coarse = torch.zeros(count, rows, columns, dtype=maps.dtype)
    for b in range(count):
        for i, j in ((i, j) for i in range(rows) for j in range(columns)):
            for dy, dx in ((dy, dx) for dy in range(3) for dx in range(3)):
                y, x = 2 * i + dy - 1, 2 * j + dx - 1
                if 0 <= y < height and 0 <= x < width:
                    coarse[b, i, j] = coarse[b, i, j] + (kernel[:, dy, dx] * maps[b, :, y, x]).sum()
    coarse = normal(coarse, layer.around_norm.weight, layer.around_norm.bias)
    assert coarse.min() < 0 < coarse.max()
    coarse = coarse.clamp(min=0)
    fine = torch.zeros(count, height, width, dtype=maps.dtype)
    for b in range(count):
        for y, x in ((y, x) for y in range(height) for x in range(width)):
            column = between(
                coarse[b].T, x * (columns - 1) / (width - 1)
            )  # the first on the first, the last on the last
            fine[b, y, x] = between(column, y * (rows - 1) / (height - 1))
    scaled = normal(layer.scale.weight.squeeze() * fine, layer.scale_norm.weight, layer.scale_norm.bias)
    return maps / (1 + (-scaled[:, None]).exp())


@pytest.mark.parametrize("size", [(6, 4), (7, 5)])
def test_the_equation_in_value_and_gradient(size: tuple[int, int]) -> None:
    torch.manual_seed(0)
    layer = SpatialAttention(3).double().train()
    for one in layer.parameters():
        torch.nn.init.normal_(one)
    torch.nn.init.ones_(layer.around_norm.weight)
    torch.nn.init.constant_(layer.around_norm.bias, 0.2)
    maps = torch.randn(2, 3, *size, dtype=torch.float64, requires_grad=True)
    towards = torch.randn(2, 3, *size, dtype=torch.float64)
    found = []
    for form in (layer, lambda given: naive(layer, given)):
        value = form(maps)
        gradients = torch.autograd.grad(value, [maps, *layer.parameters()], towards)
        found.append([value, *gradients])
    for mine, expected in zip(*found, strict=True):
        torch.testing.assert_close(mine, expected, rtol=1e-6, atol=1e-9)
    assert all(one.any() for one in found[0])


def test_one_weight_per_cell() -> None:
    torch.manual_seed(0)
    maps = torch.randn(2, 8, 6, 4)
    shares = SpatialAttention(8)(maps) / maps
    torch.testing.assert_close(shares, shares[:, :1].expand_as(shares))
    assert 0 < shares.min() < shares.max() < 1
    assert sum(one.numel() for one in SpatialAttention(256).parameters()) == 9 * 256 + 2 + 1 + 2
