"""The learning rates, set from the schedule before each iteration."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ignite.engine import Engine, Events
from torch.optim import Optimizer

from configs.schema import Schedule
from engine.schedule import factor


class LearningRates:
    """Gives every parameter group `base_lr` times its optimiser's schedule.

    Args:
        optimizers: by name.
        schedules: one for each of them.
        epochs: length of the run.

    Example:
        >>> LearningRates(optimizers, {"main": config.schedule}, epochs=120).attach(trainer)
    """

    def __init__(self, optimizers: Mapping[str, Optimizer], schedules: Mapping[str, Schedule], epochs: int) -> None:
        self.pairs = [(optimizer, schedules[name]) for name, optimizer in optimizers.items()]
        self.epochs = epochs

    def attach(self, engine: Engine) -> None:
        engine.add_event_handler(Events.ITERATION_STARTED, self)

    def __call__(self, engine: Engine) -> None:
        state: Any = engine.state
        for optimizer, schedule in self.pairs:
            finished = (state.iteration - 1) / state.epoch_length
            time = finished if schedule.by == "iteration" else float(state.epoch - 1)
            for group in optimizer.param_groups:
                group["lr"] = group["base_lr"] * factor(schedule, time, self.epochs)
