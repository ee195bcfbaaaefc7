"""Outfits and the fashions that they follow: colours, cuts and patterns."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields

import numpy as np
import pytest

from data.street.causes.fashion import BAG_KINDS, HAT_KINDS, LOWER_KINDS, PATTERNS, SHOE_KINDS, UPPER_KINDS, Fashion
from data.street.causes.outfits import COLLARS, MOTIFS, Cloth, Outfit
from data.street.causes.palette import CLOTHES, LOWER, UPPER, linear, pick

TABLES: dict[str, Mapping[str, float]] = {
    "uppers": UPPER_KINDS, "lowers": LOWER_KINDS, "patterns": PATTERNS, "bags": BAG_KINDS, "hats": HAT_KINDS,
    "shoes": SHOE_KINDS, "upper_colours": UPPER, "lower_colours": LOWER,
}  # fmt: skip


def fashion(city: int, seed: int = 0) -> Fashion:
    return Fashion.draw(city, np.random.default_rng(seed))


def shares(weights: Mapping[str, float]) -> np.ndarray:
    values = np.array([weights[name] for name in sorted(weights)])
    return np.asarray(values / values.sum())


@pytest.fixture(scope="module")
def wardrobe() -> list[Outfit]:
    usual = fashion(0)
    return [Outfit.draw(usual, np.random.default_rng(seed)) for seed in range(500)]


@pytest.mark.parametrize("city", [0, 1, 2, 3, 7])
def test_no_kind_dies_out_in_any_city(city: int) -> None:
    drawn = fashion(city)
    for name, table in TABLES.items():
        weights = getattr(drawn, name)
        assert set(weights) == set(table)
        assert min(shares(weights)) > 0.12 * min(shares(table)), name


@pytest.mark.parametrize("seed", [0, 1, 2])
@pytest.mark.parametrize("pair", [0, 1, 2])
def test_two_cities_like_different_halves(seed: int, pair: int) -> None:
    ours, theirs = fashion(2 * pair, seed), fashion(2 * pair + 1, seed)
    for name in ("uppers", "upper_colours", "shoes"):
        left, right, usual = getattr(ours, name), getattr(theirs, name), TABLES[name]
        assert all((left[kind] > usual[kind]) != (right[kind] > usual[kind]) for kind in usual)
        assert np.abs(shares(left) - shares(right)).sum() / 2 > 0.35
    assert ours.loose != theirs.loose


def test_fashion_follows_city_and_seed() -> None:
    assert fashion(2) == fashion(2)
    assert fashion(2) != fashion(0)
    assert fashion(0, seed=1) != fashion(0, seed=0)


def test_every_kind_is_worn(wardrobe: list[Outfit]) -> None:
    tables: tuple[tuple[str, Mapping[str, float]], ...] = (
        ("upper_kind", UPPER_KINDS), ("lower_kind", LOWER_KINDS), ("bag_kind", BAG_KINDS), ("hat_kind", HAT_KINDS),
        ("shoe_kind", SHOE_KINDS), ("collar", COLLARS),
    )  # fmt: skip
    for name, table in tables:
        assert {getattr(outfit, name) for outfit in wardrobe} == set(table), name
    assert {outfit.upper.pattern for outfit in wardrobe} == set(PATTERNS)
    assert {outfit.upper.motif for outfit in wardrobe} == set(MOTIFS)
    for flag in ("opened", "tucked", "trim", "scarf"):
        assert {getattr(outfit, flag) for outfit in wardrobe} == {False, True}


def test_the_same_stream_gives_the_same_outfit(wardrobe: list[Outfit]) -> None:
    again = Outfit.draw(fashion(0), np.random.default_rng(3))
    assert repr(again) == repr(wardrobe[3])
    assert repr(again) != repr(wardrobe[4])


def test_cuts_follow_the_kind(wardrobe: list[Outfit]) -> None:
    for outfit in wardrobe:
        long = outfit.upper_kind in ("coat", "dress")
        assert (outfit.hem > 0.25) == long
        assert not (outfit.tucked and (long or outfit.thick))
        assert not (outfit.opened and not outfit.thick)
        assert (outfit.sleeve == 0.0) == (outfit.upper_kind == "vest")
        assert 0.0 < outfit.slack < 0.035


def test_many_share_a_colour(wardrobe: list[Outfit]) -> None:
    """Colours alone do not tell people apart: the commonest hues are worn by several in a hundred."""
    table = np.sqrt([linear(colour) for colour in CLOTHES.values()])
    worn = np.sqrt([outfit.upper.colour for outfit in wardrobe])
    nearest = np.abs(worn[:, None] - table).sum(axis=2).argmin(axis=1)
    counts = np.sort(np.bincount(nearest, minlength=len(table)))[::-1]
    assert counts[:3].sum() > 0.25 * len(wardrobe)


def test_unlike_clothes_are_not_taken_for_each_other() -> None:
    usual, alone = fashion(0), 0
    for seed in range(60):
        first = Outfit.draw(usual, np.random.default_rng(seed))
        assert first.resembles(first)
        free = Outfit.draw(usual, np.random.default_rng(1000 + seed))
        alone += free.resembles(first)
        unlike = Outfit.draw(usual, np.random.default_rng(1000 + seed), unlike=[first])
        assert not unlike.resembles(first)
        if not free.resembles(first):
            assert repr(free) == repr(unlike)
    assert alone > 5


@pytest.mark.parametrize("pattern", sorted(PATTERNS))
@pytest.mark.parametrize("motif", MOTIFS)
def test_patterns_show_both_colours(pattern: str, motif: str) -> None:
    along, azimuth = (grid.ravel().astype(np.float32) for grid in np.mgrid[0.0:0.5:60j, -np.pi : np.pi : 90j])
    ground, second = np.array([[0.1, 0.2, 0.3], [0.9, 0.8, 0.1]], dtype=np.float32)
    painted = Cloth(ground, second, pattern, 0.12, motif).paint(along, azimuth)
    assert painted.shape == (len(along), 3)
    share = float(np.isclose(painted, second, atol=1e-5).all(axis=1).mean())
    rest = float(np.isclose(painted, ground, atol=1e-5).all(axis=1).mean())
    assert (share == 0.0) if pattern == "plain" else (0.01 < share < 0.75)
    assert rest > 0.2


def test_stripes_change_by_the_period() -> None:
    cloth = Cloth(np.zeros(3, dtype=np.float32), np.ones(3, dtype=np.float32), "stripes", 0.1)
    along = np.linspace(0.001, 0.499, 250, dtype=np.float32)
    expected = [1.0 if int(place / 0.05 + 1e-4) % 2 == 0 else 0.0 for place in along]
    painted = cloth.paint(along, np.zeros_like(along))
    assert (painted[:, 0] == expected).mean() > 0.98


def test_pick_is_as_often_as_the_weights_say() -> None:
    generator = np.random.default_rng(0)
    found = [pick({"rare": 1.0, "never": 0.0, "usual": 3.0}, generator) for _ in range(4000)]
    assert found.count("never") == 0
    assert found.count("rare") / len(found) == pytest.approx(0.25, abs=0.03)


def test_linear_light_follows_the_srgb_curve() -> None:
    assert linear((255, 0, 128)).tolist() == pytest.approx([1.0, 0.0, 0.21586], abs=1e-4)


def test_all_of_an_outfit_can_be_written_down(wardrobe: list[Outfit]) -> None:
    allowed = (str, bool, float, Cloth, np.ndarray)
    for outfit in wardrobe[:20]:
        assert all(isinstance(getattr(outfit, field.name), allowed) for field in fields(Outfit))
