"""The centre loss against the formula in loops."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from modeling.losses.center import CenterLoss


def naive(features: Tensor, labels: list[int], centers: Tensor) -> Tensor:
    """Sample by sample, coordinate by coordinate."""
    terms = []
    for x, label in zip(features, labels, strict=True):
        if label != -1:
            squares = [(x[d] - centers[label, d]) ** 2 for d in range(len(x))]
            terms.append(sum(squares[1:], squares[0]).clamp(1e-12, 1e12))
    return sum(terms[1:], terms[0]) / len(terms) if terms else (features.sum() + centers.sum()) * 0


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 2**31), labels=st.lists(st.integers(-1, 3), min_size=1, max_size=8))
def test_is_the_formula_in_value_and_gradients(seed: int, labels: list[int]) -> None:
    torch.manual_seed(seed)
    criterion = CenterLoss(4, 3).double()
    features = torch.randn(len(labels), 3, dtype=torch.float64)
    mine, theirs = features.clone().requires_grad_(), features.clone().requires_grad_()
    centers = criterion.centers.detach().clone().requires_grad_()
    loss, expected = criterion(mine, torch.tensor(labels)), naive(theirs, labels, centers)
    torch.testing.assert_close(loss, expected)
    loss.backward()
    expected.backward()
    torch.testing.assert_close(mine.grad, theirs.grad)
    torch.testing.assert_close(criterion.centers.grad, centers.grad)


def test_centres_start_from_a_standard_normal() -> None:
    torch.manual_seed(0)
    centers = CenterLoss(200, 300).centers
    assert centers.shape == (200, 300)
    assert centers.requires_grad
    assert centers.mean().item() == pytest.approx(0, abs=0.02)
    assert centers.std().item() == pytest.approx(1, abs=0.02)


def test_the_clamp_stops_the_gradient_at_both_ends() -> None:
    criterion = CenterLoss(1, 2)
    features = torch.stack([criterion.centers.detach()[0], torch.full((2,), 1e7)]).requires_grad_()
    loss = criterion(features, torch.tensor([0, 0]))
    loss.backward()
    assert loss.item() == pytest.approx(0.5e12)
    assert torch.equal(features.grad, torch.zeros(2, 2))  # type: ignore[arg-type]


def test_no_label_at_all_is_zero_with_a_gradient() -> None:
    criterion = CenterLoss(3, 2)
    features = torch.randn(4, 2, requires_grad=True)
    loss = criterion(features, torch.full((4,), -1))
    loss.backward()
    assert loss.item() == 0
    assert torch.equal(features.grad, torch.zeros(4, 2))  # type: ignore[arg-type]
    assert torch.equal(criterion.centers.grad, torch.zeros(3, 2))  # type: ignore[arg-type]


def test_float32_under_autocast_and_with_half_centres() -> None:
    torch.manual_seed(0)
    criterion = CenterLoss(5, 8).bfloat16()
    features, labels = torch.randn(4, 8).bfloat16(), torch.tensor([0, 4, -1, 2])
    with torch.autocast("cpu", torch.bfloat16):
        loss = criterion(features, labels)
    assert loss.dtype == torch.float32
    torch.testing.assert_close(loss, criterion.float()(features.float(), labels))
