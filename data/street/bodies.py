"""From a person, an outfit and joints to solid parts: a list of limbs in metres that knows of no camera."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import IntEnum

import numpy as np

from data.street.outfits import Outfit
from data.street.palette import Array
from data.street.people import Person
from data.street.poses import Joints, Pose


class Part(IntEnum):
    """What a pixel belongs to; 0 is whatever is not the person."""

    BACKGROUND = 0
    HEAD = 1
    HAIR = 2
    TORSO = 3
    ARMS = 4
    HANDS = 5
    LEGS = 6
    FEET = 7
    BAG = 8


Brush = Callable[[Array, Array], Array]
"""The linear colours `(k, 3)` of points at `along` metres from a limb's start and `azimuth` from its front."""


@dataclass(frozen=True)
class Limb:
    """A tapered solid round a bone, in the frame of the body.

    Attributes:
        start, end: `(3,)` metres.
        wide, deep: half-widths in metres at even steps from start to end, across and ahead.
        brush: how it is coloured.
        part: what it belongs to.
        yaw: radians that its front is turned to the body's left.
        caps: how far each end bulges, in parts of its half-width: 1 a ball, 0.2 nearly cut off.
    """

    start: Array
    end: Array
    wide: tuple[float, ...]
    deep: tuple[float, ...]
    brush: Brush
    part: Part
    yaw: float = 0.0
    caps: tuple[float, float] = (1.0, 1.0)


def _plain(colour: Array) -> Brush:
    return lambda along, azimuth: np.broadcast_to(colour, (len(along), 3))


def _offset(x: float, y: float, z: float) -> Array:
    return np.array([x, y, z], dtype=np.float32)


def _tube(start: Array, end: Array, radii: tuple[float, ...], brush: Brush, part: Part) -> Limb:
    """A limb as deep as it is wide."""
    return Limb(start, end, radii, radii, brush, part)


def _round(radii: tuple[float, ...], tall: float, slack: float = 0.0) -> tuple[float, ...]:
    return tuple(radius * tall + slack for radius in radii)


def limbs(person: Person, outfit: Outfit, pose: Pose, at: Joints) -> list[Limb]:
    """All parts of a dressed person."""
    found = _trunk(person, outfit, at) + _head(person, outfit, pose, at)
    for side in ("left", "right"):
        found += _arm(person, outfit, at, side) + _leg(person, outfit, at, side)
    found += _skirts(person, outfit, at) + _bag(person, outfit, at)
    return found


def _girth(person: Person) -> float:
    """How much thicker than usual the soft parts are."""
    return 1.0 + 0.2 * person.build


def _trunk(person: Person, outfit: Outfit, at: Joints) -> list[Limb]:
    """The torso from the neck to the crotch, and the neck."""
    tall, girth = person.height, _girth(person)
    slack = outfit.slack + (0.014 if outfit.upper_kind in ("jacket", "coat") else 0.004)
    belly = 0.072 * girth + 0.012 * max(person.build, 0.0)
    broad, hips = person.shoulders, person.hips * (0.9 + 0.1 * girth)
    chest, waist = 0.5 * broad + 0.036 * girth, 0.3 * broad + 0.5 * belly
    wide = (0.046, broad * 0.78, broad * 0.85, broad * 0.83, chest, waist, belly, belly + 0.006, hips)
    deep = (0.036, 0.046, 0.054, 0.06 * girth, 0.06 * girth, 0.056 * girth, belly * 0.82, belly * 0.84, 0.062 * girth)
    top, bottom = at["neck"] + _offset(0.0, -0.005 * tall, 0.0), at["pelvis"] + _offset(0.0, 0.035 * tall, 0.0)

    def brush(along: Array, azimuth: Array) -> Array:
        colours = np.array(outfit.upper.paint(along, azimuth))
        if outfit.opened:
            colours[np.abs(azimuth) < 0.16 + 0.5 * along] = outfit.inner
        neckline = (np.abs(azimuth) < 0.5) & (along < 0.03 * tall)
        colours[neckline] = person.skin
        if outfit.bag_kind == "backpack":
            colours[(np.abs(np.abs(azimuth) - 0.62) < 0.15) & (along < 0.15 * tall)] = outfit.bag
        elif outfit.bag_kind == "crossbody":
            colours[np.abs(along / tall - 0.15 - 0.13 * np.sin(azimuth)) < 0.012] = outfit.bag
        return colours

    crotch = at["pelvis"] + _offset(0.0, -0.02 * tall, 0.0)
    seat = _round((hips, hips), tall, outfit.slack)
    behind = _round((0.066 * girth, 0.066 * girth), tall, outfit.slack)
    lower = outfit.lower if outfit.upper_kind != "dress" else outfit.upper
    return [
        Limb(top, bottom, _round(wide, tall, slack), _round(deep, tall, slack), brush, Part.TORSO, caps=(0.35, 0.3)),
        Limb(bottom, crotch, seat, behind, lower.paint, Part.LEGS, caps=(0.3, 0.4)),
        _tube(at["neck"], at["head"], _round((0.034, 0.03), tall), _plain(person.skin), Part.HEAD),
    ]


def _head(person: Person, outfit: Outfit, pose: Pose, at: Joints) -> list[Limb]:
    """Skull with face, hair or hat."""
    size = person.head * person.height
    base = at["head"] - _offset(0.0, 0.024 * size, 0.0)
    crown = at["head"] + _offset(0.0, 0.022 * size, -0.004 * size)
    hatted = outfit.hat_kind != "none"
    cover = outfit.hat if hatted else person.hair

    def brush(along: Array, azimuth: Array) -> Array:
        height = along / size
        front = np.abs(azimuth)
        colours = np.tile(person.skin, (len(along), 1))
        if person.beard:
            colours[(height < -0.004) & (front < 1.7)] = 0.35 * person.skin + 0.65 * person.hair
        colours[(np.abs(height + 0.012) < 0.004) & (front < 0.3)] = person.skin * np.float32(0.45)
        eyes = (np.abs(height - 0.027) < 0.005) & (np.abs(front - 0.4) < (0.34 if person.glasses else 0.16))
        colours[eyes] = 0.03
        if person.hair_style != "bald":
            line = 0.042 if person.hair_style == "cropped" else 0.034
            colours[(height > line + 0.012 * np.cos(front)) | ((front > 1.35) & (height > 0.0))] = person.hair
            colours[(front > 2.0) & (height > -0.016)] = person.hair
        if hatted:
            colours[height > (0.030 if outfit.hat_kind == "beanie" else 0.036)] = outfit.hat
        return colours

    found = [
        Limb(base, crown, _round((0.035, 0.045, 0.048), size), _round((0.044, 0.056, 0.058), size), brush,
             Part.HEAD, pose.turn)
    ]  # fmt: skip
    if hatted and outfit.hat_kind == "cap":
        peak = crown + _offset(np.sin(pose.turn), 0.0, np.cos(pose.turn)) * np.float32(0.085 * size)
        found.append(_tube(crown, peak, _round((0.03, 0.022), size), _plain(cover), Part.HAIR))
    found.append(_tube(at["nose"], at["nose"], _round((0.008,), size), _plain(person.skin), Part.HEAD))
    return found + _locks(person, at, size)


def _locks(person: Person, at: Joints, size: float) -> list[Limb]:
    """Hair that hangs or is tied."""
    crown, nape = at["head"] + _offset(0.0, 0.02 * size, -0.014 * size), at["nape"]
    hair = _plain(person.hair)
    if person.hair_style in ("bob", "long"):
        drop = 0.03 if person.hair_style == "bob" else 0.14
        ends = nape - _offset(0.0, drop * size, 0.012 * size)
        wide, deep = _round((0.052, 0.058, 0.058, 0.046), size), _round((0.05, 0.045, 0.04, 0.028), size)
        return [Limb(crown, ends, wide, deep, hair, Part.HAIR)]
    if person.hair_style == "tail":
        knot = nape + _offset(0.0, 0.04 * size, -0.03 * size)
        ends = knot + _offset(0.0, -0.13, -0.03) * size
        return [_tube(knot, ends, _round((0.022, 0.026, 0.012), size), hair, Part.HAIR)]
    if person.hair_style == "bun":
        knot = nape + _offset(0.0, 0.085 * size, -0.012 * size)
        return [_tube(knot, knot, _round((0.03,), size), hair, Part.HAIR)]
    return []


def _arm(person: Person, outfit: Outfit, at: Joints, side: str) -> list[Limb]:
    """Upper arm, forearm and hand; the sleeve ends where the outfit says."""
    tall, girth = person.height, _girth(person)
    thick = 0.012 if outfit.upper_kind in ("jacket", "coat") else 0.003
    lengths = (0.172 * tall, 0.142 * tall)
    fabric = replace(outfit.upper, pattern="plain") if outfit.upper.pattern == "print" else outfit.upper

    def sleeve(reach: float, before: float) -> Brush:
        def brush(along: Array, azimuth: Array) -> Array:
            cloth = fabric.paint(along + np.float32(before), azimuth + np.float32(np.pi / 2))
            return np.where((along < reach)[:, None], cloth, person.skin)

        return brush

    names = (f"{side}_shoulder", f"{side}_elbow", f"{side}_wrist", f"{side}_hand")
    shoulder, elbow, wrist, hand = (at[name] for name in names)
    clothed = tuple(thick + outfit.slack * 0.5 if outfit.sleeve > share else 0.0 for share in (0.0, 1.0))
    upper = _round((0.029 * girth, 0.028 * girth, 0.023 * girth), tall, clothed[0])
    fore = _round((0.023 * girth, 0.022 * girth, 0.016), tall, clothed[1])
    reach = outfit.sleeve * lengths[0], (outfit.sleeve - 1.0) * lengths[1]
    if outfit.sleeve <= 0.0:
        reach = -1.0, -1.0
    elif outfit.sleeve <= 1.0:
        reach = reach[0], -1.0
    return [
        _tube(shoulder, elbow, upper, sleeve(reach[0], 0.0), Part.ARMS),
        _tube(elbow, wrist, fore, sleeve(reach[1], lengths[0]), Part.ARMS),
        _tube(wrist, hand, _round((0.014, 0.019, 0.014), tall), _plain(person.skin), Part.HANDS),
    ]


def _leg(person: Person, outfit: Outfit, at: Joints, side: str) -> list[Limb]:
    """Thigh, shin and foot; trousers end where the outfit says."""
    tall, girth = person.height, _girth(person)
    half = person.legs * tall * 0.48

    def trousers(reach: float, before: float, boot: float) -> Brush:
        def brush(along: Array, azimuth: Array) -> Array:
            cloth = outfit.lower.paint(along + np.float32(before), azimuth)
            colours = np.where((along < reach)[:, None], cloth, person.skin)
            return np.where((along > boot)[:, None], outfit.shoes, colours)

        return brush

    hip, knee, ankle, toe = (at[f"{side}_{name}"] for name in ("hip", "knee", "ankle", "toe"))
    # The seat hides the hip joint, so bare legs begin below it.
    reach = outfit.lower_length * 2.0 * half
    loose = tuple(outfit.slack if outfit.lower_length > share else 0.0 for share in (0.0, 0.6))
    thigh = _round((0.050 * girth, 0.047 * girth, 0.035 * girth), tall, loose[0])
    shin = _round((0.033 * girth, 0.032 * girth, 0.021), tall, loose[1])
    heel = ankle - (toe - ankle) * np.float32(0.25) - _offset(0.0, 0.006 * tall, 0.0)
    sole = _round((0.022, 0.024, 0.018), tall)
    return [
        _tube(hip, knee, thigh, trousers(reach, 0.0, 9.0), Part.LEGS),
        _tube(knee, ankle, shin, trousers(reach - half, half, 0.3 * half if outfit.boots else 9.0), Part.LEGS),
        _tube(heel, toe, sole, _plain(outfit.shoes), Part.FEET),
    ]


def _skirts(person: Person, outfit: Outfit, at: Joints) -> list[Limb]:
    """What hangs round both legs: the hem of a shirt, a coat's or dress's lower half, a skirt."""
    tall, girth = person.height, _girth(person)
    waist = at["pelvis"] + _offset(0.0, 0.06 * tall, 0.0)
    knees = at["left_knee"], at["right_knee"]

    def hung(share: float, slack: float, brush: Brush, part: Part) -> Limb:
        # It swings with the legs: at the knee it is as wide as they are apart.
        reach = share * person.legs * tall
        spread = min(reach / (0.48 * person.legs * tall), 1.1) * 0.5 * np.abs(knees[0] - knees[1])
        middle = (knees[0] + knees[1]) / 2 - at["pelvis"]
        end = at["pelvis"] + middle * np.float32(min(reach / max(-float(middle[1]), 0.1), 1.0))
        end = np.array([end[0], at["pelvis"][1] - reach, end[2]], dtype=np.float32)
        flare = 1.0 + 0.25 * share
        aside, ahead = (float(spread[axis]) / tall + 0.05 * girth for axis in (0, 2))
        seat = max(person.hips, 0.5 * person.hips + 0.054 * girth)
        wide = (max(0.075 * girth, 0.97 * person.hips), seat, max(person.hips * flare, aside))
        deep = (0.066 * girth, max(0.07 * girth, 0.5 * ahead + 0.037 * girth), max(0.068 * girth, ahead))
        return Limb(waist, end, _round(wide, tall, slack), _round(deep, tall, slack), brush, part,
                    caps=(0.3, 0.2))  # fmt: skip

    found = []
    if outfit.lower_kind == "skirt":
        found.append(hung(outfit.lower_length, outfit.slack + 0.004, outfit.lower.paint, Part.LEGS))
    top = float(at["neck"][1] - waist[1])

    def brush(along: Array, azimuth: Array) -> Array:
        colours = np.array(outfit.upper.paint(along + np.float32(top), azimuth))
        if outfit.opened:
            open_front = np.abs(azimuth) < 0.16 + 0.5 * top
            inside = np.where((along < 0.1 * tall)[:, None], outfit.inner, outfit.lower.colour)
            colours = np.where(open_front[:, None], inside, colours)
        return colours

    found.append(hung(outfit.hem, outfit.slack + 0.012, brush, Part.TORSO))
    return found


def _bag(person: Person, outfit: Outfit, at: Joints) -> list[Limb]:
    """What is carried on the back, at the hip or in the hand."""
    tall, colour = person.height, _plain(outfit.bag)
    if outfit.bag_kind == "backpack":
        top = at["neck"] + _offset(0.0, -0.06 * tall, -0.1 * tall)
        return [Limb(top, top - _offset(0.0, 0.17 * tall, 0.005), _round((0.07, 0.085, 0.082), tall),
                     _round((0.045, 0.055, 0.06), tall), colour, Part.BAG, caps=(0.8, 0.4))]  # fmt: skip
    if outfit.bag_kind == "crossbody":
        top = at["left_hip"] + _offset(0.07 * tall, 0.03 * tall, 0.01)
        return [Limb(top, top - _offset(0.0, 0.09 * tall, 0.0), _round((0.028, 0.028), tall),
                     _round((0.06, 0.065), tall), colour, Part.BAG, caps=(0.3, 0.3))]  # fmt: skip
    if outfit.bag_kind == "tote":
        top = at["right_hand"] - _offset(0.0, 0.05 * tall, 0.0)
        return [Limb(top, top - _offset(0.0, 0.12 * tall, 0.0), _round((0.02, 0.024), tall),
                     _round((0.055, 0.068), tall), colour, Part.BAG, caps=(0.3, 0.3))]  # fmt: skip
    return []
