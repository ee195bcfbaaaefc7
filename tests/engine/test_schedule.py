"""The published tables of learning rates."""

from __future__ import annotations

import math

import pytest

from configs.schema import Schedule
from engine.schedule import factor

CAMC = Schedule(milestones=(40, 80), warmup_epochs=10, warmup_factor=0.1)
HCGA = Schedule(milestones=(40, 70), warmup_epochs=10, warmup_factor=0.01)
CACENET = Schedule(kind="cosine", warmup_epochs=5, warmup_factor=0, by="iteration")


@pytest.mark.parametrize(
    ("epoch", "rate"),
    [
        (0, 3e-5),
        (1, 5.7e-5),
        (5, 1.65e-4),
        (9, 2.73e-4),
        (10, 3e-4),
        (39, 3e-4),
        (40, 3e-5),
        (79, 3e-5),
        (80, 3e-6),
        (149, 3e-6),
    ],
)
def test_camc(epoch: int, rate: float) -> None:
    assert 3e-4 * factor(CAMC, epoch, 150) == pytest.approx(rate, rel=1e-12)


@pytest.mark.parametrize("epoch", range(120))
def test_hcga(epoch: int) -> None:
    expected = 0.01 * (1 - epoch / 10) + epoch / 10 if epoch < 10 else 1.0
    expected *= 0.1 ** ((epoch >= 40) + (epoch >= 70))
    assert factor(HCGA, epoch, 120) == pytest.approx(expected, rel=1e-12)


def test_hcga_first_published_rate() -> None:
    assert 3.5e-4 * factor(HCGA, 1, 120) == pytest.approx(3.8e-5, rel=0.01)


@pytest.mark.parametrize("iteration", [0, 1, 404, 405, 5 * 405, 5 * 405 + 1, 20_000, 32_399, 32_400])
def test_cacenet(iteration: int) -> None:
    time = iteration / 405
    expected = time / 5 if time < 5 else 0.5 * (1 + math.cos(math.pi * (time - 5) / 75))
    assert factor(CACENET, time, 80) == pytest.approx(expected, rel=1e-12, abs=1e-15)


def test_cosine_ends_at_its_final_factor_and_stays_there() -> None:
    schedule = Schedule(kind="cosine", warmup_epochs=0, final=0.2)
    assert [factor(schedule, time, 10) for time in (0, 5, 10, 12)] == pytest.approx([1, 0.6, 0.2, 0.2])


def test_warmup_longer_than_the_run() -> None:
    schedule = Schedule(kind="cosine", warmup_epochs=5, warmup_factor=0)
    assert [factor(schedule, time, 3) for time in (0, 1, 2.5)] == pytest.approx([0, 0.2, 0.5])


def test_constant() -> None:
    assert {factor(Schedule(kind="constant", warmup_epochs=0), time, 10) for time in (0, 0.5, 9, 10)} == {1.0}
    warm = Schedule(kind="constant", warmup_epochs=4, warmup_factor=0.5)
    assert [factor(warm, time, 10) for time in (0, 2, 4, 9)] == [0.5, 0.75, 1, 1]
