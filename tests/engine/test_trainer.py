"""The training step: what happens in which order, and which parameters move."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from ignite.engine import Engine, Events
from torch import Tensor

from common.contracts import Batch
from common.events import ReIDEvents
from engine.amp import Amp
from engine.trainer import parameters_of
from modeling.methods.method import Stage, Update
from tests.engine.toys import (
    CPU,
    Scripted,
    ThreeSteps,
    Toy,
    assert_same,
    batch_of,
    config_of,
    parts_of,
    trainer_of,
    weights_of,
)

LEVELS = ["O0", "O1", "O2"]


def amp_of(level: str) -> Amp:
    return Amp(level, torch.bfloat16, CPU)


def test_events_of_an_iteration_in_order() -> None:
    method = ThreeSteps()
    trainer, _ = trainer_of(method)
    heard: list[tuple[str, tuple[str, ...]]] = []

    def hear(engine: Engine, name: str) -> None:
        state: Any = engine.state
        heard.append((name, state.update.optimizers if name in inside else ()))

    inside = [event.value for event in ReIDEvents]
    for event in [*ReIDEvents, Events.ITERATION_STARTED, Events.ITERATION_COMPLETED]:
        trainer.add_event_handler(event, hear, event.value)
    trainer.run([batch_of(6)], max_epochs=1)
    steps = [
        (moment, (optimizer,))
        for optimizer in ("first", "second", "main")
        for moment in ("losses_computed", "backward_completed", "optimizer_step_completed")
    ]
    assert heard == [("iteration_started", ()), *steps, ("iteration_completed", ())]


def test_moments_see_gradients_and_steps_as_promised() -> None:
    method = Toy()
    trainer, _ = trainer_of(method)
    weight = method.head.weight
    before = weight.detach().clone()
    seen: dict[str, tuple[bool, bool]] = {}
    for event in ReIDEvents:
        trainer.add_event_handler(
            event,
            lambda _, name: seen.update({name: (weight.grad is not None, torch.equal(weight, before))}),
            event.value,
        )
    trainer.run([batch_of(6)], max_epochs=1)
    assert seen == {
        "losses_computed": (False, True),
        "backward_completed": (True, True),
        "optimizer_step_completed": (False, False),
    }


def test_gradients_reach_only_the_optimizers_of_the_update() -> None:
    method = ThreeSteps()
    trainer, optimizers = trainer_of(method)
    reached: list[set[str]] = []
    trainer.add_event_handler(
        ReIDEvents.BACKWARD_COMPLETED,
        lambda: reached.append({name for name, p in method.named_parameters() if p.grad is not None}),
    )
    trainer.run([batch_of(6)], max_epochs=1)
    main = {"embedder.linear.weight", "embedder.linear.bias", "head.weight", "head.bias"}
    assert reached == [{"first.weight", "first.bias"}, {"second.weight", "second.bias"}, main]
    assert all(p.grad is None for one in optimizers.values() for p in parameters_of(one))


@pytest.mark.parametrize("level", LEVELS)
def test_what_follows_an_update_sees_it_and_leaves_it_alone(level: str) -> None:
    torch.manual_seed(0)
    method = ThreeSteps()
    trainer, _ = trainer_of(method, amp_of(level))
    before = weights_of(method)
    trainer.run([batch_of(6)], max_epochs=1)
    after = weights_of(method)
    assert not torch.equal(method.seen[0], before["first.weight"])
    assert torch.equal(method.seen[0], after["first.weight"])
    assert all(not torch.equal(before[name], after[name]) for name in before)


def test_three_optimizers_by_hand() -> None:
    torch.manual_seed(0)
    method, twin, batch = ThreeSteps(), ThreeSteps(), batch_of(6)
    twin.load_state_dict(method.state_dict())
    trainer, _ = trainer_of(method)
    trainer.run([batch], max_epochs=2)

    for _ in range(2):
        vectors = twin.embedder(batch.images).vector
        for head in (twin.first, twin.second):
            loss = F.cross_entropy(head(vectors.detach()), batch.clothes)
            _descend(loss, list(head.parameters()))
        loss = F.cross_entropy(twin.head(vectors), batch.labels) - F.cross_entropy(twin.first(vectors), batch.clothes)
        _descend(loss, [*twin.embedder.parameters(), *twin.head.parameters()])
    assert_same(weights_of(method), weights_of(twin), exact=False)


def _descend(loss: Tensor, parameters: list[torch.nn.Parameter]) -> None:
    for parameter, grad in zip(parameters, torch.autograd.grad(loss, parameters), strict=True):
        parameter.data -= 0.1 * grad


@pytest.mark.parametrize("level", ["O0", "O2"])
def test_accumulation_equals_a_batch_as_large(level: str) -> None:
    torch.manual_seed(0)
    large = batch_of(24)
    method, twin = Toy(), Toy()
    twin.load_state_dict(method.state_dict())
    amp, twin_amp = amp_of(level), amp_of(level)
    trainer, _ = trainer_of(method, amp, accumulate=4)
    trainer.run(parts_of(large, 8), max_epochs=3)
    other, _ = trainer_of(twin, twin_amp)
    other.run(parts_of(large, 2), max_epochs=3)
    tolerance = 1e-6 if level == "O0" else 3e-3  # in bfloat16 the sums round differently
    one, two = amp.float32_state(method), twin_amp.float32_state(twin)
    for name in one:
        torch.testing.assert_close(one[name], two[name], rtol=0, atol=tolerance)


def test_windows_end_with_the_epoch() -> None:
    method = Toy()
    trainer, _ = trainer_of(method, accumulate=2)
    stepped: list[int] = []
    trainer.add_event_handler(
        ReIDEvents.OPTIMIZER_STEP_COMPLETED, lambda engine: stepped.append(engine.state.iteration)
    )
    left: list[bool] = []
    trainer.add_event_handler(Events.EPOCH_COMPLETED, lambda: left.append(method.head.weight.grad is not None))
    trainer.run(parts_of(batch_of(15), 5), max_epochs=2)
    assert stepped == [2, 4, 5, 7, 9, 10]
    assert left == [False, False]


def test_clipping_bounds_the_norm_of_what_is_applied() -> None:
    torch.manual_seed(0)
    batch = batch_of(6)

    def moved(clip: float | None, level: str = "O0", scale: bool | None = None) -> tuple[float, Tensor]:
        torch.manual_seed(0)
        method = Toy()
        dtype = torch.float16 if scale else torch.bfloat16
        amp = Amp(level, dtype, CPU, scale=scale)
        trainer, _ = trainer_of(method, amp, config_of(optimizer={"lr": 1.0}), clip_norm=clip)
        before = torch.cat([p.detach().clone().flatten() for p in method.parameters()])
        trainer.run([batch], max_epochs=1)
        step = torch.cat([p.detach().flatten() for p in method.parameters()]) - before
        return float(step.norm()), step

    free, direction = moved(None)
    assert free > 0.1
    clipped, step = moved(0.01)
    assert clipped == pytest.approx(0.01, rel=1e-3)
    torch.testing.assert_close(step / clipped, direction / free, rtol=0, atol=1e-4)
    assert moved(100.0)[0] == pytest.approx(free)
    assert moved(0.01, "O1", scale=True)[0] == pytest.approx(0.01, rel=1e-2)  # unscaled before it is clipped


def test_each_optimizer_is_clipped_by_itself() -> None:
    torch.manual_seed(0)
    method = ThreeSteps()
    trainer, _ = trainer_of(method, config=config_of(optimizer={"lr": 1.0}), clip_norm=0.01)
    before = weights_of(method)
    trainer.run([batch_of(6)], max_epochs=1)
    after = weights_of(method)
    for group in (["first"], ["second"], ["embedder", "head"]):
        names = [name for name in before if name.split(".")[0] in group]
        norm = torch.cat([(after[name] - before[name]).flatten() for name in names]).norm()
        assert float(norm) == pytest.approx(0.01, rel=1e-3)


def test_output_is_detached_and_complete() -> None:
    method = ThreeSteps()
    trainer, _ = trainer_of(method)
    trainer.run([batch_of(6)], max_epochs=1)
    output: Any = trainer.state.output
    assert list(output) == ["first", "second", "identity", "against"]
    assert not any(value.requires_grad for value in output.values())


def test_metrics_are_told_and_not_differentiated() -> None:
    def script(method: Scripted, batch: Batch, stage: Stage) -> Iterator[Update]:
        logits = method.logits(batch)
        yield Update({"identity": F.cross_entropy(logits, batch.labels)}, metrics={"logit": 1e6 * logits.mean()})

    torch.manual_seed(0)
    method, twin = Scripted(script), Toy()
    twin.load_state_dict(method.state_dict())
    for one in (method, twin):
        trainer, _ = trainer_of(one)
        trainer.run([batch_of(6)], max_epochs=1)
        if one is method:
            output: Any = trainer.state.output
            assert set(output) == {"identity", "logit"}
            assert not output["logit"].requires_grad
    assert_same(weights_of(method), weights_of(twin))


@pytest.mark.parametrize("scale", [False, True])
def test_an_update_without_losses_is_skipped(scale: bool) -> None:
    def script(method: Scripted, batch: Batch, stage: Stage) -> Iterator[Update]:
        yield Update({}, metrics={"ignored": torch.tensor(1.0)})

    method = Scripted(script)
    amp = Amp("O1", torch.float16, CPU, scale=True) if scale else amp_of("O0")
    trainer, _ = trainer_of(method, amp)
    heard: list[str] = []
    for event in ReIDEvents:
        trainer.add_event_handler(event, lambda name: heard.append(name), event.value)
    before = weights_of(method)
    trainer.run([batch_of(6)], max_epochs=1)
    output: Any = trainer.state.output
    assert (heard, output) == ([], {})
    assert_same(weights_of(method), before)


def test_a_parameter_the_graph_does_not_reach_is_no_error() -> None:
    def script(method: Scripted, batch: Batch, stage: Stage) -> Iterator[Update]:
        yield Update({"embedder": method.embedder(batch.images).vector.square().mean()})

    method = Scripted(script)
    trainer, _ = trainer_of(method)
    before = weights_of(method)
    trainer.run([batch_of(6)], max_epochs=1)
    after = weights_of(method)
    assert torch.equal(before["head.weight"], after["head.weight"])
    assert not torch.equal(before["embedder.linear.weight"], after["embedder.linear.weight"])


@pytest.mark.parametrize(("level", "dtype"), [("O0", torch.float32), ("O1", torch.bfloat16)])
def test_forward_runs_under_autocast_and_backward_outside(level: str, dtype: torch.dtype) -> None:
    seen: list[torch.dtype] = []
    enabled: list[bool] = []

    def script(method: Scripted, batch: Batch, stage: Stage) -> Iterator[Update]:
        for name in ("identity", "again"):
            logits = method.logits(batch)
            seen.append(logits.dtype)
            yield Update({name: F.cross_entropy(logits.float(), batch.labels)})

    trainer, _ = trainer_of(Scripted(script), amp_of(level))
    for event in ReIDEvents:
        trainer.add_event_handler(event, lambda: enabled.append(torch.is_autocast_enabled("cpu")))
    trainer.run([batch_of(6)], max_epochs=1)
    assert seen == [dtype, dtype]
    assert enabled == [False] * 6


def test_training_mode_returns_after_an_evaluation() -> None:
    method = Toy()
    trainer, _ = trainer_of(method)
    modes: list[bool] = []
    trainer.add_event_handler(ReIDEvents.LOSSES_COMPUTED, lambda: modes.append(method.training))
    trainer.add_event_handler(Events.EPOCH_COMPLETED, lambda: method.embedder.eval() and None)
    trainer.add_event_handler(ReIDEvents.LOSSES_COMPUTED, lambda: modes.append(method.embedder.training))
    trainer.run([batch_of(6)], max_epochs=2)
    assert modes == [True] * 4
