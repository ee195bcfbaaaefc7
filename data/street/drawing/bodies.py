"""From a person, an outfit and joints to solid parts: a list of limbs in metres that knows of no camera."""

from __future__ import annotations

import numpy as np

from data.street.causes.outfits import Outfit
from data.street.causes.palette import Array
from data.street.causes.people import Person
from data.street.causes.poses import HALF_HEAD, Joints, Pose
from data.street.drawing.bags import bag, carried, straps
from data.street.drawing.extremities import arm, girth, hips, leg
from data.street.drawing.garments import collars, fastened, opening, skirts
from data.street.drawing.heads import head, neck
from data.street.drawing.parts import Brush, Limb, Part, between, offset, scaled

__all__ = ["Brush", "Limb", "Part", "limbs"]

_NAPE = 1.3
"""Where the shoulders begin, in half-widths of the neck."""

_CHEST = 0.207
"""How far the waist is below the neck of a usual body, in parts of the height; others are stretched."""


def limbs(person: Person, outfit: Outfit, pose: Pose, at: Joints) -> list[Limb]:
    """All parts of a dressed person."""
    found = [*_trunk(person, outfit, at), neck(person, outfit, at), *head(person, outfit, pose, at)]
    for side in ("left", "right"):
        found += arm(person, outfit, pose, at, side) + leg(person, outfit, at, side)
    return found + skirts(person, outfit, at) + collars(person, outfit, at) + bag(person, outfit, pose, at)


def _trunk(person: Person, outfit: Outfit, at: Joints) -> list[Limb]:
    """Chest, belly and seat."""
    tall, thick, belly = person.height, girth(person), person.belly
    slack = outfit.slack + (0.014 if outfit.thick else 0.003)
    broad, waist, seat = person.shoulders, person.waist, hips(person)
    # Half-widths and half-depths by how far they are below the neck; the shoulders slope from the neck to the arms.
    nape, slope, bust = _NAPE * person.neck, person.slope, 0.018 * person.bust
    widths = (
        (0.0, nape), (0.3 * slope, nape + 0.30 * (broad - nape)), (0.62 * slope, nape + 0.70 * (broad - nape)),
        (slope, 0.90 * broad), (slope + 0.018, 0.885 * broad), (0.085, 0.84 * broad),
        (0.115, 0.55 * broad + 0.032 * thick), (0.145, 0.3 * broad + 0.5 * waist + 0.012 * thick),
        (_CHEST, waist),
    )  # fmt: skip
    depths = (
        (0.0, 0.030), (slope, 0.054), (0.085, 0.061 * thick + 0.6 * bust), (0.115, 0.061 * thick + bust),
        (0.145, 0.058 * thick + 0.7 * bust + 0.008 * belly), (_CHEST, 0.054 * thick + 0.03 * belly),
    )  # fmt: skip
    steps = np.linspace(0.0, _CHEST, 14)
    cloth = slack * np.minimum(0.25 + steps / slope, 1.0)  # on the shoulders it lies close
    wide_chest, deep_chest = (
        tuple((np.interp(steps, *np.transpose(table)) * tall + cloth).tolist()) for table in (widths, depths)
    )
    wide_belly = (waist, waist + 0.4 * (seat - waist) + 0.006 * belly, seat)
    deep_belly = (0.054 * thick + 0.03 * belly, 0.055 * thick + 0.032 * belly, 0.056 * thick + 0.018 * belly)
    top, bottom = at["neck"] - offset(0.0, 0.004 * tall, 0.0), at["pelvis"] + offset(0.0, 0.028 * tall, 0.0)
    middle = between(top, bottom, 0.7) + offset(0.0, 0.0, (0.010 * belly + 0.006) * tall)
    long = float(np.linalg.norm(middle - top))
    crotch = between(bottom, at["pelvis"], 1.9)
    back, behind = offset(0.0, 0.0, -0.008 * tall), (0.052 * thick, 0.066 * thick, 0.066 * thick)
    lower = outfit.lower if outfit.upper_kind != "dress" else outfit.upper
    return [
        Limb(top, middle, wide_chest, deep_chest,
             _front(person, outfit, 0.0, long), Part.TORSO, caps=(0.3, 0.3)),
        Limb(middle, bottom, scaled(wide_belly, tall, slack), scaled(deep_belly, tall, slack),
             _front(person, outfit, long, 9.0), Part.TORSO, caps=(0.3, 0.3)),
        Limb(bottom + back, crotch + back, scaled((0.94 * seat, seat, seat), tall, outfit.slack),
             scaled(behind, tall, outfit.slack), lower.paint, Part.LEGS, caps=(0.4, 0.4)),
    ]  # fmt: skip


def _front(person: Person, outfit: Outfit, before: float, long: float) -> Brush:
    """The upper piece on the trunk, from `before` metres below the neck on, with all that lies on it."""
    tall = person.height
    bag_kind, bag_colour = carried(person, outfit)
    belt = (1.0 - person.legs - 2 * HALF_HEAD * person.head * person.face - person.throat - 0.062) * tall

    def brush(along: Array, azimuth: Array) -> Array:
        below = along + np.float32(before) if before else along
        front = np.abs(azimuth)
        colours = np.array(outfit.upper.paint(below, azimuth))
        if outfit.opened:
            colours[opening(below, azimuth)] = outfit.inner
        elif outfit.thick or (outfit.collar == "shirt" and outfit.upper.pattern != "print"):
            fastened(outfit, below, azimuth, colours)
        if outfit.tucked and before:
            under = below > belt
            colours[under] = outfit.lower.paint(below[under] - np.float32(belt), azimuth[under])
            colours[under & (below < belt + 0.045)] = outfit.shoes * np.float32(0.5)
        if not before:
            _neckline(person, outfit, below, front, colours)
        if person.token == "lanyard":
            lace = (np.abs(front - 0.42 + 0.42 * below / (0.2 * tall)) < 0.07) & (below < 0.19 * tall)
            colours[lace & (below > 0.0)] = person.token_colour
            colours[(front < 0.26) & (np.abs(below - 0.21 * tall) < 0.028 * tall)] = person.token_colour
            colours[(front < 0.18) & (np.abs(below - 0.215 * tall) < 0.018 * tall)] = 0.75
        straps(bag_kind, bag_colour, tall, below, azimuth, colours)
        return colours

    return brush


def _neckline(person: Person, outfit: Outfit, below: Array, front: Array, colours: Array) -> None:
    """Draw the skin that the upper piece leaves bare below the neck into `colours`."""
    tall = person.height
    if outfit.opened or outfit.collar == "high":
        return
    # How far from the middle a point is, on shoulders that widen with their fall.
    nape = _NAPE * person.neck
    half = nape + (person.shoulders - nape) * np.clip(below / (person.slope * tall), 0.0, 1.0)
    aside = np.where(front < 1.5, half * np.sin(front), 1.0)
    if outfit.collar == "round":
        away = (aside / (1.2 * person.neck)) ** 2 + (below / (0.025 * tall)) ** 2
        colours[away < 1.5] *= np.float32(0.75)
        bare = away < 1.0
    else:
        bare = aside < 1.15 * person.neck * (1.0 - below / ((0.08 if outfit.collar == "vee" else 0.05) * tall))
    if outfit.upper_kind == "vest":
        bare |= (front > 0.75) & (front < 2.3) & (below < 0.045 * tall)
    colours[bare] = person.skin
