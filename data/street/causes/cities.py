"""A city: between which bounds its cameras vary and what its streets are built of.

Cities come in pairs, 0 and 1, 2 and 3: what is low in one of a pair is high in the other, in every trait.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

Range = tuple[float, float]
Weights = Mapping[str, float]


@dataclass(frozen=True)
class Trait:
    """A property that differs between the cities of a pair.

    Attributes:
        low, high: its bounds over all cities.
        theme: traits of one theme are dealt out together, so that no city gets all that makes people hard to know.
        first: whether who comes first in the theme has the low part of it.
    """

    low: float
    high: float
    theme: str
    first: bool = True


CAMERA_TRAITS: Mapping[str, Trait] = {
    "pitch": Trait(0.03, 0.6, "mast"),
    "distance": Trait(3.5, 13.0, "mast"),
    "detail": Trait(0.52, 1.05, "mast"),
    "roll": Trait(-0.09, 0.09, "roll"),
    "street": Trait(0.0, np.pi, "street"),
    "sun_height": Trait(0.35, 1.25, "look"),
    "sunny": Trait(0.1, 1.15, "look"),
    "warmth": Trait(-0.8, 0.8, "look"),
    "sun_side": Trait(-0.5 * np.pi, 1.5 * np.pi, "side"),
    "red": Trait(-0.32, 0.32, "red"),
    "blue": Trait(-0.32, 0.32, "blue"),
    "exposure": Trait(-0.3, 0.55, "look"),
    "gamma": Trait(0.38, 0.54, "look"),
    "contrast": Trait(0.0, 0.6, "look"),
    "saturation": Trait(0.6, 1.16, "look", first=False),
    "lift": Trait(0.0, 0.045, "look", first=False),
    "blur": Trait(0.0008, 0.0042, "look", first=False),
    "shake": Trait(1.0, 1.4, "look", first=False),
    "halo": Trait(0.0, 1.0, "look"),
    "noise": Trait(0.5, 4.5, "look"),
    "quality": Trait(48.0, 93.0, "look", first=False),
}
STAND_TRAITS: Mapping[str, Trait] = {
    "zoom": Trait(0.6, 0.84, "detector"),
    "fill": Trait(0.82, 1.01, "detector"),
    "aside": Trait(-0.07, 0.07, "aside"),
    "down": Trait(-0.02, 0.02, "down"),
    "jitter": Trait(0.01, 0.05, "look"),
}
SCENE_TRAITS: Mapping[str, Trait] = {
    "shade": Trait(0.45, 0.8, "look", first=False),
    "crowded": Trait(6.0, 34.0, "crowded"),
}
TRAITS: Mapping[str, Trait] = {**CAMERA_TRAITS, **STAND_TRAITS, **SCENE_TRAITS}

GROUNDS = ("asphalt", "slabs", "cobbles", "gravel", "grass", "tiles", "bricks", "concrete")
WALLS = ("brick", "plaster", "shop", "hedge", "shutter", "stone", "fence", "office")
CLUTTER = ("post", "bin", "car", "planter", "tree", "bicycle", "bollard", "sign")

APART = 0.4
"""How far the middles of a trait's ranges lie apart in the cities of a pair, at least, in parts of its bounds."""

_OVERLAP = 0.06
_STEEP = 0.55
"""How much rarer each kind of ground, wall or clutter is than the one before it."""


@dataclass(frozen=True)
class City:
    """The permanent cause behind cameras and scenes.

    Attributes:
        ranges: `(low, high)` of every trait, by name.
        grounds, walls, clutter: weights on the kinds of `scenes.py`.
    """

    ranges: Mapping[str, Range]
    grounds: Weights
    walls: Weights
    clutter: Weights

    @classmethod
    def draw(cls, city: int, generator: np.random.Generator) -> City:
        """City number `city`; `generator` is the same for all cities of a seed."""
        for _ in range(city // 2 + 1):
            cuts = generator.uniform(0.42, 0.58, len(TRAITS))
            themes = sorted({trait.theme for trait in TRAITS.values()})
            firsts = dict(zip(themes, (generator.random(len(themes)) < 0.5).tolist(), strict=True))
            orders = [generator.permutation(len(kinds)) for kinds in (GROUNDS, WALLS, CLUTTER)]
        second = bool(city % 2)
        ranges = {}
        for (name, trait), cut in zip(TRAITS.items(), cuts.tolist(), strict=True):
            low = (firsts[trait.theme] != second) == trait.first
            start, end = (0.0, cut + _OVERLAP) if low else (cut - _OVERLAP, 1.0)
            span = trait.high - trait.low
            ranges[name] = (trait.low + start * span, trait.low + end * span)
        weights = (
            _weights(kinds, order[::-1] if second else order)
            for kinds, order in zip((GROUNDS, WALLS, CLUTTER), orders, strict=True)
        )
        return cls(ranges, *weights)


def _weights(kinds: Sequence[str], order: np.ndarray[tuple[int], np.dtype[np.int64]]) -> Weights:
    """The kinds in `order`, each rarer than the one before; they sum to 1."""
    shares = _STEEP ** np.arange(len(kinds))
    shares /= shares.sum()
    return {kinds[int(kind)]: float(share) for kind, share in zip(order, shares, strict=True)}
