"""The neighbourhood losses against the formula in loops, against plain autograd, and against published numbers."""

from __future__ import annotations

import dataclasses
import math

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

import modeling.losses.neighbourhood as module
from common.errors import UserError
from modeling.losses.neighbourhood import NeighbourhoodLoss, NeighbourhoodLosses
from modeling.memory import Comparison

KINDS = ("intra", "inter", "agnostic")


def chosen(values: list[float], candidates: list[int], eps: float) -> list[int]:
    top = max((values[j] for j in candidates), default=-math.inf)
    return [j for j in candidates if values[j] > eps * top]


def naive(
    comparison: Comparison, kind: str, eps: float, scale: float, clamp: float | None, gate: float | None
) -> tuple[Tensor, Tensor, list[list[int]]]:
    """Sample by sample and row by row: the neighbour term, the instance term, and the neighbours."""
    similarities = comparison.similarities
    filled, cameras = comparison.filled.tolist(), comparison.memory_camids.tolist()
    pulls, own, found = [], [], []
    for k, (row, camera) in enumerate(zip(comparison.rows.tolist(), comparison.camids.tolist(), strict=True)):
        match = {"intra": lambda j, c=camera: cameras[j] == c, "inter": lambda j, c=camera: cameras[j] != c}
        inside = [j for j in range(len(filled)) if filled[j] and match.get(kind, lambda _: True)(j)]
        values = similarities[k].tolist()
        near = chosen(values, [j for j in inside if j != row], eps)
        found.append(near)
        if not inside:
            continue
        powers = {j: (scale * similarities[k, j]).exp() for j in inside}
        total = sum(powers.values(), torch.zeros(()).double())
        share = {j: powers[j] / total for j in inside}
        if clamp is not None:
            share = {j: p.clamp(min=clamp) for j, p in share.items()}
        if near:
            open_ = gate is None or sum(values[j] for j in near) / len(near) > gate
            pulls.append(sum((-share[j].log() for j in near), torch.zeros(()).double()) / len(near) * open_)
        if row in inside:
            own.append(-share[row].log())
    zero = similarities.sum() * 0
    return (
        sum(pulls, zero) / max(1, len(pulls)),
        sum(own, zero) / max(1, len(own)),
        found,
    )


def autograd_twin(comparison: Comparison, kind: str, eps: float, scale: float) -> Tensor:
    """The same with masks and log-softmax, all samples at once."""
    s = comparison.similarities
    same = comparison.camids[:, None] == comparison.memory_camids[None, :]
    inside = {"intra": same, "inter": ~same, "agnostic": torch.ones_like(same)}[kind] & comparison.filled
    self_ = F.one_hot(comparison.rows, s.shape[1]).bool()
    others = s.detach().masked_fill(~(inside & ~self_), -torch.inf)
    near = others > eps * others.amax(dim=1, keepdim=True)
    # −∞ would put NaN into the gradient of a row without candidates.
    logs = (scale * s).masked_fill(~inside, -1e4).log_softmax(dim=1)
    counts = near.sum(dim=1)
    loss = -(logs.where(near, 0).sum(dim=1) / counts.clamp(min=1)).sum() / (counts > 0).sum().clamp(min=1)
    if kind == "inter":
        return loss
    own = (inside & self_).any(dim=1)
    return loss - logs.where(inside & self_, 0).sum() / own.sum().clamp(min=1)


def golden() -> tuple[Tensor, Comparison]:
    i, k, b = (torch.arange(float(n), dtype=torch.float64) for n in (8, 4, 3))
    memory = F.normalize(1 + 0.9 * (1 + 3 * i[:, None] + 7 * k).sin())
    features = F.normalize(1 + 0.8 * (2 + 5 * b[:, None] + 3 * k).cos()).requires_grad_()
    camids = torch.tensor([0, 0, 0, 1, 1, 1, 2, 2])
    rows = torch.tensor([0, 4, 7])
    return features, Comparison(features @ memory.t(), rows, camids[rows], camids, torch.ones(8, dtype=torch.bool))


def made(seed: int, rows: list[int], cameras: int = 3, columns: int = 9, unfilled: float = 0.2) -> Comparison:
    generator = torch.Generator().manual_seed(seed)
    camids = torch.randint(0, cameras, (columns,), generator=generator)
    similarities = 2 * torch.rand(len(rows), columns, generator=generator, dtype=torch.float64) - 1
    filled = torch.rand(columns, generator=generator) >= unfilled
    index = torch.tensor(rows)
    return Comparison(similarities.requires_grad_(), index, camids[index], camids, filled)


def losses_of(comparison: Comparison, **options: object) -> NeighbourhoodLosses:
    mode = "agnostic" if options.pop("agnostic", False) else "camera"
    return NeighbourhoodLoss(mode, **options)(comparison)  # type: ignore[arg-type]


def value(loss: Tensor | None) -> Tensor:
    assert loss is not None
    return loss


def gradient(loss: Tensor | None, comparison: Comparison) -> Tensor:
    (found,) = torch.autograd.grad(value(loss), comparison.similarities, retain_graph=True)
    return found


@pytest.mark.parametrize("clamp", [None, 1e-5])
def test_the_golden_vectors(clamp: float | None) -> None:
    features, comparison = golden()
    aware = losses_of(comparison, clamp=clamp)
    agnostic = losses_of(comparison, agnostic=True, clamp=clamp)
    assert value(aware.intra).item() == pytest.approx(2.032751, abs=1e-6)
    assert value(aware.inter).item() == pytest.approx(1.551288, abs=1e-6)
    assert value(agnostic.agnostic).item() == pytest.approx(3.858368, abs=1e-6)
    (value(aware.intra) + 0.5 * value(aware.inter)).backward()
    assert features.grad is not None
    assert features.grad.norm().item() == pytest.approx(1.218295, abs=1e-6)
    expected = {
        "intra": [[1, 2], [3, 5], [6]],
        "inter": [[3, 4, 6], [0, 2, 6, 7], [0, 2, 3, 4, 5]],
        "agnostic": [[2, 3, 4, 6], [0, 2, 5, 6, 7], [0, 2, 3, 4, 5, 6]],
    }
    for kind, neighbours in expected.items():
        mask = NeighbourhoodLoss("agnostic" if kind == "agnostic" else "camera").neighbours(comparison, kind)
        assert [row.nonzero()[:, 0].tolist() for row in mask] == neighbours
    assert aware.found["inter"].neighbours.item() == pytest.approx(4)
    assert aware.found["intra"].passed.item() == 1


@settings(max_examples=120, deadline=None)
@given(
    seed=st.integers(0, 2**31),
    rows=st.lists(st.integers(0, 8), min_size=1, max_size=5),
    cameras=st.integers(1, 5),
    eps=st.sampled_from([0.3, 0.8, 1.0]),
    scale=st.sampled_from([1.0, 10.0]),
    clamp=st.sampled_from([None, 1e-5, 0.05]),
    gate=st.sampled_from([None, 0.4, 0.7]),
    unfilled=st.sampled_from([0.0, 0.3, 0.8]),
    tile=st.sampled_from([1, 20, 1 << 18]),
)
def test_is_the_formula_in_value_and_gradient(
    seed: int,
    rows: list[int],
    cameras: int,
    eps: float,
    scale: float,
    clamp: float | None,
    gate: float | None,
    unfilled: float,
    tile: int,
) -> None:
    comparison = made(seed, rows, cameras, unfilled=unfilled)
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(module.TILE, "cpu", tile)
        for kind in KINDS:
            pull, own, near = naive(comparison, kind, eps, scale, clamp, gate)
            criterion = NeighbourhoodLoss(
                "agnostic" if kind == "agnostic" else "camera", eps=eps, scale=scale, clamp=clamp, gate=gate
            )
            losses = criterion(comparison)
            loss = getattr(losses, kind)
            expected = pull if kind == "inter" else pull + own
            torch.testing.assert_close(loss, expected)
            torch.testing.assert_close(gradient(loss, comparison), gradient(expected, comparison))
            mask = criterion.neighbours(comparison, kind)
            assert [row.nonzero()[:, 0].tolist() for row in mask] == near
            found = losses.found[kind]
            assert found.neighbours.item() == pytest.approx(sum(map(len, near)) / len(near))
            share = sum(map(bool, near)) / len(near)
            assert found.passed.item() == pytest.approx(share) if gate is None else found.passed.item() <= share + 1e-6


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("seed", [0, 2, 3])
def test_what_is_clamped_counts_as_the_clamp(seed: int, kind: str) -> None:
    comparison = made(seed, [0, 1, 2, 5], unfilled=0)
    with_clamp, without = (sum(naive(comparison, kind, 0.3, 10.0, clamp, None)[:2]) for clamp in (0.05, None))
    assert isinstance(with_clamp, Tensor)
    assert float(with_clamp.detach()) != pytest.approx(float(torch.as_tensor(without).detach()), rel=0.01)
    loss = getattr(losses_of(comparison, agnostic=kind == "agnostic", eps=0.3, clamp=0.05), kind)
    own = naive(comparison, kind, 0.3, 10.0, 0.05, None)[1] if kind == "inter" else 0
    torch.testing.assert_close(loss, with_clamp - own)
    torch.testing.assert_close(gradient(loss, comparison), gradient(with_clamp - own, comparison))


@pytest.mark.parametrize("kind", KINDS)
def test_is_plain_autograd_on_many_rows_in_float32(kind: str) -> None:
    generator = torch.Generator().manual_seed(0)
    memory = F.normalize(torch.randn(3000, 32, generator=generator))
    rows = torch.randint(0, 3000, (24,), generator=generator)
    camids = torch.randint(0, 6, (3000,), generator=generator)
    filled = torch.rand(3000, generator=generator) > 0.1
    features = F.normalize(memory[rows] + 0.5 * torch.randn(24, 32, generator=generator)).requires_grad_()
    comparison = Comparison(features @ memory.t(), rows, camids[rows], camids, filled)
    loss = getattr(losses_of(comparison, agnostic=kind == "agnostic"), kind)
    expected = autograd_twin(comparison, kind, 0.8, 10.0)
    torch.testing.assert_close(loss, expected, atol=2e-6, rtol=0)
    torch.testing.assert_close(gradient(loss, comparison), gradient(expected, comparison), atol=1e-6, rtol=0)


def test_both_terms_at_once_have_the_gradient_of_their_sum() -> None:
    comparison = made(3, [0, 4, 7, 7])
    aware = losses_of(comparison)
    together = gradient(value(aware.intra) + 0.5 * value(aware.inter), comparison)
    apart = gradient(aware.intra, comparison) + 0.5 * gradient(aware.inter, comparison)
    torch.testing.assert_close(together, apart)


def test_only_what_is_asked_for() -> None:
    comparison = made(3, [0, 4, 7])
    criterion = NeighbourhoodLoss()
    both, one = criterion(comparison), criterion(comparison, ["inter"])
    assert one.intra is None
    assert set(one.found) == {"inter"}
    torch.testing.assert_close(one.inter, both.inter)
    torch.testing.assert_close(gradient(one.inter, comparison), gradient(both.inter, comparison))
    assert criterion(comparison, []) == NeighbourhoodLosses()


@pytest.mark.parametrize("mode", ["camera", "agnostic"])
def test_the_instance_term_apart(mode: str) -> None:
    comparison = made(5, [0, 4, 7], unfilled=0)
    home = "agnostic" if mode == "agnostic" else "intra"
    whole = getattr(losses_of(comparison, agnostic=mode == "agnostic"), home)
    apart = losses_of(comparison, agnostic=mode == "agnostic", instance_apart=True)
    torch.testing.assert_close(value(apart.instance) + getattr(apart, home), whole)
    alone = NeighbourhoodLoss(mode, instance_apart=True)(comparison, ["instance"])  # type: ignore[arg-type]
    assert getattr(alone, home) is None
    torch.testing.assert_close(alone.instance, apart.instance)
    torch.testing.assert_close(gradient(alone.instance, comparison), gradient(apart.instance, comparison))


def test_a_closed_gate_leaves_the_instance_term() -> None:
    comparison = made(5, [0, 4, 7], unfilled=0)
    closed = losses_of(comparison, gate=1.0, instance_apart=True)
    assert value(closed.intra).item() == value(closed.inter).item() == 0
    assert not gradient(closed.intra, comparison).any()
    assert value(closed.instance).item() > 0
    assert closed.found["intra"].passed.item() == 0


def test_order_of_the_memory_does_not_matter() -> None:
    comparison = made(11, [0, 4, 7, 2], columns=40)
    order = torch.randperm(40, generator=torch.Generator().manual_seed(0))
    moved = Comparison(
        comparison.similarities[:, order],
        order.argsort()[comparison.rows],
        comparison.camids,
        comparison.memory_camids[order],
        comparison.filled[order],
    )
    for agnostic in (False, True):
        one, other = losses_of(comparison, agnostic=agnostic), losses_of(moved, agnostic=agnostic)
        for kind in one.found:
            torch.testing.assert_close(getattr(one, kind), getattr(other, kind))
            torch.testing.assert_close(
                gradient(getattr(one, kind), comparison), gradient(getattr(other, kind), comparison)
            )


def test_agnostic_is_intra_with_one_camera() -> None:
    comparison = made(7, [0, 4, 7], cameras=1)
    aware, agnostic = losses_of(comparison), losses_of(comparison, agnostic=True)
    torch.testing.assert_close(aware.intra, agnostic.agnostic)
    assert value(aware.inter).item() == 0
    assert not gradient(aware.inter, comparison).any()


def test_uniform_similarities_give_the_logarithm_of_the_candidates() -> None:
    camids = torch.tensor([0] * 5 + [1] * 9 + [2] * 6)
    rows = torch.tensor([0, 3])
    similarities = torch.full((2, 20), 0.4, requires_grad=True)
    comparison = Comparison(similarities, rows, camids[rows], camids, torch.ones(20, dtype=torch.bool))
    aware, agnostic = losses_of(comparison), losses_of(comparison, agnostic=True)
    assert value(aware.intra).item() == pytest.approx(2 * math.log(5), rel=1e-6)
    assert value(aware.inter).item() == pytest.approx(math.log(15), rel=1e-6)
    assert value(agnostic.agnostic).item() == pytest.approx(2 * math.log(20), rel=1e-6)


CAMIDS = torch.tensor([0, 0, 0, 1, 1, 2])


@pytest.mark.parametrize("clamp", [None, 1e-5])
@pytest.mark.parametrize("gate", [None, 0.5])
@pytest.mark.parametrize(
    ("similarities", "rows", "camids", "filled"),
    [
        (torch.rand(2, 6), [0, 5], CAMIDS, [True] * 6),  # a camera with one picture
        (-torch.rand(2, 6) - 0.1, [0, 3], CAMIDS, [True] * 6),  # nothing is similar
        (torch.zeros(2, 6), [0, 3], CAMIDS, [True] * 6),
        (torch.rand(2, 6), [0, 3], CAMIDS * 0, [True] * 6),  # one camera
        (torch.rand(2, 6), [0, 3], CAMIDS * 0 - 1, [True] * 6),  # unknown cameras
        (torch.rand(2, 6), [0, 3], CAMIDS, [False] * 6),  # an empty memory
        (torch.rand(2, 6), [0, 3], CAMIDS, [True] + [False] * 5),  # nothing but one of the two
        (torch.rand(2, 6), [0, 0], CAMIDS, [False] + [True] * 5),  # twice the same picture, without a row
        (100 * torch.rand(2, 6), [0, 3], CAMIDS, [True] * 6),  # nothing a cosine can be, but no overflow either
    ],
)
def test_degenerate_batches_have_finite_gradients(
    similarities: Tensor, rows: list[int], camids: Tensor, filled: list[bool], gate: float | None, clamp: float | None
) -> None:
    index = torch.tensor(rows)
    for agnostic in (False, True):
        leaf = similarities.clone().requires_grad_()
        losses = losses_of(
            Comparison(leaf, index, camids[index], camids, torch.tensor(filled)),
            agnostic=agnostic,
            gate=gate,
            clamp=clamp,
        )
        total = sum((value(getattr(losses, kind)) for kind in losses.found), torch.zeros(()))
        total.backward()
        assert bool(total.isfinite())
        assert leaf.grad is not None
        assert bool(leaf.grad.isfinite().all())
        assert not leaf.grad[:, ~torch.tensor(filled)].any()
        assert all(bool(torch.stack(dataclasses.astuple(found)).isfinite().all()) for found in losses.found.values())
        if not any(filled):
            assert total.item() == 0
            assert not leaf.grad.any()


def test_features_that_are_nan_are_not_hidden() -> None:
    comparison = made(5, [0, 4, 7], unfilled=0)
    broken = comparison.similarities.detach().clone()
    broken[1] = torch.nan
    losses = losses_of(dataclasses.replace(comparison, similarities=broken.requires_grad_()))
    assert bool(value(losses.intra).isnan())
    (found,) = torch.autograd.grad(value(losses.intra), broken)
    assert found.isnan().any(dim=1).tolist() == [False, True, False]


def test_means_are_over_the_samples_that_have_the_term() -> None:
    """The second sample is the only picture of its camera and has its row unfilled: the first decides alone."""
    camids = torch.tensor([0, 0, 1])
    similarities = torch.tensor([[1.0, 0.5, 0.2], [0.1, 0.3, 0.9]], requires_grad=True)
    filled = torch.tensor([True, True, False])
    rows = torch.tensor([0, 2])
    both = losses_of(Comparison(similarities, rows, camids[rows], camids, filled))
    first = losses_of(Comparison(similarities[:1], rows[:1], camids[rows[:1]], camids, filled))
    torch.testing.assert_close(both.intra, first.intra)
    assert value(both.inter).item() == pytest.approx(math.log(math.exp(1) + math.exp(3)) - 3, rel=1e-5)
    assert both.found["inter"].passed.item() == 0.5
    assert both.found["inter"].top.item() == pytest.approx(0.3)


def test_float32_under_autocast_and_without_a_graph() -> None:
    comparison = made(3, [0, 4, 7])
    half = dataclasses.replace(comparison, similarities=comparison.similarities.detach().bfloat16().requires_grad_())
    with torch.autocast("cpu", torch.bfloat16):
        loss = value(losses_of(half).intra)
    assert loss.dtype == torch.float32
    loss.backward()
    assert half.similarities.grad is not None
    assert half.similarities.grad.dtype == torch.bfloat16
    with torch.no_grad():
        logged = value(losses_of(comparison).intra)
    assert not logged.requires_grad
    torch.testing.assert_close(logged, value(losses_of(comparison).intra).detach())


@pytest.mark.parametrize(
    ("options", "said"),
    [({"eps": 0.0}, "eps is 0.0"), ({"scale": -1.0}, "scale is -1.0"), ({"clamp": 1.0}, "clamp is 1.0")],
)
def test_numbers_out_of_range_are_told(options: dict[str, float], said: str) -> None:
    with pytest.raises(UserError, match=said):
        NeighbourhoodLoss(**options)  # type: ignore[arg-type]


def test_names_are_told() -> None:
    with pytest.raises(UserError, match="mode is 'global'"):
        NeighbourhoodLoss("global")  # type: ignore[arg-type]
    with pytest.raises(UserError, match="no term 'agnostic'"):
        NeighbourhoodLoss()(made(0, [1]), ["agnostic"])
    with pytest.raises(UserError, match="'instance' has no neighbours"):
        NeighbourhoodLoss().neighbours(made(0, [1]), "instance")
