"""Mutual cross-attention against loops, its two directions, and what may be added to its scores."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from modeling.layers.co_attention import Streams
from modeling.layers.mutual_attention import Direction, MutualCrossAttention
from tests.modeling.layers.test_attention import attended

CHANNELS = 128


def attention(direction: Direction = "both", **how: bool) -> MutualCrossAttention:
    torch.manual_seed(0)
    return MutualCrossAttention(CHANNELS, direction, **how)


def streams(dtype: torch.dtype = torch.float64) -> Streams:
    random = torch.Generator().manual_seed(1)
    given = [torch.randn(2, 5, CHANNELS, generator=random, dtype=dtype) for _ in range(2)]
    return Streams(given[0].relu().requires_grad_(), given[1].requires_grad_())


def moved(layer: MutualCrossAttention) -> MutualCrossAttention:
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    return layer.double()


def by_hand(layer: MutualCrossAttention, given: Streams) -> tuple[Tensor, Tensor]:
    """One score matrix per head, and its transpose."""
    pairs = []
    for a, s in zip(*given, strict=True):
        asked: tuple[list[Tensor], list[Tensor]] = ([], [])
        for head in range(CHANNELS // 64):
            own = slice(64 * head, 64 * (head + 1))
            scores = torch.stack([torch.stack([(x * y).sum() / 8 for y in s[:, own]]) for x in a[:, own]])
            asked[0].append(scores.exp() / scores.exp().sum(1, keepdim=True) @ s[:, own])
            asked[1].append(scores.T.exp() / scores.T.exp().sum(1, keepdim=True) @ a[:, own])
        pairs.append((torch.cat(asked[0], dim=1) + a, torch.cat(asked[1], dim=1) + s))
    out = []
    for rows, norm in zip(zip(*pairs, strict=True), layer.norms.values(), strict=True):
        tokens = torch.stack(rows)
        centred = tokens - tokens.mean(dim=2, keepdim=True)
        unit = centred / ((centred**2).mean(dim=2, keepdim=True) + 1e-6).sqrt()
        assert isinstance(norm, nn.LayerNorm)
        out.append(unit * norm.weight + norm.bias)
    first, second = out
    return first, second


def test_values_and_gradients_are_those_of_loops() -> None:
    layer, given = moved(attention()), streams()
    fast, slow = layer(given), by_hand(layer, given)
    towards = torch.randn(2, 2, 5, CHANNELS, dtype=torch.float64)
    inputs = (*given, *layer.parameters())
    gradients = [torch.autograd.grad((torch.stack(out) * towards).sum(), inputs) for out in (fast, slow)]
    torch.testing.assert_close(torch.stack(fast), torch.stack(slow), rtol=1e-6, atol=1e-9)
    for one, other in zip(*gradients, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-6, atol=1e-9)
        assert one.any()


@pytest.mark.parametrize(("direction", "which"), [("appearance", 0), ("shape", 1)])
def test_one_way_is_half_of_both(direction: Direction, which: int) -> None:
    given = streams(torch.float32)
    [alone] = attention(direction)(given)
    torch.testing.assert_close(alone, attention()(given)[which])
    assert sum(one.numel() for one in attention(direction).parameters()) == 2 * CHANNELS


def test_it_is_symmetric() -> None:
    seen = streams(torch.float32).appearance
    layer = attention()
    first, second = layer(Streams(seen, seen))
    torch.testing.assert_close(first, second)
    with torch.no_grad():
        layer.norms["shape"].bias.fill_(1.0)  # type: ignore[operator]
    first, second = layer(Streams(seen, seen))
    torch.testing.assert_close(first + 1, second)


def test_the_streams_are_not_exchanged() -> None:
    """p_s is what is seen plus shapes, so without shapes it is what is seen."""
    seen = streams(torch.float32).appearance
    first, second = attention()(Streams(seen, torch.zeros_like(seen)))
    torch.testing.assert_close(first, F.layer_norm(seen, (CHANNELS,), eps=1e-6))
    mean = seen.mean(dim=1, keepdim=True).expand_as(seen)  # all scores are alike
    torch.testing.assert_close(second, F.layer_norm(mean, (CHANNELS,), eps=1e-6))


@pytest.mark.parametrize("how", [{}, {"normalised": True}, {"projected": True}])
def test_order_of_tokens_does_not_matter(how: dict[str, Any]) -> None:
    given, order = streams(torch.float32), torch.tensor([3, 1, 4, 0, 2])
    layer = attention(**how)
    plain = layer(given)
    both = layer(Streams(given.appearance[:, order], given.shape[:, order]))
    for one, other in zip(both, plain, strict=True):
        torch.testing.assert_close(one, other[:, order])
    one_side = layer(Streams(given.appearance, given.shape[:, order]))
    torch.testing.assert_close(one_side[0], plain[0])


def test_projections_begin_as_none() -> None:
    given = streams(torch.float32)
    torch.testing.assert_close(attention(projected=True)(given), attention()(given))


@pytest.mark.parametrize("how", [{"normalised": True}, {"projected": True}, {"normalised": True, "projected": True}])
def test_what_changes_scores_leaves_values_alone(how: dict[str, Any]) -> None:
    layer, given = moved(attention(**how)), streams()
    scored = [layer.sides[name](stream) for name, stream in given._asdict().items()]
    p_s = attended(scored[0], scored[1], given.shape, 2) + given.appearance
    s_p = attended(scored[1], scored[0], given.appearance, 2) + given.shape
    torch.testing.assert_close(layer(given)[0], layer.norms["appearance"](p_s))
    torch.testing.assert_close(layer(given)[1], layer.norms["shape"](s_p))


def test_normalised_scores_do_not_depend_on_lengths() -> None:
    given = streams(torch.float32)
    longer = Streams(10 * given.appearance, given.shape)
    with torch.no_grad():
        for normalised, same in ((True, True), (False, False)):
            layer = attention("appearance", normalised=normalised)
            added = []
            for one in (given, longer):
                weights: list[Tensor] = []
                handle = layer.norms["appearance"].register_forward_pre_hook(
                    lambda _, inputs, kept=weights: kept.append(inputs[0])
                )
                layer(one)
                handle.remove()
                added.append(weights[0] - one.appearance)
            first, second = added
            assert torch.allclose(first, second, atol=1e-4) is same


def test_the_published_size() -> None:
    with torch.device("meta"):
        layer = MutualCrossAttention(2048)
    assert sum(one.numel() for one in layer.parameters()) == 4 * 2048
    assert layer.heads == 32
    assert math.isclose(2048 / layer.heads, 64)


def test_half_precision_around_it() -> None:
    for normalised in (False, True):
        layer, given = attention(normalised=normalised, projected=normalised), streams(torch.float32)
        with torch.autocast("cpu", torch.bfloat16):
            out = torch.stack(layer(given))
        assert out.dtype == torch.float32
        torch.testing.assert_close(out, torch.stack(layer(given)), rtol=0.05, atol=0.05)
        (100 * out.square()).sum().backward()
        assert all(one.grad is not None and one.grad.isfinite().all() for one in (*given, *layer.parameters()))
