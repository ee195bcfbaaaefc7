"""How fast training is, and how much of the time it waits for pictures."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

import ignite.distributed as idist
from ignite.engine import Engine, Events


@dataclass
class Speed:
    """Since the last report: pictures over all processes, seconds in all and seconds spent waiting for the loader."""

    images: int = 0
    seconds: float = 0.0
    waiting: float = 0.0

    @property
    def images_per_second(self) -> float:
        return self.images / self.seconds if self.seconds else 0.0

    @property
    def waiting_share(self) -> float:
        return self.waiting / self.seconds if self.seconds else 0.0


class Throughput:
    """Keeps `speed` while the engine runs; time outside of iterations (evaluation, checkpoints) does not count.

    Example:
        >>> throughput = Throughput()
        >>> throughput.attach(trainer)
        >>> throughput.take().images_per_second
    """

    def __init__(self) -> None:
        self.speed = Speed()
        self._asked = self._last = time.perf_counter()

    def attach(self, engine: Engine) -> None:
        engine.add_event_handler(Events.EPOCH_STARTED, self._begin)
        engine.add_event_handler(Events.GET_BATCH_STARTED, self._ask)
        engine.add_event_handler(Events.GET_BATCH_COMPLETED, self._receive)
        engine.add_event_handler(Events.ITERATION_COMPLETED, self._finish)

    def take(self) -> Speed:
        """The speed since the last call."""
        taken, self.speed = self.speed, Speed()
        return taken

    def _begin(self, _: Engine) -> None:
        self._last = time.perf_counter()

    def _ask(self, _: Engine) -> None:
        self._asked = time.perf_counter()

    def _receive(self, _: Engine) -> None:
        self.speed.waiting += time.perf_counter() - self._asked

    def _finish(self, engine: Engine) -> None:
        state: Any = engine.state
        now = time.perf_counter()
        self.speed.images += len(state.batch) * idist.get_world_size()
        self.speed.seconds += now - self._last
        self._last = now
