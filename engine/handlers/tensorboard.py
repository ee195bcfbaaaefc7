"""The curves for TensorBoard: `tensorboard --logdir logs`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ignite.engine import Engine, Events
from ignite.handlers import TensorboardLogger
from torch.optim import Optimizer


class Curves:
    """Losses and learning rate every n iterations, scores after each evaluation.

    Attach it on process 0, after evaluation, and close it when training is over.

    Example:
        >>> Curves(Path("logs/demo"), optimizers["main"], every=50).attach(trainer)
    """

    def __init__(self, folder: Path, optimizer: Optimizer, every: int) -> None:
        self.board = TensorboardLogger(logdir=str(folder))
        self.optimizer, self.every = optimizer, every

    def attach(self, engine: Engine) -> None:
        often = Events.ITERATION_COMPLETED(every=self.every)
        self.board.attach_output_handler(engine, often, tag="train", output_transform=lambda output: output)
        self.board.attach_opt_params_handler(engine, often, optimizer=self.optimizer)
        engine.add_event_handler(Events.STARTED | Events.EPOCH_COMPLETED, self._scores)

    def close(self) -> None:
        self.board.close()

    def _scores(self, engine: Engine) -> None:
        state: Any = engine.state
        if state.scores is not None:
            for name, value in state.scores.metrics().items():
                self.board.writer.add_scalar(f"target/{name}", value, state.epoch)
