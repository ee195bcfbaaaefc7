"""Where the pictures of a split lie, what they are known by, and on which machine."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from benchmarks.ladders import pictures as drawing
from benchmarks.ladders.machine import machine, processor
from benchmarks.ladders.pictures import draw
from data.catalog import find
from data.street import StreetConfig, write_street
from engine.devices import Devices


def drawn(monkeypatch: pytest.MonkeyPatch, *parts: str) -> list[tuple[Any, ...]]:
    """Let a split be two streets of other people in the given parts; returns how it was asked for."""
    asked: list[tuple[Any, ...]] = []

    def write(out: Path, split: str, size: str, *, workers: int, force: bool) -> dict[str, Path]:
        asked.append((out, split, size, workers, force))
        for seed, part in enumerate(parts):
            write_street(out / part, StreetConfig(identities=4, cameras=2, shots=2, height=32, width=16, seed=seed))
        return {part: out / part for part in parts}

    monkeypatch.setattr(drawing, "write_split", write)
    return asked


def test_one_street(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = drawn(monkeypatch, "street")
    pictures = draw(tmp_path, "standard", "tiny", 2)
    folder = Path("datasets/ladders/standard-tiny")
    assert asked == [(tmp_path / folder, "standard", "tiny", 2, True)]
    assert pictures.source == pictures.target == folder / "street"
    assert pictures.settings() == {"data.source": "street", "data.root": f"{folder}/street"}
    street = find("street", tmp_path / folder / "street")
    assert pictures.fingerprints == {"street": street.fingerprint()}
    assert pictures.training["source"] == street.train.fingerprint()
    assert draw(tmp_path, "standard", "tiny", 1) == pictures


def test_two_cities(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    drawn(monkeypatch, "source", "target")
    pictures = draw(tmp_path, "city2city", "tiny", 1)
    folder = Path("datasets/ladders/city2city-tiny")
    assert pictures.settings() == {
        "data.source": "street",
        "data.root": f"{folder}/source",
        "data.target": "street",
        "data.target_root": f"{folder}/target",
    }
    assert set(pictures.fingerprints) == {"source", "target"}
    assert len(set(pictures.fingerprints.values())) == 2
    assert pictures.training["source"] == find("street", tmp_path / folder / "source").train.fingerprint()


def test_machines(monkeypatch: pytest.MonkeyPatch) -> None:
    assert machine(Devices((), 1)).startswith(f"{processor()}, ")
    assert machine(Devices((), 1)).endswith(("core", "cores"))
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda gpu: "H200" if gpu else "A100")
    assert machine(Devices((0, 1, 2), 3)) == "1 × A100 + 2 × H200"
