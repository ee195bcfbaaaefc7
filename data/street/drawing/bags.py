"""Bags and their straps: the person's own, which they carry with any clothes, or else the outfit's."""

from __future__ import annotations

import numpy as np

from data.street.causes.outfits import Outfit
from data.street.causes.palette import Array
from data.street.causes.people import Person
from data.street.causes.poses import Joints, Pose
from data.street.drawing.extremities import girth
from data.street.drawing.parts import Brush, Limb, Part, offset, scaled


def carried(person: Person, outfit: Outfit) -> tuple[str, Array]:
    """The kind of the bag and its colour."""
    if person.bag_kind != "none":
        return person.bag_kind, person.bag
    return outfit.bag_kind, outfit.bag


def straps(kind: str, colour: Array, tall: float, along: Array, azimuth: Array, colours: Array) -> None:
    """Draw what holds a bag on the trunk into `colours`, `along` metres below the neck."""
    if kind == "backpack":
        colours[(np.abs(np.abs(azimuth) - 0.62) < 0.15) & (along < 0.17 * tall)] = colour * np.float32(0.8)
    elif kind == "crossbody":
        colours[np.abs(along / tall - 0.15 - 0.13 * np.sin(azimuth)) < 0.011] = colour * np.float32(0.8)
    elif kind == "shoulder":
        colours[(np.abs(azimuth + 1.15) < 0.16) & (along < 0.14 * tall)] = colour * np.float32(0.8)
    elif kind == "waist":
        colours[np.abs(along / tall - 0.262) < 0.008] = colour * np.float32(0.8)


def bag(person: Person, outfit: Outfit, pose: Pose, at: Joints) -> list[Limb]:
    """What is carried on the back, at the hip, at the belt, under the arm or in the hand."""
    kind, colour = carried(person, outfit)
    tall, thick = person.height, girth(person)
    slack = (0.014 if outfit.thick else 0.004) + outfit.slack
    if kind == "backpack":
        top = at["neck"] + offset(0.0, -0.05 * tall, -0.085 * tall - slack)
        return [Limb(top, top - offset(0.0, 0.17 * tall, 0.005), scaled((0.066, 0.078, 0.08, 0.076), tall),
                     scaled((0.04, 0.052, 0.058, 0.056), tall), _pocketed(colour, 0.1 * tall), Part.BAG,
                     caps=(0.7, 0.35))]  # fmt: skip
    if kind == "crossbody":
        top = at["left_hip"] + offset((0.062 + 0.02 * thick) * tall - 0.5 * person.hips * tall + 0.045 * tall,
                                      0.035 * tall, 0.02)  # fmt: skip
        return [Limb(top, top - offset(0.0, 0.085 * tall, 0.0), scaled((0.026, 0.028), tall),
                     scaled((0.062, 0.066), tall), _pocketed(colour, -0.01), Part.BAG, caps=(0.3, 0.25))]  # fmt: skip
    if kind == "shoulder":
        top = at["right_shoulder"] + offset(-0.022 * tall - slack, -0.135 * tall, -0.012 * tall)
        return [Limb(top, top - offset(0.0, 0.075 * tall, 0.0), scaled((0.026, 0.03), tall),
                     scaled((0.072, 0.08), tall), _pocketed(colour, -0.01), Part.BAG, caps=(0.3, 0.3))]  # fmt: skip
    if kind == "waist":
        depth = (0.058 * thick + 0.03 * person.belly) * tall + slack
        middle = at["pelvis"] + offset(0.0, 0.065 * tall, depth + 0.006 * tall)
        return [Limb(middle + offset(0.03 * tall, 0.0, 0.0), middle - offset(0.03 * tall, 0.0, 0.0),
                     scaled((0.024, 0.027, 0.024), tall), scaled((0.024, 0.027, 0.024), tall),
                     _pocketed(colour, 9.0), Part.BAG)]  # fmt: skip
    if kind == "tote":
        side = "left" if pose.gestures[1] != "swing" and pose.gestures[0] == "swing" else "right"
        top = at[f"{side}_hand"] - offset(0.0, 0.028 * tall, 0.0)
        return [Limb(top, top - offset(0.0, 0.12 * tall, 0.0), scaled((0.018, 0.024), tall),
                     scaled((0.055, 0.068), tall), _pocketed(colour, -0.01), Part.BAG, caps=(0.3, 0.25))]  # fmt: skip
    return []


def _pocketed(colour: Array, line: float) -> Brush:
    """One colour with a darker seam `line` metres down."""
    seam = colour * np.float32(0.45)

    def brush(along: Array, azimuth: Array) -> Array:
        colours = np.tile(colour, (len(along), 1))
        colours[np.abs(along - line) < 0.012] = seam
        return colours

    return brush
