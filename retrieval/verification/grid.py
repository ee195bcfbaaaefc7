"""The thresholds there are: edges between bins of scores, at most `BINS` of them, chosen before the gallery passes by.

They are one power of two apart (2⁻¹¹ for cosines that span 0.5 to 1), and span what thresholds can be of use: up to the
closest genuine pair, above which nobody would be accepted; down to where far more impostor pairs pass than are ever
asked for, by a sample of these. Both ends are open: what lies beyond is counted. The edges lie between the round
numbers (0, ½, 1), where scores tend to coincide.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch

from common.errors import UserError
from retrieval.columns import Features, Ints
from retrieval.scorers import Scorer
from retrieval.streaming.exact import Doubles
from retrieval.streaming.stream import Backend
from retrieval.streaming.tiles import cut, full_precision
from retrieval.verification.population import HIDDEN, Population

BINS = 2048
TOGETHER = 1 << 16
"""Pairs that are scored exactly in one go."""

_SAMPLE = 1 << 14


@dataclass(frozen=True)
class Grid:
    """The edges between bins: `count` of them, `step` apart, the first at `(first + ½) · step`."""

    step: float
    first: int
    count: int

    @classmethod
    def around(cls, genuine: Doubles, sample: Doubles, far: float, tolerance: float) -> Grid:
        """What a threshold may be.

        Args:
            genuine: all genuine scores.
            sample: those of some impostor pairs.
            far: the largest false accept rate that is asked for.
            tolerance: how far float32 scores may be from exact ones; bins are not narrower than 32 times that, or too
                many scores would have to be computed again.
        """
        genuine, sample = _finite(genuine), _finite(sample)
        rates: Doubles = 1 - np.arange(len(sample), dtype=np.float64) / len(sample)
        missed = np.searchsorted(genuine, sample) / len(genuine)
        # About the equal error rate; and twice as much, since other draws of people have other rates.
        equal = float(rates[missed < rates].min(initial=1.0))
        passing = min(1.0, 2 * max(far, equal))
        most = float(genuine[-1])
        least = float(min(sample[math.floor((1 - passing) * (len(sample) - 1))], genuine[len(genuine) // 2]))
        width = max((most - least) / BINS, 32 * tolerance, 2.0**-20 * max(1e-30, abs(most), abs(least)))
        step = 2.0 ** math.ceil(math.log2(width))
        first, last = math.floor(least / step - 0.5), math.floor(most / step - 0.5) + 1
        return cls(step, first, last - first + 1)

    @property
    def edges(self) -> Doubles:
        """`(count,)` ascending; the last is above every genuine score."""
        edges: Doubles = (np.arange(self.count, dtype=np.float64) + (self.first + 0.5)) * self.step
        return edges

    def bins(self, scores: Doubles) -> Ints:
        """`(n,)` how many of the edges each score reaches."""
        bins: Ints = np.searchsorted(self.edges, scores, side="right")
        return bins


def exact_scores(
    scorer: Scorer, query: Features, gallery: Features, left: Ints, right: Ints, backend: Backend
) -> Doubles:
    """`(n,)` the scores of some pairs. Raises `UserError` where one is NaN."""
    pieces = [np.empty(0)]
    with np.errstate(invalid="ignore", over="ignore"):
        for start in range(0, len(left), TOGETHER):
            part = slice(start, start + TOGETHER)
            pieces.append(scorer.pairs(query, gallery, left[part], right[part], fast=backend.fast))
    scores = np.concatenate(pieces)
    broken = np.flatnonzero(np.isnan(scores))
    if broken.size:
        for features, rows, role in ((query, left, "query"), (gallery, right, "gallery")):
            cut(features, rows[broken[:1]], torch.device("cpu"), role)
        raise UserError(f"scorer '{scorer.name}' gave NaN for query row {left[broken[0]]}: no threshold can be found")
    return scores


def grid_of(
    scorer: Scorer,
    query: Features,
    gallery: Features,
    population: Population,
    genuine: Doubles,
    far: float,
    device: torch.device,
    backend: Backend,
) -> Grid:
    """The bins for these features, whoever asks: the sample is always the same."""
    random = np.random.default_rng(0)
    left = random.choice(np.flatnonzero(population.person >= 0), _SAMPLE)
    right = random.choice(np.flatnonzero(population.group != HIDDEN), _SAMPLE)
    others = query.columns.pids[left] != gallery.columns.pids[right]
    order = np.argsort(right[others], kind="stable")  # the gallery may lie on disk
    left, right = left[others][order], right[others][order]
    sample = exact_scores(scorer, query, gallery, left, right, backend)
    with full_precision(device):
        tiles = [
            scorer.prepare(cut(features, np.unique(rows[:: _SAMPLE // 256]), device, role))
            for features, rows, role in ((query, left, "query"), (gallery, right, "gallery"))
        ]
        tolerance = scorer.tolerance(*tiles)
    return Grid.around(genuine, sample, far, tolerance)


def _finite(scores: Doubles) -> Doubles:
    """In ascending order; 0 where there are none."""
    finite: Doubles = np.sort(scores[np.isfinite(scores)])
    return finite if len(finite) else np.zeros(1)
