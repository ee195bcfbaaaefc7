"""What joints cost: the command, on a size that takes seconds."""

from __future__ import annotations

import json
import sys

import pytest

from benchmarks import poses


def test_costs_are_told(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    sizes = ["--network", "hrnet_w32", "--height", "64", "--width", "32", "--batch", "4", "--repeats", "1"]
    monkeypatch.setattr(sys, "argv", ["poses.py", *sizes, "--json"])
    assert poses.main() == 0
    rows = json.loads(capsys.readouterr().out)["rows"]
    assert list(rows) == ["appearance only", "cached", "hrnet, clean", "hrnet, augmented"]
    assert rows["cached"]["over_cached"] == 1
    assert all(row["seconds"] > 0 for row in rows.values())
