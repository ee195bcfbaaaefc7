"""A tiny street for everything that trains, and one thread for every test."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

# Of maps of a cell or two, as tests have them, oneDNN's bfloat16 convolutions for AMX now and then read memory that
# nobody wrote (docs/dependencies.md). It reads this when torch first convolves.
os.environ.setdefault("ONEDNN_MAX_CPU_ISA", "AVX512_CORE_BF16")

import torch
from torch import Tensor, nn

from data.street import StreetConfig, write_street
from engine.trainer import TrainingStep
from modeling.backbones import BACKBONES
from modeling.backbones.base import Backbone
from tests.doors import Doors

# The numbers do not depend on the machine then, and small tensors are faster.
torch.set_num_threads(1)

TINY = """
data: {{source: street, root: {street}, height: 32, width: 16, workers: 1, augment: {{pad: 2}}}}
model: {{backbone: {backbone}, pretrained: none}}
batches: {{size: 16, instances: 4}}
schedule: {{kind: constant, warmup_epochs: 0}}
train: {{epochs: 2, evaluate_every: 1, checkpoint_every: 1, log_every: 2}}
output: {{checkpoints: {out}/checkpoints, logs: {out}/logs, features: {out}/features}}
"""


@pytest.fixture(scope="session")
def street(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """16 identities (8 to train on) in 2 cameras, 4 shots each, 32×16: 64 pictures to train on, 4 batches of 16."""
    out = tmp_path_factory.mktemp("data") / "street"
    write_street(out, StreetConfig(identities=16, cameras=2, shots=4, height=32, width=16))
    return out


class Toy(Backbone):
    """A backbone of a few thousand weights, with the BatchNorm that real ones have."""

    channels, stride = 32, 8

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(3, 16, 3, stride=4, padding=1, bias=False),
            nn.BatchNorm2d(16),
            nn.ReLU(),
            nn.Conv2d(16, 32, 3, stride=2, padding=1, bias=False),
            nn.BatchNorm2d(32),
            nn.ReLU(),
        )

    def forward(self, images: Tensor) -> Tensor:
        maps: Tensor = self.layers(images)
        return maps


@pytest.fixture
def tiny(street: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A configuration that trains in a second and leaves everything in `tmp_path`; only for this process."""
    monkeypatch.setitem(BACKBONES, "toy", lambda **_: Toy())
    path = tmp_path / "tiny.yml"
    path.write_text(TINY.format(street=street, out=tmp_path, backbone="toy"))
    return path


@pytest.fixture
def tiny_resnet(street: Path, tmp_path: Path) -> Path:
    """The same with a real network, for processes of their own."""
    path = tmp_path / "tiny.yml"
    path.write_text(TINY.format(street=street, out=tmp_path, backbone="resnet18"))
    return path


@pytest.fixture(autouse=True)
def _no_surroundings(monkeypatch: pytest.MonkeyPatch) -> None:
    """No variable of the user's own decides a test."""
    for name in list(os.environ):
        if name.startswith(("REID_ROOT_", "SLURM_", "TORCHELASTIC_")):
            monkeypatch.delenv(name)


@pytest.fixture
def doors(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Doors:
    return Doors(monkeypatch, capsys)


@pytest.fixture
def signalled(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[int]]:
    """Iterations whose batch is being computed when the process receives SIGTERM; add some."""
    iterations: list[int] = []
    step = TrainingStep.__call__

    def stepping(self: TrainingStep, engine: Any, batch: Any) -> dict[str, Tensor]:
        if engine.state.iteration in iterations:
            os.kill(os.getpid(), signal.SIGTERM)
        return step(self, engine, batch)

    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1)}
    monkeypatch.setattr(TrainingStep, "__call__", stepping)
    yield iterations
    for number, handler in handlers.items():
        signal.signal(number, handler)
