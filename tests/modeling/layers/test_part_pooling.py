"""Means over parts, the published thresholds and what counts as seen, against loops."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from modeling.layers.part_pooling import guided_masks, masked_means, visible_parts


def probabilities(batch: int = 2, classes: int = 4, height: int = 5, width: int = 3, scale: float = 3.0) -> Tensor:
    torch.manual_seed(1)
    return (scale * torch.randn(batch, classes, height, width, dtype=torch.float64)).softmax(dim=1)


def naive_means(maps: Tensor, masks: Tensor, by_area: bool) -> Tensor:
    count, channels, height, width = maps.shape
    out = torch.zeros(count, masks.shape[1], channels, dtype=maps.dtype)
    for b in range(count):
        for m in range(masks.shape[1]):
            total, mass = torch.zeros(channels, dtype=maps.dtype), torch.zeros((), dtype=maps.dtype)
            for y in range(height):
                for x in range(width):
                    total = total + masks[b, m, y, x] * maps[b, :, y, x]
                    mass = mass + masks[b, m, y, x]
            out[b, m] = total / (mass if by_area else height * width)
    return out


@pytest.mark.parametrize("by_area", [True, False])
def test_means_in_value_and_gradient(by_area: bool) -> None:
    torch.manual_seed(0)
    maps = torch.randn(2, 6, 5, 3, dtype=torch.float64, requires_grad=True)
    masks = probabilities().requires_grad_()
    towards = torch.randn(2, 4, 6, dtype=torch.float64)
    found = [
        [value, *torch.autograd.grad(value, [maps, masks], towards)]
        for value in (masked_means(maps, masks, by_area=by_area), naive_means(maps, masks, by_area))
    ]
    for mine, expected in zip(*found, strict=True):
        torch.testing.assert_close(mine, expected)


def test_by_area_a_vector_does_not_tell_how_much_of_a_part_there_is() -> None:
    maps, masks = torch.rand(1, 4, 6, 2), torch.zeros(1, 2, 6, 2)
    maps[:] = torch.tensor([1.0, 2.0, 3.0, 4.0])[:, None, None]
    masks[0, 0, :1], masks[0, 1, :3] = 0.5, 0.5
    small, large = masked_means(maps, masks, by_area=True)[0]
    torch.testing.assert_close(small, torch.tensor([1.0, 2.0, 3.0, 4.0]))
    torch.testing.assert_close(large, small)
    small, large = masked_means(maps, masks, by_area=False)[0]
    torch.testing.assert_close(3 * small, large)


@pytest.mark.parametrize("by_area", [True, False])
def test_a_part_without_mass_is_zero_and_so_are_its_gradients(by_area: bool) -> None:
    maps = torch.randn(1, 4, 3, 2, requires_grad=True)
    masks = torch.zeros(1, 2, 3, 2)
    masks[0, 1] = 1
    masks.requires_grad_()
    means = masked_means(maps, masks, by_area=by_area)
    assert not means[0, 0].any()
    torch.testing.assert_close(means[0, 1], maps[0].mean(dim=(1, 2)))
    means[0, 0].sum().backward()
    assert maps.grad is not None
    assert masks.grad is not None
    assert not maps.grad.any()
    assert masks.grad.isfinite().all()


def test_sums_are_float32_in_half_precision() -> None:
    maps = torch.ones(1, 1, 64, 32, dtype=torch.bfloat16)
    masks = torch.full((1, 1, 64, 32), 0.3)
    with torch.autocast("cpu", torch.bfloat16):
        means = masked_means(maps, masks, by_area=False)
    assert means.dtype == torch.float32
    assert means.item() == pytest.approx(0.3, abs=1e-6)


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("classes", [2, 4, 6])
def test_published_thresholds(training: bool, classes: int) -> None:
    """They are those of four classes, whatever their number."""
    given = probabilities(classes=classes)
    expected = torch.zeros_like(given)
    for place in torch.cartesian_prod(*map(torch.arange, given.shape)).tolist():
        value = given[tuple(place)]
        if training and value >= 0.25:
            expected[tuple(place)] = value
        if not training and value >= 0.75:
            expected[tuple(place)] = 0.5
    found = guided_masks(given, training=training)
    assert torch.equal(found, expected)
    assert 0 < (found > 0).double().mean() < 1


def test_thresholds_of_the_recipes_are_a_quarter_and_three_quarters() -> None:
    row = torch.tensor([0.25, 0.75, 0.0, 0.0])[:, None, None]
    given = torch.stack([row, torch.tensor([0.249, 0.749, 0.001, 0.001])[:, None, None]])
    assert guided_masks(given, training=True).flatten(1)[:, 0].tolist() == [0.25, 0]
    assert guided_masks(given, training=False).flatten(1)[:, 1].tolist() == [0.5, 0]


def test_what_is_seen() -> None:
    given = probabilities(batch=3, height=10, width=10)
    given[0, 0] = 2  # nothing but background
    given[1, 2] = 0
    given[1, 2, 0, 0] = 2  # a stray cell of part 2
    for least in (0.0, 0.01, 0.015, 0.5):
        expected = []
        for picture in given:
            counts = [0] * 4
            for y in range(10):
                for x in range(10):
                    counts[max(range(4), key=lambda k: float(picture[k, y, x]))] += 1
            expected.append([float(count > 0 and count / 100 >= least) for count in counts[1:]])
        found = visible_parts(given, least)
        assert found.tolist() == expected, least
        assert found.dtype == torch.float32
        assert found[0].sum() == 0
        assert found[1, 1] == (least <= 0.01)
    assert torch.equal(visible_parts(given.log(), 0.0), visible_parts(given, 0.0))
