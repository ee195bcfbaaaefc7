"""Views: perspective, frames and which way a surface faces."""

from __future__ import annotations

import numpy as np
import pytest

from data.street.drawing.views import Light, View


def direction(*parts: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    normal = np.array(parts, dtype=np.float32) / np.linalg.norm(parts)
    return normal[0:1], normal[1:2], normal[2:3]


def test_who_faces_the_camera_has_their_left_on_the_right_of_the_picture() -> None:
    view = View(heading=0.0, pitch=0.2, roll=0.0, distance=6.0, scale=50.0)
    left, right, high = view.project(np.array([[0.2, 1.0, 0.0], [-0.2, 1.0, 0.0], [0.0, 1.8, 0.0]], dtype=np.float32))
    assert left[0] > right[0]
    assert high[1] < left[1]


def test_what_is_nearer_is_larger_and_has_more_depth() -> None:
    view = View(heading=0.0, pitch=0.0, roll=0.0, distance=5.0, scale=100.0)
    (x, y, near, scale), far = view.project(np.array([[0.5, 1.0, 1.0], [0.5, 1.0, -1.0]])).tolist()
    assert (x, y, near, scale) == pytest.approx((0.5 * 125, -125, 100, 125))
    assert far == pytest.approx([0.5 * 500 / 6, -500 / 6, -100, 500 / 6])


def test_scale_and_centre_only_enlarge_and_move_a_picture() -> None:
    points = np.random.default_rng(0).normal(size=(20, 3))
    plain = View(0.7, 0.3, 0.1, 5.0, 30.0, (4.0, 9.0)).project(points)
    large = View(0.7, 0.3, 0.1, 5.0, 60.0, (10.0, 20.0)).project(points)
    np.testing.assert_allclose(large[:, :2] - [10.0, 20.0], 2.0 * (plain[:, :2] - [4.0, 9.0]), atol=1e-3)
    np.testing.assert_allclose(large[:, 2:], 2.0 * plain[:, 2:], rtol=1e-5)


@pytest.mark.parametrize("heading", [-3.0, -1.2, 0.0, 0.6, 2.0, np.pi])
def test_azimuth_is_the_side_of_the_body_that_faces_that_way(heading: float) -> None:
    for told in (-2.8, -1.0, 0.0, 0.5, 1.5, 3.0):
        # The normal at `told` from the front, to the body's left, turned as the body is.
        right, ahead = np.sin(told + heading), np.cos(told + heading)
        pitch = 0.3
        view = View(heading, pitch, 0.0, 6.0)
        found = view.azimuth(*direction(right, -ahead * np.sin(pitch), ahead * np.cos(pitch)))
        assert float(found[0]) == pytest.approx(told, abs=1e-4)
        turned = view.azimuth(*direction(right, -ahead * np.sin(pitch), ahead * np.cos(pitch)), yaw=0.1)
        assert float(turned[0]) == pytest.approx((told - 0.1 + np.pi) % (2 * np.pi) - np.pi, abs=1e-4)


def test_the_front_of_who_walks_away_is_out_of_sight() -> None:
    view = View(heading=np.pi, pitch=0.0, roll=0.0, distance=6.0)
    assert abs(float(view.azimuth(*direction(0.0, 0.0, 1.0))[0])) == pytest.approx(np.pi)


def test_a_framed_figure_fills_what_it_shall_and_lies_where_it_shall() -> None:
    points = np.random.default_rng(1).normal(size=(30, 3)) * [0.3, 0.9, 0.3]
    view = View(0.5, 0.2, 0.05, 7.0).framed(points, 128, 64, 0.9, (0.1, -0.05))
    flat = view.project(points)[:, :2]
    low, high = flat.min(axis=0), flat.max(axis=0)
    assert float(high[1] - low[1]) == pytest.approx(0.9 * 128, rel=1e-4)
    assert ((low + high) / 2).tolist() == pytest.approx([0.6 * 64, 0.45 * 128], abs=0.01)


def test_surfaces_that_face_the_sun_and_the_sky_get_more_of_them() -> None:
    light = Light(np.array([0.6, 0.8, 0.0]), np.ones(3), np.ones(3))
    flat = np.zeros(1)
    towards, _ = light.received(*direction(0.6, 0.8, 0.0), flat)
    away, _ = light.received(*direction(-0.6, -0.8, 0.0), flat)
    assert float(towards[0]) == pytest.approx(1.0)
    assert float(away[0]) == 0.0
    skies = [float(light.received(*direction(*normal), flat)[1][0]) for normal in ((0, 1, 1), (0, 0, 1), (0, -1, 0.2))]
    assert skies == sorted(skies, reverse=True)
