"""A loss that is no number stops the run before it reaches the weights."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from common.contracts import Batch
from common.errors import UserError
from common.events import ReIDEvents
from engine.handlers.nonfinite import NonFiniteLoss
from modeling.methods.method import Stage, Update
from tests.engine.toys import Scripted, assert_same, batch_of, trainer_of, weights_of


def script(method: Scripted, batch: Batch, stage: Stage) -> Iterator[Update]:
    mean = method.logits(batch).mean()
    yield Update({"fine": mean, "broken": mean * (bad if stage.iteration == 2 else 1.0)})


bad = float("nan")


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
@pytest.mark.parametrize("size", [3, 6])
def test_stops_before_the_weights_move(monkeypatch: pytest.MonkeyPatch, value: float, size: int) -> None:
    monkeypatch.setitem(globals(), "bad", value)
    method = Scripted(script)
    trainer, _ = trainer_of(method)
    NonFiniteLoss(lambda row: Path(f"/pictures/{row}.jpg")).attach(trainer)
    steps: list[dict[str, torch.Tensor]] = []
    trainer.add_event_handler(ReIDEvents.OPTIMIZER_STEP_COMPLETED, lambda: steps.append(weights_of(method)))
    trainer.logger.disabled = True
    with pytest.raises(UserError) as refusal:
        trainer.run([batch_of(size, seed) for seed in range(4)], max_epochs=1)
    assert len(steps) == 1
    assert_same(weights_of(method), steps[0])
    said = str(refusal.value)
    assert said.startswith("the loss is not finite in epoch 1, iteration 2 (fine ")
    assert ", broken " in said
    files = ", ".join(f"/pictures/{row}.jpg" for row in range(min(size, 4)))
    assert f"the batch holds {files} and {max(size - 4, 0)} more." in said


def test_finite_losses_pass() -> None:
    method = Scripted(lambda method, batch, stage: iter([Update({"large": method.logits(batch).mean() * 1e30})]))
    trainer, _ = trainer_of(method)
    NonFiniteLoss(lambda row: Path("x")).attach(trainer)
    trainer.run([batch_of(3)], max_epochs=1)
    assert trainer.state.iteration == 1
