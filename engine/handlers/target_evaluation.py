"""The target dataset's scores: before training, every n epochs and at the end."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

from ignite.engine import Engine, Events

from engine.extraction import Stopped
from engine.logs import MetricsFile
from retrieval.ranking.results import Scores

logger = logging.getLogger("reid")


class TargetEvaluation:
    """Sets `engine.state.scores` to the scores of this epoch, or None when it was not evaluated.

    The evaluation before training is what makes a broken dataset fail in the first minute.

    Args:
        evaluate: extracts features and ranks them; may raise `Stopped` after a signal.
        every: epochs between evaluations; 0 for none but the first and the last.
        metrics: the run's `metrics.jsonl`.

    Example:
        >>> TargetEvaluation(evaluate, every=10, metrics=metrics).attach(trainer)
    """

    def __init__(self, evaluate: Callable[[], Scores], every: int, metrics: MetricsFile) -> None:
        self.evaluate, self.every, self.metrics = evaluate, every, metrics

    def attach(self, engine: Engine) -> None:
        engine.add_event_handler(Events.STARTED, self._before)
        engine.add_event_handler(Events.EPOCH_COMPLETED, self._after_epoch)

    def _before(self, engine: Engine) -> None:
        state: Any = engine.state
        state.scores = None
        if state.iteration == 0:
            self._judge(state)

    def _after_epoch(self, engine: Engine) -> None:
        state: Any = engine.state
        state.scores = None
        due = self.every > 0 and state.epoch % self.every == 0
        if due or state.epoch == state.max_epochs:
            self._judge(state)

    def _judge(self, state: Any) -> None:
        try:
            scores = self.evaluate()
        except Stopped:
            logger.info("evaluation left unfinished")
            return
        state.scores = scores
        values = "  ".join(f"{name} {100 * value:.2f}" for name, value in scores.metrics().items())
        logger.info("epoch %d: %s", state.epoch, values)
        self.metrics.write("evaluation", epoch=state.epoch, **scores.as_dict())
