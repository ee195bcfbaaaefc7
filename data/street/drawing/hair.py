"""Hair and hats: what lies flat on the skull is painted there, what stands off or hangs is solid."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from data.street.causes.outfits import Outfit
from data.street.causes.palette import Array
from data.street.causes.people import Person
from data.street.causes.poses import Joints, Pose, head_point
from data.street.drawing.parts import Limb, Part, plain, scaled, tube

_HAIRLINES = {"receding": 0.97, "cropped": 0.80, "fringe": 0.69, "quiff": 0.82, "bun": 0.83, "tail": 0.82, "afro": 0.78}
"""Height of the hairline above the forehead, 0 the chin to 1 the crown; 0.79 where none is told."""

_SHELLS = {
    "short": ((0.0, 0.030, -0.012), (0.0, 0.000, -0.020), (0.046, 0.0475), (0.050, 0.044)),
    "side": ((0.008, 0.034, -0.006), (-0.002, 0.002, -0.020), (0.047, 0.0485), (0.056, 0.044)),
    "quiff": ((0.0, 0.034, -0.008), (0.0, 0.006, -0.018), (0.045, 0.046), (0.054, 0.044)),
    "fringe": ((0.0, 0.026, -0.006), (0.0, -0.004, -0.018), (0.053, 0.0545), (0.059, 0.044)),
    "bob": ((0.0, 0.026, -0.010), (0.0, -0.040, -0.024), (0.050, 0.055, 0.060, 0.060), (0.055, 0.044, 0.034, 0.034)),
    "long": ((0.0, 0.026, -0.010), (0.0, -0.135, -0.046), (0.050, 0.055, 0.058, 0.060, 0.056, 0.042),
             (0.055, 0.044, 0.030, 0.028, 0.026, 0.018)),
    "curls": ((0.0, 0.030, -0.014), (0.0, -0.060, -0.030), (0.056, 0.066, 0.062, 0.070, 0.062),
              (0.058, 0.050, 0.038, 0.042, 0.036)),
    "afro": ((0.0, 0.040, -0.020), (0.0, 0.018, -0.026), (0.076, 0.078), (0.060, 0.060)),
    "tail": ((0.0, 0.028, -0.010), (0.0, 0.004, -0.018), (0.0455, 0.0475), (0.052, 0.044)),
    "bun": ((0.0, 0.028, -0.010), (0.0, 0.004, -0.018), (0.0455, 0.0475), (0.052, 0.044)),
    "plaits": ((0.0, 0.027, -0.010), (0.0, 0.000, -0.018), (0.048, 0.050), (0.054, 0.046)),
}  # fmt: skip
"""The mass of the hair by style: its two ends from the middle of the head, half-widths and half-depths."""


def hidden_ears(person: Person, outfit: Outfit) -> bool:
    """Whether hair or hat cover the ears."""
    return outfit.hat_kind == "beanie" or person.hair_style in ("bob", "long", "curls", "fringe", "afro")


def covers(person: Person, outfit: Outfit) -> Callable[[Array, Array, Array], Array]:
    """What colours, by height in the face and azimuth, the hair and the hat that lie on the skull."""
    style, hair = person.hair_style, person.hair
    shade = 0.62 * hair + 0.38 * person.skin if style == "cropped" else hair
    line = np.float32(_HAIRLINES.get(style, 0.79))

    def cover(level: Array, azimuth: Array, colours: Array) -> Array:
        front = np.abs(azimuth)
        if style == "bald":
            pass
        elif style == "receding":
            colours[(front > 1.15) & (level > 0.42) & (level < 0.86)] = hair
            colours[(front > 1.9) & (level > 0.24) & (level < 0.86)] = hair
        else:
            edge = line + 0.04 * np.cos(2.0 * front)
            if style == "side":  # parted on one side, it falls over the other
                edge = edge - 0.1 * np.clip(azimuth + 0.35, 0.0, 0.6)
            # From the temples it runs down before the ears, and behind them to the neck.
            edge = np.where(front > 0.95, np.where(front > 1.85, 0.2, 0.52), edge)
            colours[level > edge] = shade
        if outfit.hat_kind != "none":
            colours[level > (0.72 if outfit.hat_kind == "beanie" else 0.78)] = outfit.hat
        return colours

    return cover


def hairs(person: Person, outfit: Outfit, pose: Pose, at: Joints) -> list[Limb]:
    """Hair that stands off, hangs or is tied; a hat presses it down."""
    style, size = person.hair_style, person.head * person.height
    brush, hatted = plain(person.hair), outfit.hat_kind != "none"

    def place(x: float, y: float, z: float) -> Array:
        return head_point(person, pose, at["head"], x, y, z)

    found = []
    if style in _SHELLS:
        top, ends, wide, deep = _SHELLS[style]
        if not hatted or style in ("bob", "long", "curls", "afro", "fringe"):
            lower = -0.03 if hatted else 0.0
            found.append(Limb(place(top[0], top[1] + lower, top[2]), place(*ends), scaled(wide, size * person.cheeks),
                              scaled(deep, size), brush, Part.HAIR, pose.turn, (0.8, 0.8)))  # fmt: skip
    if style == "quiff" and not hatted:
        found.append(Limb(place(0.0, 0.054, 0.030), place(0.0, 0.052, -0.020), scaled((0.030, 0.036), size),
                          scaled((0.030, 0.030), size), brush, Part.HAIR, pose.turn))  # fmt: skip
    if style == "tail":
        knot, middle, end = place(0.0, 0.022, -0.066), place(0.0, -0.035, -0.088), place(0.0, -0.115, -0.078)
        found += [tube(knot, middle, scaled((0.014, 0.024), size), brush, Part.HAIR),
                  tube(middle, end, scaled((0.024, 0.022, 0.008), size), brush, Part.HAIR)]  # fmt: skip
    if style == "bun":
        knot = place(0.0, 0.058 if not hatted else -0.01, -0.052)
        found.append(tube(knot, knot, scaled((0.031,), size), brush, Part.HAIR))
    if style == "plaits":
        for sign in (1.0, -1.0):
            found.append(tube(place(sign * 0.050, -0.020, -0.010), place(sign * 0.066, -0.135, 0.030),
                              scaled((0.016, 0.019, 0.014, 0.018, 0.008), size), brush, Part.HAIR))  # fmt: skip
    return found


def hats(outfit: Outfit, person: Person, pose: Pose, at: Joints) -> list[Limb]:
    """Cap, beanie or hat with a brim."""
    if outfit.hat_kind == "none":
        return []
    size, brush = person.head * person.height, plain(outfit.hat)
    band = plain(outfit.hat * np.float32(0.55))

    def place(x: float, y: float, z: float) -> Array:
        return head_point(person, pose, at["head"], x, y, z)

    tall = 0.052 if outfit.hat_kind == "beanie" else 0.046
    found = [
        Limb(place(0.0, 0.030, -0.008), place(0.0, tall, -0.010), scaled((0.0505, 0.042), size * person.cheeks),
             scaled((0.062, 0.05), size), brush, Part.HAIR, pose.turn, (0.2, 0.75))
    ]  # fmt: skip
    if outfit.hat_kind == "cap":
        found.append(Limb(place(0.0, 0.034, 0.060), place(0.0, 0.028, 0.062), scaled((0.036, 0.038),
                          size * person.cheeks), scaled((0.042, 0.044), size), band, Part.HAIR, pose.turn,
                          (0.1, 0.1)))  # fmt: skip
    elif outfit.hat_kind == "brim":
        found.append(Limb(place(0.0, 0.033, -0.006), place(0.0, 0.027, -0.006), scaled((0.085, 0.088), size),
                          scaled((0.095, 0.098), size), band, Part.HAIR, pose.turn, (0.08, 0.08)))  # fmt: skip
    else:
        found.append(Limb(place(0.0, 0.036, -0.008), place(0.0, 0.026, -0.008), scaled((0.053, 0.053),
                          size * person.cheeks), scaled((0.064, 0.064), size), band, Part.HAIR, pose.turn,
                          (0.15, 0.15)))  # fmt: skip
    return found
