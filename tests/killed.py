"""A training that is killed while it computes a batch, as by a machine that goes off: nobody can react to SIGKILL.

python3 -m tests.killed ITERATION ARGUMENT OF train.py ...
"""

from __future__ import annotations

import os
import signal
import sys
from typing import Any

from torch import Tensor

import train
from engine.launch import run_door
from engine.trainer import TrainingStep
from modeling.backbones import BACKBONES
from tests.conftest import Toy


class Killed(TrainingStep):
    """A step that one iteration does not survive."""

    fatal = int(sys.argv[1]) if __name__ == "__main__" else 0

    def __call__(self, engine: Any, batch: Any) -> dict[str, Tensor]:
        if engine.state.iteration == self.fatal:
            os.kill(os.getpid(), signal.SIGKILL)
        return super().__call__(engine, batch)


if __name__ == "__main__":
    import engine.training

    BACKBONES["toy"] = lambda **_: Toy()
    vars(engine.training)["TrainingStep"] = Killed
    sys.argv = [train.__file__, *sys.argv[2:]]
    run_door(train.main)
