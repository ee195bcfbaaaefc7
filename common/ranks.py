"""What several processes know, put together: rows, maxima, whether they agree, and what one does for all."""

from __future__ import annotations

import hashlib
from collections.abc import Callable

import ignite.distributed as idist
import torch
import torch.distributed as dist
from torch import Tensor

from common.errors import UserError

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


def largest(value: int) -> int:
    """The maximum of `value` over the processes, through the CPU so that no GPU has to wait."""
    if idist.get_world_size() == 1:
        return value
    shared = torch.tensor([value])
    dist.all_reduce(shared, op=dist.ReduceOp.MAX, group=on_the_cpu())
    return int(shared)


def agreed(text: str) -> bool:
    """Whether all processes hold the same text."""
    number = int.from_bytes(hashlib.sha256(text.encode()).digest()[:7], "big")
    return largest(number) == -largest(-number)


def on_first(work: Callable[[], object]) -> None:
    """Do it on process 0; when it says with a `UserError` that it cannot be done, all processes stop."""
    problem: UserError | None = None
    if idist.get_rank() == 0:
        try:
            work()
        except UserError as error:
            problem = error
    if largest(int(problem is not None)):
        raise problem or SystemExit(1)


def on_the_cpu() -> dist.ProcessGroup:
    """The group whose messages no GPU has to wait for."""
    global _control
    if _control is None:
        _control = dist.new_group(backend="gloo")
    return _control
