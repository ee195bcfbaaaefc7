"""People: what is permanent, how much they vary, and what is left of that when bodies are made alike."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import fields

import numpy as np
import pytest

from data.street.causes.fashion import BAG_KINDS
from data.street.causes.people import BEARDS, GLASSES, HAIR_STYLES, MEASURES, TOKEN_KINDS, Person


def crowd(likeness: float = 0.0, size: int = 300) -> list[Person]:
    return [Person.draw(np.random.default_rng(seed), likeness) for seed in range(size)]


def test_the_same_stream_gives_the_same_person() -> None:
    first, second = (Person.draw(np.random.default_rng(5)) for _ in range(2))
    assert repr(first) == repr(second)
    assert repr(first) != repr(Person.draw(np.random.default_rng(6)))


def test_every_style_and_habit_occurs() -> None:
    people = crowd(size=900)
    tables: dict[str, Iterable[str]] = {
        "hair_style": HAIR_STYLES, "beard": BEARDS, "glasses": GLASSES, "token": TOKEN_KINDS, "bag_kind": BAG_KINDS,
    }  # fmt: skip
    for name, table in tables.items():
        assert {getattr(person, name) for person in people} == set(table), name
    shares = [np.mean([person.bag_kind != "none" for person in people]), np.mean([p.token != "none" for p in people])]
    assert all(0.15 < share < 0.5 for share in shares)  # some, and far from all


def test_bodies_are_all_possible() -> None:
    for person in crowd():
        assert 1.4 < person.height < 2.05
        # Hips are narrower than what arms hang from, and shoulders wider than the neck.
        assert 2.0 * person.neck < person.shoulders
        assert person.waist < person.shoulders
        assert person.throat > 0.0
        assert 0.0 <= person.belly <= 1.01
        assert 0.0 <= person.bust <= 1.1


def test_likeness_draws_measures_to_the_mean_and_nothing_else() -> None:
    plain, half, alike = crowd(), crowd(0.5), crowd(1.0)
    for before, between, after in zip(plain, half, alike, strict=True):
        for field in fields(Person):
            values = [getattr(person, field.name) for person in (before, between, after)]
            if field.name in MEASURES:
                assert values[2] == pytest.approx(MEASURES[field.name])
                assert values[1] == pytest.approx((values[0] + values[2]) / 2), field.name
            else:
                assert repr(values[0]) == repr(values[1]) == repr(values[2]), field.name
    assert len({person.hair_style for person in alike}) == len(HAIR_STYLES)
    assert len({person.nose for person in alike}) == len(alike)


def test_the_means_are_those_of_a_crowd() -> None:
    people = crowd(size=600)
    for name, mean in MEASURES.items():
        values = np.array([getattr(person, name) for person in people])
        assert abs(values.mean() - mean) < 0.25 * values.std(), name
        assert values.std() > 0.0


def test_who_is_tall_has_a_small_head_for_their_height() -> None:
    people = crowd()
    heights, heads = ([getattr(person, name) for person in people] for name in ("height", "head"))
    assert np.corrcoef(heights, heads)[0, 1] < -0.3
