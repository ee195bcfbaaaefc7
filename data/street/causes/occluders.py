"""An occluder: what stands between a camera and a person, and how much of the person it shall hide."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from data.street.causes.palette import Array, dyed

FAMILIES = {"scenery": 4, "vehicle": 2, "person": 2, "crop": 2}
"""How often something of each family is in the way."""

_ANYWHERE, _ASIDE = ("below", "left", "right"), ("left", "right")
_BRICK, _LEAVES, _METAL = (
    ((142, 84, 66), (176, 164, 146), (150, 150, 148), (198, 188, 170), (112, 76, 62)),
    ((58, 84, 44), (74, 98, 50), (48, 70, 52)),
    ((92, 96, 100), (60, 66, 70), (120, 122, 120), (44, 62, 54), (104, 82, 62)),
)
_LOUD = ((36, 70, 120), (150, 44, 40), (52, 96, 66), (206, 170, 60), (196, 194, 188), (56, 58, 62))
_LACQUER = (
    (36, 38, 42), (190, 192, 194), (222, 222, 218), (120, 124, 130), (128, 32, 34), (40, 62, 108), (64, 84, 72),
)  # fmt: skip


@dataclass(frozen=True)
class Thing:
    """A kind of obstacle.

    Attributes:
        family: "scenery" or "vehicle".
        sides: where it may come from: a pole does not come from below.
        most: the greatest share of a person that it can hide; one looks through a bicycle.
        colours: sRGB values, 0–255.
    """

    family: str
    sides: tuple[str, ...]
    most: float
    colours: tuple[tuple[int, int, int], ...]


THINGS: Mapping[str, Thing] = {
    "wall": Thing("scenery", _ANYWHERE, 1.0, _BRICK),
    "hedge": Thing("scenery", _ANYWHERE, 1.0, _LEAVES),
    "pole": Thing("scenery", _ASIDE, 0.7, _METAL),
    "bin": Thing("scenery", ("below",), 0.8, _LOUD),
    "board": Thing("scenery", _ANYWHERE, 0.8, _LOUD),
    "bench": Thing("scenery", ("below",), 0.45, ((120, 84, 54), (146, 112, 76), (84, 88, 84))),
    "railing": Thing("scenery", ("below",), 0.3, _METAL),
    "car": Thing("vehicle", ("below",), 0.9, _LACQUER),
    "van": Thing("vehicle", _ASIDE, 1.0, _LACQUER),
    "bicycle": Thing("vehicle", _ANYWHERE, 0.25, _LOUD),
}


@dataclass(frozen=True)
class Occluder:
    """Something in the way.

    Attributes:
        family: "scenery", "vehicle", "person" (somebody else in front) or "crop" (the detector's box ends early).
        kind: which of `THINGS`; the family's own name for the last two.
        side: where it comes from: "below", "left" or "right".
        hidden: the share of the person that it shall hide, 0 to 1; what it does hide is measured on the picture.
        colour: `(3,)` linear light.
        form: three numbers in [0, 1] that decide its shape.
    """

    family: str
    kind: str
    side: str
    hidden: float
    colour: Array
    form: tuple[float, float, float]

    @classmethod
    def draw(cls, hidden: float, generator: np.random.Generator) -> Occluder:
        """Something that can hide `hidden` of a person, coming from where it stands in a street."""
        names = sorted(FAMILIES)
        shares = np.array([FAMILIES[name] for name in names], dtype=np.float64)
        family = names[int(generator.choice(len(names), p=shares / shares.sum()))]
        kinds = [name for name, thing in THINGS.items() if thing.family == family and thing.most >= hidden]
        kind = kinds[int(generator.integers(len(kinds)))] if kinds else family
        sides = THINGS[kind].sides if kinds else _ANYWHERE
        colours = THINGS[kind].colours if kinds else _LOUD
        return cls(
            family,
            kind,
            sides[int(generator.integers(len(sides)))],
            hidden,
            dyed(colours[int(generator.integers(len(colours)))], generator),
            (float(generator.random()), float(generator.random()), float(generator.random())),
        )
