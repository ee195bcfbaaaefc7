"""An outfit: what a person wears and carries today, a cause of its own beside who the person is."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from data.street.causes.fashion import Fashion, Weights
from data.street.causes.palette import CLOTHES, Array, dyed, linear, pick

MOTIFS = ("disc", "square", "lines", "heart")
COLLARS = {"round": 8, "vee": 4, "shirt": 5, "high": 3}

_ROUND_THE_TRUNK = 0.16
"""Metres of cloth for a radian."""

_TRIES = 24
"""How often other clothes are looked for before somebody goes out in nearly the same."""


@dataclass(frozen=True)
class Cloth:
    """A piece of fabric.

    Attributes:
        colour, second: `(3,)` linear colours of the ground and of the pattern.
        pattern: one of `fashion.PATTERNS`.
        period: metres from one stripe to the next.
        motif: one of `MOTIFS`, where the pattern is a print.
    """

    colour: Array
    second: Array
    pattern: str = "plain"
    period: float = 0.12
    motif: str = "disc"

    def paint(self, along: Array, azimuth: Array) -> Array:
        """The colour `(k, 3)` at `along` metres from the garment's top and `azimuth` radians from its front."""
        if self.pattern == "plain":
            return np.broadcast_to(self.colour, (len(along), 3))
        share = self._share(along, azimuth).astype(np.float32)
        return self.colour + share[:, None] * (self.second - self.colour)

    def _share(self, along: Array, azimuth: Array) -> Array:
        """How much of the second colour there is, `(k,)`."""
        period, around = self.period, azimuth * np.float32(_ROUND_THE_TRUNK)
        if self.pattern == "stripes":
            return np.asarray(along / period % 1.0 < 0.5)
        if self.pattern == "lines":
            return np.asarray(along / (0.6 * period) % 1.0 < 0.28)
        if self.pattern == "pinstripes":
            return np.asarray(around / (0.6 * period) % 1.0 < 0.35)
        if self.pattern == "checks":
            bands = (along / period % 1.0 < 0.45, around / period % 1.0 < 0.45)
            return np.asarray(0.5 * np.add(*bands, dtype=np.float32))
        if self.pattern == "yoke":
            return np.asarray(along < 0.19)
        if self.pattern == "band":
            return np.asarray(np.abs(along - 0.21) < 0.045)
        if self.pattern == "dots":
            across, down = (around / (0.7 * period)) % 1.0 - 0.5, (along / (0.7 * period)) % 1.0 - 0.5
            return np.asarray(across * across + down * down < 0.09)
        if self.pattern == "camouflage":
            wave = np.sin(along / period * 5.0 + 2.0 * np.sin(azimuth * 3.0)) + np.sin(azimuth * 5.0 + along * 21.0)
            return np.asarray(wave > 0.25)
        return self._printed(azimuth / 0.6, (along - 0.19) / 0.085)

    def _printed(self, across: Array, down: Array) -> Array:
        """A print on the chest, in parts of its half-size."""
        if self.motif == "disc":
            return np.asarray(across * across + down * down < 1.0)
        if self.motif == "square":
            return np.asarray(np.maximum(np.abs(across), np.abs(down)) < 0.85)
        if self.motif == "lines":
            return np.asarray((np.abs(across) < 1.1) & (np.abs(down) < 0.9) & ((down * 1.7) % 1.0 < 0.5))
        point = down - 0.55 * np.abs(across)  # a heart, whose point is below
        return np.asarray((point > -1.15) & (np.abs(across) + 0.75 * down < 0.85) & (np.abs(across) < 1.0))


@dataclass(frozen=True)
class Outfit:
    """Everything worn and carried.

    Attributes:
        upper_kind, lower_kind, shoe_kind, bag_kind, hat_kind: names from the tables of `fashion.py`.
        upper, lower: the fabrics.
        inner: `(3,)` what shows where a jacket or coat is open.
        opened: whether it is open.
        collar: one of `COLLARS`.
        fastening: "none", "zip" or "buttons" down the front.
        tucked: whether the upper piece is tucked into the lower; then there is a belt.
        trim: whether hem and cuffs are of the second colour.
        sleeve: length in parts of the arm, 0 none to 2 down to the wrist (1 is the elbow).
        hem: how far the upper piece reaches below the waist, in parts of the leg.
        lower_length: how far trousers or skirt reach down, in parts of the leg.
        slack: metres that the clothes stand off from the body.
        scarf: whether one is worn, of the colour of the hat.
        shoes, bag, hat: `(3,)` linear colours.
    """

    upper_kind: str
    upper: Cloth
    inner: Array
    opened: bool
    collar: str
    fastening: str
    tucked: bool
    trim: bool
    sleeve: float
    hem: float
    lower_kind: str
    lower: Cloth
    lower_length: float
    slack: float
    shoe_kind: str
    shoes: Array
    bag_kind: str
    bag: Array
    hat_kind: str
    hat: Array
    scarf: bool

    @property
    def thick(self) -> bool:
        """Whether the upper piece is worn over others."""
        return self.upper_kind in ("jacket", "coat", "hoodie")

    def resembles(self, other: Outfit) -> bool:
        """Whether the two could be taken for the same clothes from afar: as to their trunk, or as to their legs."""
        uppers = _apart(self.upper.colour, other.upper.colour)
        if self.lower_length > 0.3 and other.lower_length > 0.3 and self.lower_kind == other.lower_kind:
            return uppers < 0.3 or _apart(self.lower.colour, other.lower.colour) < 0.15
        return uppers < 0.3

    @classmethod
    def draw(cls, fashion: Fashion, generator: np.random.Generator, unlike: Iterable[Outfit] = ()) -> Outfit:
        """What somebody might wear: colours by fashion, lengths by the kind of garment.

        Args:
            unlike: clothes that these are not to be taken for, such as what the same person wears on other days.
        """
        others = list(unlike)
        for _ in range(_TRIES):
            outfit = cls._drawn(fashion, generator)
            if not any(outfit.resembles(other) for other in others):
                break
        return outfit

    @classmethod
    def _drawn(cls, fashion: Fashion, generator: np.random.Generator) -> Outfit:
        def dye(weights: Weights) -> Array:
            return dyed(CLOTHES[pick(weights, generator)], generator)

        def between(low: float, high: float) -> float:
            return low + (high - low) * float(generator.random())

        def odds(part: float) -> bool:
            return bool(generator.random() < part)

        upper_kind, lower_kind = pick(fashion.uppers, generator), pick(fashion.lowers, generator)
        upper, inner = _fabric(fashion, generator), dye(fashion.upper_colours)
        if _apart(inner, upper.colour) < 0.35:  # what is open must show something else
            inner = linear(CLOTHES["white" if upper.colour.mean() < 0.3 else "black"])
        short = odds(0.5)
        sleeve = {"shirt": between(0.45, 0.95) if short else 2.0, "vest": 0.0}.get(upper_kind, 2.0)
        if upper_kind == "dress":
            sleeve, lower_kind = (0.5 if short else 2.0), "slim"
        hem = {"coat": between(0.3, 0.66), "dress": between(0.3, 0.66), "jacket": between(0.05, 0.14)}
        length = {"shorts": between(0.36, 0.54), "skirt": between(0.32, 0.78)}
        bare = upper_kind == "dress" and odds(0.6)
        lower = Cloth(dye(fashion.lower_colours), dye(fashion.lower_colours), "plain")
        if lower_kind in ("skirt", "shorts") and odds(0.25):
            patterned = pick({"stripes": 1, "checks": 2, "dots": 1}, generator)
            lower = Cloth(lower.colour, _other(lower.colour, lower.second), patterned, between(0.07, 0.12))
        return cls(
            upper_kind=upper_kind,
            upper=upper,
            inner=inner,
            opened=upper_kind in ("jacket", "coat", "hoodie") and odds(0.45),
            collar=pick(COLLARS, generator),
            fastening=pick({"none": 3, "zip": 3, "buttons": 3}, generator),
            tucked=upper_kind in ("shirt", "vest") and odds(0.4),
            trim=upper.pattern == "plain" and odds(0.25),
            sleeve=float(sleeve),
            hem=float(hem.get(upper_kind, between(0.02, 0.11))),
            lower_kind=lower_kind,
            lower=lower,
            lower_length=0.1 if bare else float(length.get(lower_kind, 1.0)),
            slack=0.003 if lower_kind == "slim" else float(fashion.loose * between(0.006, 0.022)),
            shoe_kind=pick(fashion.shoes, generator),
            shoes=dye(fashion.shoe_colours),
            bag_kind=pick(fashion.bags, generator),
            bag=dye(fashion.bag_colours),
            hat_kind=pick(fashion.hats, generator),
            hat=dye(fashion.upper_colours),
            scarf=odds(0.25 if upper_kind in ("coat", "jacket") else 0.02),
        )


def _fabric(fashion: Fashion, generator: np.random.Generator) -> Cloth:
    """Of an upper piece."""
    colour = dyed(CLOTHES[pick(fashion.upper_colours, generator)], generator)
    second = _other(colour, dyed(CLOTHES[pick(fashion.upper_colours, generator)], generator))
    pattern, period = pick(fashion.patterns, generator), 0.08 + 0.08 * float(generator.random())
    return Cloth(colour, second, pattern, period, MOTIFS[int(generator.integers(len(MOTIFS)))])


def _apart(left: Array, right: Array) -> float:
    """How far apart two linear colours look: the distance of their square roots, 0 to √3."""
    return float(np.linalg.norm(np.sqrt(left) - np.sqrt(right)))


def _other(colour: Array, second: Array) -> Array:
    """`second`, or a lighter or darker `colour` where the two are hardly to be told apart."""
    if _apart(colour, second) >= 0.35:
        return second
    return np.where(colour.mean() > 0.25, colour * 0.12, colour + 0.45).astype(np.float32)
