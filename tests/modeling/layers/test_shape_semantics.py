"""Shape semantics embedding against loops, and how it begins."""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from modeling.layers.shape_semantics import SelfAttentionBlock, ShapeSemantics, fitted
from tests.modeling.layers.test_attention import attended


def embedding(joints: int = 3, channels: int = 128, **how: bool) -> ShapeSemantics:
    torch.manual_seed(0)
    return ShapeSemantics(joints, channels, **how)


def patches(layer: ShapeSemantics, heatmaps: Tensor) -> Tensor:
    """relu of one linear map per 4×4 cells, patch by patch."""
    assert layer.embed.bias is not None
    rows = []
    for maps in heatmaps:
        corners = [(y, x) for y in range(0, maps.shape[1], 4) for x in range(0, maps.shape[2], 4)]
        kernel = layer.embed.weight.flatten(1)
        rows.append(torch.stack([kernel @ maps[:, y : y + 4, x : x + 4].flatten() for y, x in corners]))
    return (torch.stack(rows) + layer.embed.bias).clamp(min=0)


def block(layer: SelfAttentionBlock, tokens: Tensor) -> Tensor:
    """The published block with three matrices and no tricks."""
    size = tokens.shape[2]
    queries, keys, values = (tokens @ layer.project.weight[k * size : (k + 1) * size].T for k in range(3))
    first, _, second = layer.mlp
    assert isinstance(first, nn.Linear)
    assert isinstance(second, nn.Linear)

    def normal(given: Tensor, norm: nn.LayerNorm) -> Tensor:
        centred = given - given.mean(dim=2, keepdim=True)
        return centred / ((centred**2).mean(dim=2, keepdim=True) + 1e-6).sqrt() * norm.weight + norm.bias

    u = normal(attended(queries, keys, values, layer.heads) + tokens, layer.attention_norm)
    hidden = (u @ first.weight.T + first.bias).clamp(min=0)
    return normal(u + hidden @ second.weight.T + second.bias, layer.mlp_norm)


def scrambled(layer: ShapeSemantics) -> ShapeSemantics:
    """Weights that are not those of a new layer, whose biases say nothing."""
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    return layer.double()


def test_values_and_gradients_are_those_of_loops() -> None:
    layer = scrambled(embedding())
    heatmaps = torch.rand(2, 3, 12, 8, dtype=torch.float64, requires_grad=True)
    assert layer.block is not None
    fast, slow = layer(heatmaps, (3, 2)), block(layer.block, patches(layer, heatmaps))
    assert fast.shape == (2, 6, 128)
    torch.testing.assert_close(fast, slow, rtol=1e-6, atol=1e-9)
    towards, given = torch.randn_like(fast), (heatmaps, *layer.parameters())
    gradients = [torch.autograd.grad((out * towards).sum(), given) for out in (fast, slow)]
    for one, other in zip(*gradients, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-6, atol=1e-9)
        assert one.any()


def test_raw_tokens() -> None:
    layer = scrambled(embedding(attended=False))
    heatmaps = torch.rand(2, 3, 12, 8, dtype=torch.float64)
    assert layer.block is None
    torch.testing.assert_close(layer(heatmaps, (3, 2)), patches(layer, heatmaps))


def test_without_positions_the_block_knows_no_order() -> None:
    """Patches in another order give the same tokens in that order; with positions they do not."""
    heatmaps, order = torch.rand(1, 3, 8, 8), torch.tensor([2, 0, 3, 1])
    cut = heatmaps.unfold(2, 4, 4).unfold(3, 4, 4).reshape(1, 3, 4, 4, 4)[:, :, order]
    moved = cut.view(1, 3, 2, 2, 4, 4).transpose(3, 4).reshape(1, 3, 8, 8)
    plain, placed = embedding().eval(), embedding(positions=True).eval()
    torch.testing.assert_close(plain(moved, (2, 2)), plain(heatmaps, (2, 2))[:, order])
    assert not torch.allclose(placed(moved, (2, 2)), placed(heatmaps, (2, 2))[:, order], atol=1e-3)


def test_tokens_are_told_of_one_another() -> None:
    layer = scrambled(embedding()).float()
    heatmaps = torch.rand(1, 3, 8, 8)
    other = heatmaps.clone()
    other[:, :, 4:, 4:] = 0
    assert not torch.equal(layer(heatmaps, (2, 2))[:, 0], layer(other, (2, 2))[:, 0])


def test_how_it_begins() -> None:
    layer = embedding(13, 512)
    assert layer.block is not None
    assert layer.embed.weight.std().item() == pytest.approx(math.sqrt(2 / (16 * 512)), rel=0.02)
    for name, weights in layer.block.named_parameters():
        if "norm" in name:
            assert weights.unique().tolist() == [1.0 if name.endswith("weight") else 0.0], name
        elif name.endswith("bias"):
            assert not weights.any(), name
        else:
            assert weights.std().item() == pytest.approx(0.01, rel=0.02), name
            assert weights.mean().item() == pytest.approx(0, abs=1e-4), name
    assert layer.embed.bias is not None
    assert not layer.embed.bias.any()


def test_published_sizes() -> None:
    with torch.device("meta"):
        layer = ShapeSemantics(13, 2048)
    assert layer.block is not None
    assert sum(one.numel() for one in layer.embed.parameters()) / 1e6 == pytest.approx(0.428, abs=5e-4)
    assert sum(one.numel() for one in layer.block.parameters()) / 1e6 == pytest.approx(29.374, abs=5e-4)
    assert layer.block.heads == 32


def test_heatmaps_are_fitted_to_the_grid() -> None:
    heatmaps = torch.rand(2, 3, 24, 12)
    assert fitted(heatmaps, (6, 3)) is heatmaps
    halves = fitted(heatmaps, (3, 2))
    assert halves.shape == (2, 3, 12, 8)
    assert halves.mean().item() == pytest.approx(heatmaps.mean().item(), abs=0.02)
    flat = fitted(torch.full((1, 2, 23, 11), 0.5), (6, 3))
    torch.testing.assert_close(flat, torch.full((1, 2, 24, 12), 0.5))


def test_a_narrow_peak_is_not_missed() -> None:
    """Wherever it is, a third of the size is told of it; picking points would miss most places."""
    for row in range(24):
        heatmaps = torch.zeros(1, 1, 24, 24)
        heatmaps[0, 0, row, 12] = 1.0
        assert fitted(heatmaps, (2, 2)).sum().item() == pytest.approx(1 / 9, rel=0.35), row


def test_a_peak_stays_where_it_is() -> None:
    """The token of the cell that a joint lies in is the one that it excites."""
    heatmaps = torch.zeros(1, 1, 48, 24)
    heatmaps[0, 0, 34:38, 18:22] = 1.0  # of 12 × 6 tokens in row 9, column 4 or 5; of 6 × 3 in row 4, column 2
    layer = embedding(1, attended=False)
    with torch.no_grad():
        layer.embed.weight.fill_(1.0)
    assert int(layer(heatmaps, (6, 3))[0, :, 0].argmax()) == 4 * 3 + 2


def test_no_joints_are_one_constant_token_and_finite_gradients() -> None:
    layer = embedding()
    tokens = layer(torch.zeros(2, 3, 8, 8), (2, 2))
    assert torch.equal(tokens, tokens[:1, :1].expand_as(tokens))
    F.mse_loss(tokens, torch.ones_like(tokens)).backward()
    assert all(one.grad is not None and one.grad.isfinite().all() for one in layer.parameters())


def test_half_precision_around_it() -> None:
    layer = embedding()
    heatmaps = torch.rand(2, 3, 6, 6)
    with torch.autocast("cpu", torch.bfloat16):
        tokens = layer(heatmaps, (2, 2))
    assert tokens.dtype == torch.float32
    torch.testing.assert_close(tokens, layer(heatmaps, (2, 2)), rtol=0.05, atol=0.05)
