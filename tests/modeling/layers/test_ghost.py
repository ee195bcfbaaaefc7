"""Batch normalisation in chunks against one BatchNorm for each chunk, as on as many processes."""

from __future__ import annotations

import copy
from typing import cast

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from common.errors import UserError
from modeling.backbones.resnet import ResNet
from modeling.layers.ghost import GhostBatchNorm, balanced_order, ghost_batch_norms
from modeling.layers.neck import BNNeck

Plain = nn.BatchNorm1d | nn.BatchNorm2d


def plain(channels: int, dims: int, **options: float | bool | None) -> Plain:
    """A layer in float64 that is not in its initial state."""
    layer: Plain = (nn.BatchNorm1d if dims == 2 else nn.BatchNorm2d)(channels, **options).double()  # type: ignore[arg-type]
    for tensor in layer.state_dict().values():
        if tensor.is_floating_point():
            tensor.uniform_(0.5, 2.0)
    return layer


def ghost_of(layer: nn.Module, chunk: int) -> GhostBatchNorm:
    return cast(GhostBatchNorm, ghost_batch_norms(copy.deepcopy(layer), chunk))


def one_call(maps: Tensor, chunk: int, layer: Plain) -> Tensor:
    """All chunks in one call, each with channels of its own."""
    count = len(maps) // chunk
    apart = maps.unflatten(0, (count, chunk)).transpose(0, 1).flatten(1, 2)
    weight, bias = layer.weight.repeat(count), layer.bias.repeat(count)
    out = F.batch_norm(apart, None, None, weight, bias, True, 0.0, layer.eps)
    back: Tensor = out.unflatten(1, (count, -1)).transpose(0, 1).flatten(0, 1)
    return back


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.manual_seed(0)


@pytest.mark.parametrize("shape", [(12, 5), (12, 5, 4, 3)])
@pytest.mark.parametrize("chunk", [2, 4, 6, 12])
def test_is_one_batchnorm_for_each_chunk(shape: tuple[int, ...], chunk: int) -> None:
    layer = plain(5, len(shape))
    ghost = ghost_of(layer, chunk)
    layers = [copy.deepcopy(layer) for _ in range(shape[0] // chunk)]
    for _ in range(3):
        maps = 3 + 2 * torch.randn(shape, dtype=torch.float64)
        towards = torch.randn(shape, dtype=torch.float64)
        mine, theirs = maps.clone().requires_grad_(), maps.clone().requires_grad_()
        out = ghost(mine)
        expected = torch.cat([each(part) for each, part in zip(layers, theirs.split(chunk), strict=True)])
        torch.testing.assert_close(out, expected)
        out.backward(towards)
        expected.backward(towards)
        torch.testing.assert_close(mine.grad, theirs.grad)
    # Nothing was averaged in between: doing so at every step or once at the end is the same.
    torch.testing.assert_close(ghost.running_mean, torch.stack([each.running_mean for each in layers]).mean(dim=0))  # type: ignore[misc]
    torch.testing.assert_close(ghost.running_var, torch.stack([each.running_var for each in layers]).mean(dim=0))  # type: ignore[misc]
    assert ghost.num_batches_tracked is not None
    assert ghost.num_batches_tracked.item() == 3
    for name, parameter in ghost.named_parameters():
        torch.testing.assert_close(parameter.grad, sum(each.get_parameter(name).grad for each in layers))

    maps = torch.randn(7, *shape[1:], dtype=torch.float64)
    layer.load_state_dict(ghost.state_dict())
    assert torch.equal(ghost.eval()(maps), layer.eval()(maps))


@pytest.mark.parametrize("memory", [torch.contiguous_format, torch.channels_last])
def test_keeps_the_memory_order_and_is_the_one_call_form(memory: torch.memory_format) -> None:
    layer = plain(6, 4)
    maps = torch.randn(8, 6, 3, 2, dtype=torch.float64).to(memory_format=memory).requires_grad_()
    out, expected = ghost_of(layer, 2)(maps), one_call(maps, 2, layer)
    assert out.is_contiguous(memory_format=memory)
    torch.testing.assert_close(out, expected)
    towards = torch.randn_like(out)
    (mine,) = torch.autograd.grad(out, maps, towards)
    (theirs,) = torch.autograd.grad(expected, maps, towards)
    torch.testing.assert_close(mine, theirs)
    assert mine.is_contiguous(memory_format=memory)


@pytest.mark.parametrize("options", [{"affine": False}, {"track_running_stats": False}, {"momentum": None}])
def test_takes_over_what_the_layer_was_told(options: dict[str, bool | None]) -> None:
    layer = plain(5, 2, eps=0.5, **options)
    ghost = ghost_of(layer, 6)
    assert set(ghost.state_dict()) == set(layer.state_dict())
    assert ghost.affine == layer.affine
    for _ in range(2):
        rows = torch.randn(6, 5, dtype=torch.float64)
        torch.testing.assert_close(ghost(rows), layer(rows))
        torch.testing.assert_close(ghost.state_dict(), layer.state_dict())
    rows = torch.randn(3, 5, dtype=torch.float64)
    torch.testing.assert_close(ghost.eval()(rows), layer.eval()(rows))


def test_half_maps_under_autocast() -> None:
    ghost = ghost_of(nn.BatchNorm2d(4), 2)
    maps = torch.randn(4, 4, 3, 3).bfloat16()
    with torch.autocast("cpu", torch.bfloat16):
        out = ghost(maps)
    assert out.dtype == torch.bfloat16
    assert ghost.running_mean is not None
    assert ghost.running_mean.dtype == torch.float32
    torch.testing.assert_close(out.float(), ghost_of(nn.BatchNorm2d(4), 2)(maps.float()), atol=0.02, rtol=0.01)


def test_a_network_keeps_its_tensors_and_their_names() -> None:
    backbone = ResNet(18, last_stride=1, ibn=True)
    backbone.layer1.eval()
    network = nn.Sequential(backbone, nn.Flatten(), BNNeck(3))
    before = network.state_dict(keep_vars=True)
    assert ghost_batch_norms(network, 2) is network
    after = network.state_dict(keep_vars=True)
    assert list(after) == list(before)
    assert all(after[name] is tensor for name, tensor in before.items())
    kinds = {type(layer) for layer in network.modules() if isinstance(layer, nn.modules.batchnorm._BatchNorm)}
    assert kinds == {GhostBatchNorm, BNNeck}
    assert [layer.training for layer in network.modules() if isinstance(layer, GhostBatchNorm)].count(False) == 4


def test_a_network_computes_what_two_processes_would() -> None:
    network = ResNet(18, last_stride=1).double()
    ghost, first, second = (copy.deepcopy(network) for _ in range(3))
    ghost_batch_norms(ghost, 3)
    images = torch.randn(6, 3, 32, 16, dtype=torch.float64)
    torch.testing.assert_close(ghost(images), torch.cat((first(images[:3]), second(images[3:]))))
    for name, buffer in ghost.named_buffers():
        mean = (first.get_buffer(name) + second.get_buffer(name)) / 2
        torch.testing.assert_close(buffer.double(), mean.double())


@pytest.mark.parametrize("rows", [6, 3])
def test_a_batch_that_does_not_divide(rows: int) -> None:
    with pytest.raises(UserError, match=f"^{rows} rows do not divide into chunks of 4, over which"):
        ghost_of(nn.BatchNorm1d(2), 4)(torch.randn(rows, 2))


def test_balanced_order() -> None:
    order, inverse = balanced_order(8, 4)
    assert order.tolist() == [0, 1, 4, 5, 2, 3, 6, 7]
    assert inverse.tolist() == [0, 1, 4, 5, 2, 3, 6, 7]


@pytest.mark.parametrize(("batch", "chunk"), [(12, 12), (12, 4), (12, 2), (24, 6)])
def test_every_chunk_is_half_source_and_keeps_pairs_together(batch: int, chunk: int) -> None:
    order, inverse = balanced_order(batch, chunk)
    rows = torch.arange(batch)
    assert torch.equal(rows[order][inverse], rows)
    pair, is_source = order % (batch // 2), order < batch // 2
    for chunk_pair, chunk_is_source in zip(pair.split(chunk), is_source.split(chunk), strict=True):
        assert torch.equal(chunk_pair[chunk_is_source], chunk_pair[~chunk_is_source])


def test_what_has_no_balanced_order() -> None:
    with pytest.raises(UserError, match="chunk of 3 rows cannot be half"):
        balanced_order(12, 3)
    with pytest.raises(UserError, match="^12 rows do not divide into chunks of 8"):
        balanced_order(12, 8)
