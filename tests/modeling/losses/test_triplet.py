"""The batch-hard triplet loss against the formula in loops."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from modeling.losses.triplet import TripletLoss, hard_distances, hardest


def distance(x: Tensor, y: Tensor) -> Tensor:
    return ((x - y) ** 2).sum().clamp(min=1e-12).sqrt()


def naive(features: Tensor, labels: list[int], margin: float | None, kind: str) -> Tensor:
    """Anchor by anchor, candidate by candidate."""
    if kind != "plain":
        features = torch.stack([x / x.norm() for x in features])
    apart = (lambda x, y: 1 - x @ y) if kind == "cosine" else distance
    losses = []
    for a, label in enumerate(labels):
        others = [i for i in range(len(labels)) if i != a and labels[i] != -1]
        positives = [apart(features[a], features[i]) for i in others if labels[i] == label]
        negatives = [apart(features[a], features[i]) for i in others if labels[i] != label]
        if label == -1 or not positives or not negatives:
            continue
        gap = max(positives) - min(negatives)
        losses.append((1 + gap.exp()).log() if margin is None else (margin + gap).clamp(min=0))
    return sum(losses[1:], losses[0]) / len(losses) if losses else features.sum() * 0


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 2**31),
    labels=st.lists(st.integers(-1, 3), min_size=1, max_size=9),
    margin=st.sampled_from([None, 0.0, 0.3, 2.0]),
    kind=st.sampled_from(["plain", "normalize", "cosine"]),
)
def test_is_the_formula_in_value_and_gradient(seed: int, labels: list[int], margin: float | None, kind: str) -> None:
    generator = torch.Generator().manual_seed(seed)
    features = torch.randn(len(labels), 4, generator=generator, dtype=torch.float64)
    mine, theirs = features.clone().requires_grad_(), features.clone().requires_grad_()
    loss = TripletLoss(margin, normalize=kind == "normalize", cosine=kind == "cosine")(mine, torch.tensor(labels))
    expected = naive(theirs, labels, margin, kind)
    torch.testing.assert_close(loss, expected)
    loss.backward()
    expected.backward()
    torch.testing.assert_close(mine.grad, theirs.grad)


def test_a_batch_by_hand() -> None:
    features = torch.tensor([[0.0], [1.0], [3.0], [7.0], [100.0]])
    labels = torch.tensor([0, 0, 1, 1, -1])
    positive, negative, valid = hard_distances(features, labels)
    assert positive[:4].tolist() == [1, 1, 4, 4]
    assert negative[:4].tolist() == [3, 2, 2, 6]
    assert valid.tolist() == [True, True, True, True, False]
    assert TripletLoss(0.5)(features, labels).item() == pytest.approx((0 + 0 + 2.5 + 0) / 4)
    soft = [math.log1p(math.exp(gap)) for gap in (-2, -1, 2, -2)]
    assert TripletLoss(None)(features, labels).item() == pytest.approx(sum(soft) / 4)


def test_mining_takes_any_distance_matrix() -> None:
    distances = torch.tensor([[9.0, 1, 2, 3], [1, 9, 5, 4], [0, 0, 9, 0], [0, 0, 0, 9]])
    rows = hardest(distances, torch.tensor([0, 0, 1, 2]))
    assert rows.positive[:2].tolist() == [1, 0]
    assert rows.negative[:2].tolist() == [2, 3]
    assert rows.valid.tolist() == [True, True, False, False]


@pytest.mark.parametrize("labels", [[2, 2, 2], [-1, -1, -1], [0, 1, 2], [0, -1, -1]])
@pytest.mark.parametrize("margin", [0.3, None])
def test_no_valid_anchor_is_zero_with_a_gradient(labels: list[int], margin: float | None) -> None:
    features = torch.randn(3, 4, requires_grad=True)
    loss = TripletLoss(margin)(features, torch.tensor(labels))
    loss.backward()
    assert loss.item() == 0
    assert torch.equal(features.grad, torch.zeros(3, 4))  # type: ignore[arg-type]


@pytest.mark.parametrize("normalize", [False, True])
@pytest.mark.parametrize("margin", [0.3, None])
def test_duplicates_have_finite_gradients(margin: float | None, normalize: bool) -> None:
    features = torch.ones(4, 8)
    features[3] = 0
    features.requires_grad_()
    loss = TripletLoss(margin, normalize=normalize)(features, torch.tensor([0, 0, 1, 1]))
    loss.backward()
    assert features.grad is not None
    assert bool(loss.isfinite())
    assert bool(features.grad.isfinite().all())


def test_near_pairs_of_long_vectors_keep_their_digits() -> None:
    features = torch.full((3, 2048), 30.0)
    features[1, 0] += 0.01
    features[2] = 0
    positive, _, _ = hard_distances(features, torch.tensor([0, 0, 1]))
    assert positive[0].item() == pytest.approx(0.01, rel=1e-3)


@pytest.mark.parametrize("normalize", [False, True])
def test_float32_under_autocast(normalize: bool) -> None:
    torch.manual_seed(0)
    features, labels = torch.randn(6, 16).bfloat16().requires_grad_(), torch.tensor([0, 0, 1, 1, 2, 2])
    criterion = TripletLoss(0.3, normalize=normalize)
    with torch.autocast("cpu", torch.bfloat16):
        loss = criterion(features, labels)
        assert hard_distances(features, labels).positive.dtype == torch.float32
    assert loss.dtype == torch.float32
    torch.testing.assert_close(loss, criterion(features.float(), labels))
    loss.backward()
    assert features.grad is not None
    assert features.grad.dtype == torch.bfloat16
