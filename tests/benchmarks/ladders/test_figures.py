"""Means, spreads and noise, each against loops; Student's t against its density."""

from __future__ import annotations

import math
import random

import pytest

from benchmarks.ladders.figures import Spread, Verdict, _t95, noise


def naive_deviation(values: list[float]) -> float:
    total = 0.0
    for value in values:
        total += value
    squares = 0.0
    for value in values:
        squares += (value - total / len(values)) * (value - total / len(values))
    return math.sqrt(squares / (len(values) - 1))


@pytest.mark.parametrize("count", [2, 3, 7])
def test_mean_and_sample_deviation(count: int) -> None:
    source = random.Random(count)
    values = [source.uniform(0, 100) for _ in range(count)]
    spread = Spread.of(values)
    assert spread.mean == pytest.approx(sum(values) / count)
    assert spread.deviation == pytest.approx(naive_deviation(values))
    assert spread.count == count


def test_one_value_has_no_deviation() -> None:
    assert Spread.of([63.21]) == Spread(63.21, None, 1)
    assert Spread.of([63.21]).text() == "63.2"
    assert Spread.of([1.0, 2.0, 3.0]).text() == "2.0 ± 1.0"


def between(limit: float, freedom: int) -> float:
    """The share of Student's distribution between −limit and limit, by the midpoint rule."""
    height = math.gamma((freedom + 1) / 2) / (math.sqrt(freedom * math.pi) * math.gamma(freedom / 2))
    step = limit / 20000
    places = (step * (number + 0.5) for number in range(20000))
    return 2 * step * height * math.fsum(math.pow(1 + t * t / freedom, -(freedom + 1) / 2) for t in places)


@pytest.mark.parametrize("freedom", [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 18, 60])
def test_95_in_100_lie_within_t(freedom: int) -> None:
    assert between(_t95(freedom), freedom) == pytest.approx(0.95, abs=2e-4)


def test_noise_in_loops() -> None:
    first, second = [50.0, 52.0, 57.0], [61.0, 60.0]
    squares = 0.0
    for values in (first, second):
        mean = sum(values) / len(values)
        for value in values:
            squares += (value - mean) ** 2
    expected = 3.182 * math.sqrt(squares / 3 * (1 / 3 + 1 / 2))
    assert noise(Spread.of(first), Spread.of(second)) == pytest.approx(expected)
    assert noise(Spread.of(second), Spread.of(first)) == pytest.approx(expected)
    assert noise(Spread.of(first), Spread.of([1.0])) is None


def test_verdicts() -> None:
    low, high, wide = Spread.of([10.0, 11.0, 12.0]), Spread.of([20.0, 21.0, 22.0]), Spread.of([2.0, 21.0, 40.0])
    assert Verdict.of(high, low) == Verdict(True, "21.0 − 11.0 = +10.0, noise 2.3")
    assert Verdict.of(low, high).held is False
    assert Verdict.of(low, high, or_equal=True).held is False
    assert Verdict.of(low, low, or_equal=True).held is True
    assert [Verdict.of(high, low, by=points).held for points in (9.9, 10.1)] == [True, False]
    assert Verdict.of(wide, low).held is False
    assert Verdict.of(low, low).held is False
    assert str(Verdict.of(high, low)) == "held (21.0 − 11.0 = +10.0, noise 2.3)"
    assert str(Verdict.of(low, high)).startswith("not held (11.0 − 21.0 = -10.0")
    assert str(Verdict.of(Spread.of([20.0]), low)) == (
        "cannot be told (20.0 − 11.0 = +9.0; one seed does not tell the noise)"
    )
    assert str(Verdict.of(None, low)) == "cannot be told (not run yet)"
