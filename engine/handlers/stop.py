"""Ctrl-C, SIGTERM and SIGUSR1 (a cluster's warning) end training after the current batch, with a checkpoint."""

from __future__ import annotations

import logging
import signal
from collections.abc import Callable
from types import FrameType
from typing import Any

from ignite.engine import Engine, Events

from common.ranks import largest
from data.loader import SIGNALS

logger = logging.getLogger("reid")


class StopOnSignal:
    """Agrees with the other processes on where to stop, calls `save` and terminates the engine.

    A second signal ends the process at once.

    Args:
        save: writes the checkpoint.
        every: iterations per optimiser step (`train.accumulate`); training stops only between steps, since gradients
            that wait for more batches are not saved.

    Attributes:
        received: the signal that stopped the run, 0 while none has.

    Example:
        >>> stop = StopOnSignal(save=checkpoints.save_interrupted)
        >>> stop.attach(trainer)   # after all other handlers
    """

    def __init__(self, save: Callable[[Engine], object], every: int = 1) -> None:
        self.save, self.every = save, every
        self.received = 0
        self._pending = 0

    def attach(self, engine: Engine) -> None:
        engine.add_event_handler(Events.STARTED, self.listen)
        engine.add_event_handler(Events.EPOCH_STARTED, self._before_epoch)
        engine.add_event_handler(Events.ITERATION_COMPLETED, self._after_iteration)
        engine.add_event_handler(Events.EPOCH_COMPLETED, self._after_epoch)

    def _before_epoch(self, engine: Engine) -> None:
        # A handler that does something long before an epoch leaves it unfinished, so the epoch must not begin. Before
        # the first one nothing has been learned that could be saved.
        state: Any = engine.state
        if state.iteration and state.iteration % state.epoch_length == 0 and self.requested():
            self._end(engine)

    def _after_iteration(self, engine: Engine) -> None:
        # The last iteration leaves it to the end of the epoch, so that what is due there still happens.
        state: Any = engine.state
        done = state.iteration % state.epoch_length
        if done and done % self.every == 0 and self.requested():
            self._end(engine)

    def _after_epoch(self, engine: Engine) -> None:
        if self.requested():
            self._end(engine)

    def requested(self) -> bool:
        """True on every process as soon as one was signalled; all must ask equally often."""
        self.received = largest(self._pending)
        return self.received > 0

    def _end(self, engine: Engine) -> None:
        logger.info("%s: saving and stopping", signal.Signals(self.received).name)
        self.save(engine)
        engine.terminate(skip_completed=True)

    def listen(self, _: Engine | None = None) -> None:
        """Take signals from now on; `STARTED` does, too."""
        for number in SIGNALS:
            signal.signal(number, self._note)

    def _note(self, number: int, _: FrameType | None) -> None:
        self._pending = number
        signal.signal(number, signal.SIG_DFL)
