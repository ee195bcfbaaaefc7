"""The pair graph against the whole one over joined maps, with all of its matrices."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from modeling.layers.pair_graph import PairGraph, Pairs, Projected

CHANNELS = 32


def graph(**how: Any) -> PairGraph:
    """One whose W_o is not zero."""
    torch.manual_seed(0)
    layer = PairGraph(CHANNELS, 4, **how)
    with torch.no_grad():
        layer.out.weight.normal_()
    return layer.double()


def maps_of(count: int = 4, seed: int = 1) -> Tensor:
    return torch.randn(count, CHANNELS, 3, 2, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def joined(layer: PairGraph, first: Tensor, second: Tensor) -> tuple[Tensor, Tensor]:
    """The whole graph of one pair: maps put side by side, `(2N, 2N)` matrices, diagonal ones among them."""
    cells = first[0].numel()
    x = torch.cat((first.flatten(1), second.flatten(1)), dim=1)
    y = layer.affinity.weight @ x
    y = y / y.norm(dim=0)
    similar = y.T @ y
    a = similar.clamp(min=0) * (1 - torch.eye(2 * cells, dtype=x.dtype))
    if layer.cross_only:
        a = a.clone()
        a[:cells, :cells] = a[cells:, cells:] = 0
    d = a.sum(dim=1)
    r = torch.tensor([float(one) ** -0.5 if one > 1e-3 else 1.0 for one in d.detach()], dtype=x.dtype)
    between = torch.diag(d) - a if layer.propagation == "laplacian" else a
    matrix = torch.diag(r) @ between @ torch.diag(r)
    changed = x + layer.out.weight @ (layer.value.weight @ x @ matrix)
    return changed[:, :cells].view_as(first), changed[:, cells:].view_as(second)


def in_pairs(layer: PairGraph, maps: Tensor, pairs: Pairs) -> tuple[Tensor, Tensor]:
    projected = layer.project(maps)
    sent = layer(projected.take(pairs.first), projected.take(pairs.second))
    return layer.added(maps[pairs.first], sent[0]), layer.added(maps[pairs.second], sent[1])


@pytest.mark.parametrize("with_itself", [False, True])
@pytest.mark.parametrize("cross_only", [False, True])
@pytest.mark.parametrize("propagation", ["laplacian", "adjacency"])
def test_is_the_whole_graph_in_value_and_gradient(propagation: str, cross_only: bool, with_itself: bool) -> None:
    layer = graph(propagation=propagation, cross_only=cross_only)
    pairs = Pairs.of(4, with_itself=with_itself)
    weights = torch.randn(2, len(pairs.first), CHANNELS, 3, 2, dtype=torch.float64)
    gradients = []
    for way in ("pairs", "whole"):
        maps = maps_of().requires_grad_()
        layer.zero_grad()
        if way == "pairs":
            found = torch.stack(in_pairs(layer, maps, pairs))
        else:
            both = [joined(layer, maps[i], maps[j]) for i, j in zip(pairs.first, pairs.second, strict=True)]
            found = torch.stack([torch.stack(side) for side in zip(*both, strict=True)])
        (weights * found).sum().backward()
        gradients.append([found.detach(), maps.grad, *(one.grad for one in layer.parameters())])
    for mine, whole in zip(*gradients, strict=True):
        assert mine is not None
        assert mine.abs().max() > 0
        torch.testing.assert_close(mine, whole, rtol=1e-6, atol=1e-6 * float(mine.abs().max()))


def test_either_way_round() -> None:
    layer, maps = graph(), maps_of(2)
    one = in_pairs(layer, maps, Pairs(2, torch.tensor([0]), torch.tensor([1]), torch.tensor([0, 1])))
    other = in_pairs(layer, maps, Pairs(2, torch.tensor([1]), torch.tensor([0]), torch.tensor([0, 1])))
    torch.testing.assert_close(one[0], other[1])
    torch.testing.assert_close(one[1], other[0])


def test_begins_as_the_identity() -> None:
    layer, maps, pairs = PairGraph(CHANNELS), maps_of().float(), Pairs.of(4)
    first, second = in_pairs(layer, maps, pairs)
    assert torch.equal(first, maps[pairs.first])
    assert torch.equal(second, maps[pairs.second])
    assert layer.affinity.out_features == CHANNELS // 16


def test_the_published_size() -> None:
    assert sum(one.numel() for one in PairGraph(2048).parameters()) == 786_432


def test_only_the_roots_are_constants() -> None:
    """With everything else held, a step in y moves degrees and edges, not roots."""
    layer = graph()
    y = F.normalize(torch.randn(2, 6, 4, dtype=torch.float64), dim=2).requires_grad_()
    g = torch.randn(2, 6, 4, dtype=torch.float64)
    sent, _ = layer(Projected(y[:1], g[:1]), Projected(y[1:], g[1:]))
    [found] = torch.autograd.grad(sent.square().sum(), y)

    def held(y: Tensor, roots: Tensor) -> Tensor:
        a = F.relu(y @ y.T).masked_fill(torch.eye(12, dtype=torch.bool), 0)
        laplacian = roots[:, None] * (torch.diag(a.sum(1)) - a) * roots
        return (laplacian @ g.flatten(0, 1))[:6].square().sum()

    cells = y.detach().flatten(0, 1).requires_grad_()
    roots = F.relu(cells @ cells.T).masked_fill(torch.eye(12, dtype=torch.bool), 0).sum(1).rsqrt()
    [expected] = torch.autograd.grad(held(cells, roots.detach()), cells)
    [all_of_it] = torch.autograd.grad(held(cells, roots), cells)
    torch.testing.assert_close(found.flatten(0, 1), expected)
    assert not torch.allclose(expected, all_of_it)


def test_nothing_to_tell_where_all_cells_are_alike() -> None:
    layer = graph()
    maps = maps_of(1)[:, :, :1, :1].expand(2, CHANNELS, 3, 2)
    first, second = in_pairs(layer, maps, Pairs.of(2))
    torch.testing.assert_close(first, maps[:1])
    torch.testing.assert_close(second, maps[1:])


def test_a_cell_without_neighbours() -> None:
    """It is sent nothing, and nothing becomes infinite; at degree 0, and below the least degree."""
    layer = graph()
    y = torch.eye(4, dtype=torch.float64)[[0, 0, 0, 1]].clone()
    y[3, 0] = 1e-4  # three edges of 1e-4
    y = y.view(2, 2, 4).requires_grad_()
    g = torch.randn(2, 2, 4, dtype=torch.float64)
    sent = torch.cat(layer(Projected(y[:1], g[:1]), Projected(y[1:], g[1:])), dim=1)
    assert bool((sent[0, 3].abs() < 1e-3 * 4).all())
    sent.square().sum().backward()
    assert y.grad is not None
    assert bool(y.grad.isfinite().all())
    nothing = torch.zeros(1, 3, 4, dtype=torch.float64, requires_grad=True)
    dark, _ = layer(Projected(nothing, g[:1, :1].expand(1, 3, 4)), Projected(nothing, g[:1, :1].expand(1, 3, 4)))
    assert torch.equal(dark, torch.zeros_like(dark))
    dark.sum().backward()
    assert nothing.grad is not None
    assert bool(nothing.grad.isfinite().all())


@pytest.mark.parametrize("propagation", ["laplacian", "adjacency"])
def test_few_and_weak_edges(propagation: str) -> None:
    """The last cell is a neighbour of the first two, of degree 0.0008 and 0.005: only the first counts as alone."""
    y = torch.eye(4, dtype=torch.float64)
    y[3] = torch.tensor([0.0008, 0.005, 0, 1])
    g = torch.randn(4, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    split = [Projected(y[None, cells], g[None, cells]) for cells in (slice(0, 2), slice(2, 4))]
    found = torch.cat(graph(propagation=propagation)(*split), dim=1)[0]
    root, last = 0.005**-0.5, 0.0058**-0.5
    told = torch.stack(
        [
            0.0008 * last * g[3],
            root * 0.005 * last * g[3],
            torch.zeros(4, dtype=torch.float64),
            last * (0.0008 * g[0] + 0.005 * root * g[1]),
        ]
    )
    own = torch.tensor([0.0008, 1, 0, 1])[:, None] * g
    torch.testing.assert_close(found, own - told if propagation == "laplacian" else told, rtol=1e-6, atol=1e-9)


def test_a_black_picture() -> None:
    layer = graph()
    maps = maps_of(2)
    maps[1] = 0
    maps.requires_grad_()
    first, second = in_pairs(layer, maps, Pairs.of(2))
    (first + second).square().sum().backward()
    assert maps.grad is not None
    assert bool(maps.grad.isfinite().all())


def test_half_precision() -> None:
    layer = graph().float()
    maps = maps_of().float()
    exact = in_pairs(layer, maps, Pairs.of(4))
    with torch.autocast("cpu", torch.bfloat16):
        projected = layer.project(maps)
        assert projected.y.dtype == torch.float32
        sent = layer(projected, projected)[0]
        assert sent.dtype == torch.float32, "differences of near numbers"
        half = in_pairs(layer, maps, Pairs.of(4))
    for one, other in zip(half, exact, strict=True):
        assert (one - other).norm() < 0.03 * other.norm()


def test_pairs_of_three() -> None:
    pairs = Pairs.of(3)
    assert list(zip(pairs.own.tolist(), pairs.partner.tolist(), strict=True)) == [
        *((0, 1), (0, 2), (1, 2)),
        *((1, 0), (2, 0), (2, 1)),
    ]
    assert (len(pairs.first), len(pairs.kept)) == (3, 6)
    itself = Pairs.of(3, with_itself=True)
    ordered = sorted(zip(itself.own.tolist(), itself.partner.tolist(), strict=True))
    assert ordered == [(i, j) for i in range(3) for j in range(3)]
    assert (len(itself.first), len(itself.kept)) == (6, 9)
