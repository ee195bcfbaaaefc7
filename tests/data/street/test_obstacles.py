"""Obstacles: every kind from every side it may come from, solid where it should be, lit, and able to hide enough."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from data.street.causes.occluders import THINGS, Occluder
from data.street.causes.palette import linear
from data.street.drawing.obstacles import Obstacle, obstacle
from data.street.drawing.views import Light

HEIGHT, WIDTH = 128, 64
PLACED = [(kind, side) for kind, thing in THINGS.items() for side in thing.sides]


def light(right: float = 0.4, sun: float = 0.7) -> Light:
    direction = np.array([right, 0.6, 0.6], dtype=np.float32)
    direction /= np.linalg.norm(direction)
    return Light(direction, np.full(3, sun, dtype=np.float32), np.full(3, 0.6, dtype=np.float32))


def thing(kind: str, side: str, hidden: float = 0.3, form: tuple[float, float, float] = (0.3, 0.5, 0.7)) -> Occluder:
    about = THINGS[kind]
    return Occluder(about.family, kind, side, hidden, linear(about.colours[0]), form)


def drawn(occluder: Occluder, under: Light | None = None) -> Obstacle:
    return obstacle(occluder, under or light(), HEIGHT, WIDTH)


def person() -> NDArray[np.bool_]:
    """About where somebody stands: `(HEIGHT, WIDTH)` bool."""
    rows, columns = np.mgrid[:HEIGHT, :WIDTH]
    found: NDArray[np.bool_] = ((rows / HEIGHT - 0.5) / 0.46) ** 2 + ((columns / WIDTH - 0.5) / 0.24) ** 2 < 1.0
    return found


@pytest.mark.parametrize(("kind", "side"), PLACED)
def test_each_is_a_thing_of_sensible_size_and_colour(kind: str, side: str) -> None:
    for first in (0.0, 0.45, 1.0):
        for second, third in ((0.0, 1.0), (1.0, 0.0), (0.5, 0.5)):
            for hidden in (0.05, 0.3, 0.9):
                found = drawn(thing(kind, side, hidden, (first, second, third)))
                assert found.colour.shape == (HEIGHT, WIDTH, 3)
                assert found.colour.dtype == np.float32
                assert found.solid.shape == (HEIGHT, WIDTH)
                assert found.solid.dtype == np.bool_
                assert 0.04 < found.solid.mean() <= 1.0
                assert np.isfinite(found.colour).all()
                assert found.colour.min() >= 0.0
                assert found.colour.max() < 3.0
                assert not found.colour[~found.solid].any()
                assert found.colour[found.solid].std() > 0.005  # not one flat colour


@pytest.mark.parametrize(("kind", "side"), PLACED)
def test_the_same_comes_out_again(kind: str, side: str) -> None:
    one, other = drawn(thing(kind, side)), drawn(thing(kind, side))
    assert np.array_equal(one.colour, other.colour)
    assert np.array_equal(one.solid, other.solid)


@pytest.mark.parametrize("kind", [kind for kind, about in THINGS.items() if "left" in about.sides])
def test_from_the_right_it_is_the_mirror_image_in_mirrored_light(kind: str) -> None:
    left, right = drawn(thing(kind, "left"), light(0.4)), drawn(thing(kind, "right"), light(-0.4))
    assert np.array_equal(left.solid, right.solid[:, ::-1])
    ratio = left.colour.sum() / right.colour.sum()
    assert ratio == pytest.approx(1.0, abs=0.01)
    lit, shaded = drawn(thing("pole", "left"), light(0.9)), drawn(thing("pole", "left"), light(-0.9))
    assert lit.colour[:, WIDTH // 2 + 2 :].sum() > 1.2 * shaded.colour[:, WIDTH // 2 + 2 :].sum()


@pytest.mark.parametrize(("kind", "side"), PLACED)
def test_it_stands_on_the_ground_or_comes_from_its_side(kind: str, side: str) -> None:
    solid = drawn(thing(kind, side)).solid
    if side == "below":
        assert solid[-1].any()
        assert not solid[0].all()
    elif kind == "pole":  # it stands free: where it is moved in, nothing follows it
        assert not solid[:, 0].any()
        assert not solid[:, -1].any()
    else:
        assert solid[:, 0 if side == "left" else -1].any()


@pytest.mark.parametrize(("kind", "side"), PLACED)
def test_it_can_hide_as_much_as_it_says(kind: str, side: str) -> None:
    body = person()
    for form in ((0.1, 0.2, 0.5), (0.6, 0.5, 0.4), (0.9, 0.8, 0.6)):
        for hidden in (0.2, min(THINGS[kind].most, 0.6)):
            solid = drawn(thing(kind, side, hidden, form)).solid
            assert (solid & body).sum() / body.sum() >= 0.9 * hidden, (hidden, form)


@pytest.mark.parametrize("kind", ["bicycle", "bench", "railing"])
def test_one_looks_through_what_has_gaps(kind: str) -> None:
    solid = drawn(thing(kind, "below")).solid
    rows, columns = np.nonzero(solid)
    inside = solid[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1]
    between = ~inside & (np.maximum.accumulate(inside, axis=1)) & (np.maximum.accumulate(inside[::-1], axis=0)[::-1])
    assert between.mean() > 0.1


def test_light_falls_on_it() -> None:
    for kind, side in PLACED:
        dim, bright = drawn(thing(kind, side), light(sun=0.1)), drawn(thing(kind, side), light(sun=1.0))
        assert bright.colour.sum() > 1.3 * dim.colour.sum(), kind
        dark = obstacle(thing(kind, side), light(sun=0.0), 2 * HEIGHT, 2 * WIDTH)
        assert dark.solid.mean() == pytest.approx(dim.solid.mean(), abs=0.06), kind


def test_occluders_come_from_where_their_kind_stands_and_can_hide_what_they_shall() -> None:
    met: set[tuple[str, str]] = set()
    for seed in range(600):
        hidden = (0.15, 0.4, 0.75)[seed % 3]
        found = Occluder.draw(hidden, np.random.default_rng(seed))
        assert found.hidden == hidden
        assert all(0.0 <= number <= 1.0 for number in found.form)
        if found.family in ("person", "crop"):
            assert found.kind == found.family
            met.add((found.family, found.side))
            continue
        about = THINGS[found.kind]
        assert about.family == found.family
        assert found.side in about.sides
        assert about.most >= hidden
        met.add((found.kind, found.side))
    sides = ("below", "left", "right")
    assert met == {*PLACED, *((family, side) for family in ("person", "crop") for side in sides)}


def test_the_same_draw_gives_the_same_occluder() -> None:
    assert repr(Occluder.draw(0.3, np.random.default_rng(5))) == repr(Occluder.draw(0.3, np.random.default_rng(5)))
