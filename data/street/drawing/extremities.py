"""Arms and legs, in sleeves and trousers as long as the outfit has them, and shoes."""

from __future__ import annotations

import numpy as np

from data.street.causes.outfits import Outfit
from data.street.causes.palette import Array
from data.street.causes.people import Person
from data.street.causes.poses import Joints, Pose
from data.street.drawing.parts import Brush, Limb, Part, between, clothed, offset, plain, scaled, tube

_PHONE: Array = np.array([0.02, 0.02, 0.025], dtype=np.float32)
_SOLE: Array = np.array([0.72, 0.71, 0.68], dtype=np.float32)


def girth(person: Person) -> float:
    """How much thicker than usual the soft parts are."""
    return 1.0 + 0.32 * person.build


def hips(person: Person) -> float:
    """Their half-width with what is on them, in parts of the height."""
    return person.hips * (0.9 + 0.1 * girth(person))


def arm(person: Person, outfit: Outfit, pose: Pose, at: Joints, side: str) -> list[Limb]:
    """Upper arm, forearm and hand; the sleeve ends where the outfit says."""
    tall, thick = person.height, 0.55 * girth(person) + 0.45
    shoulder, elbow, wrist, hand = (at[f"{side}_{name}"] for name in ("shoulder", "elbow", "wrist", "hand"))
    long, rest = (float(np.linalg.norm(end - start)) for start, end in ((shoulder, elbow), (elbow, wrist)))
    slack = (0.011 if outfit.thick else 0.003) + 0.5 * outfit.slack
    above, below = min(outfit.sleeve, 1.0), max(outfit.sleeve - 1.0, 0.0)
    reach = 9.0 if below else above * long
    upper = scaled((0.020 * thick, 0.0275 * thick, 0.0265 * thick, 0.0215 * thick), tall)
    fore = scaled((0.0215 * thick, 0.0225 * thick, 0.0185 * thick, 0.0145), tall)
    sleeves = clothed(upper, above, slack, close=0.4), clothed(fore, below, slack)
    found = [
        tube(shoulder, elbow, sleeves[0], _sleeve(person, outfit, reach, 0.0, 9.0), Part.ARMS),
        tube(elbow, wrist, sleeves[1], _sleeve(person, outfit, below * rest, long, rest), Part.ARMS),
    ]
    gesture = pose.gestures[0 if side == "left" else 1]
    if gesture != "pocket":
        palm, flat = scaled((0.012, 0.0185, 0.016, 0.008), tall), scaled((0.0095, 0.0105, 0.0095, 0.006), tall)
        hanging = gesture in ("swing", "hip")
        found.append(Limb(wrist, hand, flat if hanging else palm, palm if hanging else flat, plain(person.skin),
                          Part.HANDS))  # fmt: skip
    if gesture == "phone":
        found.append(Limb(between(wrist, hand, 0.7), between(wrist, hand, 1.5), scaled((0.016, 0.016), tall),
                          scaled((0.006, 0.006), tall), plain(_PHONE), Part.HANDS, caps=(0.3, 0.3)))  # fmt: skip
    return found


def _sleeve(person: Person, outfit: Outfit, reach: float, before: float, wrist: float) -> Brush:
    """Cloth down to `reach` metres, which begins `before` metres from the shoulder; the arm ends at `wrist`."""
    upper = outfit.upper
    patterned = upper.pattern in ("stripes", "lines", "checks", "dots", "pinstripes", "camouflage")
    cuff = reach - 0.035 if outfit.trim and (before or outfit.sleeve <= 1.0) else 9.0

    def brush(along: Array, azimuth: Array) -> Array:
        if patterned:
            colours = np.array(upper.paint(along + np.float32(before), azimuth + np.float32(np.pi / 2)))
        else:
            colours = np.tile(upper.colour if upper.pattern != "yoke" or before else upper.second, (len(along), 1))
        colours[along > cuff] = upper.second
        if reach < 9.0:
            colours[along > (reach if reach > 0.0 else -9.0)] = person.skin
        if person.token == "wristbands":
            colours[along > wrist - 0.055] = person.token_colour
        return colours

    return brush


def leg(person: Person, outfit: Outfit, at: Joints, side: str) -> list[Limb]:
    """Thigh, shin and foot; what a coat, dress or skirt covers is left out, so that no thigh shows through."""
    tall, thick = person.height, girth(person)
    hip, knee, ankle, heel, toe = (at[f"{side}_{name}"] for name in ("hip", "knee", "ankle", "heel", "toe"))
    long, rest = (float(np.linalg.norm(end - start)) for start, end in ((hip, knee), (knee, ankle)))
    # Where trousers end and where the legs come out below the skirts, as shares of thigh and shin.
    end, out = outfit.lower_length * (long + rest), covered(person, outfit) - 0.026 * tall
    fall, drop = (max(float(high[1] - low[1]), 0.1) for high, low in ((hip, knee), (knee, ankle)))
    cut, start = min(max(out / fall, 0.0), 1.0), min(max((out - fall) / drop, 0.0), 0.6)
    flare = {"wide": 0.016, "trousers": 0.003}.get(outfit.lower_kind, 0.0)
    if outfit.lower_kind == "skirt":
        end = -1.0
    thigh = scaled((0.050 * thick, 0.0515 * thick, 0.043 * thick, 0.034 * (0.5 + 0.5 * thick)), tall)
    shin = scaled((0.031 * (0.5 + 0.5 * thick), 0.034 * thick, 0.0285 * thick, 0.0205), tall)
    found = []
    if cut < 0.97:
        radii = clothed(thigh, end / long, outfit.slack, flare)
        if cut > 0.0:
            steps = np.linspace(0.0, 1.0, len(radii))
            radii = tuple(np.interp(cut + steps * (1.0 - cut), steps, radii).tolist())
        brush = _trouser(person, outfit, end - cut * long, cut * long, 9.0)
        found.append(Limb(between(hip, knee, cut), knee, radii, radii, brush, Part.LEGS, caps=(0.3, 1.0)))
    boot = 0.42 * rest if outfit.shoe_kind == "boots" and (end < long or outfit.lower_kind == "slim") else 9.0
    slack, flare = (0.004, 0.0) if person.token == "gaiters" else (outfit.slack + flare, flare)
    radii = clothed(shin, (end - long) / rest, slack, flare)
    reach = end - long - start * rest if outfit.lower_length < 1.0 else 9.0
    brush = _trouser(person, outfit, reach, long, boot - start * rest)
    caps = 0.3 if start else 1.0, 0.35
    found.append(Limb(between(knee, ankle, start), ankle, radii, radii, brush, Part.LEGS, caps=caps))
    return found + _shoe(person, outfit, heel, toe)


def covered(person: Person, outfit: Outfit) -> float:
    """How far below the hips everything under coat, dress or skirt is out of sight, in metres."""
    longest = max(outfit.hem, outfit.lower_length if outfit.lower_kind == "skirt" else 0.0)
    return longest * person.legs * person.height if longest > 0.2 else 0.0


def _trouser(person: Person, outfit: Outfit, reach: float, before: float, boot: float) -> Brush:
    """Cloth down to `reach` metres, which begins `before` metres from the hip, and a boot from `boot` on."""
    gaiters = person.token == "gaiters"
    shin = 0.45 * person.legs * person.height

    def brush(along: Array, azimuth: Array) -> Array:
        colours = np.array(outfit.lower.paint(along + np.float32(before), azimuth))
        colours[along > reach] = person.skin
        colours[along > boot] = outfit.shoes
        if gaiters:
            colours[along + np.float32(before) > 1.3 * shin] = person.token_colour
        return colours

    return brush


def _shoe(person: Person, outfit: Outfit, heel: Array, toe: Array) -> list[Limb]:
    """A shoe; sneakers have a pale sole and toe cap."""
    tall, colour = person.height, outfit.shoes
    rise = offset(0.0, 0.008 * tall, 0.0)
    if outfit.shoe_kind != "sneakers":
        radii = (0.020, 0.023, 0.022, 0.014) if outfit.shoe_kind == "boots" else (0.018, 0.019, 0.018, 0.010)
        return [tube(heel + rise, toe + rise * np.float32(0.4), scaled(radii, tall), plain(colour), Part.FEET)]
    sole = _SOLE if colour.mean() < 0.5 else np.asarray(colour * np.float32(0.6))
    long = float(np.linalg.norm(toe - heel))

    def brush(along: Array, azimuth: Array) -> Array:
        colours = np.tile(colour, (len(along), 1))
        colours[along > 0.84 * long] = sole
        return colours

    shoe = tube(heel + rise, toe + rise * np.float32(0.5), scaled((0.019, 0.021, 0.020, 0.014), tall), brush, Part.FEET)
    drop = offset(0.0, 0.006 * tall, 0.0)
    return [shoe, tube(heel - drop, toe - drop, scaled((0.0145, 0.015, 0.0125), tall), plain(sole), Part.FEET)]
