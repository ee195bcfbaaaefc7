"""Cities of a seed: two of a pair lie apart in everything, and neither gets all that makes people hard to know."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pytest

from data.street.causes.cities import APART, CLUTTER, GROUNDS, STAND_TRAITS, TRAITS, WALLS, City
from data.street.causes.stands import Stand

SEEDS = range(6)


def pair(seed: int, first: int = 0) -> tuple[City, City]:
    left, right = (City.draw(city, np.random.default_rng(seed)) for city in (first, first + 1))
    return left, right


def middle(city: City, name: str) -> float:
    low, high = city.ranges[name]
    return (low + high) / 2


@pytest.mark.parametrize("first", [0, 2, 6])
@pytest.mark.parametrize("seed", SEEDS)
def test_the_cities_of_a_pair_lie_apart_in_every_trait_and_overlap_a_little(seed: int, first: int) -> None:
    left, right = pair(seed, first)
    assert set(left.ranges) == set(right.ranges) == set(TRAITS)
    for name, trait in TRAITS.items():
        span = trait.high - trait.low
        assert abs(middle(left, name) - middle(right, name)) >= APART * span, name
        lower, upper = sorted((left.ranges[name], right.ranges[name]))
        assert 0.0 < lower[1] - upper[0] < 0.2 * span, name
        assert lower[0] == pytest.approx(trait.low)
        assert upper[1] == pytest.approx(trait.high)


@pytest.mark.parametrize("seed", SEEDS)
def test_their_streets_are_built_of_other_things(seed: int) -> None:
    left, right = pair(seed)
    for ours, theirs, kinds in (
        (left.grounds, right.grounds, GROUNDS),
        (left.walls, right.walls, WALLS),
        (left.clutter, right.clutter, CLUTTER),
    ):
        assert set(ours) == set(theirs) == set(kinds)
        assert sum(ours.values()) == pytest.approx(1.0)
        assert min(ours.values()) > 0.0
        assert apart(ours, theirs) > 0.6


def apart(ours: Mapping[str, float], theirs: Mapping[str, float]) -> float:
    """Total variation: the share of one that would have to change to make the other."""
    return 0.5 * sum(abs(ours[name] - theirs[name]) for name in ours)


@pytest.mark.parametrize("seed", SEEDS)
def test_no_city_has_all_the_bad_sensors(seed: int) -> None:
    left, right = pair(seed)
    soft, sharp = sorted((left, right), key=lambda city: -middle(city, "blur"))
    assert middle(soft, "noise") < middle(sharp, "noise")
    assert middle(soft, "quality") > middle(sharp, "quality")
    assert middle(soft, "saturation") > middle(sharp, "saturation")
    assert middle(soft, "lift") > middle(sharp, "lift")
    dark, bright = sorted((left, right), key=lambda city: middle(city, "exposure"))
    assert middle(dark, "gamma") < middle(bright, "gamma")  # what is less exposed is lifted


def test_seeds_pairs_and_cities_differ_and_come_out_again() -> None:
    assert pair(3) == pair(3)
    found = [City.draw(city, np.random.default_rng(seed)) for seed in (0, 1) for city in range(4)]
    assert all(found[one] != found[other] for one in range(8) for other in range(one))


def test_every_city_is_dealt_the_low_and_the_high_part_of_a_theme() -> None:
    lows = [middle(pair(seed)[0], "blur") < middle(pair(seed)[1], "blur") for seed in range(20)]
    assert 2 < sum(lows) < 18


def test_detectors_have_their_citys_habits() -> None:
    for city in pair(1):
        stands = [Stand.draw(np.random.default_rng(number), city) for number in range(300)]
        low, high = city.ranges["zoom"]
        assert all(low <= stand.zoom <= high for stand in stands)
        for name, values in (
            ("fill", [stand.fill for stand in stands]),
            ("aside", [stand.shift[0] for stand in stands]),
            ("down", [stand.shift[1] for stand in stands]),
        ):
            span = STAND_TRAITS[name].high - STAND_TRAITS[name].low
            assert abs(float(np.mean(values)) - middle(city, name)) < 0.1 * span, name
