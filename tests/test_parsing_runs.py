"""HCGA from door to door: masks are found, kept with the run, found again after a stop, and the same everywhere."""

from __future__ import annotations

import json
import logging
import signal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import modeling.handlers.part_masks as part_masks
from engine.checkpoint import load_checkpoint
from modeling.handlers.part_masks import PartMasks
from modeling.parsing import build_parser
from retrieval.files.feature_file import read_features
from tests.doors import Doors, shell

KEYS = ("method=hcga", "options.width=8", "options.parsing.first=2", "options.parsing.iterations=4", "train.epochs=3")


@pytest.fixture
def hcga(tiny_resnet: Path) -> tuple[str | Path, ...]:
    """Arguments of train.py; refreshes before epochs 2 and 3."""
    return (tiny_resnet, *KEYS)


def same(one: Any, other: Any) -> None:
    """All tensors of the two checkpoints' `model` and of what the method keeps beside it are equal to the bit."""
    for left, right in ((one.model, other.model), (one.training["method"], other.training["method"])):
        assert left.keys() == right.keys()
        for name in left:
            assert torch.equal(left[name], right[name]), name


def test_a_run_finds_parts_and_keeps_them(hcga: tuple[str | Path, ...], doors: Doors, tmp_path: Path) -> None:
    outcome = doors.train("cpu", *hcga)
    assert outcome.status == 0, outcome.said
    assert "epoch 2: co-parsing in" in outcome.out
    assert "epoch 3: co-parsing in" in outcome.out
    assert "of 64 pictures" in outcome.out
    run = tmp_path / "checkpoints" / "tiny"
    last = load_checkpoint(run / "epoch_0003.pt")
    kept = last.training["method"]["masks"]
    assert kept.shape == (64, 8, 4)
    assert int(last.training["method"]["masks_epoch"]) == 3
    assert np.array_equal(kept.numpy(), np.load(run / "parsing" / "masks.npy"))
    told = json.loads((run / "parsing" / "manifest.json").read_text())
    assert told["complete"] is True
    assert told["of"]["epoch"] == 3
    curves = (tmp_path / "logs" / "tiny" / "metrics.jsonl").read_text()
    assert '"parsing accuracy"' in curves
    assert '"foreground"' in curves

    judged = doors.evaluate("cpu", run / "epoch_0003.pt")
    assert judged.status == 0, judged.said
    features = read_features(tmp_path / "features" / "tiny" / "epoch_0003" / "street" / "query")
    assert features.manifest["scorer"] == "visible-parts"
    assert features.features.parts is not None
    assert features.features.parts.shape == (16, 3, 8)
    assert features.features.visibility is not None
    assert features.features.visibility.shape == (16, 3)


@pytest.mark.parametrize("during", [5, 7])
def test_going_on_is_exact(
    during: int, hcga: tuple[str | Path, ...], doors: Doors, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Stopped in the first batch of epoch 2 and in its third: the masks are those that its start found."""
    runs = tmp_path / "checkpoints"
    assert doors.train("cpu", *hcga, "name=whole").status == 0
    usual = PartMasks._give

    def stopping(self: PartMasks, engine: Any) -> None:
        usual(self, engine)
        if engine.state.iteration == during:
            signal.raise_signal(signal.SIGTERM)

    with monkeypatch.context() as patched:
        patched.setattr(PartMasks, "_give", stopping)
        assert doors.train("cpu", *hcga, "name=parts").status == 128 + signal.SIGTERM
    again = doors.train("cpu", *hcga, "name=parts")
    assert again.status == 0, again.said
    assert "epoch 2: co-parsing" not in again.out
    same(load_checkpoint(runs / "whole" / "epoch_0003.pt"), load_checkpoint(runs / "parts" / "epoch_0003.pt"))


def test_a_signal_in_a_refresh_ends_it_and_nothing_is_done_twice(
    hcga: tuple[str | Path, ...], doors: Doors, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs = tmp_path / "checkpoints"
    assert doors.train("cpu", *hcga, "name=whole").status == 0
    usual, parsed = build_parser, []

    def signalling(options: Any) -> Any:
        parser = usual(options)

        def one(maps: torch.Tensor, seed: int) -> Any:
            parsed.append(seed)
            if len(parsed) == 3:
                signal.raise_signal(signal.SIGTERM)
            return parser(maps, seed)

        return one

    monkeypatch.setattr(part_masks, "build_parser", signalling)
    stopped = doors.train("cpu", *hcga, "name=parts")
    assert stopped.status == 128 + signal.SIGTERM
    assert "epoch 2: co-parsing left unfinished" in stopped.out
    assert load_checkpoint(runs / "parts" / "interrupted.pt").training["iteration"] == 4
    assert len(parsed) == 3
    again = doors.train("cpu", *hcga, "name=parts")
    assert again.status == 0, again.said
    assert len(parsed) == 8 + 8  # 8 people, once an epoch
    same(load_checkpoint(runs / "whole" / "epoch_0003.pt"), load_checkpoint(runs / "parts" / "epoch_0003.pt"))


def test_options_that_only_the_test_asks_for(
    hcga: tuple[str | Path, ...], doors: Doors, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    assert doors.train("cpu", *hcga, "options.parsing.by=stripes", "train.epochs=1").status == 0
    checkpoint = tmp_path / "checkpoints" / "tiny" / "epoch_0001.pt"
    folder = tmp_path / "features" / "tiny" / "epoch_0001" / "street" / "query"

    def dim(*settings: str) -> tuple[int, str]:
        with caplog.at_level(logging.INFO, "reid"):
            outcome = doors.evaluate("cpu", checkpoint, *settings)
        assert outcome.status == 0, outcome.said
        return read_features(folder).features.vectors.shape[1], outcome.out

    assert dim()[0] == 8
    whole = dim("--set", "options.matching=whole")
    assert whole[0] == 8 + 8 + 24
    assert "another checkpoint" in whole[1]  # what made the features: they are not taken for each other
    assert dim("--set", "options.matching=whole")[1].count("using the features in") == 2
    assert dim()[0] == 8
    assert dim("--set", "options.matching=visible")[1].count("using the features in") == 2  # as it was trained

    for asked, said in (
        (
            ("--set", "options.width=4"),
            "decides what was learned in the run 'tiny' (hcga); what may be set: options.matching",
        ),
        (("--set", "options.maching=whole"), "did you mean 'options.matching'"),
        (("--set", "options.matching=hole"), "options.matching"),
        (("--set", "options.matching"), "is not an override"),
        (("--set", "options.matching=whole", "--calibrate"), "leave one of the two out"),
    ):
        refused = doors.evaluate("cpu", checkpoint, *asked)
        assert refused.status == 1
        assert said in refused.err, refused.err
        assert "Traceback" not in refused.err


def test_a_network_in_half_precision_and_an_averaged_one_are_parsed_in_float32(
    hcga: tuple[str | Path, ...], doors: Doors
) -> None:
    for name, key in (("half", "train.opt_level=O2"), ("averaged", "train.ema=0.9")):
        outcome = doors.train("cpu", *hcga, f"name={name}", key, "train.epochs=2")
        assert outcome.status == 0, outcome.said
        assert "epoch 2: co-parsing in" in outcome.out


@pytest.mark.slow
@pytest.mark.dist
def test_two_processes(hcga: tuple[str | Path, ...], tmp_path: Path) -> None:
    outcome = shell("bash", "train.sh", "cpu,cpu", *hcga, "train.epochs=2")
    assert outcome.status == 0, outcome.said
    assert outcome.out.count("epoch 2: co-parsing in") == 1
    assert "of 64 pictures" in outcome.out
    run = tmp_path / "checkpoints" / "tiny"
    kept = load_checkpoint(run / "epoch_0002.pt").training["method"]["masks"]
    assert np.array_equal(kept.numpy(), np.load(run / "parsing" / "masks.npy"))
