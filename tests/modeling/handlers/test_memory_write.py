"""When the memory is written, with what momentum, and with whose features."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

import modeling.handlers.memory_write as module
from common.contracts import Batch
from common.events import ReIDEvents
from modeling.handlers.memory_write import FEATURES, ROWS, MemoryWrite
from modeling.memory import ExemplarMemory
from modeling.methods.method import Stage, Update
from tests.engine.toys import Scripted, batch_of, engine_of, trainer_of

SEEN = [[0, 1], [1, 2]]


def features_of(batch: Batch) -> Tensor:
    return torch.stack([F.normalize(batch.images[k].flatten()[:4], dim=0) for k in range(2)])


def trained(memory: ExemplarMemory, epochs: int, *, kept: bool = True) -> tuple[list[Tensor], list[Tensor]]:
    """Rows when the losses are computed and after each backward pass; momentum 0 in epoch 1, 0.6 later."""
    batches = [batch_of(8, seed) for seed in range(2)]
    before: list[Tensor] = []
    after: list[Tensor] = []

    def script(method: Scripted, batch: Batch, stage: Stage) -> Iterator[Update]:
        rows = torch.tensor(SEEN[(stage.iteration - 1) % 2])
        found: Mapping[str, Tensor] = {FEATURES: 3 * features_of(batch), ROWS: rows} if kept else {}
        yield Update({"identity": method.logits(batch).square().mean()}, kept=found)

    trainer, _ = trainer_of(Scripted(script))
    trainer.add_event_handler(ReIDEvents.LOSSES_COMPUTED, lambda: before.append(memory.rows.clone()))
    MemoryWrite(memory, lambda epoch: 0.0 if epoch == 1 else 0.6).attach(trainer)
    trainer.add_event_handler(ReIDEvents.BACKWARD_COMPLETED, lambda: after.append(memory.rows.clone()))
    trainer.run(batches, max_epochs=epochs)
    return before, after


def memory_of(rows: int = 4) -> ExemplarMemory:
    return ExemplarMemory(torch.zeros(rows, dtype=torch.int64), 4)


def test_rows_are_replaced_in_the_first_epoch_and_averaged_later() -> None:
    memory = memory_of()
    before, after = trained(memory, 3)
    expected = torch.zeros(4, 4)
    filled: set[int] = set()
    for iteration in range(6):
        assert torch.equal(before[iteration], after[iteration - 1] if iteration else torch.zeros(4, 4))
        momentum = 0.0 if iteration < 2 else 0.6
        for row, feature in zip(SEEN[iteration % 2], features_of(batch_of(8, iteration % 2)), strict=True):
            keep = momentum if row in filled else 0.0
            expected[row] = F.normalize(keep * expected[row] + (1 - keep) * feature, dim=0)
            filled.add(row)
        torch.testing.assert_close(after[iteration], expected)
    assert memory.filled.tolist() == [True, True, True, False]


def test_a_row_met_first_after_the_first_epoch_is_taken_as_it_is() -> None:
    memory = memory_of()
    memory.rows[0], memory.filled[0] = torch.tensor([1.0, 0, 0, 0]), True
    handler = MemoryWrite(memory, lambda epoch: 0.6)
    feature = torch.tensor([[0.0, 2.0, 0.0, 0.0]])
    for row in (0, 3):
        handler(engine_with({FEATURES: feature, ROWS: torch.tensor([row])}))
    torch.testing.assert_close(memory.rows[0], F.normalize(torch.tensor([0.6, 0.4, 0, 0]), dim=0))
    torch.testing.assert_close(memory.rows[3], torch.tensor([0.0, 1.0, 0.0, 0.0]))


def test_what_other_processes_have_seen_is_written_too(monkeypatch: pytest.MonkeyPatch) -> None:
    """Process 1 saw row 2, and row 0 as process 0 did: the mean of both."""
    others = {torch.float32: torch.tensor([[0.0, 0, 1, 0], [0, 1.0, 0, 0]]), torch.int64: torch.tensor([2, 0])}
    monkeypatch.setattr(module, "gather_rows", lambda mine: torch.cat([mine, others[mine.dtype]]))
    memory = memory_of()
    own = {FEATURES: torch.tensor([[5.0, 0, 0, 0]]), ROWS: torch.tensor([0])}
    MemoryWrite(memory, lambda epoch: 0.0)(engine_with(own))
    torch.testing.assert_close(memory.rows[0], F.normalize(torch.tensor([1.0, 1, 0, 0]), dim=0))
    torch.testing.assert_close(memory.rows[2], others[torch.float32][0])
    assert memory.filled.tolist() == [True, False, True, False]
    apart = memory_of()
    MemoryWrite(apart, lambda epoch: 0.0, sync=False)(engine_with(own))
    assert apart.filled.tolist() == [True, False, False, False]


@pytest.mark.parametrize("sync", [True, False])
def test_memories_that_drift_apart_are_noticed(sync: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    memory, others = memory_of(), memory_of()
    memory.rows[0, 0] = others.rows[1, 0] = 1.0  # the same numbers in other rows
    theirs = others.checksum()
    assert theirs is not None
    monkeypatch.setattr(module, "gather_rows", lambda mine: torch.cat([mine, theirs]))
    engine = engine_of()
    MemoryWrite(memory, lambda epoch: 0.0, sync=sync).attach(engine)
    told = pytest.raises(RuntimeError, match="memories differ") if sync else contextlib.nullcontext()
    with told:
        engine.run(range(2), max_epochs=1)


def test_updates_without_features_leave_it_alone() -> None:
    memory = memory_of()
    trained(memory, 1, kept=False)
    assert not memory.filled.any()
    assert not memory.rows.any()


def test_the_epoch_decides_the_momentum() -> None:
    asked: list[int] = []

    def momentum(epoch: int) -> float:
        asked.append(epoch)
        return 0.0

    handler = MemoryWrite(memory_of(), momentum)
    for epoch in (1, 2, 7):
        handler(engine_with({FEATURES: torch.ones(1, 4), ROWS: torch.tensor([0])}, epoch))
    assert asked == [1, 2, 7]


def engine_with(kept: Mapping[str, Tensor], epoch: int = 2) -> Any:
    """An engine in the middle of an update."""
    trainer, _ = trainer_of(Scripted(lambda *_: iter(())))
    state: Any = trainer.state
    state.epoch, state.update = epoch, Update({}, kept=kept)
    return trainer
