"""A person: what stays the same whatever is worn and whoever looks on."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from data.street.palette import HAIR, SKIN, Array, dyed, linear, pick

HAIR_STYLES = {"short": 9, "cropped": 4, "bald": 2, "bob": 4, "long": 6, "tail": 4, "bun": 3}


@dataclass(frozen=True)
class Person:
    """The permanent cause: build, face and gait.

    Attributes:
        height: metres.
        build: −1 slight to 1 heavy.
        shoulders, hips: half-widths in parts of the height.
        legs: height of the hip joint in parts of the height.
        head: size of the head, 1 usual.
        skin, hair: `(3,)` linear colours.
        hair_style: one of `HAIR_STYLES`.
        beard, glasses: whether there is one.
        stride, swing: how far legs and arms swing, in radians.
        stoop: how far the trunk leans forward, in radians.
        toes_out: how far the feet point outwards, in radians.
    """

    height: float
    build: float
    shoulders: float
    hips: float
    legs: float
    head: float
    skin: Array
    hair: Array
    hair_style: str
    beard: bool
    glasses: bool
    stride: float
    swing: float
    stoop: float
    toes_out: float

    @classmethod
    def draw(cls, generator: np.random.Generator) -> Person:
        """Somebody, as populations vary: height, width and hair go together a little."""
        broad = generator.uniform(0.0, 1.0)
        style = pick(HAIR_STYLES, generator)
        if broad > 0.6 and style in ("bob", "tail", "bun"):
            style = "short"
        skin = linear(SKIN[int(generator.choice(len(SKIN), p=(0.2, 0.24, 0.2, 0.14, 0.12, 0.1)))])
        return cls(
            height=float(np.clip(generator.normal(1.62 + 0.16 * broad, 0.065), 1.45, 2.0)),
            build=float(np.clip(generator.normal(0.0, 0.5), -1.0, 1.0)),
            shoulders=float(0.100 + 0.020 * broad + generator.normal(0.0, 0.004)),
            hips=float(0.096 - 0.010 * broad + generator.normal(0.0, 0.004)),
            legs=float(np.clip(generator.normal(0.515, 0.012), 0.485, 0.545)),
            head=float(np.clip(generator.normal(1.0, 0.05), 0.9, 1.12)),
            skin=np.clip(skin * np.exp(generator.normal(0.0, 0.08)), 0.01, 0.9).astype(np.float32),
            hair=dyed(HAIR[int(generator.choice(len(HAIR), p=(0.3, 0.22, 0.15, 0.09, 0.11, 0.08, 0.05)))], generator),
            hair_style=style,
            beard=bool(broad > 0.5 and generator.random() < 0.35),
            glasses=bool(generator.random() < 0.2),
            stride=float(generator.uniform(0.32, 0.56)),
            swing=float(generator.uniform(0.15, 0.6)),
            stoop=float(generator.uniform(-0.02, 0.16)),
            toes_out=float(generator.uniform(0.0, 0.35)),
        )
