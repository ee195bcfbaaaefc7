"""Heads: skull, face, ears, nose and glasses; hair and hats are in `hair.py`."""

from __future__ import annotations

import numpy as np

from data.street.causes.outfits import Outfit
from data.street.causes.palette import Array
from data.street.causes.people import Person
from data.street.causes.poses import HALF_HEAD, Joints, Pose, head_point
from data.street.drawing.hair import covers, hairs, hats, hidden_ears
from data.street.drawing.parts import Brush, Limb, Part, offset, plain, scaled, tube

_EYES, _BROWS, _MOUTH = 0.535, 0.635, 0.22
"""Heights in the face, 0 the chin to 1 the crown."""

_LIPS: Array = np.array([0.72, 0.42, 0.42], dtype=np.float32)


def head(person: Person, outfit: Outfit, pose: Pose, at: Joints) -> list[Limb]:
    """Everything above the neck."""
    size = person.head * person.height
    long, broad, jaw = person.face, person.cheeks, person.jaw

    def place(x: float, y: float, z: float) -> Array:
        return head_point(person, pose, at["head"], x, y, z)

    base, crown = place(0.0, -0.029, 0.007), place(0.0, 0.023, -0.005)
    wide = (0.0355 * (0.4 + 0.6 * jaw), 0.0425 * (0.7 + 0.3 * jaw), 0.0455, 0.0465, 0.0455)
    deep = (0.044, 0.050, 0.056, 0.058, 0.056)
    skin = plain(person.skin)
    found = [
        Limb(base, crown, scaled(wide, size * broad), scaled(deep, size), _face(person, outfit, size), Part.HEAD,
             pose.turn, (0.92 * long, 0.86 * long)),
        tube(place(0.0, 0.008, 0.054), place(0.0, -0.014, 0.052 + 0.009 * person.nose),
             scaled((0.0055, 0.008 * person.nose), size), skin, Part.HEAD),
    ]  # fmt: skip
    if person.beard in ("full", "goatee"):
        broad_beard = 0.030 if person.beard == "full" else 0.014
        found.append(Limb(place(0.0, -0.046, 0.026), place(0.0, -0.064, 0.030), scaled((broad_beard, 0.7 * broad_beard),
                          size * (0.5 + 0.5 * jaw)), scaled((0.024, 0.018), size), plain(_beard(person)), Part.HEAD,
                          pose.turn))  # fmt: skip
    if not hidden_ears(person, outfit) and person.token != "headphones":
        for sign in (1.0, -1.0):
            top, lobe = place(sign * 0.047, 0.008, -0.006), place(sign * 0.045, -0.012, -0.003)
            found.append(Limb(top, lobe, scaled((0.006, 0.005), size * person.ears),
                              scaled((0.012, 0.008), size * person.ears), skin, Part.HEAD, pose.turn))  # fmt: skip
    if person.token == "headphones":
        found += _headphones(person, pose, at, size)
    return found + hairs(person, outfit, pose, at) + hats(outfit, person, pose, at)


def _beard(person: Person) -> Array:
    return np.asarray(0.12 * person.skin + 0.85 * person.hair)


def _face(person: Person, outfit: Outfit, size: float) -> Brush:
    """Skin with eyes, brows, mouth, beard and the hair that lies flat on the skull."""
    lower, height = (HALF_HEAD - 0.029) / (2.0 * HALF_HEAD), 2.0 * HALF_HEAD * size * person.face
    half_brow = 0.016 + 0.012 * min(person.brows, 2.0)
    hair_brush = covers(person, outfit)
    skin, hair = person.skin, person.hair

    def brush(along: Array, azimuth: Array) -> Array:
        level = along * np.float32(1.0 / height) + np.float32(lower)
        front = np.abs(azimuth)
        colours = np.tile(skin, (len(along), 1))
        ahead = front < 1.0
        if person.beard != "none":
            jaw = (level < 0.25 + 0.1 * np.minimum(front, 1.5)) & (front < 1.65)
            lip = (np.abs(level - 0.285) < 0.04) & (front < 0.5)
            if person.beard == "moustache":
                colours[lip] = _beard(person)
            elif person.beard == "goatee":
                colours[lip | ((level < 0.2) & (front < 0.42))] = _beard(person)
                colours[(level > 0.08) & (level < 0.24) & (np.abs(front - 0.42) < 0.09)] = _beard(person)
            else:
                colours[jaw | lip] = _beard(person) if person.beard == "full" else 0.62 * skin + 0.3 * hair
        colours[(np.abs(level - _MOUTH) < 0.022) & (front < 0.34)] = skin * _LIPS
        colours[ahead & (np.abs(level - _EYES - 0.03) < 0.06) & (np.abs(front - 0.4) < 0.24)] *= np.float32(0.8)
        if person.glasses == "dark":
            colours[(np.abs(level - _EYES) < 0.075) & (front > 0.08) & (front < 0.78)] = 0.012
        else:
            eye = np.abs(level - _EYES) < 0.03
            colours[eye & (np.abs(front - 0.4) < 0.19)] = 0.55
            colours[eye & (np.abs(front - 0.4) < 0.10)] = 0.02
        colours[(np.abs(level - _BROWS) < half_brow) & (np.abs(front - 0.42) < 0.26)] = 0.75 * hair + 0.08 * skin
        if person.glasses == "clear":
            far, high = np.abs(front - 0.42) * np.float32(1.0 / 0.33), np.abs(level - _EYES) * np.float32(1.0 / 0.1)
            rim = np.maximum(far, high)
            colours[(rim < 1.0) & (rim > 0.68)] = person.frames
        if person.glasses != "none":
            colours[(np.abs(level - _EYES - 0.03) < 0.022) & ((front < 0.12) | ((front > 0.7) & (front < 1.7)))] = (
                person.frames
            )
        return hair_brush(level, azimuth, colours)

    return brush


def _headphones(person: Person, pose: Pose, at: Joints, size: float) -> list[Limb]:
    """A band over the crown and a cup on each ear."""
    colour = plain(person.token_colour)

    def place(x: float, y: float, z: float) -> Array:
        return head_point(person, pose, at["head"], x, y, z)

    widths = scaled((0.055, 0.056), size)
    band = Limb(place(0.0, 0.0, -0.006), place(0.0, 0.026, -0.006), widths, scaled((0.010, 0.010), size), colour,
                Part.HEAD, pose.turn)  # fmt: skip
    cups = [
        Limb(place(sign * 0.051, 0.010, -0.004), place(sign * 0.051, -0.010, -0.004), scaled((0.012, 0.012), size),
             scaled((0.022, 0.022), size), colour, Part.HEAD, pose.turn)
        for sign in (1.0, -1.0)
    ]  # fmt: skip
    return [band, *cups]


def neck(person: Person, outfit: Outfit, at: Joints) -> Limb:
    """From between the shoulders into the skull, covered by a high collar."""
    tall, long = person.height, float(at["head"][1] - at["neck"][1])
    high = outfit.collar == "high" and not outfit.opened
    line = (0.022 + 0.7 * person.throat) * tall if high else -1.0

    def brush(along: Array, azimuth: Array) -> Array:
        colours = np.tile(person.skin, (len(along), 1))
        # Under the chin there is less light.
        colours[(along > 0.55 * long) & (np.abs(azimuth) < 1.3)] *= np.float32(0.8)
        colours[along < line] = outfit.upper.colour
        return colours

    foot = at["neck"] - offset(0.0, 0.02 * tall, 0.004 * tall)
    top = at["head"] - offset(0.0, 0.01 * tall, 0.012 * tall)
    radii = (1.2 * person.neck, person.neck, 0.95 * person.neck)
    return tube(foot, top, scaled(radii, tall), brush, Part.HEAD)
