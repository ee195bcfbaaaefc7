"""Gradients and batch statistics averaged over the processes.

torch's `DistributedDataParallel` reduces during one backward pass per forward pass over all parameters. A method here
may take several optimiser steps per batch, each over its own parameters, so gradients are averaged after each
backward pass instead, in large pieces. One process: nothing happens.
"""

from __future__ import annotations

from collections.abc import Iterable

import ignite.distributed as idist
import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

PIECE = 1 << 23  # elements per message: 32 MiB of float32


def average_gradients(parameters: Iterable[nn.Parameter]) -> None:
    """Replace every gradient by its mean over the processes.

    All processes must have gradients on the same parameters (the rule of `Update.losses`).
    """
    _average([parameter.grad for parameter in parameters if parameter.grad is not None])


def average_batch_statistics(module: nn.Module) -> None:
    """Give every process the mean running statistics of all BatchNorm layers."""
    layers = [layer for layer in module.modules() if isinstance(layer, _BatchNorm)]
    found = [tensor for layer in layers for tensor in (layer.running_mean, layer.running_var)]
    _average([tensor for tensor in found if tensor is not None])


def broadcast_state(module: nn.Module) -> None:
    """Give every process the parameters and buffers of process 0, but for modules that are `spread` over them."""
    if idist.get_world_size() > 1:
        with torch.no_grad():
            for part in module.modules():
                if not getattr(part, "spread", False):
                    for tensor in (*part.parameters(recurse=False), *part.buffers(recurse=False)):
                        dist.broadcast(tensor, src=0)


@torch.no_grad()
def _average(tensors: list[Tensor]) -> None:
    world = idist.get_world_size()
    if world == 1:
        return
    waiting: list[tuple[list[Tensor], Tensor, dist.Work]] = []
    for group in _pieces(tensors):
        flat = torch.cat([tensor.reshape(-1) for tensor in group])
        work = dist.all_reduce(flat, async_op=True)
        assert work is not None
        waiting.append((group, flat, work))
    for group, flat, work in waiting:
        work.wait()
        flat /= world
        for tensor, mean in zip(group, flat.split([tensor.numel() for tensor in group]), strict=True):
            tensor.copy_(mean.view_as(tensor))


def _pieces(tensors: list[Tensor]) -> list[list[Tensor]]:
    """Tensors in order, grouped up to `PIECE` elements of one type."""
    groups: list[list[Tensor]] = []
    size = PIECE
    for tensor in tensors:
        if size + tensor.numel() > PIECE or groups[-1][0].dtype != tensor.dtype:
            groups.append([])
            size = 0
        groups[-1].append(tensor)
        size += tensor.numel()
    return groups
