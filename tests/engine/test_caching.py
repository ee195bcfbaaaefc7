"""A cache of pictures changes nothing that is learned, also over a stop, and evaluation decodes as training did."""

from __future__ import annotations

import importlib.util
import re
import shutil
import signal
from pathlib import Path

import pytest
import torch
from torch import Tensor

from data.cache import open_cache
from data.readers import read
from data.training_set import TrainingSet
from data.transforms import Preprocessing
from engine.checkpoint import load_checkpoint
from engine.handlers.prepare import PrepareBatch
from engine.view import PlainView
from tests.doors import Doors
from tests.engine.toys import config_of


def weights(path: Path) -> dict[str, Tensor]:
    checkpoint = load_checkpoint(path)
    return {**checkpoint.model, **checkpoint.training["method"]}


def assert_same(left: Path, right: Path) -> None:
    first, second = weights(left), weights(right)
    assert first.keys() == second.keys()
    assert [name for name in first if not torch.equal(first[name], second[name])] == []


def test_trainings_with_and_without_are_equal_to_the_bit(
    tiny: Path, doors: Doors, tmp_path: Path, signalled: list[int]
) -> None:
    folder = tmp_path / "kept"
    for kind in ("none", "ram", "disk"):
        keys = [f"name={kind}", f"data.cache={kind}", f"data.cache_folder={folder}"]
        outcome = doors.train("cpu", tiny, *keys)
        assert outcome.status == 0, outcome.said
        assert ("once they are decoded" in outcome.out) == (kind != "none")
        assert folder.exists() == (kind == "disk")
    signalled.append(2)  # only some are decoded then
    half = ["name=parts", "data.cache=disk", f"data.cache_folder={tmp_path / 'half'}"]
    assert doors.train("cpu", tiny, *half).status == 128 + signal.SIGTERM
    signalled.clear()
    going_on = doors.train("cpu", tiny, *half)
    assert going_on.status == 0
    assert re.search(r"of 64 pictures, \d+ are decoded in .*half", going_on.out)
    runs = tmp_path / "checkpoints"
    for name in ("ram", "disk", "parts"):
        assert_same(runs / "none" / "epoch_0002.pt", runs / name / "epoch_0002.pt")
    cards = [load_checkpoint(runs / name / "epoch_0002.pt").card for name in ("none", "ram", "disk")]
    assert [card["preprocessing"] for card in cards] == [cards[0]["preprocessing"]] * 3
    assert "decoder" not in cards[0]["preprocessing"]
    assert [card["scores"] for card in cards] == [cards[0]["scores"]] * 3


def test_the_view_takes_from_the_cache_of_training(street: Path, tmp_path: Path) -> None:
    root = shutil.copytree(street, tmp_path / "street")
    training_set = TrainingSet.of([read("market", root, "street").train])
    data = config_of(data={"cache": "ram", "height": 32, "width": 16}).data
    preparing = PrepareBatch(training_set, Preprocessing.of(data), torch.device("cpu"))
    cache = open_cache(data, training_set.splits, Preprocessing.of(data))
    plain, cached = (PlainView(training_set, preparing, 16, 1, found) for found in (None, cache))
    expected = torch.cat([batch.images for batch in plain.pictures(range(64))])
    for _ in range(2):
        assert torch.equal(torch.cat([batch.images for batch in cached.pictures(range(64))]), expected)
        shutil.rmtree(root, ignore_errors=True)


def test_a_decoder_that_is_not_installed(
    tiny: Path, doors: Doors, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "cv2" else find(name))
    outcome = doors.train("cpu", tiny, "data.decoder=opencv")
    assert outcome.status == 1
    assert "data.decoder=opencv needs OpenCV" in outcome.err
    assert "pip install opencv-python-headless" in outcome.err
    assert outcome.err.count("\n") == 1
    assert not (tmp_path / "checkpoints").exists()


def test_evaluation_decodes_as_the_training_did(tiny: Path, doors: Doors, tmp_path: Path) -> None:
    pytest.importorskip("cv2")
    assert doors.train("cpu", tiny, "data.decoder=opencv", "train.epochs=1").status == 0
    checkpoint = tmp_path / "checkpoints" / "tiny" / "epoch_0001.pt"
    assert load_checkpoint(checkpoint).card["preprocessing"]["decoder"] == "opencv"
    assert doors.evaluate("cpu", checkpoint).status == 0
    manifest = tmp_path / "features" / "tiny" / "epoch_0001" / "street" / "query" / "manifest.json"
    assert '"decoder": "opencv"' in manifest.read_text()
