"""Opening the doors as a user does, in this process (fast) or in one of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest

import demo as demo_door
import eval as eval_door
import train as train_door
from engine.launch import run_door

ROOT = Path(__file__).parent.parent


class Outcome(NamedTuple):
    """What a command left on the terminal."""

    status: int
    out: str
    err: str

    @property
    def said(self) -> str:
        return self.out + self.err


class Doors:
    """`train(...)`, `evaluate(...)` and `demo(...)` with the arguments of the command line."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
        self._monkeypatch, self._capsys = monkeypatch, capsys

    def train(self, *arguments: object) -> Outcome:
        return self._open(train_door, arguments)

    def evaluate(self, *arguments: object) -> Outcome:
        return self._open(eval_door, arguments)

    def demo(self, *arguments: object) -> Outcome:
        return self._open(demo_door, arguments)

    def _open(self, door: object, arguments: tuple[object, ...]) -> Outcome:
        name, main = door.__file__, door.main  # type: ignore[attr-defined]  # a module
        self._monkeypatch.setattr(sys, "argv", [name, *map(str, arguments)])
        self._capsys.readouterr()
        with pytest.raises(SystemExit) as left:
            run_door(main)
        out, err = self._capsys.readouterr()
        assert isinstance(left.value.code, int)
        return Outcome(left.value.code, out, err)


def shell(*command: object, timeout: float = 120, **environment: str) -> Outcome:
    """Run a command from the repository's folder."""
    done = subprocess.run(
        [str(word) for word in command],
        cwd=ROOT,
        env={**os.environ, "OMP_NUM_THREADS": "1", **environment},
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )
    return Outcome(done.returncode, done.stdout, done.stderr)
