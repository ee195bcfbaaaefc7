"""The doors as processes: what they leave, how they fail, and that nothing outlives who started it."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from benchmarks.ladders import doors as opened
from benchmarks.ladders.doors import Doors, RunFailed, State
from common.environment import ROOT
from common.errors import UserError
from configs.loader import plain
from engine.checkpoint import CARD, Checkpoint, save_checkpoint
from tests.benchmarks.ladders.toys import LADDER, PICTURES, PLAN

RUN = PLAN.run(LADDER.rows[0], 1)

STUBBORN = """
import signal, sys, time
def note(number, frame):
    print("asked to end", flush=True)
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    if sys.argv[1] == "polite":
        open("left", "w").write("a checkpoint")
        sys.exit(130)
signal.signal(signal.SIGINT, note)
open("ready", "w").close()
time.sleep(60)
time.sleep(60)
"""


@pytest.fixture
def doors(tmp_path: Path) -> Doors:
    return Doors(tmp_path, PLAN.base, tmp_path / "ladder", "cpu")


@pytest.fixture
def interruptible() -> Iterator[None]:
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def interrupt_when(there: Path, *more: Path) -> threading.Thread:
    """Ctrl-C for this process as soon as a file is there, and once more for each further one that holds something."""

    def wait() -> None:
        for path in (there, *more):
            while not path.exists() or (path in more and not path.read_text()):
                threading.Event().wait(0.02)
            os.kill(os.getpid(), signal.SIGINT)

    thread = threading.Thread(target=wait, daemon=True)
    thread.start()
    return thread


@pytest.mark.usefixtures("interruptible")
@pytest.mark.parametrize("manners", ["polite", "deaf"])
def test_ctrl_c_ends_the_command_first(manners: str, tmp_path: Path) -> None:
    log = tmp_path / "log"
    again = [log] if manners == "deaf" else []
    thread = interrupt_when(tmp_path / "ready", *again)
    with log.open("wb") as file, pytest.raises(KeyboardInterrupt):
        opened._ended([sys.executable, "-c", STUBBORN, manners], tmp_path, file, keep=False)
    thread.join()
    assert log.read_text() == "asked to end\n"
    assert (tmp_path / "left").exists() == (manners == "polite")


def test_a_failing_command_shows_its_last_lines(doors: Doors, tmp_path: Path) -> None:
    script = "for number in range(40): print('line', number)\nraise SystemExit(3)"
    for _ in range(2):
        with pytest.raises(
            RunFailed, match=r"the training of 'plain, seed 1' failed with status 3.*ladder.*log"
        ) as told:
            doors._open([sys.executable, "-c", script], RUN, "training")
        assert told.value.tail.splitlines() == [f"line {number}" for number in range(25, 40)]
    assert (tmp_path / "ladder" / "plain-seed1.log").read_text().count("line 39\n") == 2
    killed = "import os; print('last words', flush=True); os.kill(os.getpid(), 9)"
    with pytest.raises(RunFailed, match="was ended by SIGKILL") as told:
        doors._open([sys.executable, "-c", killed], RUN, "training")
    assert told.value.tail == "last words"


def test_a_real_door_that_refuses(doors: Doors, tmp_path: Path) -> None:
    """There are no pictures here."""
    with pytest.raises(RunFailed) as told:
        doors.train(RUN, restart=False)
    assert "does not exist" in told.value.tail
    log = (tmp_path / "ladder" / "plain-seed1.log").read_text()
    assert log.startswith("$ bash ")
    assert "train.epochs=1 " in log.splitlines()[0]


def answer(doors: Doors, monkeypatch: pytest.MonkeyPatch, printed: str) -> list[list[str]]:
    """Let every command print this; returns the commands."""
    commands: list[list[str]] = []

    def run(command: list[str], *_: object) -> str:
        commands.append(command)
        return printed

    monkeypatch.setattr(doors, "_open", run)
    return commands


def test_scores_of_one_protocol_and_of_several(doors: Doors, monkeypatch: pytest.MonkeyPatch) -> None:
    commands = answer(doors, monkeypatch, '{"protocol": "market", "mAP": 0.5, "rank-1": 1.0, "queries": 4}')
    assert doors.judge(PLAN.run(LADDER.rows[2], 1)) == {"market": {"mAP": 0.5, "rank-1": 1.0}}
    assert commands[0][2:] == [
        *("cpu", "checkpoints/ladder-toy-tiny-triplet-seed1/epoch_0001.pt", "--dataset", "street"),
        *("--root", "datasets/ladders/standard-tiny", "--json", "--flip", "--protocol", "market"),
    ]
    two = replace(RUN, protocols=("market", "no-camera"))
    several = '{"protocol": "market", "mAP": 0.5, "protocols": {"market": {"mAP": 0.5}, "no-camera": {"mAP": 0.7}}}'
    answer(doors, monkeypatch, several)
    assert doors.judge(two) == {"market": {"mAP": 0.5}, "no-camera": {"mAP": 0.7}}
    answer(doors, monkeypatch, '{"protocol": "market", "mAP": 0.5, "problems": {"no-camera": "nobody is there"}}')
    with pytest.raises(UserError, match="by the protocol 'no-camera': nobody is there"):
        doors.judge(two)


def test_scores_of_pictures_given_each_other(doors: Doors, monkeypatch: pytest.MonkeyPatch) -> None:
    """They stand below those of pictures alone, which are another row's."""
    answer(doors, monkeypatch, '{"protocol": "market", "mAP": 0.5, "conditional": {"protocol": "market", "mAP": 0.6}}')
    assert doors.judge(RUN) == {"market": {"mAP": 0.6}}


def test_parts_are_judged_by_their_own_command(doors: Doors, monkeypatch: pytest.MonkeyPatch) -> None:
    run = replace(PLAN.run(LADDER.rows[0], 1), judge="parsing", protocols=("parts",), judged=("--by", "k-means"))
    commands = answer(doors, monkeypatch, '{"protocol": "parts", "mean": 0.5, "head": 0.25, "pictures": 4, "by": "x"}')
    assert doors.judge(run) == {"parts": {"mean": 0.5, "head": 0.25}}
    assert commands[0][1:] == [
        *("-m", "engine.parsing", "cpu", "checkpoints/ladder-toy-tiny-plain-seed1/epoch_0001.pt"),
        *("--dataset", "street", "--root", "datasets/ladders/standard-tiny", "--json"),
        *("--by", "k-means", "--split", "train"),
    ]
    other = replace(run, protocols=("market",))
    with pytest.raises(UserError, match="no score by the protocol 'market'"):
        doors.judge(other)


def test_a_module_is_that_of_this_checkout(doors: Doors, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever the folder that it is started in, and with what the user's own variable names after it."""
    monkeypatch.setenv("PYTHONPATH", "/elsewhere")
    script = "import engine.parsing, sys; print(engine.parsing.__file__, '/elsewhere' in sys.path)"
    printed = doors._open([sys.executable, "-c", script], RUN, "evaluation")
    assert printed.split() == [str(ROOT / "engine" / "parsing.py"), "True"]


def test_a_domain_is_adapted_from_one_folder_to_another(doors: Doors, monkeypatch: pytest.MonkeyPatch) -> None:
    pictures = replace(PICTURES, target=Path("datasets/target"))
    run = replace(PLAN, pictures=pictures).run(LADDER.rows[0], 1)
    commands = answer(doors, monkeypatch, '{"protocol": "market", "mAP": 0.5}')
    doors.train(run, restart=True)
    doors.judge(run)
    assert {"data.source=street", "data.target=street", "data.target_root=datasets/target"} <= set(commands[0])
    assert f"data.root={PICTURES.source}" in commands[0]
    assert commands[0][-1] == "train.restart=true"
    assert commands[1][commands[1].index("--root") + 1] == "datasets/target"


@pytest.mark.parametrize(
    ("changes", "state"),
    [
        ({}, State.FINISHED),
        ({"finished": False}, State.BEGUN),
        ({"pictures": "others"}, State.OTHER),
        ({"config.train.epochs": 2}, State.OTHER),
        ({"config.options.triplet.weight": 1.0}, State.OTHER),
        ({"config.data.workers": 3}, State.FINISHED),
        ({"config.data.root": "/elsewhere"}, State.FINISHED),
    ],
)
def test_the_standing_of_a_training(changes: dict[str, object], state: State, doors: Doors, tmp_path: Path) -> None:
    card: dict[str, Any] = {
        **dict.fromkeys(CARD),
        "config": plain(RUN.config),
        "pictures": PICTURES.training["source"],
        "finished": True,
        "commit": "abc",
    }
    for key, value in changes.items():
        *sections, last = key.split(".")
        place = card
        for section in sections:
            place = place[section]
        place[last] = value
    assert doors.standing(RUN).state is State.ABSENT
    save_checkpoint(Checkpoint({}, {}, card), tmp_path / doors.checkpoint(RUN))
    standing = doors.standing(RUN)
    assert standing.state is state
    assert state is State.OTHER or standing.commit == "abc"


def test_a_damaged_checkpoint_is_trained_over(doors: Doors, tmp_path: Path) -> None:
    path = tmp_path / doors.checkpoint(RUN)
    path.parent.mkdir(parents=True)
    path.write_bytes(b"PK\x03\x04 cut short")
    assert doors.standing(RUN).state is State.OTHER
    doors.forget(RUN)
    assert doors.standing(RUN).state is State.ABSENT
