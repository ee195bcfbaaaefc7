"""The curves for TensorBoard: `tensorboard --logdir logs`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ignite.engine import Engine, Events
from ignite.handlers import TensorboardLogger
from torch.optim import Optimizer

from common.events import ReIDEvents


class Curves:
    """What each line of the log tells, learning rates, and scores after each evaluation.

    Attach it on process 0, after evaluation, and close it when training is over.

    Args:
        judged: what the scores are of, the target or held-out people.

    Example:
        >>> Curves(Path("logs/demo"), optimizers["main"]).attach(trainer)
    """

    def __init__(self, folder: Path, optimizer: Optimizer, judged: str = "target") -> None:
        self.board = TensorboardLogger(logdir=str(folder))
        self.optimizer, self.judged = optimizer, judged

    def attach(self, engine: Engine) -> None:
        engine.add_event_handler(ReIDEvents.REPORTED, self._report)
        engine.add_event_handler(Events.STARTED | Events.EPOCH_COMPLETED, self._scores)

    def close(self) -> None:
        self.board.close()

    def _report(self, engine: Engine) -> None:
        state: Any = engine.state
        rates = {f"lr/group_{number}": group["lr"] for number, group in enumerate(self.optimizer.param_groups)}
        told = {f"train/{name}": value for name, value in state.report.items() if name != "lr"}
        for tag, value in {**told, **rates}.items():
            self.board.writer.add_scalar(tag, value, state.iteration)

    def _scores(self, engine: Engine) -> None:
        state: Any = engine.state
        if state.scores is not None:
            for name, value in state.scores.metrics().items():
                self.board.writer.add_scalar(f"{self.judged}/{name}", value, state.epoch)
