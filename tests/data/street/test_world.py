"""The causes behind a picture: what belongs to whom, and what follows from it."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from data.street import StreetConfig
from data.street.bodies import Part
from data.street.cameras import BLOCK
from data.street.palette import linear
from data.street.poses import COCO, Pose, joints
from data.street.scenes import Scene
from data.street.views import View
from data.street.world import Shot, World

CONFIG = StreetConfig(identities=4, cameras=3, height=64, width=32)


def same(left: object, right: object) -> bool:
    """Whether two causes have equal fields, arrays among them."""
    return repr(left) == repr(right)


@pytest.fixture(scope="module")
def world() -> World:
    return World(CONFIG)


def test_people_and_clothes_do_not_depend_on_the_cameras(world: World) -> None:
    more = World(dataclasses.replace(CONFIG, cameras=9, shots=7, identities=50, distractors=3))
    for identity in range(4):
        assert same(world.person(identity), more.person(identity))
        assert same(world.outfit(identity), more.outfit(identity))
    assert world.picture(Shot(1, 2, 3)).tobytes() == more.picture(Shot(1, 2, 3)).tobytes()


def test_people_clothes_and_moments_differ(world: World) -> None:
    assert not same(world.person(0), world.person(1))
    assert not same(world.outfit(0), world.outfit(1))
    assert not same(world.outfit(0), world.outfit(0, number=1))
    assert not same(world.pose(Shot(0, 0, 0)), world.pose(Shot(0, 0, 1)))
    assert not same(world.pose(Shot(0, 0, 0)), world.pose(Shot(0, 1, 0)))


def test_cameras_of_a_block_are_spread(world: World) -> None:
    for name, width in (("pitch", 0.52), ("saturation", 0.4), ("noise", 4.0)):
        values = [getattr(world.camera(number), name) for number in range(BLOCK)]
        assert max(values) - min(values) > 0.5 * width, name


@pytest.mark.parametrize("phase", [0.0, 1.0, 2.5, 4.0, 5.5])
def test_joints_are_a_body_on_the_ground(world: World, phase: float) -> None:
    person = world.person(2)
    found = joints(person, Pose(phase, heading=0.0, pace=1.0, nod=0.0, turn=0.0, raised=(0.0, 0.0)))
    assert set(COCO) <= set(found)
    low = min(float(point[1]) for point in found.values())
    assert 0.0 <= low < 0.05 * person.height
    assert 0.85 * person.height < float(found["nose"][1]) < person.height
    assert found["left_shoulder"][0] > 0 > found["right_shoulder"][0]
    thigh = float(np.linalg.norm(found["left_hip"] - found["left_knee"]))
    assert thigh == pytest.approx(float(np.linalg.norm(found["right_hip"] - found["right_knee"])), rel=1e-4)
    for side in ("left", "right"):  # knees bend backwards only
        hip, knee, ankle = (found[f"{side}_{name}"] for name in ("hip", "knee", "ankle"))
        assert float(np.cross(knee - hip, ankle - knee)[0]) >= 0.0


def test_who_faces_the_camera_has_their_left_on_the_right_of_the_picture() -> None:
    view = View(heading=0.0, pitch=0.2, roll=0.0, distance=6.0, scale=50.0)
    left, right, high = view.project(np.array([[0.2, 1.0, 0.0], [-0.2, 1.0, 0.0], [0.0, 1.8, 0.0]], dtype=np.float32))
    assert left[0] > right[0]
    assert high[1] < left[1]
    assert abs(float(view.azimuth(np.array([[0.0, 0.0, 1.0]], dtype=np.float32))[0])) < 1e-6


def test_the_front_of_who_walks_away_is_out_of_sight() -> None:
    view = View(heading=np.pi, pitch=0.0, roll=0.0, distance=6.0)
    assert abs(float(view.azimuth(np.array([[0.0, 0.0, 1.0]], dtype=np.float32))[0])) == pytest.approx(np.pi)


def test_a_figure_fills_the_crop_and_has_its_parts(world: World) -> None:
    for index in range(4):
        painted, _, place, _ = world.figure(Shot(3, 0, index))
        assert painted.colour.shape == (64, 32, 3)
        assert painted.cover.shape == (64, 32)
        assert 0.0 <= painted.cover.min() <= painted.cover.max() <= 1.0 + 1e-6
        assert 0.1 < painted.cover.mean() < 0.7
        assert {Part.HEAD, Part.TORSO, Part.LEGS, Part.FEET} <= set(np.unique(painted.parts).tolist())
        assert 0.0 <= place < 1.0


def test_a_place_can_be_drawn_under_any_horizon() -> None:
    for seed, horizon in enumerate(np.linspace(-0.4, 0.7, 12)):
        scene = Scene.draw(float(horizon), np.random.default_rng(seed))
        for place in (0.0, 0.999):
            assert scene.window(place, zoom=0.8, drop=1.0, height=64, width=32).shape == (64, 32, 3)
            assert 0.3 < scene.brightness_at(place) < 1.5


def test_linear_light_follows_the_srgb_curve() -> None:
    assert linear((255, 0, 128)).tolist() == pytest.approx([1.0, 0.0, 0.21586], abs=1e-4)
