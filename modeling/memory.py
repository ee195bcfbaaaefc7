"""One feature per training picture, kept over the whole run and compared with every batch."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from modeling.layers.precision import at_least_float32, without_autocast


def _alone(tensor: Tensor) -> Tensor:
    return tensor


@dataclass(frozen=True)
class Team:
    """The processes that hold a memory together; what these functions return is the same on every one of them.

    Attributes:
        total: the sum over the processes, number by number.
        largest: the maximum likewise.
        gathered: the rows of all of them in order of rank; each has as many.
    """

    rank: int = 0
    world: int = 1
    total: Callable[[Tensor], Tensor] = _alone
    largest: Callable[[Tensor], Tensor] = _alone
    gathered: Callable[[Tensor], Tensor] = _alone


ALONE = Team()


@dataclass(frozen=True)
class Comparison:
    """`B` samples beside `n` rows of a memory: all of its rows, or those that this process holds of it.

    Attributes:
        similarities: `(B, n)` cosines, with the gradient towards the features.
        rows: `(B,)` int64, the memory row of each sample's own picture.
        camids: `(B,)` int64, the samples' cameras.
        memory_camids: `(n,)` int64, the rows' cameras.
        filled: `(n,)` bool, the rows that hold a feature.
        first: the memory row of column 0.
        team: who holds the other rows. Of a memory that is spread over them, `B` counts the samples of all.
        mine: which of the samples are this process's.
    """

    similarities: Tensor
    rows: Tensor
    camids: Tensor
    memory_camids: Tensor
    filled: Tensor
    first: int = 0
    team: Team = ALONE
    mine: slice = field(default_factory=lambda: slice(None))


class ExemplarMemory(nn.Module):
    """A unit vector per training picture, a moving average of its features (as in ECN, CVPR 2019), and how long the
    latest of them was.

    No gradient reaches the rows. They begin as zeros and not filled: a row without a feature is no one's neighbour
    and stands for no one, so there is nothing to start from at random.

    Every process keeps the same rows as long as all write the same batches, those of all processes together.
    `write` takes a batch as a set: neither the order of its samples nor who sent them changes a bit of the outcome.

    Args:
        camids: `(N,)` int64, the camera of every row. Those of unknown camera (−1) count as one more camera.
        channels: D.

    Attributes:
        rows: `(N, D)` float32, of length 1 where filled.
        lengths: `(N,)` float32, of the latest feature, 0 where not filled.
        filled: `(N,)` bool.
        camids: `(N,)` int64; facts of the dataset, so not in the state.

    Example:
        >>> losses = criterion(memory.compare(neck, rows, camids))
        >>> ...                                     # backward; autograd objects when the rows change before it
        >>> memory.write(all_necks, all_rows, 0.6)  # gathered from all processes
    """

    rows: Tensor
    lengths: Tensor
    filled: Tensor
    camids: Tensor

    def __init__(self, camids: Tensor, channels: int) -> None:
        super().__init__()
        self.register_buffer("rows", torch.zeros(len(camids), channels))
        self.register_buffer("lengths", torch.zeros(len(camids)))
        self.register_buffer("filled", torch.zeros(len(camids), dtype=torch.bool))
        self.register_buffer("camids", camids.clone(), persistent=False)

    def read(self, features: Tensor) -> Tensor:
        """Cosines `(b, N)`, at least float32, of features `(b, D)` of any length with all rows."""
        with without_autocast(features):
            return F.normalize(at_least_float32(features)) @ self.rows.t()

    def compare(self, features: Tensor, rows: Tensor, camids: Tensor) -> Comparison:
        """What the losses over the memory need.

        Args:
            features: `(b, D)` of any length.
            rows: `(b,)` int64, the samples' own memory rows.
            camids: `(b,)` int64, their cameras.
        """
        return Comparison(self.read(features), rows, camids, self.camids, self.filled)

    @torch.no_grad()
    def write(self, features: Tensor, rows: Tensor, momentum: float) -> None:
        """M_j ← normalise(m M_j + (1 − m) f_j), with m = 0 for a row that holds nothing yet.

        f_j is the mean of the unit features that the batch has for row j, and the row's length becomes the mean of
        theirs. Samples with a number that is not finite (a forward pass that overflowed half precision) are left out.

        Args:
            features: `(B, D)` of any length, of all processes.
            rows: `(B,)` int64, in the same order; a row may occur several times.
            momentum: m, in [0, 1].
        """
        with without_autocast(features):
            features = at_least_float32(features)
            lengths = (features.norm(dim=1, keepdim=True) / LONGEST).clamp(max=1)
            told, found = mean_by_row(torch.cat([F.normalize(features), lengths], dim=1), rows)
            mean, length = told[:, :-1], LONGEST * told[:, -1]
            old, filled = self.rows[rows], self.filled[rows]
            keep = torch.where(filled, momentum, 0.0).to(old.dtype)[:, None]
            new = F.normalize(keep * old + (1 - keep) * mean.to(old.dtype))
            # Samples of one row carry the same value, so it does not matter which of them is written last.
            self.rows[rows] = new.where(found[:, None], old)
            self.lengths[rows] = length.to(old.dtype).where(found, self.lengths[rows])
            self.filled[rows] = filled | found

    def exemplars(self, rows: Tensor) -> Tensor:
        """`(b, D)` the vectors of rows `(b,)`, a copy; zeros where not filled."""
        return self.rows[rows]

    def written(self, rows: Tensor) -> Tensor:
        """`(b,)` bool, which of the rows `(b,)` hold a feature."""
        return self.filled[rows]

    def latest_lengths(self, rows: Tensor) -> Tensor:
        """`(b,)` the lengths of rows `(b,)`."""
        return self.lengths[rows]

    def checksum(self) -> Tensor | None:
        """`(1, D + 1)` int64 that differs where memories do, which processes that share one can compare.

        Sums over the rows of their bits, read as whole numbers, each times an odd number of its own: exact in whatever
        order. The last is of lengths and of what is filled.
        """
        count, whole = len(self.rows), torch.int32 if self.rows.element_size() == 4 else torch.int64
        odd = 2 * torch.arange(count, device=self.rows.device) * 0x9E3779B97F4A7C1 + 1
        total = torch.zeros(self.rows.shape[1], dtype=torch.int64, device=self.rows.device)
        for start in range(0, count, 1 << 12):
            piece = slice(start, start + (1 << 12))
            total += (self.rows[piece].view(whole).long() * odd[piece, None]).sum(dim=0)
        rest = ((2 * self.lengths.view(whole).long() + self.filled) * odd).sum()
        return torch.cat([total, rest[None]])[None]

    def left_alone(self) -> str:
        """The other processes are gone, and whatever needs them must do without; what is lost, if anything."""
        return ""

    @property
    def share_filled(self) -> Tensor:
        """The share of rows that hold a feature, a scalar."""
        return self.filled.float().mean()


LONGEST = float(1 << 20)
"""No feature is longer, as far as lengths are remembered."""

_ONE = float(1 << 50)
"""Unit features are added up as whole numbers of 2⁻⁵⁰, thousands of them: such sums are the same in every order, also
where a GPU adds in none."""


def mean_by_row(units: Tensor, rows: Tensor) -> tuple[Tensor, Tensor]:
    """The mean feature of each sample's row: `(B, D)` float64, and `(B,)` bool where there is one.

    Args:
        units: `(B, D)`, no number beyond ±1; samples with one that is not finite do not count.
        rows: `(B,)` int64.
    """
    sound = units.isfinite().all(dim=1)
    whole = (units.where(sound[:, None], 0).double() * _ONE).round().long()
    place = torch.searchsorted(rows.sort().values, rows)  # one for all samples of a row; `unique` would wait for a GPU
    sums = torch.zeros_like(whole).index_add_(0, place, whole)[place]
    counts = torch.zeros_like(rows).index_add_(0, place, sound.to(rows.dtype))[place]
    return sums.double() / (_ONE * counts.clamp(min=1)[:, None]), counts > 0
