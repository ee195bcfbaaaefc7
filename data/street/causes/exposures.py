"""An exposure: what differs from one picture of a camera to its next, whatever it shows."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Exposure:
    """The sensor's share of a moment.

    Attributes:
        gain: factor on the camera's exposure.
        softness: factor on its blur.
        shake: exponent on how far its pictures are smeared sideways: 0 not at all, 1 as usual.
        grain: seed of the noise.
    """

    gain: float
    softness: float
    shake: float
    grain: int

    @classmethod
    def draw(cls, generator: np.random.Generator) -> Exposure:
        """How this picture came out."""
        return cls(
            gain=float(np.exp(generator.normal(0.0, 0.12))),
            softness=float(np.exp(generator.normal(0.0, 0.25))),
            shake=float(generator.uniform(0.0, 2.0)),
            grain=int(generator.integers(2**63)),
        )
