"""A number with its 95 % interval, from samples drawn again (Efron's percentile bootstrap)."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from retrieval.streaming.exact import Doubles

_LEVEL = 0.95


@dataclass(frozen=True)
class Estimate:
    """What was measured, and between which values it lies for 95 % of the samples drawn again."""

    value: float
    low: float
    high: float

    @classmethod
    def of(cls, values: Doubles) -> Estimate:
        """From `(1 + R,)` the value itself and those of R other draws; the interval's ends are two of these."""
        tail = (1 - _LEVEL) / 2
        low, high = np.quantile(values[1:], [tail, 1 - tail], method="inverted_cdf")
        return cls(float(values[0]), float(low), float(high))

    def as_dict(self) -> dict[str, Any]:
        """Ready for JSON."""
        return {"value": plain(self.value), "low": plain(self.low), "high": plain(self.high)}


def plain(value: float) -> float | None:
    """None for what JSON has no number for."""
    return float(value) if math.isfinite(value) else None


def percent(share: float) -> str:
    """A share in per cent with as many digits as say something: 12.3, 0.98, 0.0012."""
    value = 100 * share
    if value == 0 or value >= 1:
        return f"{value:.1f}"
    return f"{value:.{1 - math.floor(math.log10(value))}f}"
