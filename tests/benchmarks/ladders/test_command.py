"""The command as a user types it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from benchmarks import ladders
from benchmarks.ladders import __main__ as command
from benchmarks.ladders.__main__ import main
from common.errors import UserError
from tests.benchmarks.ladders.toys import LADDER, PICTURES, CountingDoors
from tests.doors import ROOT, shell

Command = Callable[..., int]


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder for the toy ladder, with a document."""
    monkeypatch.setitem(ladders.LADDERS, "toy", LADDER)
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "benchmarks.md").write_text("# Benchmarks\n")
    return tmp_path


@pytest.fixture
def counting(home: Path, monkeypatch: pytest.MonkeyPatch) -> CountingDoors:
    """Doors that open nothing, and pictures that nobody draws."""
    doors = CountingDoors(home)
    monkeypatch.setattr(command, "Doors", lambda *_: doors)
    monkeypatch.setattr(command, "draw", lambda *_: PICTURES)
    return doors


@pytest.fixture
def climb(home: Path) -> Command:
    return lambda *arguments: main(["toy", "--size", "tiny", *arguments], home)


def test_a_whole_ladder_is_written_down(
    climb: Command, counting: CountingDoors, home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    document = home / "docs" / "benchmarks.md"
    assert climb("--seeds", "2", "--no-docs") == 0
    assert document.read_text() == "# Benchmarks\n"
    assert climb("--seeds", "2") == 0
    content = document.read_text()
    assert content.startswith("# Benchmarks\n\n## Ladders\n\n<!-- ladder toy tiny:")
    assert "| + triplet | 51.5 ± 0.7 |" in content
    assert "    python3 -m benchmarks.ladders toy --seeds 2 --size tiny\n" in content
    assert "written to" in capsys.readouterr().out
    assert climb("--seeds", "1") == 0  # what is known of more seeds stays
    assert document.read_text() == content
    assert "already in" in capsys.readouterr().out
    assert len(counting.opened) == 10


@pytest.mark.usefixtures("counting")
def test_a_part_of_a_ladder_is_not(climb: Command, home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert climb("--rows", "plain") == 0
    assert "not written to benchmarks.md" in capsys.readouterr().out
    assert (home / "docs" / "benchmarks.md").read_text() == "# Benchmarks\n"


def test_rows_bring_those_they_need(climb: Command, counting: CountingDoors) -> None:
    assert climb("--rows", "+ triplet, mirrored", "--seeds", "1") == 0
    assert counting.opened == ["train triplet-seed1", "judge triplet-seed1", "judge triplet-mirrored-seed1"]


def test_fresh_does_all_again(climb: Command, counting: CountingDoors) -> None:
    climb("--seeds", "1")
    counting.opened.clear()
    climb("--seeds", "1", "--fresh")
    assert len(counting.opened) == 5


def test_show_runs_nothing(climb: Command, counting: CountingDoors, capsys: pytest.CaptureFixture[str]) -> None:
    assert climb("--show") == 0
    assert "plain" in capsys.readouterr().out
    climb("--seeds", "2", "--rows", "plain")
    counting.opened.clear()
    capsys.readouterr()
    assert climb("--show") == 0
    shown = capsys.readouterr().out
    assert "31.5 ± 0.7" in shown
    assert "not run yet" in shown
    assert counting.opened == []


def test_list_names_every_row(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--list"], home) == 0
    listed = capsys.readouterr().out
    assert "toy: Does the toy row help? (split 'standard')" in listed
    assert "plain              plain: options.triplet.weight=0" in listed
    assert 'triplet-mirrored   + triplet, mirrored: "+ triplet" judged with --flip' in listed
    for found in ladders.LADDERS.values():
        assert found.question in listed
        assert all(row.key in listed for row in found.rows)


def test_ctrl_c_says_how_to_go_on(climb: Command, counting: CountingDoors, capsys: pytest.CaptureFixture[str]) -> None:
    def interrupt(what: str) -> None:
        if what == "train triplet-seed1":
            raise KeyboardInterrupt

    counting.before = interrupt
    with pytest.raises(KeyboardInterrupt):
        climb("--seeds", "1")
    assert "stopped after 1 of 3 runs; the same command goes on from here" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "give the name of a ladder (baseline"),
        (["bazeline"], "unknown ladder 'bazeline', did you mean 'baseline'"),
        (["toy", "--rows", "plane"], "unknown row 'plane', did you mean 'plain'"),
        (["toy", "--device", "gpu"], "'gpu' names no devices"),
    ],
)
def test_mistakes_are_sentences(arguments: list[str], words: str, home: Path) -> None:
    with pytest.raises(UserError) as told:
        main(arguments, home)
    assert words in str(told.value)
    assert not (home / "logs").exists()


def test_the_module_is_a_command() -> None:
    outcome = shell(sys.executable, "-m", "benchmarks.ladders", "basline")
    assert (outcome.status, outcome.out) == (1, "")
    known = ", ".join(ladders.LADDERS)
    assert outcome.err == f"error: unknown ladder 'basline', did you mean 'baseline'? known: {known}\n"


CHILD = """
import sys
from pathlib import Path
from benchmarks import ladders
from benchmarks.ladders.__main__ import main
from engine.launch import run_door
from tests.benchmarks.ladders.toys import LADDER
ladders.LADDERS["toy"] = LADDER
run_door(lambda: main(sys.argv[2:], Path(sys.argv[1])))
"""


@pytest.mark.slow
def test_from_end_to_end_with_an_interruption(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Real pictures, trainings and evaluations; Ctrl-C in the first training."""
    asked = ["toy", "--size", "tiny", "--seeds", "1"]
    with subprocess.Popen(
        [sys.executable, "-c", CHILD, str(home), *asked], cwd=ROOT, stdout=subprocess.PIPE, text=True
    ) as process:
        log = home / "logs" / "ladder-toy-tiny-plain-seed1" / "train.log"
        limit = time.monotonic() + 60
        while not (log.exists() and "epoch 0" in log.read_text()):
            assert process.poll() is None
            assert time.monotonic() < limit
            time.sleep(0.05)
        os.kill(process.pid, signal.SIGINT)
        out, _ = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "stopped after 0 of 3 runs; the same command goes on from here" in out
    run = home / "checkpoints" / "ladder-toy-tiny-plain-seed1"
    assert (run / "interrupted.pt").exists()

    assert main(asked, home) == 0
    said = capsys.readouterr().out
    assert "[1/3] plain, seed 1 (again: it was interrupted) ..." in said
    assert "going on after" in log.read_text()
    assert sorted(path.name for path in run.iterdir()) == ["best.pt", "config.yml", "epoch_0001.pt"]
    content = (home / "docs" / "benchmarks.md").read_text()
    for words in ("| plain |", "| + triplet, mirrored |", "2 trainings", "training seed 1: n = 1"):
        assert words in content
    assert main(asked, home) == 0
    assert "3 of 3 runs are done already" in capsys.readouterr().out
