"""Mean and spread over seeds, and whether a difference is more than the noise."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

_T95 = (
    12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228, 2.201, 2.179, 2.160, 2.145, 2.131, 2.120,
    2.110, 2.101, 2.093, 2.086,
)  # fmt: skip
"""Student's t for 1 to 20 degrees of freedom: 95 % of the distribution lies between minus it and it."""


@dataclass(frozen=True)
class Spread:
    """Of one score over seeds.

    Attributes:
        deviation: sample standard deviation (n − 1); None for a single value.
    """

    mean: float
    deviation: float | None
    count: int

    @classmethod
    def of(cls, values: Sequence[float]) -> Spread:
        count = len(values)
        mean = math.fsum(values) / count
        if count == 1:
            return cls(mean, None, 1)
        return cls(mean, math.sqrt(math.fsum((value - mean) ** 2 for value in values) / (count - 1)), count)

    def text(self, digits: int = 1) -> str:
        """`63.2 ± 1.4`, or `63.2` for a single value."""
        spread = "" if self.deviation is None else f" ± {self.deviation:.{digits}f}"
        return f"{self.mean:.{digits}f}{spread}"


def noise(first: Spread, second: Spread) -> float | None:
    """The difference of means that seeds alone exceed in 5 % of cases (Student's t, both spreads pooled).

    None where one of the two has a single seed, so that nothing is known about its spread.
    """
    if first.deviation is None or second.deviation is None:
        return None
    freedom = first.count + second.count - 2
    squares = (first.count - 1) * first.deviation**2 + (second.count - 1) * second.deviation**2
    return _t95(freedom) * math.sqrt(squares / freedom * (1 / first.count + 1 / second.count))


def _t95(freedom: int) -> float:
    """Beyond the table by its expansion in 1 / freedom, which is right to three decimals there."""
    if freedom <= len(_T95):
        return _T95[freedom - 1]
    z = 1.959964
    return z + (z**3 + z) / (4 * freedom) + (5 * z**5 + 16 * z**3 + 3 * z) / (96 * freedom**2)


@dataclass(frozen=True)
class Verdict:
    """What became of a claim: `held` is None where the runs cannot tell."""

    held: bool | None
    figures: str

    @classmethod
    def of(cls, better: Spread | None, than: Spread | None, by: float = 0.0, or_equal: bool = False) -> Verdict:
        """Whether `better` is above `than` by more than the noise; None for a row that has not been run.

        Args:
            by: and by at least so many points.
            or_equal: or not below it by more than the noise.
        """
        if better is None or than is None:
            return cls(None, "not run yet")
        difference = better.mean - than.mean
        told = f"{better.mean:.1f} − {than.mean:.1f} = {difference:+.1f}"
        least = noise(better, than)
        if least is None:
            return cls(None, f"{told}; one seed does not tell the noise")
        if not least:
            return cls(None, f"{told}; the seeds do not differ, so nothing is known of the noise")
        held = difference > -least if or_equal else difference > least and difference >= by
        return cls(held, f"{told}, noise {least:.1f}")

    def __str__(self) -> str:
        word = {True: "held", False: "not held", None: "cannot be told"}[self.held]
        return f"{word} ({self.figures})"
