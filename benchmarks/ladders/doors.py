"""`train.sh`, `eval.py` and `python3 -m engine.parsing` opened as a user does, in processes of their own that end when
this one is stopped."""

from __future__ import annotations

import contextlib
import enum
import json
import os
import shlex
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Any, NamedTuple

from benchmarks.ladders.records import UNKNOWN, Scores
from benchmarks.ladders.runs import Run
from common.environment import ROOT
from common.errors import UserError
from common.files import make_folder
from configs.loader import differences, plain
from engine.checkpoint import load_checkpoint, require_card
from engine.runs import FREE, Folders

_LAST_LINES = 15
_LENGTH = {"train.epochs", "model.pretrained"}
"""A user may go on with other values of these; a run that is compared with others may not."""


class State(enum.Enum):
    """Of a training, by its checkpoints."""

    ABSENT = "absent"
    BEGUN = "begun"  # and the same command goes on
    FINISHED = "finished"
    OTHER = "other"  # of other settings, other pictures, or damaged


class Standing(NamedTuple):
    """What there is of a training, and the commit that it was done with."""

    state: State
    commit: str = UNKNOWN


class RunFailed(UserError):
    """A door said no; `tail` is what it said last."""

    def __init__(self, sentence: str, tail: str) -> None:
        super().__init__(sentence)
        self.tail = tail


class Doors:
    """Those that train and judge.

    Args:
        home: the folder they are opened in: its `checkpoints/`, `logs/`, `features/` are used.
        base: the configuration that a run's overrides are over.
        logs: the folder for what they say.
        devices: their first argument.
    """

    def __init__(self, home: Path, base: Path, logs: Path, devices: str) -> None:
        self.home, self.base, self.logs, self.devices = home, base, logs, devices

    def standing(self, run: Run) -> Standing:
        """What lies on the disk of the training of `run`."""
        path = self._folders(run).last()
        if path is None:
            return Standing(State.ABSENT)
        try:
            checkpoint = load_checkpoint(path)
            require_card(checkpoint, path)
        except UserError:
            return Standing(State.OTHER)
        card = checkpoint.card
        keys = differences(card["config"], plain(run.config))
        changed = [key for key in keys if key in _LENGTH or not FREE.fullmatch(key)]
        if changed or card["pictures"] != run.learned:
            return Standing(State.OTHER)
        return Standing(State.FINISHED if card["finished"] else State.BEGUN, card.get("commit") or UNKNOWN)

    def checkpoint(self, run: Run) -> Path:
        """The last one, relative to `home`."""
        return self._folders(run).epoch(run.config.train.epochs).relative_to(self.home)

    def train(self, run: Run, *, restart: bool) -> None:
        """Train to the end, from the beginning or from where it was interrupted."""
        anew = ["train.restart=true"] * restart
        command = ["bash", self._shown(ROOT / "train.sh"), self.devices, self._shown(self.base), *run.overrides, *anew]
        self._open(command, run, "training")

    def judge(self, run: Run) -> Scores:
        """The scores of the last checkpoint, by protocol."""
        assert run.pictures is not None
        if run.judge == "eval":
            door, how = [self._shown(ROOT / "eval.py")], ["--protocol", *run.protocols]
        else:
            door, how = ["-m", "engine.parsing"], ["--split", "train"]
        pictures = ["--dataset", "street", "--root", str(run.pictures.target), "--json"]
        # What a row gives may be a word without dashes, which would pass for one more protocol after --protocol.
        asked = [self.devices, str(self.checkpoint(run)), *pictures, *run.judged, *how]
        command = [sys.executable, *door, *asked]
        answer: dict[str, Any] = json.loads(self._open(command, run, "evaluation"))
        answer = answer.get("conditional", answer)  # of pictures given each other, where that was asked for
        judged = answer.get("protocols", {answer["protocol"]: answer})
        for name in run.protocols:
            if name not in judged:
                problem = answer.get("problems", {}).get(name, "it was not judged")
                raise UserError(f"{run.title}: no score by the protocol '{name}': {problem}")
        return {
            name: {key: value for key, value in judged[name].items() if isinstance(value, float)}
            for name in run.protocols
        }

    def forget(self, run: Run) -> None:
        """Remove the checkpoints of the training."""
        self._folders(run).clear()

    def _folders(self, run: Run) -> Folders:
        return Folders(self.home / "checkpoints" / run.trained_as, self.home / "logs" / run.trained_as)

    def _shown(self, path: Path) -> str:
        """As short as it can be, since the command is written down."""
        return str(path.relative_to(self.home)) if path.is_relative_to(self.home) else str(path)

    def _open(self, command: Sequence[str], run: Run, what: str) -> str:
        """Run a command to its end and return what it printed, if that is not for the log."""
        path = make_folder(self.logs) / f"{run.key}.log"
        with path.open("ab") as log:
            log.write(f"$ {shlex.join(command)}\n".encode())
            log.flush()
            start = log.tell()
            status, printed = _ended(command, self.home, log, keep=what == "evaluation")
        if status == 0:
            return printed
        with path.open("rb") as log:
            log.seek(start)
            lines = log.read().decode(errors="replace").splitlines()
        how = f"was ended by {signal.Signals(-status).name}" if status < 0 else f"failed with status {status}"
        raise RunFailed(
            f"the {what} of '{run.title}' {how}; all it said is in {path}. What is finished is kept: once the cause is"
            " mended, the same command goes on",
            "\n".join(lines[-_LAST_LINES:]),
        )


def _ended(command: Sequence[str], folder: Path, log: IO[bytes], *, keep: bool) -> tuple[int, str]:
    """Exit status and, with `keep`, the standard output. Whatever stops this process stops the command first.

    Its modules are those of this checkout, wherever `folder` is.

    The command has a process group of its own: Ctrl-C reaches it once, by way of this process, and not twice, which
    would end it before it has left its checkpoint.
    """
    others = os.environ.get("PYTHONPATH")
    with subprocess.Popen(
        command,
        cwd=folder,
        env={**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{others}" if others else str(ROOT)},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE if keep else log,
        stderr=log,
        start_new_session=True,
    ) as process:
        try:
            printed, _ = process.communicate()
        except BaseException:
            _stop(process)
            raise
    return process.returncode, (printed or b"").decode()


def _stop(process: subprocess.Popen[bytes]) -> None:
    """Ask the command to end and wait until it has; a second Ctrl-C asks again, which ends it at once."""
    while process.poll() is None:
        with contextlib.suppress(KeyboardInterrupt, ProcessLookupError):
            os.killpg(process.pid, signal.SIGINT)
            process.wait()
