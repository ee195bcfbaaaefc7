"""The sampler told which epoch it is, so that every epoch, and every process, has its order."""

from __future__ import annotations

from ignite.engine import Engine, Events

from data.samplers import EpochBatches


class EpochOrder:
    """Calls `set_epoch` before the loader starts; inside an epoch that is being resumed, skips what was seen.

    Example:
        >>> EpochOrder(loader.batches).attach(trainer)
    """

    def __init__(self, batches: EpochBatches) -> None:
        self.batches = batches

    def attach(self, engine: Engine) -> None:
        engine.add_event_handler(Events.EPOCH_STARTED, self)

    def __call__(self, engine: Engine) -> None:
        self.batches.set_epoch(engine.state.epoch, start=engine.state.iteration % len(self.batches))
