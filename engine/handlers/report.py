"""What training says while it runs: a line every so often, a line per epoch, and the same numbers as JSON."""

from __future__ import annotations

import logging
from typing import Any

from ignite.engine import Engine, Events
from torch import Tensor
from torch.optim import Optimizer

from common.events import ReIDEvents
from engine.handlers.throughput import Throughput
from engine.logs import MetricsFile

logger = logging.getLogger("reid")


class Report:
    """Means of the losses and metrics since the last line.

    They are summed on the device and read only when a line is due, so that no iteration waits for them. Then
    `engine.state.report` holds them, and `ReIDEvents.REPORTED` says so.

    Args:
        metrics: the run's `metrics.jsonl`.
        throughput: attached before this.
        optimizer: whose learning rate is told (that of the last parameter group, the new layers).
        every: iterations between lines, counted anew in each epoch; the end of an epoch always has one.

    Example:
        >>> Report(metrics, throughput, optimizers["main"], every=50).attach(trainer)
    """

    def __init__(self, metrics: MetricsFile, throughput: Throughput, optimizer: Optimizer, every: int) -> None:
        self.metrics, self.throughput, self.optimizer, self.every = metrics, throughput, optimizer, every
        self._sums: dict[str, Tensor] = {}
        self._counts: dict[str, int] = {}

    def attach(self, engine: Engine) -> None:
        engine.add_event_handler(Events.ITERATION_COMPLETED, self._add)
        engine.add_event_handler(Events.ITERATION_COMPLETED, self._now_and_then)
        engine.add_event_handler(Events.EPOCH_COMPLETED, self._tell)

    def _add(self, engine: Engine) -> None:
        output: dict[str, Tensor] = engine.state.output  # type: ignore[assignment]  # Ignite types it as any output
        for name, value in output.items():
            self._sums[name] = self._sums[name] + value if name in self._sums else value
            self._counts[name] = self._counts.get(name, 0) + 1

    def _now_and_then(self, engine: Engine) -> None:
        state: Any = engine.state
        if state.iteration % state.epoch_length % self.every == 0 and state.iteration % state.epoch_length:
            self._tell(engine)

    def _tell(self, engine: Engine) -> None:
        if not self._counts:
            return
        state: Any = engine.state
        means = {name: float(total) / self._counts[name] for name, total in self._sums.items()}
        self._sums, self._counts = {}, {}
        speed, rate = self.throughput.take(), self.optimizer.param_groups[-1]["lr"]
        step = (state.iteration - 1) % state.epoch_length + 1
        state.report = {**means, "lr": rate, "images_per_second": speed.images_per_second}
        values = "  ".join(f"{name} {value:.4f}" for name, value in means.items())
        logger.info(
            "epoch %d/%d  %d/%d  %s  lr %.2e  %.0f images/s (%.0f%% waiting for pictures)",
            *(state.epoch, state.max_epochs, step, state.epoch_length, values, rate),
            *(speed.images_per_second, 100 * speed.waiting_share),
        )
        self.metrics.write(
            "train",
            epoch=state.epoch,
            iteration=state.iteration,
            lr=rate,
            images_per_second=round(speed.images_per_second, 1),
            waiting_share=round(speed.waiting_share, 3),
            **means,
        )
        engine.fire_event(ReIDEvents.REPORTED)
