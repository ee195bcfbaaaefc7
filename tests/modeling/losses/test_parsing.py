"""The loss of parsed cells against its formula."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from modeling.losses.parsing import ParsingLoss


def naive(logits: Tensor, masks: Tensor) -> Tensor:
    losses = []
    for b, y, x in torch.cartesian_prod(*map(torch.arange, masks.shape)).tolist():
        label = int(masks[b, y, x])
        if label != -1:
            scores = logits[b, :, y, x]
            losses.append(scores.exp().sum().log() - scores[label])
    return torch.stack(losses).mean()


def test_value_and_gradient() -> None:
    torch.manual_seed(0)
    logits = torch.randn(3, 4, 5, 2, dtype=torch.float64, requires_grad=True)
    masks = torch.randint(-1, 4, (3, 5, 2))
    assert (masks == -1).any()
    found = [
        (loss, torch.autograd.grad(loss, logits)[0]) for loss in (ParsingLoss()(logits, masks), naive(logits, masks))
    ]
    for mine, expected in zip(*found, strict=True):
        torch.testing.assert_close(mine, expected)


def test_an_undecided_head_loses_log_k() -> None:
    loss = ParsingLoss()(torch.zeros(2, 4, 3, 3), torch.ones(2, 3, 3, dtype=torch.int64))
    assert loss.item() == pytest.approx(1.386294, abs=1e-6)


def test_nothing_counted_is_zero_with_gradients_of_zero() -> None:
    logits = torch.randn(2, 4, 3, 3, requires_grad=True)
    loss = ParsingLoss()(logits, torch.full((2, 3, 3), -1))
    loss.backward()
    assert loss.item() == 0
    assert logits.grad is not None
    assert not logits.grad.any()


def test_float32_in_half_precision() -> None:
    logits = torch.randn(2, 4, 3, 3)
    masks = torch.randint(0, 4, (2, 3, 3))
    with torch.autocast("cpu", torch.bfloat16):
        loss = ParsingLoss()(logits.bfloat16(), masks)
    assert loss.dtype == torch.float32
    torch.testing.assert_close(loss, ParsingLoss()(logits.bfloat16().float(), masks))
