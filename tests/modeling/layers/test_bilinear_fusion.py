"""Bilinear fusion against loops over cells, and whom it teaches."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from modeling.layers.bilinear_fusion import BilinearFusion


def fusion(channels: int = 6, attending: int = 5, out: int = 4) -> BilinearFusion:
    torch.manual_seed(0)
    return BilinearFusion(channels, attending, out, maps=3)


def by_hand(layer: BilinearFusion, seen: Tensor, looking: Tensor) -> Tensor:
    """Cell by cell, in evaluation mode."""
    convolution, norm, _ = layer.attention
    assert isinstance(convolution, nn.Conv2d)
    assert isinstance(norm, nn.BatchNorm2d)
    assert norm.running_mean is not None
    assert norm.running_var is not None
    rows = []
    for f, z in zip(seen, looking, strict=True):
        cells = [(y, x) for y in range(f.shape[1]) for x in range(f.shape[2])]
        pooled = torch.zeros(3, f.shape[0], dtype=f.dtype)
        for y, x in cells:
            raw = convolution.weight[:, :, 0, 0] @ z[:, y, x]
            scaled = (raw - norm.running_mean) / (norm.running_var + 1e-3).sqrt() * norm.weight + norm.bias
            pooled += scaled.clamp(min=0)[:, None] * f[:, y, x][None, :] / len(cells)
        u = pooled.reshape(-1)
        u = u.sign() * (u.abs() + 1e-12).sqrt()
        rows.append(layer.project.weight @ (u / u.norm()))
    out = torch.stack(rows)
    neck = layer.neck
    assert neck.running_mean is not None
    assert neck.running_var is not None
    return (out - neck.running_mean) / (neck.running_var + 1e-5).sqrt() * neck.weight + neck.bias


def test_is_the_formula() -> None:
    layer = fusion().double()
    random = torch.Generator().manual_seed(1)
    seen = torch.randn(2, 6, 4, 3, generator=random, dtype=torch.float64)
    looking = torch.randn(2, 5, 4, 3, generator=random, dtype=torch.float64)
    layer.train()(seen, looking)  # statistics that are not those of a new layer
    torch.testing.assert_close(layer.eval()(seen, looking), by_hand(layer, seen, looking))


def test_the_published_size() -> None:
    with torch.device("meta"):
        layer = BilinearFusion(2048, 2048, 4096)
    assert sum(parameter.numel() for parameter in layer.parameters()) == pytest.approx(67.133e6, rel=1e-5)


def test_nothing_is_learned_where_it_looks() -> None:
    layer = fusion()
    seen, looking = torch.randn(3, 6, 4, 3, requires_grad=True), torch.randn(3, 5, 4, 3, requires_grad=True)
    layer(seen, looking).square().sum().backward()
    assert seen.grad is not None
    assert seen.grad.any()
    assert looking.grad is None
    assert layer.attention[0].weight.grad is not None


def test_nothing_to_see_is_no_nan_in_half_precision() -> None:
    layer = fusion()
    seen, looking = torch.zeros(3, 6, 4, 3, requires_grad=True), torch.randn(3, 5, 4, 3)
    with torch.autocast("cpu", torch.bfloat16):
        fused = layer(seen, looking)
    assert fused.dtype == torch.float32
    fused.sum().backward()
    assert seen.grad is not None
    assert seen.grad.isfinite().all()
