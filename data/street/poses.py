"""A pose: where in the walking cycle somebody is and which way they head, and the joints that follow from it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from data.street.palette import Array
from data.street.people import Person

COCO = (
    "nose", "left_eye", "right_eye", "left_ear", "right_ear", "left_shoulder", "right_shoulder", "left_elbow",
    "right_elbow", "left_wrist", "right_wrist", "left_hip", "right_hip", "left_knee", "right_knee", "left_ankle",
    "right_ankle",
)  # fmt: skip
"""The 17 joints of COCO in their order; `joints` gives these and what drawing needs besides."""

Joints = dict[str, Array]
"""Points `(3,)` in metres by name, in the frame of the body: x to its left, y up from the ground, z ahead."""


@dataclass(frozen=True)
class Pose:
    """The momentary cause.

    Attributes:
        phase: of the walking cycle, radians; at 0 the left leg is farthest ahead.
        heading: radians from facing the camera; at π/2 the body faces the picture's right.
        pace: 0 standing to 1 walking as the person's gait says.
        nod, turn: of the head, down and to its left, in radians.
        raised: how far each forearm is lifted (to a phone, a strap), left and right, in radians.
    """

    phase: float
    heading: float
    pace: float
    nod: float
    turn: float
    raised: tuple[float, float]

    @classmethod
    def draw(cls, street: float, generator: np.random.Generator) -> Pose:
        """A moment of somebody who goes along a street which lies at angle `street` to the camera, either way."""
        back = np.pi * float(generator.random() < 0.5)
        lifted = generator.random(2) < 0.14
        return cls(
            phase=float(generator.uniform(0.0, 2 * np.pi)),
            heading=float(street + back + generator.normal(0.0, 0.4)),
            pace=float(0.1 if generator.random() < 0.12 else generator.uniform(0.7, 1.1)),
            nod=float(generator.normal(0.08, 0.1)),
            turn=float(generator.normal(0.0, 0.3)),
            raised=(float(lifted[0] * generator.uniform(0.8, 1.7)), float(lifted[1] * generator.uniform(0.8, 1.7))),
        )


def _swung(angle: float, length: float, outwards: float = 0.0) -> Array:
    """The vector of a bone of `length` that hangs down, swung ahead by `angle` and aside by `outwards`."""
    down = np.cos(angle) * length
    return np.array([outwards * length, -down, np.sin(angle) * length], dtype=np.float32)


def _point(x: float, y: float, z: float) -> Array:
    return np.array([x, y, z], dtype=np.float32)


def joints(person: Person, pose: Pose) -> Joints:
    """Where the body's points are when `person` is in `pose`, the lower foot on the ground."""
    tall = person.height
    found: Joints = {"pelvis": _point(0.0, 0.0, 0.0)}
    thigh, shin = (person.legs - 0.04) * tall * 0.51, (person.legs - 0.04) * tall * 0.49
    for side, sign, shift in (("left", 1.0, 0.0), ("right", -1.0, np.pi)):
        cycle = pose.phase + shift
        swing = person.stride * pose.pace * np.cos(cycle) + 0.04
        lift = 0.08 + 0.95 * pose.pace * max(0.0, float(np.cos(cycle - 1.45 * np.pi))) ** 2
        hip = _point(sign * 0.5 * person.hips * tall, 0.0, 0.0)
        knee = hip + _swung(swing, thigh, sign * 0.02)
        ankle = knee + _swung(swing - lift, shin, -sign * 0.03)
        tilt = 0.35 * max(0.0, float(np.cos(cycle))) * pose.pace - 0.8 * lift + 0.02
        sole = np.array([sign * np.sin(person.toes_out), np.sin(tilt), np.cos(tilt)], dtype=np.float32)
        found |= {f"{side}_hip": hip, f"{side}_knee": knee, f"{side}_ankle": ankle}
        found[f"{side}_toe"] = ankle + sole * 0.095 * tall - _point(0.0, 0.022 * tall, 0.0)
    trunk = (0.825 - person.legs) * tall
    lean = person.stoop + 0.03 * pose.pace
    neck = _point(0.0, np.cos(lean) * trunk, np.sin(lean) * trunk)
    twist = -0.22 * pose.pace * person.swing * np.cos(pose.phase)
    found["neck"] = neck
    for side, sign, shift, raised in (("left", 1.0, np.pi, pose.raised[0]), ("right", -1.0, 0.0, pose.raised[1])):
        cycle = pose.phase + shift
        swing = person.swing * pose.pace * np.cos(cycle) + 0.2 * raised
        bend = 0.18 + 0.35 * max(0.0, float(np.cos(cycle))) * pose.pace + raised
        broad = (person.shoulders - 0.013) * tall
        shoulder = neck + _point(sign * broad * np.cos(twist), -0.031 * tall, -sign * broad * np.sin(twist))
        elbow = shoulder + _swung(swing, 0.172 * tall, sign * (0.14 + 0.08 * person.build))
        wrist = elbow + _swung(swing + bend, 0.142 * tall, sign * (0.04 - 0.2 * raised))
        found |= {f"{side}_shoulder": shoulder, f"{side}_elbow": elbow, f"{side}_wrist": wrist}
        found[f"{side}_hand"] = wrist + _swung(swing + bend, 0.045 * tall)
    found |= _head(person, pose, neck)
    ground = min(float(found[f"{side}_{part}"][1]) for side in ("left", "right") for part in ("ankle", "toe"))
    rise = _point(0.0, 0.026 * tall - ground, 0.0)
    return {name: point + rise for name, point in found.items()}


def _head(person: Person, pose: Pose, neck: Array) -> Joints:
    """The points of the head above `neck`, turned and nodded."""
    size = person.head * person.height
    centre = neck + _point(0.0, 0.105 * person.height, (0.014 + 0.03 * np.sin(pose.nod)) * person.height)
    cosine, sine = np.cos(pose.turn), np.sin(pose.turn)

    def at(x: float, y: float, z: float) -> Array:
        return centre + _point(x * cosine + z * sine, y - z * np.sin(pose.nod), z * cosine - x * sine) * size

    return {
        "head": centre,
        "nose": at(0.0, -0.006, 0.058),
        "left_eye": at(0.018, 0.010, 0.050),
        "right_eye": at(-0.018, 0.010, 0.050),
        "left_ear": at(0.042, 0.002, 0.0),
        "right_ear": at(-0.042, 0.002, 0.0),
        "nape": at(0.0, -0.03, -0.04),
    }
