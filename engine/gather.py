"""Rows of several processes put together, however many each has."""

from __future__ import annotations

import hashlib

import ignite.distributed as idist
import numpy as np
import torch
import torch.distributed as dist
from numpy.typing import NDArray
from torch import Tensor

from retrieval.streaming.stream import Team

_control: dist.ProcessGroup | None = None


def gather_rows(rows: Tensor) -> Tensor:
    """`(n_r, …)` of every process, concatenated in order of rank, on every process.

    `n_r` may differ and be 0; the trailing shape and the type may not. (Ignite's `all_gather` of unequal lengths
    fails or corrupts: docs/dependencies.md.)
    """
    world = idist.get_world_size()
    if world == 1:
        return rows
    mine = torch.tensor([len(rows)], device=rows.device)
    lengths = [torch.empty_like(mine) for _ in range(world)]
    dist.all_gather(lengths, mine)
    counts = [int(length) for length in lengths]
    padded = rows.new_zeros((max(counts), *rows.shape[1:]))
    padded[: len(rows)] = rows
    received = [torch.empty_like(padded) for _ in range(world)]
    dist.all_gather(received, padded)
    return torch.cat([part[:count] for part, count in zip(received, counts, strict=True)])


def added_up(counts: NDArray[np.int64]) -> NDArray[np.int64]:
    """The sum over the processes, number by number, on every process; through the CPU."""
    if idist.get_world_size() == 1:
        return counts
    shared = torch.from_numpy(counts.copy())
    dist.all_reduce(shared, op=dist.ReduceOp.SUM, group=_on_the_cpu())
    return shared.numpy()


def team() -> Team:
    """The processes, as those who share a ranking."""
    return Team(idist.get_rank(), idist.get_world_size(), added_up)


def largest(value: int) -> int:
    """The maximum of `value` over the processes, through the CPU so that no GPU has to wait."""
    if idist.get_world_size() == 1:
        return value
    shared = torch.tensor([value])
    dist.all_reduce(shared, op=dist.ReduceOp.MAX, group=_on_the_cpu())
    return int(shared)


def agreed(text: str) -> bool:
    """Whether all processes hold the same text."""
    number = int.from_bytes(hashlib.sha256(text.encode()).digest()[:7], "big")
    return largest(number) == -largest(-number)


def _on_the_cpu() -> dist.ProcessGroup:
    global _control
    if _control is None:
        _control = dist.new_group(backend="gloo")
    return _control
