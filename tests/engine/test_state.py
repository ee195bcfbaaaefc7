"""A run that was saved, and put into fresh objects, goes on as if nothing had happened."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from ignite.engine import Engine, Events
from ignite.handlers import EMAHandler
from torch import nn

from engine.amp import Amp
from engine.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from engine.state import RunState
from modeling.methods.method import Method
from tests.engine.toys import CPU, ThreeSteps, Toy, ToyEmbedder, assert_same, batch_of, config_of, trainer_of

LENGTH, EPOCHS = 5, 4
BATCHES = [batch_of(6, seed) for seed in range(LENGTH)]


class Normed(ToyEmbedder):
    """With running statistics, which belong to the state as well."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Sequential(nn.Linear(12, 4), nn.BatchNorm1d(4))  # type: ignore[assignment]


class Noisy(Toy):
    """With dropout."""

    def __init__(self) -> None:
        super().__init__(noise=0.5)
        self.embedder = Normed()


def run_of(method: Method, level: str, ema: bool = False, optimizer: str = "sgd") -> RunState:
    config = config_of(optimizer={"name": optimizer, "momentum": 0.9, "lr": 0.05})
    amp = Amp(level, torch.bfloat16, CPU)
    trainer, optimizers = trainer_of(method, amp, config)
    averaged = EMAHandler(method.embedder, 0.3, handle_buffers="update") if ema else None
    if averaged is not None:
        averaged.attach(trainer)
    return RunState(method, optimizers, amp, trainer, {"name": "toy"}, averaged)


def stop_at(trainer: Engine, iteration: int) -> None:
    trainer.add_event_handler(
        Events.ITERATION_COMPLETED(once=iteration), lambda engine: engine.terminate(skip_completed=True)
    )


def start(state: RunState) -> None:
    state.trainer.run(BATCHES, max_epochs=EPOCHS, epoch_length=LENGTH)


def go_on(state: RunState, checkpoint: Checkpoint) -> None:
    state.restore(checkpoint)
    iteration = checkpoint.training["iteration"]
    state.trainer.load_state_dict({"iteration": iteration, "epoch_length": LENGTH, "max_epochs": EPOCHS})
    # The sampler's work: inside an epoch the loader begins where it was left.
    offset = iteration % LENGTH
    state.trainer.run(BATCHES[offset:] + BATCHES[:offset], max_epochs=EPOCHS, epoch_length=LENGTH)


@pytest.mark.parametrize(
    ("kind", "level", "ema", "optimizer"),
    [
        (Noisy, "O0", False, "sgd"),
        (Noisy, "O0", True, "adam"),
        (Noisy, "O1", False, "adam"),
        (Noisy, "O2", False, "adam"),
        (Noisy, "O2", False, "sgd"),
        (ThreeSteps, "O2", False, "sgd"),
    ],
)
@pytest.mark.parametrize("stopped", [7, 10])
def test_going_on_is_exact(
    tmp_path: Path, kind: type[Toy], level: str, ema: bool, optimizer: str, stopped: int
) -> None:
    def fresh(seed: int) -> RunState:
        torch.manual_seed(seed)
        return run_of(kind(), level, ema, optimizer)

    whole = fresh(0)
    start(whole)

    first = fresh(0)
    stop_at(first.trainer, stopped)
    start(first)
    assert first.trainer.state.iteration == stopped
    first.best, first.scores = 0.25, {"epoch": 1, "mAP": 0.25}
    path = tmp_path / "x.pt"
    save_checkpoint(first.capture(), path)

    second = fresh(1)
    torch.rand(100)
    checkpoint = load_checkpoint(path)
    go_on(second, checkpoint)
    assert (second.best, second.scores) == (0.25, {"epoch": 1, "mAP": 0.25})
    assert second.trainer.state.iteration == whole.trainer.state.iteration == EPOCHS * LENGTH
    assert_same(dict(second.amp.float32_state(second.method)), dict(whole.amp.float32_state(whole.method)))
    assert_same(dict(second.method.state_dict()), dict(whole.method.state_dict()))
    assert_same(dict(second.network().state_dict()), dict(whole.network().state_dict()))
    assert not torch.equal(checkpoint.training["random"]["cpu"][0], torch.get_rng_state()) or kind is ThreeSteps


def test_the_model_part_is_the_network_that_is_evaluated() -> None:
    for level, ema in (("O0", False), ("O0", True), ("O2", False)):
        torch.manual_seed(0)
        state = run_of(Noisy(), level, ema)
        start(state)
        checkpoint = state.capture()
        assert_same(checkpoint.model, dict(state.network().state_dict()))
        names = set(checkpoint.training["method"])
        # With averaged weights the trained ones must be kept beside them.
        assert any(name.startswith("embedder.") for name in names) == ema
        assert {"head.weight", "head.bias"} <= names
        evaluator = Normed()
        evaluator.load_state_dict(checkpoint.model)
        batch = batch_of(4, 9)
        expected = state.network().eval()(batch.images).vector
        assert torch.equal(evaluator.eval()(batch.images).vector, expected)
        assert expected.dtype == torch.float32


def test_averaged_weights_are_an_average() -> None:
    torch.manual_seed(0)
    state = run_of(Toy(), "O0", ema=True)
    mean = {name: value.clone() for name, value in state.method.embedder.state_dict().items()}

    def follow() -> None:
        for name, value in state.method.embedder.state_dict().items():
            mean[name] = 0.7 * mean[name] + 0.3 * value

    state.trainer.add_event_handler(Events.ITERATION_COMPLETED, follow)
    start(state)
    assert_same(mean, dict(state.network().state_dict()), exact=False)


@pytest.mark.parametrize(("iteration", "epoch", "finished"), [(7, 1, False), (10, 2, False), (20, 4, True)])
def test_the_card_tells_the_position(iteration: int, epoch: int, finished: bool) -> None:
    state = run_of(Toy(), "O0")
    stop_at(state.trainer, iteration)
    start(state)
    live: Any = state.trainer.state
    live.scores = None  # the last evaluation was interrupted
    assert not state.capture().card["finished"]
    live.scores = "some"
    checkpoint = state.capture()
    card = checkpoint.card
    assert (card["epoch"], card["finished"], card["world"], card["name"]) == (epoch, finished, 1, "toy")
    assert (checkpoint.training["iteration"], checkpoint.training["epoch_length"]) == (iteration, LENGTH)


def test_random_streams_of_other_processes_are_left_alone() -> None:
    state = run_of(Toy(), "O0")
    start(state)
    checkpoint = state.capture()
    training: dict[str, Any] = {**checkpoint.training, "random": {"cpu": torch.zeros(2, 5056, dtype=torch.uint8)}}
    before = torch.get_rng_state()
    state.restore(Checkpoint(checkpoint.model, training, checkpoint.card))
    assert torch.equal(torch.get_rng_state(), before)
