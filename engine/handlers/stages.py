"""Which losses are on: the curriculum of a method, by epoch."""

from __future__ import annotations

import logging
from typing import Any

import numpy as np
from ignite.engine import Engine, Events

from modeling.methods.method import Method, Stage

logger = logging.getLogger("reid")


class Stages:
    """Sets `engine.state.stage` before each iteration and says when a loss is switched on or off.

    Example:
        >>> Stages(method, epochs=120, seed=1).attach(trainer)
    """

    def __init__(self, method: Method, epochs: int, seed: int) -> None:
        self.terms, self.epochs, self.seed = method.terms(), epochs, seed
        self._weights: dict[str, float] = {}

    def attach(self, engine: Engine) -> None:
        engine.add_event_handler(Events.EPOCH_STARTED, self._enter_epoch)
        engine.add_event_handler(Events.ITERATION_STARTED, self._enter_iteration)

    def _enter_epoch(self, engine: Engine) -> None:
        epoch = engine.state.epoch
        weights = {name: term.at(epoch) for name, term in self.terms.items()}
        changed = [f"{name} {weight:g}" for name, weight in weights.items() if self._weights.get(name, 0.0) != weight]
        if changed:
            logger.info("epoch %d: loss weights now %s", epoch, ", ".join(changed))
        self._weights = weights

    def _enter_iteration(self, engine: Engine) -> None:
        state: Any = engine.state
        random = np.random.default_rng((self.seed, state.iteration))
        state.stage = Stage(state.epoch, self.epochs, state.iteration, self._weights, random)
