"""What several processes know, put together through the CPU: counts, maxima, whether they agree."""

from __future__ import annotations

import hashlib
from collections.abc import Callable

import ignite.distributed as idist
import numpy as np
import torch
import torch.distributed as dist
from numpy.typing import NDArray

from common.errors import UserError
from retrieval.streaming.stream import Team

_control: dist.ProcessGroup | None = None


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


def _on_the_cpu() -> dist.ProcessGroup:
    global _control
    if _control is None:
        _control = dist.new_group(backend="gloo")
    return _control
