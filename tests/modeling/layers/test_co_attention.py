"""The co-attention gate against a loop over tokens."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from modeling.layers.co_attention import CoAttentionGate, Streams


def gate(channels: int = 8) -> CoAttentionGate:
    torch.manual_seed(0)
    return CoAttentionGate(channels)


def streams(channels: int = 8, dtype: torch.dtype = torch.float64) -> Streams:
    random = torch.Generator().manual_seed(1)
    given = [torch.randn(2, 5, channels, generator=random, dtype=dtype, requires_grad=True) for _ in range(2)]
    return Streams(*given)


def by_hand(layer: CoAttentionGate, given: Streams) -> Streams:
    down, _, up = layer.gate
    assert isinstance(down, nn.Linear)
    assert isinstance(up, nn.Linear)
    pictures: tuple[list[Tensor], list[Tensor]] = ([], [])
    for b in range(2):
        rows: tuple[list[Tensor], list[Tensor]] = ([], [])
        for n in range(5):
            both = torch.cat([given.appearance[b, n], given.shape[b, n]])
            raised = up.weight @ (down.weight @ both + down.bias).clamp(min=0) + up.bias
            strong = (1 + 1 / (1 + (-raised).exp())) * both
            rows[0].append(strong[:8])
            rows[1].append(strong[8:])
        for picture, row in zip(pictures, rows, strict=True):
            picture.append(torch.stack(row))
    return Streams(*map(torch.stack, pictures))


def test_values_and_gradients_are_those_of_the_loop() -> None:
    layer = gate().double()
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    given = streams()
    fast, slow = layer(given), by_hand(layer, given)
    towards = torch.randn(2, 2, 5, 8, dtype=torch.float64)
    inputs = (*given, *layer.parameters())
    gradients = [torch.autograd.grad((torch.stack(out) * towards).sum(), inputs) for out in (fast, slow)]
    torch.testing.assert_close(torch.stack(fast), torch.stack(slow), rtol=1e-6, atol=1e-9)
    for one, other in zip(*gradients, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-6, atol=1e-9)
        assert one.any()


def test_it_strengthens_by_one_to_two() -> None:
    given = streams(dtype=torch.float32)
    for out, before in zip(gate()(given), given, strict=True):
        factors = out / before
        assert factors.min() > 1
        assert factors.max() < 2
    layer, last = gate(), gate().gate[2]
    assert isinstance(last, nn.Linear)
    for value, factor in ((50.0, 2.0), (-50.0, 1.0)):
        with torch.no_grad():
            for one in layer.gate[2].parameters():
                one.fill_(0.0)
            layer.gate[2].bias.fill_(value)  # type: ignore[operator]
        torch.testing.assert_close(layer(given).shape, factor * given.shape)


def test_every_token_for_itself() -> None:
    given, order = streams(dtype=torch.float32), torch.tensor([3, 1, 4, 0, 2])
    moved = gate()(Streams(given.appearance[:, order], given.shape[:, order]))
    torch.testing.assert_close(moved.shape, gate()(given).shape[:, order])


def test_each_stream_is_asked_about_the_other() -> None:
    given = streams(dtype=torch.float32)
    other = Streams(given.appearance, given.shape + 1)
    assert not torch.allclose(gate()(given).appearance, gate()(other).appearance)


def test_how_it_begins() -> None:
    """Gates of 0.5 with a spread of 0.3 on streams as they are then: a positive map, and unit variance."""
    layer = gate(512)
    down, _, up = layer.gate
    assert isinstance(down, nn.Linear)
    assert isinstance(up, nn.Linear)
    assert down.weight.std().item() == pytest.approx((2 / 256) ** 0.5, rel=0.02)
    assert up.weight.std().item() == pytest.approx((2 / 1024) ** 0.5, rel=0.02)
    assert not down.bias.any()
    assert not up.bias.any()
    given = Streams(torch.randn(4, 32, 512).relu(), torch.randn(4, 32, 512))
    opened = layer(given).shape / given.shape - 1
    assert opened.mean().item() == pytest.approx(0.5, abs=0.03)
    assert 0.2 < opened.std().item() < 0.4


def test_the_published_size() -> None:
    with torch.device("meta"):
        layer = CoAttentionGate(2048)
    assert sum(one.numel() for one in layer.parameters()) / 1e6 == pytest.approx(8.394, abs=5e-4)


def test_half_precision_around_it() -> None:
    given = streams(dtype=torch.float32)
    with torch.autocast("cpu", torch.bfloat16):
        out = gate()(given)
    assert out.appearance.dtype == out.shape.dtype == torch.float32
    torch.testing.assert_close(out.shape, gate()(given).shape, rtol=0.02, atol=0.02)
