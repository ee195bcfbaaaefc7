"""A fashion: what a city likes to wear, as weights on kinds, colours and patterns."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from data.street.causes.palette import BAGS, LOWER, SHOES, UPPER

UPPER_KINDS = {"shirt": 11, "jacket": 6, "coat": 4, "hoodie": 4, "dress": 3, "vest": 2}
LOWER_KINDS = {"trousers": 10, "wide": 3, "slim": 6, "shorts": 4, "skirt": 4}
PATTERNS = {
    "plain": 24, "stripes": 3, "lines": 2, "pinstripes": 1.5, "checks": 2, "yoke": 2, "band": 2, "print": 4, "dots": 1,
    "camouflage": 1,
}  # fmt: skip
BAG_KINDS = {"none": 15, "backpack": 5, "crossbody": 4, "tote": 3, "shoulder": 2, "waist": 1.5}
HAT_KINDS = {"none": 26, "cap": 3, "beanie": 2, "brim": 1}
SHOE_KINDS = {"sneakers": 7, "shoes": 5, "boots": 3}

Weights = Mapping[str, float]

LIKED, DISLIKED = 2.4, 0.35
"""Factors on the weight of what a city likes and of what it does not: never so little that it dies out."""

_NEUTRAL = ("none", "plain")


@dataclass(frozen=True)
class Fashion:
    """The permanent cause behind outfits; each attribute but the last maps names to weights.

    Attributes:
        uppers, lowers, patterns, bags, hats, shoes: kinds of garment.
        upper_colours, lower_colours, shoe_colours, bag_colours: names of `palette.CLOTHES`.
        loose: how wide clothes are worn, 1 usual.
    """

    uppers: Weights
    lowers: Weights
    patterns: Weights
    bags: Weights
    hats: Weights
    shoes: Weights
    upper_colours: Weights
    lower_colours: Weights
    shoe_colours: Weights
    bag_colours: Weights
    loose: float = 1.0

    @classmethod
    def draw(cls, city: int, generator: np.random.Generator) -> Fashion:
        """The fashion of city number `city`; neighbouring numbers like different things.

        Args:
            generator: the same for all cities: 0 and 1, 2 and 3, and so on halve every table between them.
        """
        pair, odd = divmod(city, 2)
        for _ in range(pair):
            _halves(generator)  # the taste of the cities before, which is not this one's
        liked = _halves(generator)

        def weigh(weights: Weights) -> Weights:
            return {
                name: weight * (1.0 if name in _NEUTRAL else LIKED if (name in liked) != bool(odd) else DISLIKED)
                for name, weight in weights.items()
            }

        return cls(
            uppers=weigh(UPPER_KINDS),
            lowers=weigh(LOWER_KINDS),
            patterns=weigh(PATTERNS),
            bags=weigh(BAG_KINDS),
            hats=weigh(HAT_KINDS),
            shoes=weigh(SHOE_KINDS),
            upper_colours=weigh(UPPER),
            lower_colours=weigh(LOWER),
            shoe_colours=weigh(SHOES),
            bag_colours=weigh(BAGS),
            loose=0.65 if odd else 1.35,
        )


def _halves(generator: np.random.Generator) -> frozenset[str]:
    """The names that one of two cities likes: of any two that are as usual as each other, one."""
    liked: list[str] = []
    tables: tuple[Weights, ...] = (UPPER_KINDS, LOWER_KINDS, PATTERNS, BAG_KINDS, HAT_KINDS, SHOE_KINDS, UPPER)
    for table in tables:
        names = [name for name in sorted(table, key=lambda name: (-table[name], name)) if name not in _NEUTRAL]
        pairs = [names[first : first + 2] for first in range(0, len(names), 2)]
        liked += [pair[int(generator.integers(len(pair)))] for pair in pairs]
    return frozenset(liked)
