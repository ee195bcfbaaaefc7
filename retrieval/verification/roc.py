"""Rates at every threshold, for one draw of the people after the other."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from retrieval.columns import Ints
from retrieval.protocols import Mask
from retrieval.streaming.exact import Doubles


@dataclass(frozen=True, eq=False)
class Tally:
    """Pairs by person.

    Attributes:
        passes: `(I, B)` those that reach each threshold, from the lowest one on.
        pairs: `(I,)` all of them.
    """

    passes: Ints
    pairs: Ints

    @classmethod
    def of(cls, counts: Ints) -> Tally:
        """From `(I, B + 1)` pairs by how many of the thresholds they reach."""
        passes = np.cumsum(counts[:, ::-1], axis=1)[:, ::-1]
        return cls(np.ascontiguousarray(passes[:, 1:]), passes[:, 0].copy())

    def rates(self, drawn: Doubles) -> Doubles:
        """`(R, B)` shares, with everybody counted as often as drawn.

        Args:
            drawn: `(R, I)` whole numbers; their sums are exact in float64, whoever adds them up.
        """
        rates: Doubles = (drawn @ self.passes) / (drawn @ self.pairs)[:, None]
        return rates

    def at(self, threshold: int, members: Mask) -> Tally:
        """`(I, 1)` at one threshold, of some people only; none passes beyond the last."""
        passes = np.zeros((len(self.pairs), 1), dtype=np.int64)
        if threshold < self.passes.shape[1]:
            passes[members] = self.passes[members, threshold : threshold + 1]
        return Tally(passes, self.pairs * members)


def lowest(far: Doubles, most: float) -> Ints:
    """`(R,)` the lowest of the thresholds at which no more than `most` are accepted; B where there is none.

    Args:
        far: `(R, B)`, falling.
    """
    accepted: Ints = (far > most).sum(axis=1)
    return accepted


def equal_error_rate(far: Doubles, tpr: Doubles) -> Doubles:
    """`(R,)` where the straight lines between the points of the curve cross FAR = 1 − TPR.

    Args:
        far, tpr: `(R, B)`, both falling; at the last threshold `tpr` is 0. Below the first one everything is accepted.
    """
    everything = np.ones((len(far), 1))
    far, missed = np.hstack([everything, far]), np.hstack([0 * everything, 1 - tpr])
    after = (far > missed).sum(axis=1)[:, None]  # the difference falls from 1 to where it is not above 0
    sides = [(np.take_along_axis(far, at, axis=1), np.take_along_axis(missed, at, axis=1)) for at in (after - 1, after)]
    (high, low), (end, other) = sides
    share = (high - low) / ((high - low) - (end - other))
    rates: Doubles = (high + share * (end - high))[:, 0]
    return rates
