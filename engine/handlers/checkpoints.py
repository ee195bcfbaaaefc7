"""Checkpoints: every n epochs, the last few kept, the best by a named score, and one when a run is interrupted."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import ignite.distributed as idist
from ignite.engine import Engine, Events

from common.events import ReIDEvents
from common.files import link_or_copy
from common.ranks import on_first
from engine.checkpoint import CannotSave, Checkpoint, save_checkpoint
from engine.gradients import average_batch_statistics
from engine.runs import BEST, INTERRUPTED, Folders
from engine.state import RunState
from retrieval.ranking.results import Scores

logger = logging.getLogger("reid")


class Checkpoints:
    """Writes the run's checkpoints; each appears whole or not at all, and an old one goes only after a new one came.

    Args:
        folders: of the run.
        state: what is saved.
        every: epochs between checkpoints; the last epoch always has one.
        keep: how many of them stay.
        best: the score (a name in `Scores.metrics`) that decides which epoch is also `best.pt`.

    Example:
        >>> Checkpoints(folders, state, every=10, keep=2, best="mAP").attach(trainer)   # after evaluation
    """

    def __init__(self, folders: Folders, state: RunState, every: int, keep: int, best: str) -> None:
        self.folders, self.state, self.every, self.keep, self.best = folders, state, every, keep, best
        self._stepped, self._finished, self._saved = False, 0, 0

    def attach(self, engine: Engine) -> None:
        engine.add_event_handler(ReIDEvents.OPTIMIZER_STEP_COMPLETED, self._step)
        engine.add_event_handler(Events.ITERATION_COMPLETED, self._remember)
        engine.add_event_handler(Events.EPOCH_COMPLETED, self)

    def _step(self, _: Engine) -> None:
        self._stepped = True

    def _remember(self, engine: Engine) -> None:
        if self._stepped:  # gradients that wait for more batches cannot be saved
            self._finished, self._stepped = engine.state.iteration, False

    def __call__(self, engine: Engine) -> None:
        now: Any = engine.state
        scores: Scores | None = now.scores
        due = now.epoch % self.every == 0 or now.epoch == now.max_epochs
        better = False
        if scores is not None:
            self.state.scores = {"epoch": now.epoch, **scores.as_dict()}
            score = scores.metrics()[self.best]
            better = self.state.best is None or score > self.state.best
            if better:
                self.state.best = score
        if due or better:
            paths = [self.folders.epoch(now.epoch)] * due + [self.folders.checkpoints / BEST] * better
            self._save(self.state.capture(), paths)
            if due:
                self._tidy()

    def save_interrupted(self, engine: Engine) -> None:
        """The run as it is, perhaps in the middle of an epoch.

        Going on from it is exact in one process; of several, the running statistics of BatchNorm are averaged here,
        as otherwise at the end of an epoch.
        """
        path = self.folders.checkpoints / INTERRUPTED
        for network in self.state.networks():
            average_batch_statistics(network)
        self._save(self.state.capture(), [path])
        logger.info("saved %s; the same command goes on from here", path)

    def rescue(self) -> None:
        """After a failure, on process 0 and without the others: what was learned since the last checkpoint."""
        if idist.get_rank() == 0 and self._finished > self._saved:
            path = self.folders.checkpoints / INTERRUPTED
            try:
                save_checkpoint(self.state.capture(alone_at=self._finished), path)
            except (CannotSave, RuntimeError, MemoryError) as problem:  # what failed first is what must be told last
                logger.info("nothing could be saved: %s", problem)
                return
            without = f" without {self.state.lost}" if self.state.lost else ""
            logger.info("saved %s%s; once the cause is mended, the same command goes on from here", path, without)

    def _save(self, checkpoint: Checkpoint, paths: list[Path]) -> None:
        """Process 0 writes; when it cannot, all processes stop."""

        def write() -> None:
            save_checkpoint(checkpoint, paths[0])
            for path in paths[1:]:
                link_or_copy(paths[0], path)

        on_first(write)
        self._saved = checkpoint.training["iteration"]

    def _tidy(self) -> None:
        if idist.get_rank() == 0:
            for path in self.folders.epochs()[: -self.keep]:
                path.unlink()
            (self.folders.checkpoints / INTERRUPTED).unlink(missing_ok=True)
