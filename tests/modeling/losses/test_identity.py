"""Label-smoothed cross entropy against the formula in loops."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from modeling.losses.identity import IdentityLoss


def naive(logits: Tensor, labels: Tensor, smoothing: float, shares: Tensor | None = None) -> Tensor:
    """−1/B Σ_i w_i Σ_c q_ic log softmax(z_i)_c over the labelled rows."""
    classes, terms = logits.shape[1], []
    weights = [1.0] * len(labels) if shares is None else shares.tolist()
    for row, label, weight in zip(logits, labels.tolist(), weights, strict=True):
        if label == -1:
            continue
        log_sum = sum((z.exp() for z in row[1:]), row[0].exp()).log()
        for c in range(classes):
            q = (1 - smoothing) * (c == label) + smoothing / classes
            terms.append(-weight * q * (row[c] - log_sum))
    count = int((labels != -1).sum())
    return sum(terms[1:], terms[0]) / count if terms else logits.sum() * 0


@settings(max_examples=30, deadline=None)
@given(
    seed=st.integers(0, 2**31),
    labels=st.lists(st.integers(-1, 4), min_size=1, max_size=6),
    smoothing=st.sampled_from([0.0, 0.1, 0.4]),
    shared=st.booleans(),
)
def test_is_the_formula_in_value_and_gradient(seed: int, labels: list[int], smoothing: float, shared: bool) -> None:
    generator = torch.Generator().manual_seed(seed)
    logits = 3 * torch.randn(len(labels), 5, generator=generator, dtype=torch.float64)
    mine, theirs = logits.clone().requires_grad_(), logits.clone().requires_grad_()
    shares = torch.rand(len(labels), generator=generator) if shared else None
    loss = IdentityLoss(smoothing)(mine, torch.tensor(labels), shares)
    expected = naive(theirs, torch.tensor(labels), smoothing, shares)
    torch.testing.assert_close(loss, expected)
    loss.backward()
    expected.backward()
    torch.testing.assert_close(mine.grad, theirs.grad)


def test_is_torchs_own_label_smoothing() -> None:
    torch.manual_seed(0)
    logits, labels = torch.randn(8, 20), torch.randint(20, (8,))
    torch.testing.assert_close(IdentityLoss(0.1)(logits, labels), F.cross_entropy(logits, labels, label_smoothing=0.1))


@pytest.mark.parametrize(("classes", "floor"), [(77, 0.7497), (150, 0.8207), (632, 0.9684), (5000, 1.1766)])
def test_cannot_fall_below_the_entropy_of_the_target(classes: int, floor: float) -> None:
    target = torch.full((1, classes), 0.1 / classes, dtype=torch.float64)
    target[0, 0] += 0.9
    logits = target.log().requires_grad_()
    loss = IdentityLoss(0.1)(logits, torch.tensor([0]))
    assert loss.item() == pytest.approx(floor, abs=5e-5)
    loss.backward()
    torch.testing.assert_close(logits.grad, torch.zeros_like(logits))


def test_no_label_at_all_is_zero_with_a_gradient() -> None:
    logits = torch.randn(3, 5, requires_grad=True)
    loss = IdentityLoss()(logits, torch.full((3,), -1))
    loss.backward()
    assert loss.item() == 0
    assert torch.equal(logits.grad, torch.zeros(3, 5))  # type: ignore[arg-type]


def test_float32_under_autocast() -> None:
    torch.manual_seed(0)
    logits, labels = torch.randn(4, 7).bfloat16().requires_grad_(), torch.tensor([0, 3, -1, 6])
    with torch.autocast("cpu", torch.bfloat16):
        loss = IdentityLoss()(logits, labels)
    assert loss.dtype == torch.float32
    torch.testing.assert_close(loss, IdentityLoss()(logits.float(), labels))
    loss.backward()
    assert logits.grad is not None
    assert logits.grad.dtype == torch.bfloat16
