"""A pose: where in the walking cycle somebody is and which way they head, and the joints that follow from it."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from data.street.causes.palette import Array, pick
from data.street.causes.people import Person

COCO = (
    "nose", "left_eye", "right_eye", "left_ear", "right_ear", "left_shoulder", "right_shoulder", "left_elbow",
    "right_elbow", "left_wrist", "right_wrist", "left_hip", "right_hip", "left_knee", "right_knee", "left_ankle",
    "right_ankle",
)  # fmt: skip
"""The 17 joints of COCO in their order; `joints` gives these and what drawing needs besides."""

GESTURES = {"swing": 24, "phone": 2, "pocket": 2.5, "strap": 1}
"""What the arm of somebody who walks may do, with weights."""

STILL_GESTURES = {"swing": 6, "phone": 3, "pocket": 4, "strap": 1, "hip": 1.5}
"""What it may do while they stand; "crossed" are both arms or none."""

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
        raised: how far each forearm is lifted, left and right, in radians; of arms that swing.
        weight: −1 on the right leg to 1 on the left, the other knee loose; of who stands.
        gestures: what left and right arm do, of `GESTURES`, `STILL_GESTURES` or "crossed".
    """

    phase: float
    heading: float
    pace: float
    nod: float
    turn: float
    raised: tuple[float, float]
    weight: float = 0.0
    gestures: tuple[str, str] = ("swing", "swing")

    @classmethod
    def draw(cls, street: float, headings: float, standing: float, generator: np.random.Generator) -> Pose:
        """A moment of somebody who goes along a street which lies at angle `street` to the camera, either way.

        Args:
            headings: how often people head anywhere instead.
            standing: how often they stand.
        """
        back = np.pi * float(generator.random() < 0.5)
        lifted = generator.random(2) < 0.08
        astray = generator.random() < headings
        stands = generator.random() < standing
        left = pick(STILL_GESTURES if stands else GESTURES, generator)
        right = pick(STILL_GESTURES if stands else GESTURES, generator)
        if stands and generator.random() < 0.2:
            left = right = "crossed"
        elif left == right == "phone":  # one is enough
            right = "swing"
        return cls(
            phase=float(generator.uniform(0.0, 2 * np.pi)),
            heading=float(generator.uniform(-np.pi, np.pi) if astray else street + back + generator.normal(0.0, 0.4)),
            pace=float(generator.uniform(0.0, 0.12) if stands else generator.uniform(0.7, 1.1)),
            nod=float(generator.normal(0.08, 0.1) + 0.25 * ("phone" in (left, right))),
            turn=float(generator.normal(0.0, 0.3)),
            raised=(float(lifted[0] * generator.uniform(0.5, 1.4)), float(lifted[1] * generator.uniform(0.5, 1.4))),
            weight=float(generator.uniform(-1.0, 1.0)) * float(stands),
            gestures=(left, right),
        )


def _point(x: float, y: float, z: float) -> Array:
    return np.array([x, y, z], dtype=np.float32)


def _swung(angle: float, length: float, outwards: float = 0.0) -> Array:
    """The vector of a bone of `length` that hangs down, swung ahead by `angle` and leaning aside by `outwards`."""
    long = length / math.sqrt(1.0 + outwards * outwards)
    return _point(outwards * long, -math.cos(angle) * long, math.sin(angle) * long)


def _bent(root: Array, target: Array, upper: float, lower: float, pole: Array) -> tuple[Array, Array]:
    """Middle and end of two bones from `root` as near to `target` as they reach, the middle towards `pole`."""
    way: Array = target - root
    far = float(np.linalg.norm(way))
    way = np.asarray(way / np.float32(max(far, 1e-6)))
    far = min(max(far, abs(upper - lower) + 0.02), 0.995 * (upper + lower))
    along = (upper * upper + far * far - lower * lower) / (2.0 * far)
    aside: Array = pole - way * np.dot(pole, way)
    aside = np.asarray(aside / np.float32(max(float(np.linalg.norm(aside)), 1e-6)))
    middle = root + way * np.float32(along) + aside * np.float32(math.sqrt(max(upper * upper - along * along, 0.0)))
    return middle, root + way * np.float32(far)


def joints(person: Person, pose: Pose) -> Joints:
    """Where the body's points are when `person` is in `pose`, the lower foot on the ground."""
    tall = person.height
    found: Joints = {"pelvis": _point(0.0, 0.0, 0.0)}
    for side, sign in (("left", 1.0), ("right", -1.0)):
        found |= _leg(person, pose, side, sign)
    half_head = HALF_HEAD * person.head * person.face
    trunk = (1.0 - person.legs - 2.0 * half_head - person.throat) * tall
    lean = person.stoop + 0.03 * pose.pace
    neck = _point(0.014 * pose.weight * tall, math.cos(lean) * trunk, math.sin(lean) * trunk)
    found["neck"] = neck
    for side, sign in (("left", 1.0), ("right", -1.0)):
        found |= _arm(person, pose, neck, side, sign)
    # A stooping neck carries the head ahead of the trunk.
    ahead = (0.016 + 0.25 * max(lean, 0.0) * (person.throat + half_head)) * tall
    centre = neck + _point(0.0, (person.throat + half_head) * tall, ahead + 0.02 * math.sin(pose.nod) * tall)
    found["head"] = centre
    for name, place in _FACE.items():
        found[name] = head_point(person, pose, centre, *place)
    found["crown"] = head_point(person, pose, centre, 0.0, HALF_HEAD + _HIGH_HAIR.get(person.hair_style, 0.0), -0.005)
    ground = min(float(found[f"{side}_{part}"][1]) for side in ("left", "right") for part in ("heel", "toe"))
    rise = _point(0.0, 0.014 * tall - ground, 0.0)
    return {name: point + rise for name, point in found.items()}


HALF_HEAD = 0.066
"""From the middle of the head to the chin or the crown, in parts of the height."""

_FACE = {
    "nose": (0.0, -0.016, 0.064),
    "left_eye": (0.0185, 0.005, 0.052),
    "right_eye": (-0.0185, 0.005, 0.052),
    "left_ear": (0.044, -0.004, -0.004),
    "right_ear": (-0.044, -0.004, -0.004),
    "nape": (0.0, -0.032, -0.046),
}
"""Where the points of a usual head are from its middle: to its left, up and ahead, in parts of the height."""


_HIGH_HAIR = {"afro": 0.03, "bun": 0.02, "quiff": 0.015, "curls": 0.015}
"""How far hair stands above the crown, in parts of the height."""


def head_point(person: Person, pose: Pose, centre: Array, x: float, y: float, z: float) -> Array:
    """A point of the nodded and turned head at `(x, y, z)` of a usual one, in parts of the height."""
    size = person.head * person.height
    x, y, z = x * person.cheeks * size, y * person.face * size, z * size
    down, ahead = math.sin(pose.nod), math.cos(pose.nod)
    y, z = y * ahead - z * down, z * ahead + y * down
    cosine, sine = math.cos(pose.turn), math.sin(pose.turn)
    return np.asarray(centre + _point(x * cosine + z * sine, y, z * cosine - x * sine))


def _leg(person: Person, pose: Pose, side: str, sign: float) -> Joints:
    """Hip, knee, ankle, heel and toe, the pelvis at the origin."""
    tall = person.height
    thigh, shin = (person.legs - 0.04) * tall * 0.51, (person.legs - 0.04) * tall * 0.49
    cycle = pose.phase + (0.0 if sign > 0 else math.pi)
    # The knee gives a little under the weight and bends while the leg comes forward.
    loose = max(0.0, -sign * pose.weight)
    lift = 0.06 + pose.pace * (0.14 * max(0.0, math.cos(cycle - 0.5)) ** 4)
    lift += 0.98 * pose.pace * max(0.0, math.cos(cycle - 1.42 * math.pi)) ** 2 + 0.42 * loose
    swing = person.stride * pose.pace * math.cos(cycle) + 0.04 + 0.24 * loose
    aside = 0.025 + 0.05 * loose - 0.05 * max(0.0, sign * pose.weight)
    hip = _point(sign * 0.5 * person.hips * tall, -0.008 * loose * tall, 0.0)
    knee = hip + _swung(swing, thigh, sign * aside)
    ankle = knee + _swung(swing - lift, shin, -sign * 0.02)
    # The heel strikes first, and it leaves the ground first.
    tilt = 0.32 * max(0.0, math.cos(cycle)) ** 2 * pose.pace
    tilt -= 0.75 * pose.pace * max(0.0, math.cos(cycle - 1.25 * math.pi)) ** 2
    out = sign * (person.toes_out + 0.2 * loose)
    sole = _point(math.sin(out) * math.cos(tilt), math.sin(tilt), math.cos(out) * math.cos(tilt))
    drop = _point(math.sin(out) * math.sin(tilt), -math.cos(tilt), math.cos(out) * math.sin(tilt))
    below = ankle + drop * np.float32(0.024 * tall)
    return {
        f"{side}_hip": hip, f"{side}_knee": knee, f"{side}_ankle": ankle,
        f"{side}_heel": below - sole * np.float32(0.022 * tall), f"{side}_toe": below + sole * np.float32(0.09 * tall),
    }  # fmt: skip


def _arm(person: Person, pose: Pose, neck: Array, side: str, sign: float) -> Joints:
    """Shoulder, elbow, wrist and hand; an elbow bends forwards only."""
    tall = person.height
    upper, fore, palm = (length * person.arms * tall for length in (0.172, 0.142, 0.05))
    cycle = pose.phase + (math.pi if sign > 0 else 0.0)
    twist = -0.22 * pose.pace * person.swing * math.cos(pose.phase)
    broad = (person.shoulders - 0.017) * tall
    turned = _point(sign * broad * math.cos(twist), -person.slope * tall, -sign * broad * math.sin(twist))
    shoulder: Array = neck + turned
    gesture, raised = (pose.gestures[0], pose.raised[0]) if sign > 0 else (pose.gestures[1], pose.raised[1])
    if gesture == "swing":
        swing = person.swing * pose.pace * math.cos(cycle) + 0.2 * raised - 0.04
        bend = 0.12 + (person.bend + 0.3 * max(0.0, math.cos(cycle))) * pose.pace + raised
        elbow: Array = shoulder + _swung(swing, upper, sign * (0.12 + 0.07 * person.build + 0.06 * person.belly))
        wrist: Array = elbow + _swung(swing + bend, fore, sign * (0.03 - 0.2 * raised))
    else:
        depth = 0.055 + 0.02 * person.build + 0.02 * max(person.belly, person.bust)
        away, pole = {
            "phone": ((0.03 * sign, -0.105, 0.09 + depth), (0.5 * sign, -1.0, -0.3)),
            "strap": ((0.06 * sign, -0.085, 0.05 + depth), (0.8 * sign, -1.0, -0.2)),
            "crossed": ((-0.045 * sign, -0.135 - 0.012 * sign, 0.062 + depth), (1.0 * sign, -0.6, 0.1)),
            "pocket": ((sign * (person.hips + 0.026), -0.26, 0.028), (1.0 * sign, 0.0, -1.0)),
            "hip": ((sign * (person.waist + 0.034), -0.205, 0.02), (1.0 * sign, 0.0, -0.45)),
        }[gesture]
        target = np.asarray(neck + _point(*away) * np.float32(tall))
        elbow, wrist = _bent(shoulder, target, upper, fore, _point(*pole))
    hand = wrist + (wrist - elbow) * np.float32(palm / fore)
    return {f"{side}_shoulder": shoulder, f"{side}_elbow": elbow, f"{side}_wrist": wrist, f"{side}_hand": hand}
