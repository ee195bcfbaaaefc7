"""The processes as those who share a ranking: counts added up through the CPU."""

from __future__ import annotations

import ignite.distributed as idist
import numpy as np
import torch
import torch.distributed as dist
from numpy.typing import NDArray

from common.ranks import on_the_cpu
from retrieval.streaming.stream import Team


def added_up(counts: NDArray[np.int64]) -> NDArray[np.int64]:
    """The sum over the processes, number by number, on every process; through the CPU."""
    if idist.get_world_size() == 1:
        return counts
    shared = torch.from_numpy(counts.copy())
    dist.all_reduce(shared, op=dist.ReduceOp.SUM, group=on_the_cpu())
    return shared.numpy()


def team() -> Team:
    """The processes, as those who share a ranking."""
    return Team(idist.get_rank(), idist.get_world_size(), added_up)
