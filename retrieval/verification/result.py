"""What `retrieval.verification.verify.verify` says, for people and for JSON."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from retrieval.streaming.exact import Doubles
from retrieval.verification.estimates import Estimate, percent, plain
from retrieval.verification.open_set import OpenSet


@dataclass(frozen=True)
class Point:
    """A point of the ROC curve: the threshold for a false accept rate, and the share of genuine pairs that reach it."""

    far: float
    tpr: Estimate
    threshold: Estimate

    def as_dict(self) -> dict[str, Any]:
        """Ready for JSON; a threshold above every genuine pair is null."""
        return {"far": self.far, "tpr": self.tpr.as_dict(), "threshold": self.threshold.as_dict()}


@dataclass(frozen=True)
class Trial:
    """A threshold chosen on one half of the people and tried on the other: on how many pairs, and its rates there."""

    threshold: float
    far: Estimate
    tpr: Estimate
    genuine: int
    impostor: int

    def as_dict(self) -> dict[str, Any]:
        """Ready for JSON."""
        return {
            "threshold": plain(self.threshold),
            "far": self.far.as_dict(),
            "tpr": self.tpr.as_dict(),
            "genuine_pairs": self.genuine,
            "impostor_pairs": self.impostor,
        }


@dataclass(frozen=True)
class HeldOut:
    """How thresholds do on people they were not chosen on: two trials, and the rates of both together."""

    far: Estimate
    tpr: Estimate
    trials: tuple[Trial, ...]

    def as_dict(self) -> dict[str, Any]:
        """Ready for JSON."""
        trials = [trial.as_dict() for trial in self.trials]
        return {"far": self.far.as_dict(), "tpr": self.tpr.as_dict(), "trials": trials}


@dataclass(frozen=True, eq=False)
class Roc:
    """`(n,)` thresholds, ascending, and the shares of impostor and genuine pairs that reach each."""

    thresholds: Doubles
    far: Doubles
    tpr: Doubles

    def as_dict(self, finer: float = 0.9) -> dict[str, list[float]]:
        """Ready for JSON: the first point, and then whichever has a rate below `finer` times the one before."""
        kept, last = [], math.inf
        for place, rate in enumerate(self.far):
            if rate <= finer * last and rate < last:
                kept.append(place)
                last = rate
        return {
            "threshold": self.thresholds[kept].tolist(),
            "far": self.far[kept].tolist(),
            "tpr": self.tpr[kept].tolist(),
        }


@dataclass(frozen=True)
class Verification:
    """What `verify` found; the module says which number is which.

    Attributes:
        protocol, scorer: how it was measured.
        far: the false accept rate that was asked for.
        threshold: same person from here on; infinite where more impostor pairs than that beat every genuine one.
        points: for round false accept rates and the one that was asked for, falling.
        open_set_problem: why `open_set` is empty, if it is.
        resolution: thresholds are chosen in steps of this.
        people, genuine, impostor: how many people were asked for, and their pairs.
        draws, seed: of the intervals, and of the halves.
    """

    protocol: str
    scorer: str
    far: float
    threshold: Estimate
    held_out: HeldOut
    eer: Estimate
    points: tuple[Point, ...]
    open_set: tuple[OpenSet, ...]
    open_set_problem: str | None
    roc: Roc
    resolution: float
    people: int
    genuine: int
    impostor: int
    draws: int
    seed: int

    def as_dict(self) -> dict[str, Any]:
        """Ready for JSON: everything but the ROC curve."""
        return {
            "protocol": self.protocol,
            "scorer": self.scorer,
            "far": self.far,
            "threshold": plain(self.threshold.value),
            "interval": [plain(self.threshold.low), plain(self.threshold.high)],
            "held_out": self.held_out.as_dict(),
            "eer": self.eer.as_dict(),
            "points": [point.as_dict() for point in self.points],
            "open_set": [point.as_dict() for point in self.open_set],
            "open_set_problem": self.open_set_problem,
            "resolution": self.resolution,
            "people": self.people,
            "genuine_pairs": self.genuine,
            "impostor_pairs": self.impostor,
            "draws": self.draws,
            "seed": self.seed,
        }

    def table(self) -> str:
        """Aligned, in per cent with 95 % intervals, under a line that says how it was measured, and the sentence."""
        digits = digits_of(self.resolution)
        lines = [
            f"verification: protocol {self.protocol}, {self.scorer} scores; {self.people:,} people, "
            f"{self.genuine:,} pairs of one person and {self.impostor:,} of two; in %, with 95 % intervals",
            f"{'FAR':>10}  {'TPR':>8}  {'':<14}{'threshold':>12}",
        ]
        for point in self.points:
            span = f"{point.threshold.low:.{digits}f} to {point.threshold.high:.{digits}f}"
            chosen = (
                f"{point.threshold.value:>12.{digits}f}  {span}"
                if math.isfinite(point.threshold.value)
                else f"{'–':>12}"
            )
            lines.append(f"{100 * point.far:>10g}  {_cells(point.tpr)}{chosen}")
        lines.append(f"{'EER':>10}  {_cells(self.eer)}")
        if self.open_set:
            known, unknown = self.open_set[0].known, self.open_set[0].unknown
            lines.append(f"open set, half of the people unknown ({known:,} known and {unknown:,} unknown queries)")
            lines.append(f"{'FAR':>10}  {'rank-1':>8}")
            lines += [f"{100 * point.far:>10g}  {_cells(point.rank1)}" for point in self.open_set]
        if self.open_set_problem is not None:
            lines.append(f"open set: {self.open_set_problem}")
        return "\n".join([*(line.rstrip() for line in lines), sentence(self.as_dict())])


def sentence(found: Mapping[str, Any]) -> str:
    """The recommendation in words, from `Verification.as_dict()`."""
    if found["threshold"] is None:
        far = percent(found["far"])
        return f"no threshold: more than {far} % of pairs of different people are closer than any same-person pair"
    digits = digits_of(found["resolution"])
    threshold, low, high = (
        "none" if score is None else f"{score:.{digits}f}" for score in (found["threshold"], *found["interval"])
    )
    far, tpr = (percent(found["held_out"][name]["value"]) for name in ("far", "tpr"))
    return (
        f"same person when {found['scorer']} ≥ {threshold} (95 % interval {low} to {high}): on people not used to "
        f"choose it, {far} % of pairs of different people pass and {tpr} % of same-person pairs do"
    )


def digits_of(resolution: float) -> int:
    """Digits after the point that tell two thresholds apart."""
    return max(0, math.ceil(-math.log10(resolution)))


def _cells(estimate: Estimate) -> str:
    span = f"{100 * estimate.low:.1f} to {100 * estimate.high:.1f}"
    return f"{100 * estimate.value:>8.2f}  {span:<14}"
