"""CBAM against its two equations, cell by cell."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from modeling.layers.cbam import CBAM


def sigmoid(value: Tensor) -> Tensor:
    return 1 / (1 + (-value).exp())


def naive(layer: CBAM, maps: Tensor) -> Tensor:
    first, last = layer.mlp[0].weight, layer.mlp[2].weight
    assert isinstance(first, Tensor)
    assert isinstance(last, Tensor)
    kernel = layer.cells.weight[0]
    pictures = []
    for picture in maps:
        channels, height, width = picture.shape
        cells = [(y, x) for y in range(height) for x in range(width)]
        mean = torch.stack([sum(picture[c, y, x] for y, x in cells) / len(cells) for c in range(channels)])
        top = torch.stack([torch.stack([picture[c, y, x] for y, x in cells]).max() for c in range(channels)])
        weight = sigmoid(last @ (first @ mean).clamp(min=0) + last @ (first @ top).clamp(min=0))
        weighed = torch.stack([weight[c] * picture[c] for c in range(channels)])
        rows = []
        for y in range(height):
            row = []
            for x in range(width):
                total = torch.zeros((), dtype=maps.dtype)
                for dy, dx in ((dy, dx) for dy in range(-3, 4) for dx in range(-3, 4)):
                    if 0 <= y + dy < height and 0 <= x + dx < width:
                        near = weighed[:, y + dy, x + dx]
                        total = total + kernel[0, dy + 3, dx + 3] * near.sum() / channels
                        total = total + kernel[1, dy + 3, dx + 3] * near.max()
                row.append(sigmoid(total) * weighed[:, y, x])
            rows.append(torch.stack(row, dim=1))
        pictures.append(torch.stack(rows, dim=1))
    return torch.stack(pictures)


@pytest.mark.parametrize("channels", [5, 32])
def test_both_equations_in_value_and_gradient(channels: int) -> None:
    torch.manual_seed(0)
    layer = CBAM(channels).double()
    layer.mlp[0].get_parameter("weight").data[0].abs_()  # one that no ReLU silences, since the maxima are positive
    maps = torch.randn(2, channels, 5, 4, dtype=torch.float64, requires_grad=True)
    towards = torch.randn(2, channels, 5, 4, dtype=torch.float64)
    found = []
    for form in (layer, lambda given: naive(layer, given)):
        value = form(maps)
        gradients = torch.autograd.grad(value, [maps, *layer.parameters()], towards)
        found.append([value, *gradients])
    for mine, expected in zip(*found, strict=True):
        torch.testing.assert_close(mine, expected)
        assert mine.any()


def test_a_sixteenth_is_hidden() -> None:
    layer = CBAM(64)
    assert [tuple(one.shape) for one in layer.parameters()] == [(4, 64), (64, 4), (1, 2, 7, 7)]


def test_weights_lie_between_0_and_1() -> None:
    torch.manual_seed(0)
    maps = torch.randn(2, 8, 6, 3)
    shares = CBAM(8)(maps) / maps
    assert 0 < shares.min() < shares.max() < 1
    assert not math.isclose(shares.min().item(), shares.max().item(), rel_tol=0.01)
