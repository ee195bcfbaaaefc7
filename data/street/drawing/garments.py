"""What hangs, is laid round or stands off: hems, skirts and coats, collars, hoods and scarves."""

from __future__ import annotations

import numpy as np

from data.street.causes.outfits import Outfit
from data.street.causes.palette import Array
from data.street.causes.people import Person
from data.street.causes.poses import Joints
from data.street.drawing.extremities import girth, hips
from data.street.drawing.parts import Brush, Limb, Part, offset, plain, scaled


def opening(along: Array, azimuth: Array) -> Array:
    """Where an open jacket shows what is under it, `along` metres below the neck."""
    return np.asarray(np.abs(azimuth) < 0.14 + 0.3 * np.clip(along, 0.0, 1.0))


def fastened(outfit: Outfit, along: Array, azimuth: Array, colours: Array) -> None:
    """Draw zip or buttons into `colours`."""
    front = np.abs(azimuth)
    if outfit.fastening == "zip":
        colours[front < 0.055] = 0.6 if outfit.upper.colour.mean() < 0.15 else 0.02
    elif outfit.fastening == "buttons":
        colours[(np.abs(azimuth - 0.12) < 0.025) & (along > 0.0)] *= np.float32(0.6)
        colours[(front < 0.08) & (along % 0.09 < 0.022)] = 0.6 if outfit.upper.colour.mean() < 0.15 else 0.02


def skirts(person: Person, outfit: Outfit, at: Joints) -> list[Limb]:
    """What hangs round both legs: the hem of a shirt, a coat's or dress's lower half, a skirt."""
    found = []
    if outfit.lower_kind == "skirt":
        found.append(_hung(person, at, outfit.lower_length, outfit.slack + 0.004, outfit.lower.paint, Part.LEGS))
    if not outfit.tucked:
        slack = outfit.slack + (0.014 if outfit.thick else 0.007)
        found.append(_hung(person, at, outfit.hem, slack, _hem(person, outfit, at), Part.TORSO))
    return found


def _hem(person: Person, outfit: Outfit, at: Joints) -> Brush:
    """How the lower end of an upper piece is coloured."""
    tall = person.height
    top = float(at["neck"][1] - at["pelvis"][1]) - _WAIST * tall
    long = _WAIST * tall + outfit.hem * person.legs * tall
    band = long - 0.04 if outfit.trim or outfit.upper_kind == "hoodie" else 9.0
    edge = outfit.upper.second if outfit.trim else outfit.upper.colour * np.float32(0.7)

    def brush(along: Array, azimuth: Array) -> Array:
        colours = np.array(outfit.upper.paint(along + np.float32(top), azimuth))
        colours[along > band] = edge
        if outfit.upper_kind == "dress":
            colours[np.abs(along - 0.015 * tall) < 0.012] = outfit.upper.second * np.float32(0.8)
        if outfit.opened:
            shown = opening(along + np.float32(top), azimuth)
            inside = np.where((along < 0.09 * tall)[:, None], outfit.inner, outfit.lower.colour)
            colours = np.where(shown[:, None], inside, colours)
        elif outfit.thick:
            fastened(outfit, along + np.float32(top), azimuth, colours)
        return colours

    return brush


_WAIST = 0.055
"""How far above the hip joints skirts and hems begin, in parts of the height."""


def _hung(person: Person, at: Joints, share: float, slack: float, brush: Brush, part: Part) -> Limb:
    """A piece of cloth from the waist `share` of the leg down: it swings with the legs."""
    tall, thick = person.height, girth(person)
    knees = at["left_knee"], at["right_knee"]
    reach = share * person.legs * tall
    # At the knee it is as wide as they are apart.
    spread = min(reach / (0.48 * person.legs * tall), 1.1) * 0.5 * np.abs(knees[0] - knees[1])
    middle = (knees[0] + knees[1]) / 2 - at["pelvis"]
    end = at["pelvis"] + middle * np.float32(min(reach / max(-float(middle[1]), 0.1), 1.0))
    end = np.array([end[0], at["pelvis"][1] - reach, end[2]], dtype=np.float32)
    flare = 1.0 + 0.3 * share
    aside, ahead = (1.2 * float(spread[axis]) / tall + 0.056 * thick for axis in (0, 2))
    seat = max(hips(person), 0.5 * person.hips + 0.054 * thick)
    front = 0.062 * thick + 0.02 * person.belly
    wide = (max(0.98 * person.waist, 0.94 * person.hips), seat, max(person.hips * flare, aside))
    behind = 0.070 * thick + 0.006
    deep = (front, max(front + 0.006, behind, 0.5 * ahead + 0.037 * thick), max(front, behind, ahead))
    waist = at["pelvis"] + offset(0.0, _WAIST * tall, 0.008 * person.belly * tall)
    end[2] -= 0.006 * tall
    return Limb(waist, end, scaled(wide, tall, slack), scaled(deep, tall, slack), brush, part, caps=(0.3, 0.15))


def collars(person: Person, outfit: Outfit, at: Joints) -> list[Limb]:
    """A collar, a hood or a scarf: their own of whoever always wears one."""
    tall, foot = person.height, at["neck"]
    slack = (0.012 if outfit.thick else 0.005) + 0.5 * outfit.slack
    found = []
    if person.token == "scarf" or outfit.scarf:
        colour = plain(person.token_colour if person.token == "scarf" else outfit.hat)
        found.append(Limb(foot - offset(0.0, 0.012 * tall, 0.0), foot + offset(0.0, 0.018 * tall, 0.010 * tall),
                          scaled((1.9 * person.neck, 1.55 * person.neck), tall, slack), scaled((1.7 * person.neck,
                          1.5 * person.neck), tall, slack), colour, Part.TORSO, caps=(0.4, 0.4)))  # fmt: skip
        depth = (0.05 * girth(person) + 0.012 * person.bust) * tall + slack
        found.append(Limb(foot + offset(0.022 * tall, -0.01 * tall, 0.8 * depth),
                          foot + offset(0.026 * tall, -0.15 * tall, depth + 0.006 * tall), scaled((0.022, 0.026), tall),
                          scaled((0.014, 0.014), tall), colour, Part.TORSO, caps=(0.4, 0.15)))  # fmt: skip
    elif outfit.upper_kind == "hoodie":
        back = offset(0.0, -0.012 * tall, -0.036 * tall)
        shade = plain(outfit.upper.colour * np.float32(0.85))
        found.append(Limb(foot + back - offset(0.0, 0.034 * tall, 0.006 * tall), foot + back,
                          scaled((0.046, 0.052), tall), scaled((0.024, 0.030), tall, slack), shade,
                          Part.TORSO, caps=(1.0, 0.55)))  # fmt: skip
    elif outfit.collar == "shirt" or outfit.upper_kind == "coat":
        lapel = outfit.inner if outfit.opened else outfit.upper.colour * np.float32(0.72)
        gap = 0.35

        def brush(along: Array, azimuth: Array) -> Array:
            colours = np.tile(lapel, (len(along), 1))
            colours[np.abs(azimuth) < gap] = person.skin
            return colours

        found.append(Limb(foot - offset(0.0, 0.014 * tall, 0.0), foot + offset(0.0, 0.012 * tall, 0.004 * tall),
                          scaled((1.6 * person.neck, 1.2 * person.neck), tall, slack), scaled((1.4 * person.neck,
                          1.2 * person.neck), tall, slack), brush, Part.TORSO, caps=(0.2, 0.2)))  # fmt: skip
    return found
