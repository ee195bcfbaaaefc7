"""Scenes: a street can be drawn under any horizon and of anything that cities build with."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from data.street.causes.cities import CLUTTER, GROUNDS, WALLS, City
from data.street.causes.grounds import Perspective, paved
from data.street.causes.scenes import Scene

CITY = City.draw(0, np.random.default_rng(0))


def drawn(horizon: float, city: City = CITY, seed: int = 0) -> Scene:
    return Scene.draw(horizon, city, np.random.default_rng(seed))


@pytest.mark.parametrize("horizon", [-0.45, -0.1, 0.0, 0.02, 0.05, 0.3, 0.62])
def test_a_place_can_be_drawn_under_any_horizon(horizon: float) -> None:
    scene = drawn(horizon)
    for place in (0.0, 0.5, 0.999):
        for zoom, drop in ((0.6, 0.4), (0.84, 1.0)):
            seen = scene.window(place, zoom, drop, height=64, width=32)
            assert seen.shape == (64, 32, 3)
            assert seen.dtype == np.float32
            assert 0.0 <= seen.min() <= seen.max() <= 1.0
            assert seen.std() > 0.05 * seen.mean() > 0.0  # something is there
        assert 0.3 < scene.brightness_at(place) < 1.5


def test_the_same_place_comes_out_again_and_another_is_another() -> None:
    assert drawn(0.4).strip.tobytes() == drawn(0.4).strip.tobytes()
    assert drawn(0.4).strip.tobytes() != drawn(0.4, seed=1).strip.tobytes()


@pytest.mark.parametrize("kind", GROUNDS)
def test_every_ground_is_like_itself_and_unlike_the_others(kind: str) -> None:
    perspective = Perspective(eye=20.0, feet=200.0, metre=84.0)
    rows = np.arange(70, 216, dtype=np.float32)
    looks = {
        name: [paved(name, rows, 200, perspective, np.random.default_rng(seed)) for seed in (0, 1)] for name in GROUNDS
    }
    assert looks[kind][0].shape == (len(rows), 200, 3)
    assert np.isfinite(looks[kind][0]).all()
    others = [name for name in GROUNDS if name != kind]
    for other in others:
        assert np.abs(looks[kind][0] - looks[other][0]).mean() > 3.0, other


def test_stones_grow_towards_the_viewer() -> None:
    perspective = Perspective(eye=0.0, feet=200.0, metre=80.0)
    assert perspective.scale(200.0) == pytest.approx(80.0)
    assert perspective.scale(100.0) == pytest.approx(40.0)
    assert perspective.scale(-50.0) > 0.0


@pytest.mark.parametrize(("field", "kinds"), [("walls", WALLS), ("clutter", CLUTTER), ("grounds", GROUNDS)])
def test_everything_that_a_city_is_built_of_shows(field: str, kinds: tuple[str, ...]) -> None:
    crowded = replace(CITY, ranges={**CITY.ranges, "crowded": (20.0, 20.0)})
    looks = []
    for kind in kinds:
        built = {"walls": crowded.walls, "clutter": crowded.clutter, "grounds": crowded.grounds}
        built[field] = {name: float(name == kind) for name in kinds}
        looks.append(np.asarray(drawn(0.45, City(crowded.ranges, **built)).strip, dtype=np.float32))
    for one in range(len(looks)):
        for other in range(one):
            assert np.abs(looks[one] - looks[other]).mean() > 0.5, (kinds[one], kinds[other])


def test_shade_is_on_the_ground_where_it_is_on_people() -> None:
    scene = drawn(-0.3, replace(CITY, ranges={**CITY.ranges, "shade": (0.42, 0.42), "crowded": (0.0, 0.0)}))
    feet = np.asarray(scene.strip, dtype=np.float32)[195:210].mean(axis=(0, 2))
    light = scene.brightness
    assert light.max() - light.min() > 0.3
    assert float(np.corrcoef(feet, light)[0, 1]) > 0.3


def test_stones_are_as_wide_as_their_kind() -> None:
    perspective = Perspective(eye=0.0, feet=200.0, metre=100.0)
    row = paved("tiles", np.array([200.0], dtype=np.float32), 800, perspective, np.random.default_rng(3))[0, :, 0]
    dark = np.flatnonzero(row < 0.88 * np.median(row))
    joints = dark[np.flatnonzero(np.diff(dark, prepend=-10) > 5)]
    assert len(joints) >= 18
    assert np.median(np.diff(joints)) == pytest.approx(40.0, abs=1.0)  # 0.4 metres
