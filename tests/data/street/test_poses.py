"""Poses: a body whose bones keep their lengths, which bends as bodies do and stands on the ground."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest

from data.street.causes.people import Person
from data.street.causes.poses import COCO, GESTURES, STILL_GESTURES, Joints, Pose, joints

BONES = (
    ("shoulder", "elbow"), ("elbow", "wrist"), ("wrist", "hand"), ("hip", "knee"), ("knee", "ankle"),
    ("ankle", "heel"), ("ankle", "toe"), ("heel", "toe"),
)  # fmt: skip
STANDING = Pose(phase=0.0, heading=0.0, pace=0.0, nod=0.0, turn=0.0, raised=(0.0, 0.0))
ARMS = sorted({*GESTURES, *STILL_GESTURES, "crossed"})


def somebody(seed: int) -> Person:
    return Person.draw(np.random.default_rng(seed))


def poses() -> Iterator[Pose]:
    """Walking over the whole cycle, and standing in every way."""
    for phase in np.linspace(0.0, 2 * np.pi, 16, endpoint=False):
        yield replace(STANDING, phase=float(phase), pace=1.1, raised=(0.0, 1.2))
    for gesture in ARMS:
        for weight in (-1.0, 0.0, 0.6):
            yield replace(STANDING, pace=0.1, weight=weight, gestures=(gesture, gesture), nod=0.3, turn=-0.4)


def length(at: Joints, start: str, end: str) -> float:
    return float(np.linalg.norm(at[end] - at[start]))


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_bones_keep_their_lengths(seed: int) -> None:
    person = somebody(seed)
    still = joints(person, STANDING)
    for pose in poses():
        found = joints(person, pose)
        for side in ("left", "right"):
            for start, end in BONES:
                expected = length(still, f"left_{start}", f"left_{end}")
                assert length(found, f"{side}_{start}", f"{side}_{end}") == pytest.approx(expected, rel=1e-3)
        assert length(found, "left_ear", "right_ear") == pytest.approx(length(still, "left_ear", "right_ear"), rel=1e-3)


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_joints_are_a_body_on_the_ground(seed: int) -> None:
    person = somebody(seed)
    for pose in poses():
        found = joints(person, pose)
        assert set(COCO) <= set(found)
        assert all(point.shape == (3,) and np.isfinite(point).all() for point in found.values())
        low = min(float(point[1]) for point in found.values())
        assert low == pytest.approx(0.014 * person.height, abs=1e-4)
        assert 0.82 * person.height < float(found["nose"][1]) < person.height
        assert found["left_shoulder"][0] > 0 > found["right_shoulder"][0]


def test_who_stands_has_both_feet_on_the_ground_and_their_full_height() -> None:
    for seed in range(20):
        person = somebody(seed)
        found = joints(person, STANDING)
        for name in ("left_heel", "right_heel", "left_toe", "right_toe"):
            assert float(found[name][1]) < 0.03 * person.height
        crown = float(found["head"][1]) + 0.066 * person.head * person.face * person.height
        assert crown == pytest.approx(person.height, rel=0.04)


def test_knees_bend_backwards_and_elbows_forwards_only() -> None:
    person = somebody(4)
    for pose in poses():
        found = joints(person, pose)
        for index, side in enumerate(("left", "right")):
            hip, knee, ankle = (found[f"{side}_{name}"] for name in ("hip", "knee", "ankle"))
            assert float(np.cross(knee - hip, ankle - knee)[0]) >= 0.0
            if pose.gestures[index] == "swing":
                shoulder, elbow, wrist = (found[f"{side}_{name}"] for name in ("shoulder", "elbow", "wrist"))
                assert float(np.cross(elbow - shoulder, wrist - elbow)[0]) <= 0.0


def test_hands_are_where_the_gesture_says() -> None:
    person = somebody(4)

    def left_wrist(gesture: str) -> Joints:
        return joints(person, replace(STANDING, gestures=(gesture, "swing")))

    for gesture in ("phone", "strap"):
        found = left_wrist(gesture)
        assert found["left_wrist"][2] > found["neck"][2] + 0.1  # before the chest
        assert found["left_wrist"][1] > found["left_elbow"][1]
    for gesture in ("pocket", "hip"):
        found = left_wrist(gesture)
        assert abs(float(found["left_wrist"][1] - found["left_hip"][1])) < 0.16 * person.height
        assert found["left_elbow"][2] < found["left_wrist"][2]
    crossed = joints(person, replace(STANDING, gestures=("crossed", "crossed")))
    assert crossed["left_wrist"][0] < crossed["right_wrist"][0]


def test_left_and_right_are_mirror_images() -> None:
    person = somebody(7)
    for phase in (0.3, 2.0, 4.1):
        pose = Pose(phase, 0.0, 0.9, 0.1, 0.3, (0.8, 0.0), weight=0.4, gestures=("swing", "pocket"))
        other = Pose(phase + np.pi, 0.0, 0.9, 0.1, -0.3, (0.0, 0.8), weight=-0.4, gestures=("pocket", "swing"))
        found, mirrored = joints(person, pose), joints(person, other)
        for name, point in found.items():
            side, _, rest = name.partition("_")
            twin = {"left": f"right_{rest}", "right": f"left_{rest}"}.get(side, name)
            assert mirrored[twin] == pytest.approx(point * [-1.0, 1.0, 1.0], abs=1e-4), name


def test_the_head_turns_and_nods() -> None:
    person = somebody(1)
    moments = STANDING, replace(STANDING, turn=0.5), replace(STANDING, nod=0.4)
    ahead, left, down = (joints(person, pose) for pose in moments)
    assert left["nose"][0] - left["head"][0] > ahead["nose"][0] - ahead["head"][0] + 0.02
    assert down["nose"][1] - down["head"][1] < ahead["nose"][1] - ahead["head"][1] - 0.02
    assert left["left_ear"][2] < left["right_ear"][2]


def test_the_gait_is_the_persons() -> None:
    person = somebody(1)
    short, long = (joints(replace(person, stride=stride), replace(STANDING, pace=1.0)) for stride in (0.3, 0.58))
    steps = [float(found["left_ankle"][2] - found["right_ankle"][2]) for found in (short, long)]
    assert 0.2 < steps[0] < steps[1] - 0.1


def test_moments_vary_and_repeat() -> None:
    drawn = [Pose.draw(0.4, 0.2, 0.5, np.random.default_rng(seed)) for seed in range(300)]
    assert drawn[7] == Pose.draw(0.4, 0.2, 0.5, np.random.default_rng(7))
    still = [pose for pose in drawn if pose.pace <= 0.12]
    assert 0.35 < len(still) / len(drawn) < 0.65
    assert {gesture for pose in still for gesture in pose.gestures} == {*STILL_GESTURES, "crossed"}
    walking = [pose for pose in drawn if pose.pace > 0.12]
    assert all(pose.weight == 0.0 for pose in walking)
    assert {gesture for pose in walking for gesture in pose.gestures} <= set(GESTURES)
    assert all(("crossed" in pose.gestures) <= (pose.gestures[0] == pose.gestures[1]) for pose in drawn)
