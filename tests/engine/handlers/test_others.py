"""Handlers of a few lines: the order of an epoch, preparing batches, curves, the bar."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from ignite.engine import Engine, Events
from torch import nn

from common.contracts import Batch
from common.events import ReIDEvents
from data.loader import RawBatch
from data.samplers import EpochBatches, RandomBatches
from data.training_set import TrainingSet
from data.transforms import Preprocessing
from engine.handlers.batch_statistics import BatchStatistics
from engine.handlers.epoch_order import EpochOrder
from engine.handlers.prepare import PrepareBatch
from engine.handlers.progress import EVERY, Progress
from engine.handlers.tensorboard import Curves
from tests.engine.toys import CPU, dataset_of, engine_of, scores_of


class Rows:
    """A loader that gives the rows of its batches."""

    def __init__(self, batches: EpochBatches) -> None:
        self.batches = batches

    def __iter__(self) -> Iterator[list[int]]:
        return ([key.row for key in keys] for keys in self.batches)

    def __len__(self) -> int:
        return len(self.batches)


def rows_of_a_run(start: int = 0, stop: int | None = None) -> list[list[int]]:
    batches = RandomBatches(np.arange(10), size=2, seed=1)
    seen: list[list[int]] = []
    engine = engine_of(lambda engine, batch: seen.append(batch))
    EpochOrder(batches).attach(engine)
    if stop:
        engine.add_event_handler(Events.ITERATION_COMPLETED(once=stop), lambda: engine.terminate())
    if start:
        engine.load_state_dict({"iteration": start, "epoch_length": 5, "max_epochs": 3})
    engine.run(Rows(batches), max_epochs=3, epoch_length=5)
    return seen


def test_every_epoch_has_its_order() -> None:
    rows = rows_of_a_run()
    epochs = [[row for batch in rows[first : first + 5] for row in batch] for first in (0, 5, 10)]
    assert [sorted(epoch) for epoch in epochs] == [list(range(10))] * 3
    assert epochs[0] != epochs[1] != epochs[2] != epochs[0]


@pytest.mark.parametrize("start", [1, 4, 5, 7, 14])
def test_going_on_sees_what_is_left(start: int) -> None:
    assert rows_of_a_run(stop=start) + rows_of_a_run(start=start) == rows_of_a_run()


def test_a_batch_is_prepared_from_its_rows(tmp_path: Path) -> None:
    training_set = TrainingSet.of([dataset_of(tmp_path).train])
    preparing = PrepareBatch(training_set, Preprocessing(4, 2, (0.5, 0.25, 0.0), (0.5, 0.5, 1.0)), CPU)
    raw = RawBatch(torch.full((2, 4, 2, 3), 51, dtype=torch.uint8), torch.tensor([10, 4]), torch.ones(2, 7).long())
    engine = engine_of(lambda engine, batch: batch)
    preparing.attach(engine)
    engine.run([raw], max_epochs=1)
    batch: Any = engine.state.output
    assert isinstance(batch, Batch)
    assert batch.images.shape == (2, 3, 4, 2)
    torch.testing.assert_close(batch.images[0, :, 0, 0], torch.tensor([-0.6, -0.1, 0.2]))
    assert batch.labels.tolist() == [0, 2]
    assert batch.camids.tolist() == [1, 1]
    assert batch.clothes.tolist() == [-1, -1]
    assert batch.index.tolist() == [10, 4]
    assert batch.domain.tolist() == [0, 0]
    assert batch.geometry.tolist() == [[1] * 7] * 2

    preparing.facts.labels[4] = 1  # pseudo-labels
    assert preparing.prepare(raw).labels.tolist() == [0, 1]


def test_batch_statistics_of_one_process_stay() -> None:
    network = nn.BatchNorm1d(2)
    network.running_mean.copy_(torch.tensor([1.0, 2.0]))  # type: ignore[union-attr]
    engine = engine_of()
    BatchStatistics(network).attach(engine)
    engine.run([0], max_epochs=1)
    assert network.running_mean.tolist() == [1.0, 2.0]  # type: ignore[union-attr]


def test_curves_are_written(tmp_path: Path) -> None:
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=0.125)
    engine = engine_of()

    def report(engine: Engine) -> None:
        state: Any = engine.state
        state.report = {"identity": float(state.iteration), "lr": 0.125}
        engine.fire_event(ReIDEvents.REPORTED)

    def evaluate(engine: Engine) -> None:
        state: Any = engine.state
        state.scores = None if state.epoch == 1 else scores_of(0.5)

    engine.add_event_handler(Events.STARTED | Events.EPOCH_COMPLETED, evaluate)
    engine.add_event_handler(Events.ITERATION_COMPLETED(every=2), report)
    curves = Curves(tmp_path, optimizer)
    written: dict[str, list[tuple[float, int]]] = {}
    add = curves.board.writer.add_scalar

    def spy(tag: str, value: Any, step: int) -> None:
        written.setdefault(tag, []).append((float(value), step))
        add(tag, value, step)

    curves.board.writer.add_scalar = spy
    curves.attach(engine)
    engine.run(range(4), max_epochs=2)
    curves.close()
    assert written["train/identity"] == [(2, 2), (4, 4), (6, 6), (8, 8)]
    assert written["lr/group_0"] == [(0.125, step) for step in (2, 4, 6, 8)]
    assert "train/lr" not in written
    assert written["target/mAP"] == written["target/rank-1"] == [(0.5, 0), (0.5, 2)]
    [events] = tmp_path.glob("events.*")
    assert b"target/mAP" in events.read_bytes()


def test_the_bar_on_a_terminal(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    engine = engine_of(lambda engine, batch: {"identity": torch.tensor(0.5), "note": "x"})
    Progress("epoch").attach(engine)
    engine.run(range(3), max_epochs=2)
    said = capsys.readouterr().err
    assert "epoch" in said
    assert "identity=0.500" in said


def test_the_bar_without_losses(capsys: pytest.CaptureFixture[str]) -> None:
    engine = engine_of(lambda engine, batch: None)
    Progress("features").attach(engine)
    engine.run(range(3), max_epochs=1)
    assert "features" in capsys.readouterr().err


def test_the_bar_reads_losses_rarely() -> None:
    progress = Progress("epoch")
    shown = [progress._numbers({"identity": torch.tensor(float(n))}) for n in range(2 * EVERY)]
    assert shown == [{"identity": "0.000"}] * EVERY + [{"identity": f"{EVERY}.000"}] * EVERY
