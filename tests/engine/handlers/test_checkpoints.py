"""Which checkpoints are written, which stay, and which is the best."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import pytest
import torch
from ignite.engine import Engine, Events

import engine.handlers.checkpoints as module
from common.errors import UserError
from engine.amp import Amp
from engine.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from engine.handlers.checkpoints import Checkpoints
from engine.runs import Folders
from engine.state import RunState
from tests.engine.toys import CPU, Toy, batch_of, scores_of, trainer_of


class Run:
    """A run of two batches an epoch whose evaluations give the scores of a list; None: not evaluated."""

    def __init__(self, folder: Path, scores: list[float | None], every: int = 1, keep: int = 2) -> None:
        method = Toy()
        amp = Amp("O0", torch.float32, CPU)
        self.trainer, optimizers = trainer_of(method, amp)
        self.folders = Folders(folder / "checkpoints", folder / "logs")
        self.folders.make()
        self.state = RunState(method, optimizers, amp, self.trainer, {"name": "toy"})
        self.checkpoints = Checkpoints(self.folders, self.state, every, keep, best="mAP")
        self.epochs = len(scores)
        self.after: list[list[str]] = []

        def evaluate(engine: Engine) -> None:
            state: Any = engine.state
            value = scores[state.epoch - 1]
            state.scores = None if value is None else scores_of(value)

        self.trainer.add_event_handler(Events.EPOCH_COMPLETED, evaluate)
        self.checkpoints.attach(self.trainer)
        self.trainer.add_event_handler(Events.EPOCH_COMPLETED, lambda: self.after.append(self.there()))

    def there(self) -> list[str]:
        return sorted(path.stem.removeprefix("epoch_") for path in self.folders.checkpoints.iterdir())

    def go(self) -> Run:
        self.trainer.run([batch_of(4), batch_of(4, 1)], max_epochs=self.epochs)
        return self

    def card(self, name: str) -> dict[str, Any]:
        return load_checkpoint(self.folders.checkpoints / f"{name}.pt").card


def test_every_and_keep(tmp_path: Path) -> None:
    run = Run(tmp_path, [None] * 6 + [0.5], every=2, keep=2).go()
    assert run.after == [
        [],
        ["0002"],
        ["0002"],
        ["0002", "0004"],
        ["0002", "0004"],
        ["0004", "0006"],
        ["0006", "0007", "best"],  # the last epoch always has one
    ]
    assert run.card("epoch_0006")["epoch"] == 6
    assert (run.card("epoch_0006")["finished"], run.card("epoch_0007")["finished"]) == (False, True)


def test_best_only_when_better(tmp_path: Path) -> None:
    scores = [0.2, 0.5, 0.5, None, 0.1, 0.6]
    run = Run(tmp_path, scores, keep=1)
    best: list[tuple[int, float]] = []

    def look() -> None:
        card = run.card("best")
        best.append((card["epoch"], card["scores"]["mAP"]))

    run.trainer.add_event_handler(Events.EPOCH_COMPLETED, look)
    run.go()
    assert best == [(1, 0.2), (2, 0.5), (2, 0.5), (2, 0.5), (2, 0.5), (6, 0.6)]
    assert run.there() == ["0006", "best"]
    assert run.state.best == 0.6


def test_best_between_the_due_epochs(tmp_path: Path) -> None:
    run = Run(tmp_path, [0.1, 0.2, 0.9, 0.3], every=2, keep=5).go()
    assert run.there() == ["0002", "0004", "best"]
    assert run.card("best")["epoch"] == 3
    assert run.card("best")["scores"] == {"epoch": 3, **scores_of(0.9).as_dict()}
    assert run.card("epoch_0004")["scores"]["epoch"] == 4
    assert load_checkpoint(run.folders.epoch(4)).training["best"] == 0.9


def test_a_best_score_of_zero_counts(tmp_path: Path) -> None:
    run = Run(tmp_path, [0.0, 0.0]).go()
    assert run.card("best")["epoch"] == 1


def test_best_is_the_same_file_and_outlives_it(tmp_path: Path) -> None:
    run = Run(tmp_path, [0.5, 0.1, 0.1, 0.1], keep=1)
    linked: list[bool] = []
    run.trainer.add_event_handler(
        Events.EPOCH_COMPLETED(once=1),
        lambda: linked.append((run.folders.checkpoints / "best.pt").samefile(run.folders.epoch(1))),
    )
    run.go()
    assert linked == [True]
    assert run.there() == ["0004", "best"]
    assert run.card("best")["epoch"] == 1


def test_going_on_knows_the_best_so_far(tmp_path: Path) -> None:
    run = Run(tmp_path, [0.4, 0.5])
    run.state.best = 0.45
    run.go()
    assert run.card("best")["epoch"] == 2


def test_interrupted_goes_when_the_next_one_came(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    run = Run(tmp_path, [0.1, 0.2, 0.3, None], every=4)
    with caplog.at_level(logging.INFO, "reid"):
        run.trainer.add_event_handler(Events.ITERATION_COMPLETED(once=1), run.checkpoints.save_interrupted)
        run.go()
    assert run.after == [["best", "interrupted"]] * 3 + [["0004", "best"]]
    assert any(
        record.getMessage() == f"saved {run.folders.checkpoints / 'interrupted.pt'}; the same command goes on from here"
        for record in caplog.records
    )


def test_interrupted_holds_the_position(tmp_path: Path) -> None:
    run = Run(tmp_path, [None])
    run.trainer.add_event_handler(Events.ITERATION_COMPLETED(once=1), run.checkpoints.save_interrupted)
    seen: list[int] = []
    run.trainer.add_event_handler(
        Events.ITERATION_COMPLETED(once=1),
        lambda: seen.append(load_checkpoint(run.folders.checkpoints / "interrupted.pt").training["iteration"]),
    )
    run.go()
    assert seen == [1]


def test_an_old_checkpoint_stays_when_the_new_one_cannot_be_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = Run(tmp_path, [None] * 3, keep=1)

    def full(checkpoint: Checkpoint, path: Path) -> None:
        if path.stem == "epoch_0002":
            raise UserError("the disk is full")
        save_checkpoint(checkpoint, path)

    monkeypatch.setattr(module, "save_checkpoint", full)
    run.trainer.logger.disabled = True
    with pytest.raises(UserError, match="the disk is full"):
        run.go()
    assert run.there() == ["0001"]
