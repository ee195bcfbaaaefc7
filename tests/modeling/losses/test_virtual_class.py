"""Classification with virtual classes against the formula in loops, and the rows and lengths that go into it."""

from __future__ import annotations

import copy
import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from modeling.layers.split_neck import SplitNeck
from modeling.losses.virtual_class import (
    Moments,
    Negatives,
    VirtualClassLoss,
    agent_logits,
    align_agents,
    choose_negatives,
)

LOSS = VirtualClassLoss()


def naive(
    features: Tensor,
    labels: list[int],
    weight: Tensor,
    shares: list[float],
    agents: Tensor,
    filled: list[bool],
    memory: Tensor,
    negatives: Negatives,
) -> Tensor:
    """Sample by sample, class by class."""
    losses = []
    for k, (h, label, share) in enumerate(zip(features, labels, shares, strict=True)):
        if label == -1:
            continue
        logits = [(w * h).sum() for w in weight]
        length = weight[label].square().sum().sqrt().item()
        if filled[k]:
            logits.append((agents[k] * h).sum() * length)
            chosen = zip(negatives.rows[k].tolist(), negatives.valid[k].tolist(), strict=True)
            logits += [(memory[row] * h).sum() * length for row, there in chosen if there]
        total = torch.stack([logit.exp() for logit in logits]).sum().log()
        loss = total - logits[label]
        if filled[k]:
            loss = share * loss + (1 - share) * (total - logits[len(weight)])
        losses.append(loss)
    return torch.stack(losses).mean() if losses else (features.sum() + weight.sum()) * 0


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 2**31),
    rows=st.lists(st.tuples(st.integers(-1, 3), st.booleans()), min_size=1, max_size=6),
    one_share=st.booleans(),
    count=st.integers(0, 3),
)
def test_is_the_formula_in_value_and_gradients(
    seed: int, rows: list[tuple[int, bool]], one_share: bool, count: int
) -> None:
    generator = torch.Generator().manual_seed(seed)

    def normal(*shape: int) -> Tensor:
        return torch.randn(shape, generator=generator, dtype=torch.float64)

    labels, filled = [label for label, _ in rows], [there for _, there in rows]
    features, weight, agents = normal(len(rows), 3), normal(4, 3), normal(len(rows), 3)
    memory, chosen = normal(5, 3), torch.randint(5, (len(rows), count), generator=generator)
    negatives = Negatives(chosen, torch.rand(len(rows), count, generator=generator) < 0.7)
    share = torch.rand(() if one_share else len(rows), generator=generator, dtype=torch.float64)
    shares = share.expand(len(rows)).tolist()
    mine = [features.clone().requires_grad_(), weight.clone().requires_grad_()]
    theirs = [features.clone().requires_grad_(), weight.clone().requires_grad_()]
    constants = [tensor.clone().requires_grad_() for tensor in (agents, memory)]
    extra = (constants[1], negatives) if count else ()
    loss = LOSS(mine[0], torch.tensor(labels), mine[1], share, constants[0], torch.tensor(filled), *extra)
    expected = naive(theirs[0], labels, theirs[1], shares, agents, filled, memory, negatives)
    torch.testing.assert_close(loss, expected)
    loss.backward()
    expected.backward()
    for one, other in zip(mine, theirs, strict=True):
        torch.testing.assert_close(one.grad, other.grad)
    assert all(tensor.grad is None for tensor in constants)


def test_golden_value() -> None:
    """Of the published code, in double precision, for 8 target rows of 4 numbers and 3 identities."""
    i, k = torch.arange(8, dtype=torch.float64)[:, None], torch.arange(4, dtype=torch.float64)
    memory = nn.functional.normalize(1 + 0.9 * torch.sin(1 + 3 * i + 7 * k))
    weight = 0.5 * torch.cos(2 * i[:3] + k)
    features = 1 + 0.8 * torch.cos(2 + 5 * i[:3] + 3 * k)
    agents, labels = memory[[0, 4, 7]], torch.tensor([2, 0, 1])
    logits = agent_logits(features, agents, weight[labels].norm(dim=1))
    assert logits.tolist() == pytest.approx([1.305594, 1.510171, 1.239252], abs=1e-6)
    loss = LOSS(features, labels, weight, torch.tensor(0.3), agents, torch.ones(3, dtype=torch.bool))
    assert loss.item() == pytest.approx(1.022919, abs=1e-6)


class Case:
    """Three mixed pictures among four identities, and two negatives for each."""

    def __init__(self) -> None:
        torch.manual_seed(0)
        self.features, self.weight, self.agents = torch.randn(3, 8), torch.randn(4, 8), torch.randn(3, 8)
        self.labels, self.filled = torch.tensor([2, 0, 3]), torch.ones(3, dtype=torch.bool)
        self.memory, self.valid = torch.randn(6, 8), torch.ones(3, 2, dtype=torch.bool)

    def loss(self, share: float, *, negatives: bool = False) -> Tensor:
        case = (self.features, self.labels, self.weight, torch.tensor(share), self.agents, self.filled)
        rows = torch.tensor([[0, 1], [5, 2], [3, 4]])
        return LOSS(*case, self.memory, Negatives(rows, self.valid)) if negatives else LOSS(*case)


def test_a_pure_source_picture_still_sees_its_virtual_class() -> None:
    case = Case()
    lengths = case.weight[case.labels].norm(dim=1)
    plain = case.features @ case.weight.T
    virtual = (case.features * case.agents).sum(dim=1, keepdim=True) * lengths[:, None]
    expected = nn.functional.cross_entropy(torch.cat((plain, virtual), dim=1), case.labels)
    torch.testing.assert_close(case.loss(1.0), expected)
    assert case.loss(1.0) > nn.functional.cross_entropy(plain, case.labels) + 0.01


@pytest.mark.parametrize("share", [0.0, 0.3, 1.0])
def test_without_agents_it_is_plain_cross_entropy_whatever_the_rows_hold(share: float) -> None:
    case = Case()
    case.filled[:] = False
    case.features.requires_grad_()
    expected = nn.functional.cross_entropy(case.features @ case.weight.T, case.labels)
    loss = case.loss(share, negatives=True)
    torch.testing.assert_close(loss, expected)
    (mine,) = torch.autograd.grad(loss, case.features)
    (theirs,) = torch.autograd.grad(expected, case.features)
    torch.testing.assert_close(mine, theirs)


def test_every_negative_takes_part_unless_it_is_not_valid() -> None:
    case = Case()
    both = case.loss(0.3, negatives=True)
    case.valid[:, 1] = False
    one = case.loss(0.3, negatives=True)
    case.valid[:] = False
    assert both > one > case.loss(0.3)
    torch.testing.assert_close(case.loss(0.3, negatives=True), case.loss(0.3))


def test_an_undecided_classifier() -> None:
    """All logits equal: ln(C + 1), and ln(C + 1 + K) with K negatives."""
    case = Case()
    case.features.zero_()
    assert case.loss(0.4).item() == pytest.approx(math.log(5))
    assert case.loss(0.4, negatives=True).item() == pytest.approx(math.log(7))


def test_no_label_at_all_is_zero_with_a_gradient() -> None:
    case = Case()
    case.labels[:] = -1
    for tensor in (case.features, case.weight):
        tensor.requires_grad_()
    loss = case.loss(0.3)
    loss.backward()
    assert loss.item() == 0
    assert torch.equal(case.features.grad, torch.zeros(3, 8))  # type: ignore[arg-type]
    assert torch.equal(case.weight.grad, torch.zeros(4, 8))  # type: ignore[arg-type]


def test_float32_under_autocast_and_with_half_weights() -> None:
    case = Case()
    case.features, case.weight = case.features.bfloat16(), case.weight.bfloat16()
    with torch.autocast("cpu", torch.bfloat16):
        loss = case.loss(0.3, negatives=True)
    assert loss.dtype == torch.float32
    case.features, case.weight = case.features.float(), case.weight.float()
    torch.testing.assert_close(loss, case.loss(0.3, negatives=True))
    shares = torch.full((3,), 0.3, dtype=torch.float64)
    loss = LOSS(case.features, case.labels, case.weight, shares, case.agents, case.filled)
    assert loss.dtype == torch.float32
    torch.testing.assert_close(loss, case.loss(0.3))


def drawn(seed: int, count: int, excluded: Tensor, filled: Tensor) -> list[list[int]]:
    rows, valid = choose_negatives(excluded, filled, count, np.random.default_rng(seed))
    assert rows.shape == valid.shape
    return [row[there].tolist() for row, there in zip(rows, valid, strict=True)]


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 2**31), samples=st.integers(1, 4), rows=st.integers(1, 9), count=st.integers(1, 10))
def test_negatives_are_different_rows_that_may_be_taken(seed: int, samples: int, rows: int, count: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    excluded = torch.rand(samples, rows, generator=generator) < 0.4
    filled = torch.rand(rows, generator=generator) < 0.7
    for mask, chosen in zip(excluded, drawn(seed, count, excluded, filled), strict=True):
        free = {row for row in range(rows) if filled[row] and not mask[row]}
        assert set(chosen) <= free
        assert len(chosen) == len(set(chosen)) == min(count, len(free))
    assert drawn(seed, count, excluded, filled) == drawn(seed, count, excluded, filled)


def test_negatives_are_drawn_uniformly_and_anew() -> None:
    excluded, filled = torch.zeros(4000, 6, dtype=torch.bool), torch.ones(6, dtype=torch.bool)
    excluded[:, 2] = True
    chosen = drawn(0, 2, excluded, filled)
    counts = np.bincount(np.ravel(chosen), minlength=6) / len(chosen)
    assert counts[2] == 0
    assert counts[[0, 1, 3, 4, 5]] == pytest.approx(2 / 5, abs=0.03)
    assert chosen != drawn(1, 2, excluded, filled)


def test_aligned_agents_are_what_the_source_side_of_the_neck_would_say() -> None:
    torch.manual_seed(0)
    neck = SplitNeck(6, statistics="both").double()
    with torch.no_grad():
        neck.weight.uniform_(0.5, 2.0)
    for _ in range(5):
        source, target = 3 + 2 * torch.randn(8, 6).double(), torch.randn(8, 6).double() / 2
        neck(torch.cat((source, target)), 8)
    neck.eval()
    pooled = torch.randn(4, 6).double()
    features = neck(pooled)
    as_source = copy.deepcopy(neck)
    kept = neck.source_statistics
    assert kept is not None
    as_source.running_mean, as_source.running_var = kept.running_mean, kept.running_var

    agents, norms = nn.functional.normalize(features), features.norm(dim=1)
    of_target, of_source = (
        Moments(layer.get_buffer("running_mean"), layer.get_buffer("running_var")) for layer in (neck, kept)
    )
    aligned = align_agents(agents, norms, neck.weight, of_target, of_source)
    torch.testing.assert_close(aligned, nn.functional.normalize(as_source(pooled)).detach())
    assert not aligned.requires_grad
    torch.testing.assert_close(align_agents(agents, norms, neck.weight, of_target, of_target), agents.detach())
