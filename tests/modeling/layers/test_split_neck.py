"""The neck with statistics by domain, against two BatchNorm layers that share a scale."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from common.errors import UserError
from modeling.layers.neck import BNNeck
from modeling.layers.split_neck import SplitNeck


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.manual_seed(0)


def batch(sources: int, targets: int, channels: int = 5) -> Tensor:
    """Source and target rows that lie far apart."""
    source = 2 + 3 * torch.randn(sources, channels, dtype=torch.float64)
    return torch.cat((source, torch.randn(targets, channels, dtype=torch.float64) / 2 - 4))


def scaled(neck: SplitNeck) -> SplitNeck:
    """In float64, with scales that differ."""
    with torch.no_grad():
        neck.weight.uniform_(0.5, 2.0)
    return neck.double()


@pytest.mark.parametrize("sources", [6, 4, 0, 12])
def test_is_two_batchnorms_in_value_gradients_and_statistics(sources: int) -> None:
    neck = scaled(SplitNeck(5))
    source, target = nn.BatchNorm1d(5).double(), nn.BatchNorm1d(5).double()
    for layer in (source, target):
        layer.load_state_dict(neck.state_dict())
    features, towards = batch(sources, 12 - sources), torch.randn(12, 5, dtype=torch.float64)
    mine, theirs = features.clone().requires_grad_(), features.clone().requires_grad_()
    out = neck(mine, sources)
    halves = zip((source, target), (theirs[:sources], theirs[sources:]), strict=True)
    expected = torch.cat([layer(half) for layer, half in halves if len(half)])
    torch.testing.assert_close(out, expected)
    out.backward(towards)
    expected.backward(towards)
    torch.testing.assert_close(mine.grad, theirs.grad)
    scales = [layer.weight.grad for layer in (source, target) if layer.weight.grad is not None]
    torch.testing.assert_close(neck.weight.grad, torch.stack(scales).sum(dim=0))
    assert neck.bias.grad is None
    torch.testing.assert_close(dict(neck.named_buffers()), dict(target.named_buffers()))


@pytest.mark.parametrize("chunk", [None, 3])
def test_the_source_leaves_no_trace_in_the_running_statistics(chunk: int | None) -> None:
    real, noisy = SplitNeck(5, chunk=chunk).double(), SplitNeck(5, chunk=chunk).double()
    for _ in range(4):
        features = batch(6, 6)
        noise = torch.cat((100 * torch.randn(6, 5, dtype=torch.float64), features[6:]))
        assert torch.equal(real(features, 6)[6:], noisy(noise, 6)[6:])
    for name, tensor in real.state_dict().items():
        assert torch.equal(tensor, noisy.state_dict()[name])
    assert real.num_batches_tracked is not None
    assert real.num_batches_tracked.item() == 4


@pytest.mark.parametrize("statistics", ["target", "both"])
def test_evaluation_is_by_running_statistics_for_every_row(statistics: str) -> None:
    neck = scaled(SplitNeck(5, statistics=statistics))  # type: ignore[arg-type]
    for _ in range(3):
        neck(batch(6, 6), 6)
    plain = BNNeck(5).double()
    plain.load_state_dict({name: neck.state_dict()[name] for name in plain.state_dict()})
    neck.eval(), plain.eval()
    features = batch(3, 4)
    assert torch.equal(neck(features), plain(features))
    assert torch.equal(neck(features, 3), plain(features))


def test_a_state_is_that_of_a_neck() -> None:
    assert list(SplitNeck(5).state_dict()) == list(BNNeck(5).state_dict())
    assert not SplitNeck(5).bias.requires_grad


def test_both_keeps_the_statistics_of_the_source_too() -> None:
    neck, source = SplitNeck(5, statistics="both").double(), BNNeck(5).double()
    extra = set(neck.state_dict()) - set(BNNeck(5).state_dict())
    kept = {"running_mean", "running_var", "num_batches_tracked"}
    assert extra == {f"source_statistics.{name}" for name in kept}
    for _ in range(3):
        features = batch(6, 6)
        torch.testing.assert_close(neck(features, 6)[:6], source(features[:6]))
    assert neck.source_statistics is not None
    torch.testing.assert_close(dict(neck.source_statistics.named_buffers()), dict(source.named_buffers()))


def test_chunks_are_taken_within_a_domain() -> None:
    neck = scaled(SplitNeck(5, statistics="both", chunk=3))
    layers = [nn.BatchNorm1d(5).double() for _ in range(4)]
    for layer in layers:
        layer.load_state_dict({name: neck.state_dict()[name] for name in layer.state_dict()})
    features = batch(6, 6)
    expected = torch.cat([layer(part) for layer, part in zip(layers, features.split(3), strict=True)])
    torch.testing.assert_close(neck(features, 6), expected)
    assert neck.source_statistics is not None
    for kept, (first, second) in ((neck.source_statistics, layers[:2]), (neck, layers[2:])):
        for name in ("running_mean", "running_var"):
            mean = (first.get_buffer(name) + second.get_buffer(name)) / 2
            torch.testing.assert_close(kept.get_buffer(name), mean)


def test_a_half_that_does_not_divide() -> None:
    with pytest.raises(UserError, match="^6 rows do not divide into chunks of 4"):
        SplitNeck(5, chunk=4)(torch.randn(14, 5), 8)
