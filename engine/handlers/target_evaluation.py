"""The scores that epochs are judged by, the target's or held-out people's: before training, every n, at the end."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
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
        facts: what is judged on, for `metrics`.
        on: the same in words, for the log; nothing when it is the target.

    Example:
        >>> TargetEvaluation(evaluate, every=10, metrics=metrics).attach(trainer)
    """

    def __init__(
        self,
        evaluate: Callable[[], Scores],
        every: int,
        metrics: MetricsFile,
        facts: Mapping[str, str] | None = None,
        on: str = "",
    ) -> None:
        self.evaluate, self.every, self.metrics = evaluate, every, metrics
        self.facts, self.on = facts or {}, on

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
        logger.info("epoch %d%s: %s", state.epoch, self.on and f" on {self.on}", in_one_line(scores))
        self.metrics.write("evaluation", epoch=state.epoch, **self.facts, **scores.as_dict())


def in_one_line(scores: Scores) -> str:
    """All metrics in per cent."""
    return "  ".join(f"{name} {100 * value:.2f}" for name, value in scores.metrics().items())
