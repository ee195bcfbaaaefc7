"""An exemplar memory of which every process holds a part, for targets too large to be kept on each."""

from __future__ import annotations

from typing import Any

import ignite.distributed as idist
import torch
import torch.distributed as dist
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable

from common.errors import UserError
from modeling.layers.precision import at_least_float32, without_autocast
from modeling.memory import ALONE, Comparison, ExemplarMemory, Team

KEPT = ("rows", "lengths", "filled")
"""What a state has of a memory; sent in this order by every process."""

PIECE = 1 << 15
"""Rows of a state that are sent at once."""


def all_processes() -> Team:
    """The processes of this run as the team that shares a memory."""
    if idist.get_world_size() == 1:
        return ALONE
    return Team(idist.get_rank(), idist.get_world_size(), _total, _largest, _gathered)


class ShardedMemory(ExemplarMemory):
    """An `ExemplarMemory` whose N rows are spread over the processes; process r holds ⌊rN/R⌋ … ⌊(r+1)N/R⌋ − 1.

    Losses and gradients are those of the whole memory. Features of all processes are gathered, each compares them
    with its own rows, what the losses need of a row (maxima and sums) is put together over the team, and the gradients
    come back added up. So all methods but `read` and `write` are for all processes at once, each with as many samples.

    `read`, `rows`, `lengths`, `filled` and `camids` are of this process's part.

    The state of process 0 is that of an `ExemplarMemory`: the whole rows, put together piece by piece in main memory,
    to be loaded by any number of processes, or by one that keeps them all. All processes must ask for theirs at once;
    those of the others have the rows that they hold. Where the others are gone (a rescue after a failure), `left_alone`
    makes a state that has their rows as not filled.

    Args:
        camids: `(N,)` int64, the camera of every row of the whole memory.
        channels: D.
        team: who shares it; by default all processes of the run.

    Attributes:
        first: the memory row of this part's row 0.
        size: N.
        spread: no process has what another has.

    Raises:
        UserError: there are more processes than rows.
    """

    spread = True

    def __init__(self, camids: Tensor, channels: int, team: Team | None = None) -> None:
        team = all_processes() if team is None else team
        if len(camids) < team.world:
            raise UserError(f"a memory of {len(camids)} rows cannot be spread over {team.world} processes; use fewer")
        self.size = len(camids)
        self.first, after = (rank * self.size // team.world for rank in (team.rank, team.rank + 1))
        super().__init__(camids[self.first : after], channels)
        self.team = team

    def compare(self, features: Tensor, rows: Tensor, camids: Tensor) -> Comparison:
        """The samples of all processes beside this process's rows; arguments as of `ExemplarMemory`, of this process's
        samples."""
        team, own = self.team, len(features)
        with without_autocast(features):
            units = F.normalize(at_least_float32(features))
            everyones: Tensor = _Gathered.apply(units, team)  # type: ignore[no-untyped-call]
            return Comparison(
                everyones @ self.rows.t(),
                team.gathered(rows),
                team.gathered(camids),
                self.camids,
                self.filled,
                first=self.first,
                team=team,
                mine=slice(team.rank * own, (team.rank + 1) * own),
            )

    @torch.no_grad()
    def write(self, features: Tensor, rows: Tensor, momentum: float) -> None:
        """As of `ExemplarMemory`: features and rows are those of all processes, and each writes those it holds."""
        here = (rows >= self.first) & (rows < self.first + len(self.rows))
        super().write(features[here], rows[here] - self.first, momentum)

    @torch.no_grad()
    def exemplars(self, rows: Tensor) -> Tensor:
        """As of `ExemplarMemory`, for rows `(b,)` of the whole memory, others on every process."""
        return self._from_holders(self.rows, rows)

    @torch.no_grad()
    def written(self, rows: Tensor) -> Tensor:
        """Likewise."""
        return self._from_holders(self.filled.to(self.rows.dtype), rows) > 0

    @torch.no_grad()
    def latest_lengths(self, rows: Tensor) -> Tensor:
        """Likewise."""
        return self._from_holders(self.lengths, rows)

    def checksum(self) -> None:
        """There is nothing to compare."""

    def left_alone(self) -> str:
        held, self.team = self.size - len(self.rows), ALONE
        return f"{held:,} of {self.size:,} exemplars, which the other processes held" if held else ""

    @property
    def share_filled(self) -> Tensor:
        return self.team.total(self.filled.sum()) / self.size

    def _from_holders(self, values: Tensor, rows: Tensor) -> Tensor:
        """What `values`, one per row, are at memory rows `(b,)`, whoever holds them."""
        column = self.team.gathered(rows) - self.first
        here = (column >= 0) & (column < len(values))
        found = values.new_zeros(len(column), *values.shape[1:])
        found[here] = values[column[here]]
        return self.team.total(found)[self.team.rank * len(rows) : (self.team.rank + 1) * len(rows)]

    def _save_to_state_dict(self, destination: dict[str, Any], prefix: str, keep_vars: bool) -> None:
        super()._save_to_state_dict(destination, prefix, keep_vars)
        for name in KEPT:
            destination[prefix + name] = self._whole(destination[prefix + name])

    @torch.no_grad()
    def _whole(self, part: Tensor) -> Tensor:
        """The parts of all processes, on process 0 alone."""
        if self.team.world == 1 and len(part) == self.size:
            return part
        whole = torch.zeros(self.size if self.team.rank == 0 else 0, *part.shape[1:], dtype=part.dtype)
        for start in range(0, self.size, PIECE):
            after = min(start + PIECE, self.size)
            piece = part.new_zeros(after - start, *part.shape[1:])
            low, high = max(start, self.first), min(after, self.first + len(part))
            if low < high:
                piece[low - start : high - start] = part[low - self.first : high - self.first]
            # One process has numbers where the others have zeros.
            total = self.team.total(piece.byte() if piece.dtype == torch.bool else piece)
            if self.team.rank == 0:
                whole[start:after] = total.to(whole)
        return whole if self.team.rank == 0 else part

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *rest: Any) -> None:
        errors: list[str] = rest[-1]
        parts = dict(state_dict)
        for name in KEPT:
            if prefix + name not in state_dict:
                continue
            whole = parts[prefix + name]
            if len(whole) != self.size:
                errors.append(f"{prefix}{name} has {len(whole)} rows, the memory has {self.size}")
            parts[prefix + name] = whole[self.first : self.first + len(self.rows)]
        super()._load_from_state_dict(parts, prefix, *rest)


class _Gathered(torch.autograd.Function):
    """The rows of all processes, with a gradient that adds up what each of them has towards this process's."""

    @staticmethod
    def forward(ctx: Any, rows: Tensor, team: Team) -> Tensor:
        ctx.team, ctx.own = team, len(rows)
        return team.gathered(rows)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> Any:
        return ctx.team.total(gradient)[ctx.team.rank * ctx.own : (ctx.team.rank + 1) * ctx.own], None


def _total(tensor: Tensor) -> Tensor:
    return _reduced(tensor, dist.ReduceOp.SUM)


def _largest(tensor: Tensor) -> Tensor:
    return _reduced(tensor, dist.ReduceOp.MAX)


def _reduced(tensor: Tensor, operation: Any) -> Tensor:
    shared = tensor.detach().clone(memory_format=torch.contiguous_format)
    dist.all_reduce(shared, op=operation)
    return shared


def _gathered(rows: Tensor) -> Tensor:
    own = rows.detach().contiguous()
    received = [torch.empty_like(own) for _ in range(idist.get_world_size())]
    dist.all_gather(received, own)
    return torch.cat(received)
