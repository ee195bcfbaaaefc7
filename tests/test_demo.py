"""The demo from end to end, shortened: what it prints is what a newcomer sees first."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

import demo as demo_door
from data.street import StreetConfig
from tests.doors import Doors


def shortened(folder: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Keys of a demo that takes seconds and leaves everything in `folder`."""
    monkeypatch.setattr(demo_door, "STREET", StreetConfig(identities=16, cameras=2, height=32, width=16))
    keys = [f"data.root={folder / 'street'}", "data.height=32", "data.width=16", "train.epochs=1", "data.workers=0"]
    return keys + [f"output.{name}={folder / name}" for name in ("checkpoints", "logs", "features")]


@pytest.mark.slow
def test_before_after_and_what_next(doors: Doors, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    keys = shortened(tmp_path, monkeypatch)
    first = doors.demo(*keys)
    assert first.status == 0
    for words in ("untrained", "trained", "times that of the untrained network", "what next", "python3 eval.py cpu"):
        assert words in first.out
    for folder in ("checkpoints", "logs", "features"):
        assert any((tmp_path / folder).iterdir())
    again = doors.demo(*keys)
    assert again.status == 0
    assert "from the last demo" in again.out


def test_an_interrupted_demo_goes_on(
    doors: Doors, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, signalled: list[int]
) -> None:
    keys = shortened(tmp_path, monkeypatch)
    signalled.append(2)
    assert doors.demo(*keys).status == 128 + signal.SIGTERM
    signalled.clear()
    outcome = doors.demo(*keys)
    assert outcome.status == 0
    assert "going on after 2 of" in outcome.out
