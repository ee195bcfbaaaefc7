"""What methods cost: the command, on a size that takes a second."""

from __future__ import annotations

import json
import sys

import pytest

from benchmarks import methods


def test_costs_are_told(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    sizes = ["--height", "32", "--width", "16", "--batch", "8", "--repeats", "1", "--opt-level", "O0"]
    monkeypatch.setattr(sys, "argv", ["methods.py", *sizes, "--json"])
    assert methods.main() == 0
    rows = json.loads(capsys.readouterr().out)["rows"]
    assert list(rows) == list(methods.ROWS)
    assert rows["baseline"]["over_baseline"] == 1
    assert rows["AIM, gates open"]["kept_mb"] > rows["CAL, gate open"]["kept_mb"] > rows["baseline"]["kept_mb"]
    assert all(row["seconds"] > 0 for row in rows.values())
    monkeypatch.setattr(sys, "argv", ["methods.py", *sizes])
    assert methods.main() == 0
    assert "AIM, gates open" in capsys.readouterr().out
