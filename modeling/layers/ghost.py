"""Batch normalisation over chunks of a batch ("ghost batches", Hoffer et al., NeurIPS 2017, arXiv 1705.08741).

How strongly batch statistics disturb a picture depends on how many pictures they are taken over, so a recipe found with
128 pictures on each of two GPUs is another recipe with 256 on one. In chunks of 128 it is the same again:

    network.backbone = ghost_batch_norms(network.backbone, 128)
    order, inverse = balanced_order(256, 128)              # of a batch [128 source ; 128 target]
    features = network.backbone(images[order])[inverse]    # each chunk held 64 source and 64 target pictures
"""

from __future__ import annotations

from typing import NamedTuple, TypeVar

import ignite.distributed as idist
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from common.errors import UserError

Network = TypeVar("Network", bound=nn.Module)

_PLAIN = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)


class GhostBatchNorm(_BatchNorm):
    """Batch normalisation of `(B, C)` or `(B, C, ...)`, in training by the statistics of each `chunk` rows in turn.

    Its parameters and buffers are those of `nn.BatchNorm2d`, and so is what it computes in evaluation.

    Args:
        channels: C.
        chunk: rows per statistic; a training batch must be a multiple.
        eps, momentum, affine, track_running_stats: as for `nn.BatchNorm2d`.
    """

    def __init__(
        self,
        channels: int,
        chunk: int,
        *,
        eps: float = 1e-5,
        momentum: float | None = 0.1,
        affine: bool = True,
        track_running_stats: bool = True,
    ) -> None:
        super().__init__(channels, eps, momentum, affine, track_running_stats)
        self.chunk = chunk

    def forward(self, maps: Tensor) -> Tensor:
        if self.training:
            return batch_norm_in_chunks(maps, self.chunk, self, tracked=self)
        return super().forward(maps)

    def extra_repr(self) -> str:
        return f"{self.num_features}, chunk={self.chunk}, eps={self.eps}, momentum={self.momentum}"

    def _check_input_dim(self, input: Tensor) -> None:
        if input.dim() < 2:
            raise ValueError(f"expected (B, C, ...), got {tuple(input.shape)}")


def batch_norm_in_chunks(maps: Tensor, chunk: int | None, layer: _BatchNorm, tracked: _BatchNorm | None) -> Tensor:
    """One training step of batch normalisation of `(B, C, ...)`.

    The running statistics move once, by the mean over the chunks of the means and of the unbiased variances. As they
    move linearly, that is what as many processes with one chunk each arrive at by averaging both at the end of an epoch
    (`engine.gradients.average_batch_statistics`).

    A chunk is contiguous in either memory order, so a call for each reads its pictures where they lie; one call with
    a channel per chunk and channel would have to copy the batch into another order and back.

    Args:
        chunk: rows per statistic; None takes all rows together.
        layer: its scale and shift are applied.
        tracked: its running statistics move; None leaves no trace of the batch.

    Raises:
        UserError: the batch is no multiple of `chunk`.
    """
    count = 1 if chunk is None else _chunks(len(maps), chunk)
    factor = 0.0 if tracked is None else _count_step(tracked)
    mean, variance = (None, None) if tracked is None else (tracked.running_mean, tracked.running_var)

    def normalise(part: Tensor, mean: Tensor | None, variance: Tensor | None) -> Tensor:
        return F.batch_norm(part, mean, variance, layer.weight, layer.bias, True, factor, layer.eps)

    if count == 1:
        return normalise(maps, mean, variance)
    parts = maps.split(len(maps) // count)
    if mean is None or variance is None:
        return torch.cat([normalise(part, None, None) for part in parts])
    means, variances = mean.repeat(count, 1), variance.repeat(count, 1)
    normalised = torch.cat([normalise(*each) for each in zip(parts, means, variances, strict=True)])
    mean.copy_(means.mean(dim=0))
    variance.copy_(variances.mean(dim=0))
    return normalised


def ghost_batch_norms(network: Network, chunk: int) -> Network:
    """Give every `nn.BatchNorm1d`, `2d` and `3d` in `network` chunks of `chunk` rows, in place.

    Parameters and buffers stay the same tensors under the same names. Subclasses (necks) have rules of their own and
    stay as they are. Returns the network, or the new layer where it is itself a batch normalisation.
    """
    if type(network) in _PLAIN:
        assert isinstance(network, _BatchNorm)
        return _ghost(network, chunk)  # type: ignore[return-value]
    for name, child in network.named_children():
        setattr(network, name, ghost_batch_norms(child, chunk))
    return network


def require_whole(option: str, chunk: int | None, batch: int) -> None:
    """Raise `UserError` when the share that a process has of a batch is not a whole number of chunks.

    Args:
        option: whose value `chunk` is, as a user writes it; None: no chunks.
        batch: pictures over all processes.
    """
    here = batch // idist.get_world_size()
    if chunk is not None and here % chunk:
        raise UserError(
            f"{option}={chunk} does not divide the {here} pictures of a batch on each process; give a number that does,"
            " or another batches.size"
        )


class ChunkOrder(NamedTuple):
    """How to lay out a batch and how to undo it: `rows[order][inverse]` is `rows`; both `(B,)` int64."""

    order: Tensor
    inverse: Tensor


def balanced_order(batch: int, chunk: int, device: torch.device | str | None = None) -> ChunkOrder:
    """The order in which a batch [source ; target] has as many source as target rows in every chunk.

    A chunk is `chunk`/2 source rows and then the target rows of the same positions, so that pairs of a source and a
    target row stay together, as they do on processes that have one chunk each.

    Raises:
        UserError: `chunk` is odd, or `batch` is no multiple of it.
    """
    if chunk % 2:
        raise UserError(f"a chunk of {chunk} rows cannot be half source and half target; take an even number")
    count = _chunks(batch, chunk)
    rows = torch.arange(batch, device=device)
    order = rows.view(2, count, chunk // 2).transpose(0, 1).reshape(-1)
    inverse = rows.view(count, 2, chunk // 2).transpose(0, 1).reshape(-1)
    return ChunkOrder(order, inverse)


def _ghost(layer: _BatchNorm, chunk: int) -> GhostBatchNorm:
    """A layer around the tensors of `layer`."""
    ghost = GhostBatchNorm(
        layer.num_features,
        chunk,
        eps=layer.eps,
        momentum=layer.momentum,
        affine=layer.affine,
        track_running_stats=layer.track_running_stats,
    )
    ghost.weight, ghost.bias = layer.weight, layer.bias
    ghost.running_mean, ghost.running_var = layer.running_mean, layer.running_var
    ghost.num_batches_tracked = layer.num_batches_tracked
    return ghost.train(layer.training)


def _count_step(layer: _BatchNorm) -> float:
    """Count a training step; the share of its statistics in the running ones (`momentum: None` is their mean)."""
    if layer.num_batches_tracked is not None:
        layer.num_batches_tracked.add_(1)
        if layer.momentum is None:
            return 1.0 / float(layer.num_batches_tracked)
    return layer.momentum or 0.0


def _chunks(rows: int, chunk: int) -> int:
    """How many chunks there are."""
    if chunk < 1 or rows % chunk:
        raise UserError(
            f"{rows} rows do not divide into chunks of {chunk}, over which BatchNorm is to take its statistics;"
            f" take a batch size that is a multiple, or other chunks"
        )
    return rows // chunk
