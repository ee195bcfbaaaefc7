"""A person: what stays the same whatever is worn and whoever looks on."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from data.street.causes.fashion import BAG_KINDS
from data.street.causes.palette import BAGS, CLOTHES, FRAMES, HAIR, SKIN, TOKENS, Array, dyed, linear, pick

HAIR_STYLES = {
    "short": (2, 7), "side": (1, 5), "cropped": (1, 5), "receding": (0.1, 3), "bald": (0.1, 2.5), "quiff": (0.7, 3),
    "fringe": (3, 2), "afro": (2, 2), "curls": (4, 1), "bob": (6, 0.2), "long": (7, 0.8), "tail": (5, 0.4),
    "bun": (4, 0.4), "plaits": (2.5, 0.1),
}  # fmt: skip
"""Weights among the slight and among the broad; whoever is between has some of both."""

BEARDS = {"none": 10, "stubble": 3, "full": 4, "moustache": 2, "goatee": 2.5}
GLASSES = {"none": 14, "clear": 4, "dark": 2}
TOKEN_KINDS = {"none": 22, "scarf": 2, "headphones": 2, "wristbands": 2, "lanyard": 2, "gaiters": 2}

MEASURES = {
    "height": 1.70, "build": 0.0, "shoulders": 0.110, "hips": 0.091, "waist": 0.071, "belly": 0.2, "bust": 0.2,
    "slope": 0.045, "legs": 0.515, "arms": 1.0, "throat": 0.024, "neck": 0.031, "head": 1.0, "stride": 0.44,
    "swing": 0.38, "bend": 0.29, "stoop": 0.07, "toes_out": 0.17,
}  # fmt: skip
"""The measures of a body with the mean of each, towards which `likeness` draws them."""


@dataclass(frozen=True)
class Person:
    """The permanent cause: build, face, gait and small habits.

    Attributes:
        height: metres.
        build: −1 slight to 1 heavy.
        shoulders, hips, waist: half-widths in parts of the height.
        belly, bust: how far they stand out, 0 to 1.
        slope: how far the shoulders fall from the neck, in parts of the height.
        legs: height of the hip joint in parts of the height.
        arms: their length, 1 usual.
        throat, neck: length of the neck and its half-width, in parts of the height.
        head: size of the head, 1 usual.
        face, cheeks, jaw: length of the head, its width, and the width of the chin, 1 usual.
        ears, nose, brows: their size, 1 usual.
        skin, hair: `(3,)` linear colours.
        hair_style, beard, glasses: names from the tables above.
        frames: `(3,)` linear colour of the glasses.
        stride, swing: how far legs and arms swing, in radians.
        bend: of the elbows while walking, in radians.
        stoop: how far the trunk leans forward, in radians.
        toes_out: how far the feet point outwards, in radians.
        bag_kind: the bag carried with any clothes; "none" for whoever carries what the outfit has.
        token: what is worn with any clothes, one of `TOKEN_KINDS`.
        bag, token_colour: `(3,)` linear colours.
    """

    height: float
    build: float
    shoulders: float
    hips: float
    waist: float
    belly: float
    bust: float
    slope: float
    legs: float
    arms: float
    throat: float
    neck: float
    head: float
    face: float
    cheeks: float
    jaw: float
    ears: float
    nose: float
    brows: float
    skin: Array
    hair: Array
    hair_style: str
    beard: str
    glasses: str
    frames: Array
    stride: float
    swing: float
    bend: float
    stoop: float
    toes_out: float
    bag_kind: str
    bag: Array
    token: str
    token_colour: Array

    @classmethod
    def draw(cls, generator: np.random.Generator, likeness: float = 0.0) -> Person:
        """Somebody, as populations vary: height, width and hair go together a little.

        Args:
            likeness: how alike bodies are, 0 as in any street to 1 all of one build; faces, hair and habits differ
                as much as ever.
        """

        def normal(mean: float, deviation: float, low: float, high: float) -> float:
            return min(max(mean + deviation * float(generator.standard_normal()), low), high)

        def between(low: float, high: float) -> float:
            return low + (high - low) * float(generator.random())

        broad = between(0.0, 1.0)
        build = normal(0.0, 0.65, -1.0, 1.0)
        height = normal(1.61 + 0.18 * broad, 0.07, 1.45, 2.02)
        styles = {name: slight + (most - slight) * broad for name, (slight, most) in HAIR_STYLES.items()}
        skin = int(generator.choice(len(SKIN), p=(0.18, 0.2, 0.17, 0.14, 0.12, 0.1, 0.09)))
        # Dark skin goes with dark hair, and grey with either.
        fair = {"brown": 5, "chestnut": 4, "sand": 4, "blond": 5, "red": 3} if skin < 3 else {"brown": 2}
        hair = pick({"black": 4 + 3 * (skin > 1), "dark": 5, "grey": 3, "white": 1.5, **fair}, generator)
        somebody = cls(
            height=height,
            build=build,
            shoulders=0.096 + 0.026 * broad + normal(0.0, 0.0055, -0.012, 0.012),
            hips=0.097 - 0.012 * broad + 0.004 * build + normal(0.0, 0.006, -0.012, 0.012),
            waist=0.065 + 0.012 * broad + 0.016 * build + normal(0.0, 0.004, -0.008, 0.008),
            belly=max(0.0, 0.55 * build + between(-0.15, 0.45)),
            bust=max(0.0, between(0.2, 1.1) - 1.4 * broad),
            slope=between(0.034, 0.058),
            legs=normal(0.516, 0.022, 0.47, 0.56),
            arms=normal(1.0, 0.04, 0.91, 1.09),
            throat=normal(0.024 - 0.006 * build, 0.008, 0.006, 0.044),
            neck=0.027 + 0.008 * broad + 0.004 * build + between(-0.002, 0.002),
            # Heads grow less than bodies do: whoever is tall has a small one for their height.
            head=(1.7 / height) ** 0.8 * normal(1.0, 0.045, 0.9, 1.12),
            face=normal(1.0, 0.07, 0.86, 1.16),
            cheeks=normal(1.0 + 0.05 * build, 0.07, 0.85, 1.19),
            jaw=normal(0.92 + 0.16 * broad, 0.16, 0.6, 1.35),
            ears=between(0.7, 1.5),
            nose=between(0.7, 1.45),
            brows=between(0.5, 1.7) + 0.3 * broad,
            skin=np.clip(linear(SKIN[skin]) * np.exp(normal(0.0, 0.06, -0.2, 0.2)), 0.01, 0.9).astype(np.float32),
            hair=dyed(HAIR[hair], generator),
            hair_style=pick(styles, generator),
            beard=pick({**BEARDS, "none": 10 if broad > 0.5 else 1000}, generator),
            glasses=pick(GLASSES, generator),
            frames=linear(FRAMES[int(generator.integers(len(FRAMES)))]),
            stride=between(0.30, 0.58),
            swing=between(0.12, 0.65),
            bend=between(0.08, 0.5),
            stoop=normal(0.06, 0.07, -0.04, 0.24),
            toes_out=between(0.0, 0.36),
            bag_kind=pick({**BAG_KINDS, "none": 30}, generator),
            bag=dyed(CLOTHES[pick(BAGS, generator)], generator),
            token=pick(TOKEN_KINDS, generator),
            token_colour=dyed(CLOTHES[TOKENS[int(generator.integers(len(TOKENS)))]], generator),
        )
        return somebody.likened(likeness)

    def likened(self, likeness: float) -> Person:
        """The same person with the measures of their body drawn towards the mean, 1 all the way."""
        if likeness == 0.0:
            return self
        alike = {name: (1.0 - likeness) * getattr(self, name) + likeness * mean for name, mean in MEASURES.items()}
        return replace(self, **alike)
