"""What training says: means since the last line, and how fast it was."""

from __future__ import annotations

import json
import logging
import time
from pathlib import Path
from typing import Any

import pytest
import torch
from ignite.engine import Engine
from torch import nn

from engine.handlers.report import Report
from engine.handlers.throughput import Speed, Throughput
from engine.logs import MetricsFile
from tests.engine.toys import engine_of

LENGTH = 5


def outputs(iteration: int) -> dict[str, torch.Tensor]:
    """`identity` always, `late` from iteration 4 on, nothing at all in iteration 7."""
    values = {"identity": torch.tensor(float(iteration**2))}
    if iteration >= 4:
        values["late"] = torch.tensor(10.0 * iteration)
    return {} if iteration == 7 else values


def report_of(folder: Path, every: int) -> list[dict[str, Any]]:
    optimizer = torch.optim.SGD([{"params": [nn.Parameter(torch.zeros(1))], "lr": rate} for rate in (0.25, 0.5)])
    engine = engine_of(lambda engine, batch: outputs(engine.state.iteration))
    throughput = Throughput()
    throughput.attach(engine)
    with MetricsFile(folder / "logs" / "metrics.jsonl") as metrics:
        Report(metrics, throughput, optimizer, every).attach(engine)
        engine.run([[0, 0, 0]] * LENGTH, max_epochs=2)
    return [json.loads(line) for line in (folder / "logs" / "metrics.jsonl").read_text().splitlines()]


@pytest.mark.parametrize(("every", "due"), [(2, [2, 4, 5, 7, 9, 10]), (5, [5, 10]), (50, [5, 10]), (3, [3, 5, 8, 10])])
def test_means_since_the_last_line(tmp_path: Path, every: int, due: list[int]) -> None:
    lines = report_of(tmp_path, every)
    assert [line["iteration"] for line in lines] == due
    for line, begin in zip(lines, [0, *due], strict=False):
        window = [outputs(iteration) for iteration in range(begin + 1, line["iteration"] + 1)]
        for name in ("identity", "late"):
            values = [float(output[name]) for output in window if name in output]
            if values:
                assert line[name] == pytest.approx(sum(values) / len(values), abs=1e-6)
            else:
                assert name not in line
        assert (line["event"], line["lr"], line["epoch"]) == ("train", 0.5, 1 + (line["iteration"] - 1) // LENGTH)
        assert abs(line["time"] - time.time()) < 60
        assert line["images_per_second"] > 0
        assert 0 <= line["waiting_share"] <= 1


def test_lines(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "reid"):
        report_of(tmp_path, every=50)
    first, second = (record.getMessage() for record in caplog.records)
    assert first.startswith("epoch 1/2  5/5  identity 11.0000  late 45.0000  lr 5.00e-01  ")
    assert second.startswith("epoch 2/2  5/5  identity 70.2500  late 82.5000  lr 5.00e-01  ")
    assert "images/s (" in first
    assert first.endswith("% waiting for pictures)")


def test_the_metrics_file_is_appended_to(tmp_path: Path) -> None:
    for epoch in (1, 2):
        with MetricsFile(tmp_path / "m.jsonl") as metrics:
            metrics.write("evaluation", epoch=epoch, mAP=1 / 3)
    lines = [json.loads(line) for line in (tmp_path / "m.jsonl").read_text().splitlines()]
    assert [(line["epoch"], line["mAP"]) for line in lines] == [(1, 0.333333), (2, 0.333333)]


class Clock:
    """`time.perf_counter` that moves only when it is told to."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 100.0
        monkeypatch.setattr("engine.handlers.throughput.time.perf_counter", lambda: self.now)

    def sleep(self, seconds: float) -> None:
        self.now += seconds


def test_throughput_counts_pictures_and_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock(monkeypatch)

    class Slow:
        def __iter__(self) -> Any:
            for size in (8, 8, 4):
                clock.sleep(1.0)
                yield [0] * size

        def __len__(self) -> int:
            return 3

    def process(engine: Engine, batch: list[int]) -> None:
        clock.sleep(3.0)

    engine = engine_of(process)
    throughput = Throughput()
    throughput.attach(engine)
    from ignite.engine import Events

    engine.add_event_handler(Events.EPOCH_COMPLETED, lambda: clock.sleep(1000.0))  # an evaluation
    taken: list[Speed] = []
    engine.add_event_handler(Events.EPOCH_COMPLETED, lambda: taken.append(throughput.take()))
    engine.run(Slow(), max_epochs=2)
    for speed in taken:
        assert (speed.images, speed.seconds, speed.waiting) == (20, 12.0, 3.0)
        assert speed.images_per_second == 20 / 12
        assert speed.waiting_share == 0.25
    assert len(taken) == 2


def test_no_speed_without_time() -> None:
    assert (Speed().images_per_second, Speed().waiting_share) == (0.0, 0.0)
