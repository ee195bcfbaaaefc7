"""Training stops at the first loss that is not a number, before it reaches the weights."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from ignite.engine import Engine

from common.errors import UserError
from common.events import ReIDEvents

NAMED = 4  # files of the batch that the message names


class NonFiniteLoss:
    """Raises `UserError` with the losses and the batch's files.

    Args:
        file: the picture of a row of the training set.

    Example:
        >>> NonFiniteLoss(training_set.file).attach(trainer)
    """

    def __init__(self, file: Callable[[int], Path]) -> None:
        self.file = file

    def attach(self, engine: Engine) -> None:
        engine.add_event_handler(ReIDEvents.LOSSES_COMPUTED, self)

    def __call__(self, engine: Engine) -> None:
        state: Any = engine.state
        losses = {name: loss.detach() for name, loss in state.update.losses.items()}
        if bool(torch.isfinite(torch.stack(list(losses.values()))).all()):
            return
        values = ", ".join(f"{name} {float(loss):g}" for name, loss in losses.items())
        rows = state.batch.index.tolist()
        files = ", ".join(str(self.file(row)) for row in rows[:NAMED])
        raise UserError(
            f"the loss is not finite in epoch {state.epoch}, iteration {state.iteration} ({values}); the batch holds"
            f" {files} and {max(len(rows) - NAMED, 0)} more. The checkpoints are intact; start again under another"
            f" name=... with a lower optimizer.lr, train.clip_norm=5 or train.opt_level=O0"
        )
