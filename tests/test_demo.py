"""The demo from end to end, shortened: what it prints is what a newcomer sees first."""

from __future__ import annotations

from pathlib import Path

import pytest

import demo as demo_door
from data.street import StreetConfig
from tests.doors import Doors


@pytest.mark.slow
def test_before_after_and_what_next(doors: Doors, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(demo_door, "STREET", StreetConfig(identities=16, cameras=2, height=32, width=16))
    keys = [f"data.root={tmp_path / 'street'}", "data.height=32", "data.width=16", "train.epochs=1", "data.workers=0"]
    keys += [f"output.{folder}={tmp_path / folder}" for folder in ("checkpoints", "logs", "features")]
    first = doors.demo(*keys)
    assert first.status == 0
    for words in ("untrained", "trained", "times that of the untrained network", "what next", "python3 eval.py cpu"):
        assert words in first.out
    for folder in ("checkpoints", "logs", "features"):
        assert any((tmp_path / folder).iterdir())
    again = doors.demo(*keys)
    assert again.status == 0
    assert "from the last demo" in again.out


def test_a_demo_needs_a_folder_for_its_street(doors: Doors) -> None:
    outcome = doors.demo("data.root=null")
    assert outcome.status == 1
    assert "the demo needs data.root" in outcome.err
