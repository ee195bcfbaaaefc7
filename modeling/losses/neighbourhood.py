"""Losses that draw pictures to their neighbours in an exemplar memory, camera by camera."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal

import ignite.distributed as idist
import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from common.errors import UserError
from modeling.layers.precision import at_least_float32, without_autocast
from modeling.memory import Comparison

Mode = Literal["camera", "agnostic"]
Term = Literal["intra", "inter", "agnostic", "instance"]
TERMS: Mapping[Mode, tuple[Term, ...]] = {"camera": ("intra", "inter"), "agnostic": ("agnostic",)}
"""The terms of each mode that have neighbours; the candidates of the first include the sample itself."""

TILE = {"cpu": 1 << 19}
"""Similarities that are worked on at once: on a CPU so few that they stay in its cache, 2²⁶ elsewhere."""


@dataclass(frozen=True)
class Found:
    """What a term found for this process's samples, as scalars without gradient.

    Attributes:
        neighbours: how many neighbours a sample has on average.
        top: the mean similarity of the most similar candidate, over samples that have a candidate.
        passed: the share of samples that have neighbours, and whose neighbours pass the gate where there is one.
    """

    neighbours: Tensor
    top: Tensor
    passed: Tensor


@dataclass(frozen=True)
class NeighbourhoodLosses:
    """Scalar losses, None for those that were not asked for, and what they found by term."""

    intra: Tensor | None = None
    inter: Tensor | None = None
    agnostic: Tensor | None = None
    instance: Tensor | None = None
    found: Mapping[str, Found] = field(default_factory=dict)


class NeighbourhoodLoss(nn.Module):
    """The camera-aware neighbourhood losses of CAIL (ECCV 2020), from similarities S of samples k with memory rows j.

    Of candidates A_k, the neighbours are N_k = {j ∈ A_k∖k : S_kj > ε max_{A_k∖k} S}, chosen without gradient, and
    p_kj = exp(s S_kj) / Σ_{u ∈ A_k} exp(s S_ku):

    - intra: A_k are the rows of the sample's camera; L = mean_k [−1/|N_k| Σ_{N_k} log p_kj] + mean_k [−log p_kk];
    - inter: A_k are the rows of other cameras; L = mean_k [−1/|N_k| Σ_{N_k} log p_kj];
    - agnostic: as intra over all rows.

    Rows that hold nothing are no candidates. Each mean is over the samples that have the term: those with a neighbour,
    and for −log p_kk those whose own row is filled; without any it is 0, with gradients of 0.

    Args:
        mode: `camera` (intra and inter) or `agnostic`.
        eps: ε in (0, 1].
        scale: s.
        clamp: take the logarithm of max(p, clamp), as the authors' code does with 10⁻⁵ in mode `camera`; None does not.
        gate: samples whose neighbours' mean similarity is not above it have a neighbour term of 0, without leaving
            the mean, else the few that pass would weigh as much as all (the successor's `nn_filter`); None: no gate.
        instance_apart: −log p_kk is a term of its own, `instance`, as in the successor, over the candidates of intra
            or agnostic; it has no gate.

    Raises:
        UserError: a number is out of its range.
    """

    def __init__(
        self,
        mode: Mode = "camera",
        *,
        eps: float = 0.8,
        scale: float = 10.0,
        clamp: float | None = None,
        gate: float | None = None,
        instance_apart: bool = False,
    ) -> None:
        super().__init__()
        if mode not in TERMS:
            raise UserError(f"neighbourhood loss: mode is '{mode}'; take one of {', '.join(TERMS)}")
        if not 0 < eps <= 1:
            raise UserError(f"neighbourhood loss: eps is {eps}; take a number above 0 and at most 1")
        if scale <= 0:
            raise UserError(f"neighbourhood loss: scale is {scale}; take a number above 0")
        if clamp is not None and not 0 < clamp < 1:
            raise UserError(f"neighbourhood loss: clamp is {clamp}; take a number between 0 and 1, or null for none")
        self.mode: Mode = mode
        self.eps, self.scale, self.clamp, self.gate = eps, scale, clamp, gate
        self.instance_apart = instance_apart

    @property
    def kinds(self) -> tuple[Term, ...]:
        """The terms that have neighbours."""
        return TERMS[self.mode]

    @property
    def terms(self) -> tuple[Term, ...]:
        """What can be asked for."""
        return (*self.kinds, "instance") if self.instance_apart else self.kinds

    def forward(self, comparison: Comparison, terms: Collection[str] | None = None) -> NeighbourhoodLosses:
        """The losses, float32 scalars, of `terms` (all by default); the others cost nothing.

        Which terms are asked for must be the same on all processes.
        """
        asked = self.terms if terms is None else [term for term in self.terms if term in terms]
        if unknown := set(terms or ()) - set(self.terms):
            raise UserError(f"neighbourhood loss: no term '{min(unknown)}' here; there are {', '.join(self.terms)}")
        home: Term = self.kinds[0]
        sets = [term for term in self.kinds if term in asked or (term == home and "instance" in asked)]
        if not sets:
            return NeighbourhoodLosses()
        with without_autocast(comparison.similarities):
            similarities = at_least_float32(comparison.similarities)
            question = _Question(comparison, tuple(sets), self.eps, self.scale, self.clamp)
            answers: tuple[Tensor, ...] = _Answers.apply(similarities, question)  # type: ignore[no-untyped-call]
            pulls, own, counts, tops, means, valid = answers
            losses: dict[str, Tensor] = {}
            found: dict[str, Found] = {}
            instance = _mean(own, valid)
            for term, pull, count, top, mean in zip(sets, pulls, counts, tops, means, strict=True):
                if term not in asked:
                    continue
                has = count > 0
                passes = has if self.gate is None else has & (mean > self.gate)
                loss = pull.where(passes, 0).sum() / _shared(has.sum())
                losses[term] = loss + instance if term == home and not self.instance_apart else loss
                told = top.isfinite()
                average = top.where(told, 0).sum() / told.sum().clamp(min=1)
                found[term] = Found(count.mean(), average, passes.float().mean())
            if "instance" in asked:
                losses["instance"] = instance
        return NeighbourhoodLosses(**losses, found=found)

    @torch.no_grad()
    def neighbours(self, comparison: Comparison, term: str) -> Tensor:
        """`(B, n)` bool, which rows are neighbours of which samples under a term, to judge them by hidden labels."""
        if term not in self.kinds:
            raise UserError(f"neighbourhood loss: '{term}' has no neighbours; take {' or '.join(self.kinds)}")
        question = _Question(comparison, (term,), self.eps, self.scale, self.clamp)
        similarities = at_least_float32(comparison.similarities)
        candidates = torch.cat([values for _, _, values in question.candidates(similarities)])
        top = comparison.team.largest(candidates.amax(dim=1))
        return candidates > (self.eps * top)[:, None]

    if TYPE_CHECKING:

        def __call__(self, comparison: Comparison, terms: Collection[str] | None = None) -> NeighbourhoodLosses: ...


def _mean(values: Tensor, valid: Tensor) -> Tensor:
    return values.where(valid, 0).sum() / _shared(valid.sum())


def _shared(count: Tensor) -> Tensor:
    """How many samples each process has on average, at least one among them all.

    Losses are averaged over the processes; divided by this, they come to the mean over the samples of all.
    """
    world = idist.get_world_size()
    if world == 1:
        return count.clamp(min=1)
    total = count.float()
    dist.all_reduce(total)
    return total.clamp(min=1) / world


@dataclass(frozen=True)
class _Question:
    """A comparison, the candidate sets wanted (by their term), and the numbers of the loss."""

    comparison: Comparison
    sets: tuple[str, ...]
    eps: float
    scale: float
    clamp: float | None

    @cached_property
    def cameras(self) -> tuple[Tensor, Tensor]:
        """The cameras of the batch, and which of them each sample is from; found once, since it waits for the GPU."""
        cameras, which = self.comparison.camids.unique(return_inverse=True)
        return cameras, which

    def candidates(self, similarities: Tensor) -> Iterator[tuple[int, slice, Tensor]]:
        """Some samples at a time: the place of a set, which samples, and a copy of their similarities `(b, n)` with −∞
        where a row is no candidate, the sample's own row among them.

        Exclusion is a sum with 0 or −∞, one row per camera of the batch: on a CPU that is five times as fast as a mask.
        """
        cameras, which = self.cameras
        other = self.comparison.memory_camids[None, :] != cameras[:, None]
        out = {"intra": other, "inter": ~other, "agnostic": torch.zeros_like(other)}
        zeros = similarities.new_zeros(other.shape)
        excluded = [zeros.masked_fill(out[kind] | ~self.comparison.filled, -torch.inf) for kind in self.sets]
        column, here = self.own()
        samples, columns = similarities.shape
        step = max(1, TILE.get(similarities.device.type, 1 << 26) // columns)
        for start in range(0, samples, step):
            tile = slice(start, min(start + step, samples))
            for place, penalty in enumerate(excluded):
                values = penalty.index_select(0, which[tile]).add_(similarities[tile])
                own = values.gather(1, column[tile]).masked_fill_(here[tile], -torch.inf)
                yield place, tile, values.scatter_(1, column[tile], own)

    def own(self) -> tuple[Tensor, Tensor]:
        """`(B, 1)` the columns of the samples' own rows, and whether this process holds them."""
        column = self.comparison.rows[:, None] - self.comparison.first
        here = (column >= 0) & (column < len(self.comparison.filled))
        return column.where(here, 0), here


class _Answers(torch.autograd.Function):
    """The terms of every sample, with a gradient that is written down instead of traced.

    Every pass over the similarities counts. There is one for the maxima, one for all sums (one more with a clamp) and
    one for the gradient, each tile by tile; no mask outlives its tile. What a pass gives is some numbers per sample,
    and only those are put together over the team.
    """

    @staticmethod
    def forward(ctx: Any, similarities: Tensor, question: _Question) -> tuple[Tensor, ...]:
        """Neighbour terms `(T, b)` by set and sample, and −log p_kk `(b,)`; without gradient by set and sample how many
        neighbours there are, the top similarity (−∞ without a candidate) and the mean one of the neighbours, and
        `(b,)` bool whether the sample's own row is filled."""
        asked, sets = question.comparison, question.sets
        scale, bits = question.scale, question.scale * math.log2(math.e)  # exp2 is four times as fast as exp
        column, here = question.own()
        own = similarities.gather(1, column).masked_fill(~(here & asked.filled[column]), -torch.inf)[:, 0]
        maxima = similarities.new_empty(len(sets) + 1, len(own))
        maxima[-1] = own
        for place, samples, values in question.candidates(similarities):
            maxima[place, samples] = values.amax(dim=1)
        maxima = asked.team.largest(maxima)
        tops, own = maxima[:-1], maxima[-1]
        inside = torch.stack([torch.full_like(own, -torch.inf) if kind == "inter" else own for kind in sets])
        peaks = tops.maximum(inside)
        peaks = peaks.masked_fill(peaks == -torch.inf, 0)  # of no candidates; NaN stays what it is
        floors = question.eps * tops

        sums = similarities.new_empty(3, len(sets), len(own))
        for place, samples, values in question.candidates(similarities):
            sums[:2, place, samples] = _above(values, floors[place, samples], similarities[samples])
            sums[2, place, samples] = values.sub_(peaks[place, samples, None]).mul_(bits).exp2_().sum(dim=1)
        counts, totals, masses = asked.team.total(sums)
        masses = masses + ((inside - peaks) * scale).exp()
        masses = masses.masked_fill(masses == 0, 1)
        logs = scale * peaks + masses.log()
        each = counts.clamp(min=1)
        means = totals / each

        share, highest = (counts > 0).to(logs.dtype), torch.inf
        pulls = share * logs - scale * means
        if question.clamp is not None:
            highest = -math.log(question.clamp)
            floors = floors.maximum((logs - highest) / scale)  # the similarity at which p reaches the clamp
            kept = similarities.new_empty(2, len(sets), len(own))
            for place, samples, values in question.candidates(similarities):
                kept[:, place, samples] = _above(values, floors[place, samples], similarities[samples])
            unclamped, totals = asked.team.total(kept) / each
            pulls = unclamped * logs - scale * totals + (share - unclamped) * highest
            share = unclamped
        valid = own != -torch.inf
        alone = (logs[0] - scale * own).where(valid, 0)
        ctx.question = question
        ctx.save_for_backward(similarities, floors, peaks, masses, inside, counts, share, valid & (alone <= highest))
        found = (counts[:, asked.mine], tops[:, asked.mine], means[:, asked.mine], valid[asked.mine])
        ctx.mark_non_differentiable(*found)
        return pulls[:, asked.mine], alone.clamp(max=highest)[asked.mine], *found

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, towards_pulls: Tensor, towards_alone: Tensor, *_: Tensor) -> Any:
        """∂/∂S_kj = s (α_k p_kj − β_k [j ∈ N_k] − γ_k [j = k]), every process for the rows that it holds."""
        question: _Question = ctx.question
        similarities, floors, peaks, masses, inside, counts, share, moves = ctx.saved_tensors
        scale, bits = question.scale, question.scale * math.log2(math.e)
        towards = torch.cat([towards_pulls, towards_alone[None]]).t().contiguous()
        weights = scale * question.comparison.team.gathered(towards).t()
        gamma = weights[-1].where(moves, 0)
        alpha, beta = weights[:-1] * share, weights[:-1] / counts.clamp(min=1)
        alpha[0] += gamma
        alpha /= masses
        gradient = torch.empty_like(similarities)
        for place, samples, values in question.candidates(similarities):
            near = _indicator(values, floors[place, samples]).mul_(beta[place, samples, None])
            values.sub_(peaks[place, samples, None]).mul_(bits).exp2_().mul_(alpha[place, samples, None])
            if place == 0:
                torch.sub(values, near, out=gradient[samples])
            else:
                gradient[samples] += values.sub_(near)
        column, here = question.own()
        own = (alpha * ((inside - peaks) * scale).exp()).sum(dim=0) - gamma
        gradient.scatter_(1, column, own[:, None].where(here, gradient.gather(1, column)))
        return gradient, None


def _indicator(values: Tensor, floor: Tensor) -> Tensor:
    """1 where values `(b, n)` lie above their row's floor `(b,)`, else 0, in the same type: no pass to convert it."""
    return torch.gt(values, floor[:, None], out=torch.empty_like(values))


def _above(values: Tensor, floor: Tensor, similarities: Tensor) -> Tensor:
    """`(2, b)`: how many candidates of each row lie above its floor, and the sum of their similarities."""
    near = _indicator(values, floor)
    count = near.sum(dim=1)
    return torch.stack([count, near.mul_(similarities).sum(dim=1)])
