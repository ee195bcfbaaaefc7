"""Losses over outfits against their formulas in loops, the golden values, and who learns from them."""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from modeling.losses.clothes import ClothesAdversarialLoss, ClothesLoss, TransferLoss


def mask(rows: list[set[int]], count: int) -> Tensor:
    return torch.tensor([[j in row for j in range(count)] for row in rows])


def naive_adversarial(
    cosines: Tensor, clothes: list[int], worn: list[set[int]], epsilon: float, scale: float
) -> Tensor:
    """−mean_i Σ_{j∈S⁺} w_j log [ e^{z_j} / (e^{z_j} + Σ_{k∈S⁻} e^{z_k}) ] over the samples whose outfit is known."""
    terms, known = [], 0
    for row, outfit, own in zip(cosines, clothes, worn, strict=True):
        if outfit == -1:
            continue
        known += 1
        others = sum((torch.exp(scale * row[k]) for k in range(len(row)) if k not in own), torch.zeros(()).double())
        for j in own:
            weight = (1 - epsilon) * (j == outfit) + epsilon / len(own)
            power = torch.exp(scale * row[j])
            terms.append(-weight * torch.log(power / (power + others)))
    return sum(terms, cosines.sum() * 0) / max(1, known)


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 2**31),
    samples=st.integers(1, 5),
    outfits=st.integers(1, 5),
    epsilon=st.sampled_from([0.0, 0.1, 0.6, 1.0]),
)
def test_the_adversary_is_the_formula_in_value_and_gradient(
    seed: int, samples: int, outfits: int, epsilon: float
) -> None:
    generator = torch.Generator().manual_seed(seed)
    cosines = 2 * torch.rand(samples, outfits, generator=generator, dtype=torch.float64) - 1
    clothes = torch.randint(-1, outfits, (samples,), generator=generator).tolist()
    more = torch.rand(samples, outfits, generator=generator) < 0.4
    worn = [{c for c in range(outfits) if more[i, c] or c == clothes[i]} for i in range(samples)]
    mine, theirs = cosines.clone().requires_grad_(), cosines.clone().requires_grad_()
    loss = ClothesAdversarialLoss(epsilon, 4.0)(mine, torch.tensor(clothes), mask(worn, outfits))
    expected = naive_adversarial(theirs, clothes, worn, epsilon, 4.0)
    torch.testing.assert_close(loss, expected)
    loss.backward()
    expected.backward()
    torch.testing.assert_close(mine.grad, theirs.grad)


@pytest.mark.parametrize(("own", "value"), [({0, 1}, 0.00240970), ({0}, 0.00854)])
def test_golden_adversary(own: set[int], value: float) -> None:
    cosines = torch.tensor([[0.8, 0.5, 0.1, -0.2, 0.3]]).double()
    loss = ClothesAdversarialLoss()(cosines, torch.tensor([0]), mask([own], 5))
    assert loss.item() == pytest.approx(value, abs=5e-6 if len(own) == 1 else 2e-7)


def test_with_one_outfit_a_person_it_is_cross_entropy() -> None:
    torch.manual_seed(0)
    cosines, clothes = 2 * torch.rand(6, 7) - 1, torch.tensor([0, 3, 3, 6, 1, 2])
    one = F.one_hot(clothes, 7).bool()
    expected = F.cross_entropy(16 * cosines, clothes)
    torch.testing.assert_close(ClothesAdversarialLoss()(cosines, clothes, one), expected)
    torch.testing.assert_close(ClothesLoss()(cosines, clothes), expected)


def test_other_outfits_of_the_person_are_no_rivals() -> None:
    cosines = torch.tensor([[0.2, 0.9, -0.5, 0.1]])
    loss = ClothesAdversarialLoss(epsilon=0.0)
    own = mask([{0, 1}], 4)
    nearer = cosines + torch.tensor([[0.0, 0.05, 0.0, 0.0]])
    assert loss(nearer, torch.tensor([0]), own) == loss(cosines, torch.tensor([0]), own)
    rival = cosines + torch.tensor([[0.0, 0.0, 0.05, 0.0]])
    assert loss(rival, torch.tensor([0]), own) > loss(cosines, torch.tensor([0]), own)


def test_large_scales_stay_finite_in_half_precision() -> None:
    cosines = torch.tensor([[1.0, -1.0, 1.0], [-1.0, 1.0, 1.0]], dtype=torch.bfloat16, requires_grad=True)
    with torch.autocast("cpu", torch.bfloat16):
        loss = ClothesAdversarialLoss(scale=500.0)(cosines, torch.tensor([1, 0]), mask([{1}, {0, 1}], 3))
        plain = ClothesLoss(scale=500.0)(cosines, torch.tensor([1, 0]))
    assert loss.dtype == plain.dtype == torch.float32
    assert math.isfinite(loss.item())
    (loss + plain).backward()
    assert cosines.grad is not None
    assert cosines.grad.isfinite().all()


@pytest.mark.parametrize("loss", [ClothesLoss(), ClothesAdversarialLoss()], ids=["plain", "adversary"])
def test_nobody_whose_clothes_are_known(loss: ClothesLoss | ClothesAdversarialLoss) -> None:
    cosines = torch.rand(2, 3, requires_grad=True)
    unknown = torch.tensor([-1, -1])
    value = loss(cosines, unknown) if isinstance(loss, ClothesLoss) else loss(cosines, unknown, mask([set()] * 2, 3))
    value.backward()
    assert value.item() == 0
    assert cosines.grad is not None
    assert not cosines.grad.any()


def naive_transfer(cosines: Tensor, taught_by: Tensor, scale: float) -> Tensor:
    total = torch.zeros(())
    for b, a in zip(cosines, taught_by, strict=True):
        p = torch.exp(scale * b) / torch.exp(scale * b).sum()
        q = torch.exp(scale * a) / torch.exp(scale * a).sum()
        total = total + (p * (p / q).log()).sum() + (q * (q / p).log()).sum()
    return total


@pytest.mark.parametrize("scale", [1.0, 16.0])
def test_transfer_is_the_formula_and_teaches_one_side(scale: float) -> None:
    torch.manual_seed(0)
    cosines, taught_by = torch.rand(5, 4).double().requires_grad_(), torch.rand(5, 4).double().requires_grad_()
    again = cosines.detach().clone().requires_grad_()
    loss = TransferLoss(pictures=5.0, scale=scale)(cosines, taught_by)
    expected = naive_transfer(again, taught_by.detach(), scale)
    torch.testing.assert_close(loss, expected)
    loss.backward()
    expected.backward()
    torch.testing.assert_close(cosines.grad, again.grad)
    assert taught_by.grad is None


def test_golden_transfer() -> None:
    told, truth = torch.tensor([[0.6, 0.1, 0.0]]).double(), torch.tensor([[0.2, 0.5, -0.1]]).double()
    assert TransferLoss(pictures=1.0)(told, truth).item() == pytest.approx(0.1197948, abs=5e-8)


def test_transfer_does_not_change_with_the_batch() -> None:
    torch.manual_seed(0)
    told, truth = torch.rand(4, 3), torch.rand(4, 3)
    once, twice = TransferLoss()(told, truth), TransferLoss()(torch.cat([told, told]), torch.cat([truth, truth]))
    torch.testing.assert_close(once, twice)
