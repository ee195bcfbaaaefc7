"""An outfit: what a person wears and carries today, a cause of its own beside who the person is."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from data.street.palette import BAGS, CLOTHES, LOWER, SHOES, UPPER, Array, dyed, pick

UPPER_KINDS = {"shirt": 10, "jacket": 7, "coat": 4, "dress": 3, "vest": 1}
LOWER_KINDS = {"trousers": 12, "slim": 6, "shorts": 4, "skirt": 4}
PATTERNS = {"plain": 28, "stripes": 3, "pinstripes": 1, "checks": 2, "block": 2, "print": 4}
BAG_KINDS = {"none": 15, "backpack": 5, "crossbody": 4, "tote": 3}
HAT_KINDS = {"none": 24, "cap": 3, "beanie": 2}


@dataclass(frozen=True)
class Cloth:
    """A piece of fabric.

    Attributes:
        colour, second: `(3,)` linear colours of the ground and of the pattern.
        pattern: one of `PATTERNS`.
        period: metres from one stripe to the next.
    """

    colour: Array
    second: Array
    pattern: str = "plain"
    period: float = 0.12

    def paint(self, along: Array, azimuth: Array) -> Array:
        """The colour `(k, 3)` at `along` metres from the garment's top and `azimuth` radians from its front."""
        if self.pattern == "plain":
            return np.broadcast_to(self.colour, (len(along), 3))
        around = azimuth * 0.16
        if self.pattern == "stripes":
            share = (along / self.period % 1.0 < 0.5).astype(np.float32)
        elif self.pattern == "pinstripes":
            share = (around / self.period % 1.0 < 0.4).astype(np.float32)
        elif self.pattern == "checks":
            bands = (along / self.period % 1.0 < 0.45).astype(np.float32)
            share = 0.5 * (bands + (around / self.period % 1.0 < 0.45))
        elif self.pattern == "block":
            share = (along < 0.22).astype(np.float32)
        else:  # a print on the chest
            share = ((azimuth / 0.7) ** 2 + ((along - 0.2) / 0.09) ** 2 < 1.0).astype(np.float32)
        return self.colour + share[:, None] * (self.second - self.colour)


@dataclass(frozen=True)
class Outfit:
    """Everything worn and carried.

    Attributes:
        upper_kind, lower_kind, bag_kind, hat_kind: names from the tables above.
        upper, lower: the fabrics.
        inner: `(3,)` what shows where a jacket or coat is open.
        opened: whether it is open.
        sleeve: length in parts of the arm, 0 none to 2 down to the wrist (1 is the elbow).
        hem: how far the upper piece reaches below the waist, in parts of the leg.
        lower_length: how far trousers or skirt reach down, in parts of the leg.
        slack: metres that the clothes stand off from the body.
        shoes, bag, hat: `(3,)` linear colours.
        boots: whether the shoes reach half-way up the shin.
    """

    upper_kind: str
    upper: Cloth
    inner: Array
    opened: bool
    sleeve: float
    hem: float
    lower_kind: str
    lower: Cloth
    lower_length: float
    slack: float
    shoes: Array
    boots: bool
    bag_kind: str
    bag: Array
    hat_kind: str
    hat: Array

    @classmethod
    def draw(cls, generator: np.random.Generator) -> Outfit:
        """What somebody might wear: colours by fashion, lengths by the kind of garment."""

        def dye(weights: dict[str, int]) -> Array:
            return dyed(CLOTHES[pick(weights, generator)], generator)

        upper_kind, lower_kind = pick(UPPER_KINDS, generator), pick(LOWER_KINDS, generator)
        upper, second = dye(UPPER), dye(UPPER)
        if np.abs(second - upper).sum() < 0.35:  # a pattern in nearly its own colour is none
            second = np.where(upper.mean() > 0.25, upper * 0.12, upper + 0.5).astype(np.float32)
        short = generator.random() < 0.45
        sleeve = {"shirt": generator.uniform(0.5, 0.9) if short else 2.0, "vest": 0.0}.get(upper_kind, 2.0)
        if upper_kind == "dress":
            sleeve, lower_kind = (0.5 if short else 2.0), "slim"
        hem = {"coat": generator.uniform(0.35, 0.62), "dress": generator.uniform(0.38, 0.6)}
        length = {"shorts": generator.uniform(0.4, 0.52), "skirt": generator.uniform(0.35, 0.72)}
        bare = upper_kind == "dress" and generator.random() < 0.6
        return cls(
            upper_kind=upper_kind,
            upper=Cloth(upper, second, pick(PATTERNS, generator), float(generator.uniform(0.09, 0.17))),
            inner=dye(UPPER),
            opened=bool(upper_kind in ("jacket", "coat") and generator.random() < 0.55),
            sleeve=float(sleeve),
            hem=float(hem.get(upper_kind, generator.uniform(0.02, 0.12))),
            lower_kind=lower_kind,
            lower=Cloth(dye(LOWER), dye(LOWER), "plain"),
            lower_length=0.1 if bare else float(length.get(lower_kind, 1.0)),
            slack=0.004 if lower_kind == "slim" else float(generator.uniform(0.008, 0.024)),
            shoes=dye(SHOES),
            boots=bool(lower_kind in ("slim", "skirt") and generator.random() < 0.4),
            bag_kind=pick(BAG_KINDS, generator),
            bag=dye(BAGS),
            hat_kind=pick(HAT_KINDS, generator),
            hat=dye(UPPER),
        )
