"""Rows of several processes put together, however many each has."""

from __future__ import annotations

import ignite.distributed as idist
import torch
import torch.distributed as dist
from torch import Tensor


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
