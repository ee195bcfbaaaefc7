"""The benchmark of the pair graph, on a size that takes a second: what it prints, and that both ways agree."""

from __future__ import annotations

import json
import sys

import pytest

from benchmarks import pair_graph


def test_both_ways_agree_and_are_told(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    sizes = ["--backbone", "resnet18", "--pictures", "4", "--height", "4", "--width", "2", "--repeats", "1"]
    monkeypatch.setattr(sys, "argv", ["pair_graph.py", *sizes, "--json"])
    assert pair_graph.main() == 0
    told = json.loads(capsys.readouterr().out)
    assert list(told["rows"]) == ["joined", "kept", "recomputed"]
    assert all(row["cpu_seconds"] > 0 for row in told["rows"].values())
    assert told["difference"] < 1e-3
    monkeypatch.setattr(sys, "argv", ["pair_graph.py", *sizes])
    assert pair_graph.main() == 0
    assert "recomputed" in capsys.readouterr().out


def test_what_differs_is_seen() -> None:
    case = pair_graph.Case("resnet18", pictures=4, height=4, width=2, chunk=2)
    case.embedder.graph.propagation = "adjacency"  # which the whole graph does not do
    assert case.difference() > 1e-2
