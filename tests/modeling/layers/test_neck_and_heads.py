"""The BN-neck and the identity classifier: what starts where, and what learns."""

from __future__ import annotations

import pytest
import torch

from modeling.layers.heads import CosineClassifier, IdentityClassifier
from modeling.layers.neck import BNNeck, scaled_neck


def test_neck_normalises_and_its_shift_stays_at_zero() -> None:
    torch.manual_seed(0)
    neck = BNNeck(5)
    out = neck(4 + 3 * torch.randn(64, 5))
    torch.testing.assert_close(out.mean(dim=0), torch.zeros(5), atol=1e-6, rtol=0)
    torch.testing.assert_close(out.std(dim=0, unbiased=False), torch.ones(5), atol=1e-4, rtol=0)
    out.square().sum().backward()
    assert bool((neck.weight == 1).all())
    assert bool((neck.bias == 0).all())
    assert neck.weight.grad is not None
    assert neck.bias.grad is None


def test_neck_can_learn_its_shift() -> None:
    assert BNNeck(5, frozen_bias=False).bias.requires_grad


def test_neck_has_the_keys_of_a_batchnorm() -> None:
    assert set(BNNeck(5).state_dict()) == set(torch.nn.BatchNorm1d(5).state_dict())


def test_classifier_starts_small_and_has_no_bias() -> None:
    torch.manual_seed(0)
    head = IdentityClassifier(256, 400)
    assert list(head.state_dict()) == ["weight"]
    assert head.weight.shape == (400, 256)
    assert head.weight.std().item() == pytest.approx(0.001, rel=0.02)
    assert abs(head.weight.mean().item()) < 1e-5
    features = torch.randn(3, 256)
    torch.testing.assert_close(head(features), features @ head.weight.T)


def test_classifier_with_half_weights_takes_float32_features() -> None:
    head = IdentityClassifier(8, 4).bfloat16()
    assert head(torch.randn(2, 8)).dtype == torch.bfloat16


def test_classifier_with_a_bias_starts_at_zero() -> None:
    head = IdentityClassifier(8, 4, bias=True)
    assert head.bias is not None
    assert not head.bias.any()
    assert head.weight.std().item() < 0.002


def test_scaled_neck_is_a_batchnorm_that_learns_both() -> None:
    torch.manual_seed(0)
    neck = scaled_neck(20000)
    assert neck.weight.mean().item() == pytest.approx(1, abs=1e-3)
    assert neck.weight.std().item() == pytest.approx(0.02, rel=0.05)
    assert not neck.bias.any()
    assert neck.bias.requires_grad


def test_cosines_with_every_class() -> None:
    torch.manual_seed(0)
    head = CosineClassifier(6, 4)
    torch.testing.assert_close(head.weight.norm(dim=1), torch.ones(4))
    features = 5 * torch.randn(3, 6)
    with torch.no_grad():
        head.weight.mul_(3)
    cosines = head(features)
    for i in range(3):
        for j in range(4):
            expected = torch.nn.functional.cosine_similarity(features[i], head.weight[j], dim=0)
            assert cosines[i, j].item() == pytest.approx(expected.item(), abs=1e-6)
    with torch.autocast("cpu", torch.bfloat16):
        assert head(features.bfloat16()).dtype == torch.float32
