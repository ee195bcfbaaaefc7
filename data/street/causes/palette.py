"""Colours people wear and are: a short list, as in any street, so that many share them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.floating[Any]]
"""Pixels, points and colours; drawn in float32."""

CLOTHES = {
    "black": (28, 28, 31),
    "charcoal": (66, 68, 73),
    "grey": (138, 139, 142),
    "white": (228, 227, 222),
    "navy": (34, 44, 84),
    "denim": (74, 100, 146),
    "sky": (140, 178, 212),
    "beige": (198, 178, 142),
    "brown": (104, 72, 48),
    "olive": (92, 98, 58),
    "green": (44, 118, 76),
    "teal": (24, 118, 128),
    "red": (184, 40, 42),
    "burgundy": (102, 28, 44),
    "pink": (218, 140, 160),
    "purple": (104, 66, 136),
    "mustard": (206, 156, 44),
    "orange": (214, 98, 38),
}
"""sRGB values, 0–255."""

UPPER = {
    "black": 12, "charcoal": 6, "grey": 8, "white": 11, "navy": 8, "denim": 5, "sky": 6, "beige": 7, "brown": 4,
    "olive": 5, "green": 5, "teal": 5, "red": 8, "burgundy": 4, "pink": 5, "purple": 4, "mustard": 5, "orange": 4,
}  # fmt: skip
LOWER = {
    "black": 14, "charcoal": 8, "grey": 6, "navy": 8, "denim": 16, "sky": 4, "beige": 10, "brown": 5,
    "olive": 5, "white": 5, "burgundy": 3, "red": 2, "green": 1,
}  # fmt: skip
SHOES = {"black": 10, "brown": 5, "white": 7, "grey": 4, "red": 2, "navy": 2}
BAGS = {"black": 6, "brown": 5, "red": 3, "navy": 3, "beige": 3, "olive": 2, "mustard": 2, "teal": 2}

SKIN = (
    (246, 214, 192), (234, 194, 164), (222, 176, 140), (200, 150, 112), (170, 118, 84), (134, 88, 62), (92, 62, 46),
)  # fmt: skip
HAIR = {
    "black": (24, 20, 19),
    "dark": (50, 35, 27),
    "brown": (92, 60, 38),
    "chestnut": (124, 70, 40),
    "sand": (168, 128, 78),
    "blond": (214, 180, 112),
    "grey": (148, 146, 144),
    "white": (222, 220, 214),
    "red": (162, 68, 28),
}
FRAMES = ((12, 12, 14), (104, 62, 34), (150, 24, 30), (196, 196, 200))
"""Of glasses: black, horn, red and steel."""

TOKENS = ("red", "mustard", "white", "teal", "orange", "pink", "green", "sky")
"""Names of the colours of what somebody always wears: bright, so that it shows on any clothes."""


def linear(colour: tuple[int, int, int]) -> Array:
    """An sRGB colour 0–255 as `(3,)` linear light in [0, 1], in which shading is done."""
    value = np.asarray(colour, dtype=np.float32) / 255.0
    light: Array = np.where(value <= 0.04045, value / 12.92, ((value + 0.055) / 1.055) ** 2.4)
    return light.astype(np.float32)


def dyed(colour: tuple[int, int, int], generator: np.random.Generator) -> Array:
    """`colour` in linear light as this piece has it: no two navy coats are the same navy."""
    spread = generator.standard_normal(4)
    dye: Array = np.clip(linear(colour) * np.exp(0.1 * spread[0] + 0.05 * spread[1:]), 0.004, 0.95)
    return dye.astype(np.float32)


def pick(weights: Mapping[str, float], generator: np.random.Generator) -> str:
    """One of the names, as often as its weight says."""
    left = float(generator.random()) * sum(weights.values())
    for name, weight in weights.items():
        left -= weight
        if left < 0.0:
            return name
    return name
