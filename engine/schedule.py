"""The factor on a learning rate as a plain function of time, so that there is nothing to save or to get out of step."""

from __future__ import annotations

import math

from configs.schema import Schedule


def factor(schedule: Schedule, time: float, epochs: int) -> float:
    """What the full rate is multiplied by.

    Args:
        time: finished epochs, from 0; a fraction inside an epoch when the schedule moves by iteration.
        epochs: length of the run.

    Example:
        >>> factor(Schedule(milestones=(40, 70), warmup_epochs=10, warmup_factor=0.01), time=40, epochs=120)
        0.1
    """
    return _warmup(schedule, time) * _decay(schedule, time, epochs)


def _warmup(schedule: Schedule, time: float) -> float:
    if time >= schedule.warmup_epochs:
        return 1.0
    return schedule.warmup_factor + (1 - schedule.warmup_factor) * time / schedule.warmup_epochs


def _decay(schedule: Schedule, time: float, epochs: int) -> float:
    if schedule.kind == "multistep":
        return float(schedule.gamma ** sum(time >= milestone for milestone in schedule.milestones))
    if schedule.kind == "cosine" and time > schedule.warmup_epochs:
        length = max(epochs - schedule.warmup_epochs, 1e-12)
        fraction = min((time - schedule.warmup_epochs) / length, 1.0)
        return schedule.final + (1 - schedule.final) * 0.5 * (1 + math.cos(math.pi * fraction))
    return 1.0
