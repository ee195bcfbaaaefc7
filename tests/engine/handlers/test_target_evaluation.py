"""When the target is evaluated, and what becomes of the scores."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

import pytest
from ignite.engine import Events

from engine.extraction import Stopped
from engine.handlers.target_evaluation import TargetEvaluation
from engine.logs import MetricsFile
from retrieval.ranking.results import Scores
from tests.engine.toys import engine_of, scores_of


def evaluated(
    folder: Path, every: int, epochs: int, start: int = 0, stopped_in: int | None = None
) -> tuple[list[int], list[float | None], list[dict[str, Any]]]:
    """The epochs of the calls, the score after each epoch (the start included), and what was written."""
    engine = engine_of()
    called: list[int] = []
    after: list[float | None] = []

    def evaluate() -> Scores:
        called.append(engine.state.epoch)
        if engine.state.epoch == stopped_in:
            raise Stopped
        return scores_of(engine.state.epoch / 10)

    def note() -> None:
        state: Any = engine.state
        after.append(None if state.scores is None else state.scores.mAP)

    with MetricsFile(folder / "metrics.jsonl") as metrics:
        TargetEvaluation(evaluate, every, metrics).attach(engine)
        engine.add_event_handler(Events.STARTED | Events.EPOCH_COMPLETED, note)
        if start:
            engine.load_state_dict({"iteration": start, "epoch_length": 2, "max_epochs": epochs})
        engine.run(range(2), max_epochs=epochs, epoch_length=2)
    return called, after, [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]


@pytest.mark.parametrize(
    ("every", "epochs", "expected"),
    [(2, 5, [0, 2, 4, 5]), (2, 4, [0, 2, 4]), (1, 3, [0, 1, 2, 3]), (0, 3, [0, 3]), (10, 3, [0, 3])],
)
def test_before_every_n_and_last(tmp_path: Path, every: int, epochs: int, expected: list[int]) -> None:
    called, after, lines = evaluated(tmp_path, every, epochs)
    assert called == expected
    assert after == [epoch / 10 if epoch in expected else None for epoch in range(epochs + 1)]
    assert [(line["event"], line["epoch"], line["mAP"]) for line in lines] == [
        ("evaluation", epoch, epoch / 10) for epoch in expected
    ]


def test_what_is_judged_on_is_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    engine = engine_of()
    facts = {"set": "validation", "dataset": "street-validation"}
    with MetricsFile(tmp_path / "metrics.jsonl") as metrics, caplog.at_level(logging.INFO, "reid"):
        TargetEvaluation(lambda: scores_of(0.5), 0, metrics, facts, "2 held-out people of street").attach(engine)
        engine.run([0], max_epochs=1)
    assert [record.getMessage() for record in caplog.records] == [
        f"epoch {epoch} on 2 held-out people of street: mAP 50.00  mAP_trap 50.00  mINP 50.00  rank-1 50.00"
        for epoch in (0, 1)
    ]
    lines = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    assert [(line["set"], line["dataset"]) for line in lines] == [("validation", "street-validation")] * 2


@pytest.mark.parametrize(("start", "expected"), [(1, [2, 4]), (2, [2, 4]), (4, [4])])
def test_going_on_does_not_evaluate_again_at_once(tmp_path: Path, start: int, expected: list[int]) -> None:
    called, after, _ = evaluated(tmp_path, 2, 4, start=start)
    assert called == [epoch for epoch in expected if epoch > start // 2]
    assert after[0] is None


def test_a_stopped_evaluation_leaves_no_scores(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "reid"):
        called, after, lines = evaluated(tmp_path, 1, 2, stopped_in=1)
    assert called == [0, 1, 2]
    assert after == [0.0, None, 0.2]
    assert [line["epoch"] for line in lines] == [0, 2]
    said = [record.getMessage() for record in caplog.records]
    assert said[1] == "evaluation left unfinished"
    assert said[2] == "epoch 2: mAP 20.00  mAP_trap 20.00  mINP 20.00  rank-1 20.00"
