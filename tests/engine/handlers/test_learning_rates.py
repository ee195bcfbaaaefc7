"""Every optimiser moves at the rate of its own schedule, by epoch or by iteration."""

from __future__ import annotations

import pytest
import torch
from ignite.engine import Engine
from torch import nn

from configs.schema import Schedule
from engine.handlers.learning_rates import LearningRates
from tests.engine.toys import engine_of

EPOCHS, LENGTH = 4, 5


def optimizer(*rates: float) -> torch.optim.Optimizer:
    return torch.optim.SGD(
        [{"params": [nn.Parameter(torch.zeros(1))], "lr": rate, "base_lr": rate} for rate in rates], lr=1.0
    )


def rates_during_a_run(
    optimizers: dict[str, torch.optim.Optimizer], schedules: dict[str, Schedule], start: int = 0
) -> list[dict[str, list[float]]]:
    seen: list[dict[str, list[float]]] = []

    def process(engine: Engine, batch: int) -> None:
        seen.append({name: [group["lr"] for group in one.param_groups] for name, one in optimizers.items()})

    engine = engine_of(process)
    LearningRates(optimizers, schedules, EPOCHS).attach(engine)
    if start:
        engine.load_state_dict({"iteration": start, "epoch_length": LENGTH, "max_epochs": EPOCHS})
    engine.run(range(LENGTH), max_epochs=EPOCHS, epoch_length=LENGTH)
    return seen


def test_by_epoch_and_constant_side_by_side() -> None:
    optimizers = {"main": optimizer(0.1, 1.0), "first": optimizer(0.5)}
    schedules = {
        "main": Schedule(milestones=(2, 3), warmup_epochs=1, warmup_factor=0.5),
        "first": Schedule(kind="constant", warmup_epochs=0),
    }
    seen = rates_during_a_run(optimizers, schedules)
    expected = [factor for factor in (0.5, 1.0, 0.1, 0.01) for _ in range(LENGTH)]
    assert [line["main"] for line in seen] == [pytest.approx([0.1 * factor, factor]) for factor in expected]
    assert [line["first"] for line in seen] == [[0.5]] * (EPOCHS * LENGTH)


def test_by_iteration() -> None:
    schedule = Schedule(kind="constant", warmup_epochs=2, warmup_factor=0, by="iteration")
    seen = rates_during_a_run({"main": optimizer(1.0)}, {"main": schedule})
    expected = [min(iteration / 10, 1) for iteration in range(EPOCHS * LENGTH)]
    assert [line["main"][0] for line in seen] == pytest.approx(expected)


@pytest.mark.parametrize("by", ["epoch", "iteration"])
def test_going_on_finds_the_same_rates(by: str) -> None:
    schedule = Schedule.model_validate({"milestones": [1, 3], "warmup_epochs": 1, "by": by})
    whole = rates_during_a_run({"main": optimizer(1.0)}, {"main": schedule})
    assert rates_during_a_run({"main": optimizer(1.0)}, {"main": schedule}, start=8) == whole[8:]
