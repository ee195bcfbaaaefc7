"""A signal ends the run after the batch, with one checkpoint, and what was due still happens."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from typing import Any

import pytest
from ignite.engine import Engine, Events

from data.loader import SIGNALS
from engine.handlers.stop import StopOnSignal
from tests.engine.toys import engine_of

LENGTH = 3


@pytest.fixture(autouse=True)
def _handlers() -> Iterator[None]:
    """The signal handlers of the test run, put back whatever happens."""
    before = {number: signal.getsignal(number) for number in SIGNALS}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


class Run:
    """Three epochs of three batches; a signal arrives in the process function of one iteration."""

    def __init__(self, number: int, during: int) -> None:
        self.done: list[int] = []
        self.heard: list[str] = []

        def process(engine: Engine, batch: int) -> None:
            if engine.state.iteration == during:
                os.kill(os.getpid(), number)
            self.done.append(engine.state.iteration)

        self.engine = engine_of(process)
        self.engine.add_event_handler(Events.EPOCH_COMPLETED, lambda: self.heard.append("epoch"))
        self.engine.add_event_handler(Events.COMPLETED, lambda: self.heard.append("completed"))
        self.stop = StopOnSignal(save=self.save)
        self.stop.attach(self.engine)

    def save(self, engine: Engine) -> None:
        assert engine is self.engine
        self.heard.append(f"saved {engine.state.iteration}")

    def go(self) -> None:
        self.engine.run(range(LENGTH), max_epochs=3, epoch_length=LENGTH)


@pytest.mark.parametrize("number", SIGNALS)
def test_ends_after_the_batch(number: signal.Signals) -> None:
    run = Run(number, during=5)
    run.go()
    assert run.done == [1, 2, 3, 4, 5]
    assert run.heard == ["epoch", "saved 5"]
    assert run.stop.received == number


def test_the_last_batch_leaves_it_to_the_end_of_the_epoch() -> None:
    run = Run(signal.SIGTERM, during=3)
    run.go()
    assert run.done == [1, 2, 3]
    assert run.heard == ["epoch", "saved 3"]


def test_a_signal_during_the_end_of_an_epoch() -> None:
    run = Run(signal.SIGTERM, during=99)
    early: Any = Events.EPOCH_COMPLETED(once=2)
    late = StopOnSignal(save=run.save)  # attached after what sends the signal
    run.engine.add_event_handler(early, lambda: os.kill(os.getpid(), signal.SIGUSR1))
    late.attach(run.engine)
    run.go()
    assert run.done == [1, 2, 3, 4, 5, 6]
    assert run.heard[-1] == "saved 6"
    assert late.received == signal.SIGUSR1


def test_without_a_signal_the_run_completes() -> None:
    run = Run(signal.SIGTERM, during=99)
    run.go()
    assert run.done == list(range(1, 10))
    assert run.heard == ["epoch", "epoch", "epoch", "completed"]
    assert run.stop.received == 0
    assert not run.stop.requested()


def test_handlers_listen_only_while_running_and_a_second_signal_is_deadly() -> None:
    before = signal.getsignal(signal.SIGTERM)
    run = Run(signal.SIGTERM, during=2)
    assert signal.getsignal(signal.SIGTERM) is before
    listening: list[Any] = []
    run.engine.add_event_handler(Events.EPOCH_STARTED, lambda: listening.append(signal.getsignal(signal.SIGTERM)))
    run.go()
    assert listening[0] not in (before, signal.SIG_DFL)
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
    assert signal.getsignal(signal.SIGINT) not in (signal.SIG_DFL, signal.default_int_handler)


def test_evaluation_may_ask_in_between() -> None:
    run = Run(signal.SIGTERM, during=99)
    run.stop.listen(run.engine)
    assert not run.stop.requested()
    os.kill(os.getpid(), signal.SIGTERM)
    assert run.stop.requested()
    assert run.stop.received == signal.SIGTERM


@pytest.mark.parametrize(
    ("epoch", "done", "heard"),
    [(3, [1, 2, 3, 4, 5, 6], ["epoch", "epoch", "saved 6"]), (1, [1], ["saved 1"])],
    ids=["before a later one", "before the first there is nothing to save"],
)
def test_a_signal_during_what_is_done_before_an_epoch(epoch: int, done: list[int], heard: list[str]) -> None:
    run = Run(signal.SIGTERM, during=99)
    before: Any = Events.EPOCH_STARTED(once=epoch)
    late = StopOnSignal(save=run.save)
    run.engine.add_event_handler(before, lambda: os.kill(os.getpid(), signal.SIGUSR1))
    late.attach(run.engine)
    run.go()
    assert run.done == done
    assert run.heard == heard
