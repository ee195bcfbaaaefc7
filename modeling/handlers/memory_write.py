"""The exemplar memory written after the backward pass, with what all processes have seen."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ignite.engine import Engine, Events

from common.events import ReIDEvents
from common.ranks import gather_rows
from modeling.memory import ExemplarMemory

FEATURES, ROWS = "features", "rows"
"""Names in `Update.kept`: `(b, D)` features of any length, and `(b,)` the rows of the memory that they belong to."""


class MemoryWrite:
    """Gathers features and rows of all processes and writes them, so that every process holds the same memory.

    Nothing reads the memory between the losses and this, so it is as if it had been written inside the backward pass;
    it is written whether or not the optimiser then skips its step. After every epoch the memories are compared.

    Args:
        momentum: of an epoch, by its number from 1.
        sync: false: a process writes only what it has seen itself, and the memories of several drift apart. So did the
            published code; checkpoints have that of process 0.

    Example:
        >>> MemoryWrite(memory, lambda epoch: 0.0 if epoch == 1 else 0.6).attach(trainer)
    """

    def __init__(self, memory: ExemplarMemory, momentum: Callable[[int], float], sync: bool = True) -> None:
        self.memory, self.momentum, self.sync = memory, momentum, sync

    def attach(self, engine: Engine) -> None:
        engine.add_event_handler(ReIDEvents.BACKWARD_COMPLETED, self)
        if self.sync:
            engine.add_event_handler(Events.EPOCH_COMPLETED, self._compare)

    def __call__(self, engine: Engine) -> None:
        state: Any = engine.state
        kept = state.update.kept
        if FEATURES not in kept:
            return
        features, rows = kept[FEATURES], kept[ROWS]
        if self.sync:
            features, rows = gather_rows(features), gather_rows(rows)
        self.memory.write(features, rows, self.momentum(state.epoch))

    def _compare(self, engine: Engine) -> None:
        own = self.memory.checksum()
        if own is None:
            return
        sums = gather_rows(own)
        if bool((sums != sums[0]).any()):
            raise RuntimeError("the processes' exemplar memories differ, although all have written the same features")
