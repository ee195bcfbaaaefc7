"""The painter against loops over rays and balls: what is nearest, where a limb ends, and what colour comes out."""

from __future__ import annotations

import numpy as np
import pytest

from data.street.causes.palette import Array
from data.street.drawing.paint import Mask, Surface, averaged, rasterise, shade
from data.street.drawing.parts import Brush, Limb, Part
from data.street.drawing.views import Light, View

FAR = View(heading=0.0, pitch=0.0, roll=0.0, distance=1e5, scale=40.0, centre=(16.0, 28.0))
NEAR = View(heading=0.4, pitch=0.35, roll=0.05, distance=4.0, scale=40.0, centre=(20.0, 50.0))
LIGHT = Light(np.array([0.36, 0.48, 0.8], dtype=np.float32), np.array([1.0, 0.9, 0.8], dtype=np.float32),
              np.array([0.4, 0.5, 0.6], dtype=np.float32))  # fmt: skip


def plain(red: float, green: float = 0.5, blue: float = 0.5) -> Brush:
    colour = np.array([red, green, blue], dtype=np.float32)
    return lambda along, azimuth: np.broadcast_to(colour, (len(along), 3))


def tube(start: tuple[float, ...], end: tuple[float, ...], *radii: float, part: Part = Part.BAG) -> Limb:
    first, last = (np.array(point, dtype=np.float32) for point in (start, end))
    return Limb(first, last, radii, radii, plain(0.5), part)


def balls_of(limbs: list[Limb], view: View) -> list[tuple[int, float, float, float, float]]:
    """Limbs as strings of balls: number of the limb (from 1), x, y, depth and radius of each ball."""
    found = []
    for number, limb in enumerate(limbs, start=1):
        for share in np.linspace(0.0, 1.0, 200):
            centre = limb.start + np.float32(share) * (limb.end - limb.start)
            radius = float(np.interp(share, np.linspace(0.0, 1.0, len(limb.wide)), limb.wide)) * view.scale
            x, y, near, _ = view.project(centre[None])[0].tolist()
            found.append((number, x, y, near, radius))
    return found


def nearest_ball(balls: list[tuple[int, float, float, float, float]], x: float, y: float) -> tuple[int, float]:
    """Whose ball is hit first by the ray through a point, and how near; 0 when none is."""
    owner, depth = 0, -np.inf
    for number, at_x, at_y, near, radius in balls:
        rest = radius * radius - (x - at_x) ** 2 - (y - at_y) ** 2
        if rest > 0 and near + rest**0.5 > depth:
            owner, depth = number, near + rest**0.5
    return owner, depth


def compared(limbs: list[Limb]) -> tuple[Surface, Array, Array]:
    """The painted surface, and owner and depth by loops, of a picture of 40 by 32 with one sample a pixel."""
    surface = rasterise(limbs, FAR, 40, 32, samples=1)
    owner, depth = np.zeros((40, 32)), np.full((40, 32), -np.inf)
    balls = balls_of(limbs, FAR)
    for row in range(40):
        for column in range(32):
            owner[row, column], depth[row, column] = nearest_ball(balls, column + 0.5, row + 0.5)
    return surface, owner, depth


def test_crossing_limbs_are_nearest_where_rays_meet_them_first() -> None:
    limbs = [
        tube((-0.2, 0.1, 0.0), (0.25, 0.5, 0.0), 0.07, 0.07),
        tube((0.2, 0.0, 0.05), (-0.2, 0.45, 0.05), 0.05, 0.05),
        tube((0.0, 0.3, 0.02), (0.0, 0.3, 0.02), 0.12),
    ]
    surface, owner, depth = compared(limbs)
    found, near = surface.window(surface.owner), surface.window(surface.depth)
    assert set(np.unique(found).tolist()) == {0, 1, 2, 3}
    assert (found != owner).sum() <= 3  # only where two lie within a hair of each other, or at a rim
    agreed = (found == owner) & (found > 0)
    apart = np.abs(near[agreed] - depth[agreed])  # in samples; the limbs are 4 to 10 thick
    assert np.quantile(apart, 0.95) < 0.02
    assert apart.max() < 0.3  # the loop's balls are few, which tells at rims


def test_a_limb_that_leans_towards_the_viewer_hides_what_it_reaches_over() -> None:
    arm, trunk = tube((0.2, 0.5, 0.0), (0.05, 0.3, 0.3), 0.04, 0.03), tube((0, 0.1, 0), (0, 0.5, 0), 0.15, 0.12)
    surface, owner, _ = compared([arm, trunk])
    assert (surface.window(surface.owner) != owner).mean() < 0.02
    behind = rasterise([arm, trunk], View(np.pi, 0.0, 0.0, 1e5, 40.0, (16.0, 28.0)), 40, 32, samples=1)
    hand = FAR.project(arm.end[None])[0]
    assert surface.window(surface.owner)[int(hand[1]), int(hand[0])] == 1
    assert behind.window(behind.owner)[int(hand[1]), int(32 - hand[0])] == 2


def test_the_far_leg_is_behind_the_near_one() -> None:
    left, right = tube((0.1, 0.8, 0), (0.1, 0.1, 0.05), 0.07, 0.05), tube((-0.1, 0.8, 0), (-0.1, 0.1, 0.05), 0.07, 0.05)
    for heading, nearer in ((-np.pi / 2, 1), (np.pi / 2, 2)):
        surface = rasterise([left, right], View(heading, 0.1, 0.0, 5.0, 40.0, (16.0, 36.0)), 40, 32)
        counts = np.bincount(surface.owner.ravel(), minlength=3)
        assert counts[nearer] > 3 * counts[3 - nearer]


def silhouette(limb: Limb, view: View, height: int, width: int) -> Mask:
    """Pixels that points of the solid fall on: balls, or flat ellipses with caps, stacked along the bone."""
    generator = np.random.default_rng(0)
    shares = generator.random(60_000)
    lie = generator.normal(size=(60_000, 3))
    lie /= np.linalg.norm(lie, axis=1, keepdims=True)
    knots = np.linspace(0.0, 1.0, len(limb.wide))
    wide, deep = (np.interp(shares, knots, widths)[:, None] for widths in (limb.wide, limb.deep))
    if limb.wide == limb.deep:
        offsets = lie * wide
    else:  # upright: a body of flat rings
        offsets = np.concatenate([lie[:, :1] * wide, np.zeros_like(wide), lie[:, 2:] * deep], axis=1)
    points = limb.start + shares[:, None] * (limb.end - limb.start) + offsets
    x, y = np.floor(view.project(points)[:, :2]).astype(int).T
    found = np.zeros((height, width), dtype=bool)
    found[y, x] = True
    return found


def grown(mask: Mask) -> Mask:
    padded = np.pad(mask, 1)
    height, width = mask.shape
    found: Mask = np.logical_or.reduce([padded[r : r + height, c : c + width] for r in range(3) for c in range(3)])
    return found


@pytest.mark.parametrize("heading", [0.0, 0.8, 1.57, 2.6, -2.0])
@pytest.mark.parametrize("pitch", [0.0, 0.45])
def test_a_limb_is_painted_where_its_points_fall(heading: float, pitch: float) -> None:
    view = View(heading, pitch, 0.06, 4.0, 60.0, (70.0, 104.0))
    flat = Limb(np.array([0, 1.0, 0]), np.array([0.0, 0.5, 0]), (0.2, 0.16), (0.1, 0.12), plain(1), Part.TORSO,
                caps=(0.01, 0.01))  # fmt: skip
    limbs = [
        tube((0.1, 0.9, 0.1), (0.2, 0.3, 0.25), 0.07, 0.05),
        tube((-0.2, 0.8, 0.0), (-0.4, 0.6, 0.4), 0.05, 0.04),
        tube((0.0, 1.2, 0.0), (0.0, 1.2, 0.0), 0.12),
        tube((-0.2, 0.6, -0.4), (0.2, 0.8, 0.4), 0.12, 0.12),  # much larger at its nearer end
        flat,
    ]
    for limb in limbs:
        painted = rasterise([limb], view, 150, 140, samples=1)
        found, told = painted.solid, silhouette(limb, view, 150, 140)
        assert told.sum() > 40
        assert (told & ~grown(found)).sum() <= 1
        assert (found & ~grown(told)).sum() == 0


def test_all_of_a_figure_is_counted_wherever_the_picture_ends() -> None:
    limbs = [tube((0, 0.2, 0), (0, 1.2, 0.2), 0.1, 0.2), tube((0.1, 0.5, 0), (0.6, 0.4, 0), 0.05)]
    inside = rasterise(limbs, View(0.3, 0.2, 0, 5, 20.0, (20.0, 30.0)), 40, 40)
    for centre in ((0.0, 30.0), (20.0, 50.0), (44.0, 3.0), (-90.0, 30.0)):
        moved = rasterise(limbs, View(0.3, 0.2, 0, 5, 20.0, centre), 40, 40)
        assert moved.whole == pytest.approx(inside.whole, abs=6)  # rounding where a rim touches a sample
        assert moved.solid.shape == (80, 80)
        assert moved.solid.sum() < inside.whole == inside.solid.sum()


def test_pixels_are_lit_and_averaged_as_loops_would() -> None:
    limbs = [
        Limb(np.array([0, 0.2, 0]), np.array([0.3, 1.0, 0]), (0.2, 0.1), (0.1, 0.1), plain(0.2, 0.4, 0.8), Part.BAG),
        Limb(np.array([-0.2, 0.5, 0.1]), np.array([0.3, 0.6, 0.2]), (0.1,), (0.1,), plain(0.9), Part.HEAD),
    ]
    colours = {1: (0.2, 0.4, 0.8), 2: (0.9, 0.5, 0.5)}
    surface = rasterise(limbs, View(0.3, 0.2, 0.1, 5, 12.0, (8.0, 14.0)), 16, 16)
    seen = surface.solid.copy()
    seen[:, 17:] = False
    painted = shade(surface, seen, LIGHT, (0.3, 0.6))
    owner, aside, over = (surface.window(a) for a in (surface.owner, surface.aside, surface.over))
    colour, cover = np.zeros((16, 16, 3)), np.zeros((16, 16))
    for row in range(32):
        for column in range(32):
            if not seen[row, column]:
                continue
            limb = int(owner[row, column])
            run, fall = surface.solids.run[limb - 1], surface.solids.fall[limb - 1]
            a, o = float(aside[row, column]), float(over[row, column])
            right, up, ahead = a * fall + o * run, a * run - o * fall, max(1 - a * a - o * o, 0.0) ** 0.5
            sunny = max(0.36 * right + 0.48 * up + 0.8 * ahead, 0.0)
            got = sunny * LIGHT.sun + (0.5 + 0.22 * up + 0.3 * ahead) * LIGHT.sky
            colour[row // 2, column // 2] += got * colours[limb] / 4
            cover[row // 2, column // 2] += 0.25
    assert set(np.unique(owner[seen]).tolist()) == {1, 2}
    np.testing.assert_allclose(painted.cover, cover, atol=1e-6)
    np.testing.assert_allclose(painted.colour, colour, atol=1e-4)


def test_brushes_are_asked_only_for_what_is_seen() -> None:
    asked: dict[str, int] = {}

    def counting(name: str) -> Brush:
        def brush(along: Array, azimuth: Array) -> Array:
            asked[name] = asked.get(name, 0) + len(along)
            assert np.abs(azimuth).max() <= np.pi + 1e-6
            return np.ones((len(along), 3), dtype=np.float32)

        return brush

    point, nearer = np.array([0.0, 0.5, 0.0]), np.array([0.0, 0.5, 0.5])
    before = Limb(nearer, nearer, (0.3,), (0.3,), counting("before"), Part.BAG)
    hidden = Limb(point, point, (0.1,), (0.1,), counting("hidden"), Part.HEAD)
    surface = rasterise([hidden, before], View(0.0, 0.0, 0.0, 5, 20.0, (16.0, 30.0)), 32, 32)
    shade(surface, surface.solid, LIGHT, (0.0, 0.0))
    assert asked == {"before": int(surface.solid.sum())}


def test_only_cloth_has_folds() -> None:
    for part, folded in ((Part.TORSO, True), (Part.HEAD, False)):
        surface = rasterise([tube((0, 0.2, 0), (0, 1, 0), 0.2, part=part)], NEAR, 64, 40)
        first, second = (shade(surface, surface.solid, LIGHT, folds).colour for folds in ((0.1, 0.1), (0.5, 0.7)))
        assert (np.abs(first - second).max() > 0.02) == folded


def test_means_over_pixels_are_those_of_loops() -> None:
    samples = np.random.default_rng(0).random((8, 6, 3), dtype=np.float32)
    found = averaged(samples)
    for row in range(4):
        for column in range(3):
            block = samples[2 * row : 2 * row + 2, 2 * column : 2 * column + 2]
            np.testing.assert_allclose(found[row, column], block.mean(axis=(0, 1)), rtol=1e-5)
