"""The curriculum: weights by epoch, said aloud when they change."""

from __future__ import annotations

import logging
from typing import Any

import pytest
from ignite.engine import Engine

from configs.schema import Term
from engine.handlers.stages import Stages
from modeling.methods.method import Stage
from tests.engine.toys import Toy, engine_of


class Curriculum(Toy):
    def terms(self) -> dict[str, Term]:
        return {"identity": Term(weight=1.0, until_epoch=2), "late": Term(weight=0.5, from_epoch=2)}


def stages_of(seed: int = 3, start: int = 0) -> list[Stage]:
    """The stage of every iteration of three epochs of two."""
    seen: list[Stage] = []

    def process(engine: Engine, batch: int) -> None:
        state: Any = engine.state
        seen.append(state.stage)

    engine = engine_of(process)
    Stages(Curriculum(), epochs=3, seed=seed).attach(engine)
    if start:
        engine.load_state_dict({"iteration": start, "epoch_length": 2, "max_epochs": 3})
    engine.run(range(2), max_epochs=3, epoch_length=2)
    return seen


def test_weights_and_position() -> None:
    seen = stages_of()
    assert [(stage.epoch, stage.iteration, stage.epochs) for stage in seen] == [
        *((1, 1, 3), (1, 2, 3), (2, 3, 3)),
        *((2, 4, 3), (3, 5, 3), (3, 6, 3)),
    ]
    first, second, third = {"identity": 1, "late": 0}, {"identity": 1, "late": 0.5}, {"identity": 0, "late": 0.5}
    assert [dict(stage.weights) for stage in seen] == [first, first, second, second, third, third]


def test_changes_are_said_once(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "reid"):
        stages_of()
    assert [record.getMessage() for record in caplog.records] == [
        "epoch 1: loss weights now identity 1",
        "epoch 2: loss weights now late 0.5",
        "epoch 3: loss weights now identity 0",
    ]


def test_randomness_depends_on_seed_and_iteration_only() -> None:
    def draws(seed: int, start: int = 0) -> list[float]:
        return [stage.random.random() for stage in stages_of(seed, start)]

    whole = draws(3)
    assert len(set(whole)) == 6
    assert draws(3) == whole
    assert draws(3, start=3) == whole[3:]
    assert not set(draws(4)) & set(whole)
