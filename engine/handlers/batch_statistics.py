"""BatchNorm statistics made equal on all processes at the end of an epoch."""

from __future__ import annotations

from ignite.engine import Engine, Events
from torch import nn

from engine.gradients import average_batch_statistics


class BatchStatistics:
    """Averages running means and variances over the processes, so that all evaluate and save the same network.

    Example:
        >>> BatchStatistics(method, averaged_network).attach(trainer)   # before evaluation and checkpoints
    """

    def __init__(self, *modules: nn.Module) -> None:
        self.modules = modules

    def attach(self, engine: Engine) -> None:
        engine.add_event_handler(Events.EPOCH_COMPLETED, self)

    def __call__(self, engine: Engine) -> None:
        for module in self.modules:
            average_batch_statistics(module)
