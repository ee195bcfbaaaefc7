"""Thresholds on a checkpoint's card: which one is meant, and that writing one changes nothing else."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from common.errors import UserError
from common.files import link_or_copy
from engine.calibration import (
    KEY,
    Calibration,
    calibrations,
    require_writable,
    threshold_of,
    write,
)
from engine.card import identity_of
from engine.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from retrieval.columns import Columns, Features
from retrieval.protocols import protocol
from retrieval.scorers import Precomputed
from retrieval.verification.verify import Verification, verify
from tests.engine.toys import dataset_of

FACTS = {
    "fingerprint": "abc",
    "scorer": "cosine",
    "far": 0.01,
    "interval": [0.4, 0.6],
    "held_out": {"far": {"value": 0.011}, "tpr": {"value": 0.9}},
    "resolution": 2**-11,
}


def entry(threshold: float = 0.5, dataset: str = "market", flip: bool = False, protocol: str = "market") -> Calibration:
    return Calibration({"dataset": dataset, "flip": flip, "protocol": protocol, "threshold": threshold, **FACTS})


def card_of(*entries: Calibration) -> dict[str, Any]:
    return {KEY: [dict(one.facts) for one in entries]}


@pytest.fixture
def checkpoint() -> Checkpoint:
    model = {
        "weight": torch.randn(3, 2),
        "steps": torch.tensor(7),
        "none": torch.empty(0),
        "half": torch.ones(2).half(),
    }
    training = {"optimizers": {"main": {"state": {0: {"momentum_buffer": torch.randn(3, 2)}}}}, "iteration": 4}
    return Checkpoint(
        model, training, {"config": {"method": "baseline", "seed": 1}, "epoch": 1, "scores": {"mAP": 0.5}}
    )


@pytest.fixture
def path(checkpoint: Checkpoint, tmp_path: Path) -> Path:
    path = tmp_path / "run" / "epoch_0001.pt"
    save_checkpoint(checkpoint, path)
    os.utime(path, ns=(10**18, 10**18 + 7))
    path.chmod(0o640)
    return path


def found_with(scores: np.ndarray) -> Verification:
    columns = Columns.of(np.arange(len(scores)))
    features = Features(np.zeros((len(scores), 1), dtype=np.float32), columns)
    return verify(Precomputed(scores.astype(np.float32)), features, features, protocol("no-camera"), far=0.2, draws=5)


# Reading -------------------------------------------------------------------------------------------------------------


def test_a_threshold_decides() -> None:
    calibration = threshold_of(card_of(entry(0.5)))
    assert calibration.threshold == 0.5
    assert calibration.same_person([0.4999, 0.5, 0.7]).tolist() == [False, True, True]
    assert bool(calibration.same_person(0.6))
    assert calibration.sentence() == (
        "calibrated on market without mirrored pictures under protocol market: same person when cosine ≥ 0.5000 (95 %"
        " interval 0.4000 to 0.6000): on people not used to choose it, 1.1 % of pairs of different people pass and 90.0"
        " % of same-person pairs do"
    )


def test_which_threshold_is_meant() -> None:
    several = card_of(entry(0.1), entry(0.2, flip=True), entry(0.3, "msmt"), entry(0.4, "duke", protocol="no-camera"))
    assert threshold_of(several, "msmt").threshold == 0.3
    assert threshold_of(several, flip=True).threshold == 0.2
    assert threshold_of(several, "market", flip=False).threshold == 0.1
    assert threshold_of(several, protocol="no-camera").threshold == 0.4
    assert threshold_of(several, "market", False, "market").threshold == 0.1
    for card, arguments, sentence in (
        (several, {}, "several thresholds (market without mirrored pictures under protocol market, market with mirr"),
        (several, {"dataset": "market"}, "say which dataset, flip and protocol"),
        (several, {"dataset": "prid"}, "no threshold for that, only for market without"),
        (several, {"dataset": "market", "protocol": "no-camera"}, "no threshold for that, only for market without"),
        ({}, {}, "the checkpoint has no threshold; make one with eval.py"),
    ):
        with pytest.raises(UserError) as refusal:
            threshold_of(card, **arguments)  # type: ignore[arg-type]
        assert sentence in str(refusal.value)


@pytest.mark.parametrize("broken", [7, "text", {"dataset": "market"}, [3], [{"dataset": "market", "flip": False}]])
def test_entries_of_another_version_are_passed_over(broken: object) -> None:
    assert calibrations({KEY: broken}) == []


# What is found -------------------------------------------------------------------------------------------------------


def test_an_entry_of_what_was_found(tmp_path: Path) -> None:
    dataset = dataset_of(tmp_path)
    found = found_with(np.eye(8))
    calibration = Calibration.of(found, dataset, flip=True)
    assert calibration.facts == {
        "dataset": dataset.name,
        "fingerprint": dataset.fingerprint(),
        "flip": True,
        **found.as_dict(),
    }
    assert calibration.is_of(dataset.name, True, "no-camera")
    assert not calibration.is_of(dataset.name, False, "no-camera")
    assert not calibration.is_of(dataset.name, True, "market")
    assert not calibration.is_of("another", True, "no-camera")
    assert calibrations({KEY: [dict(calibration.facts)]}) == [calibration]
    assert calibration.same_person([0.0, 1.0]).tolist() == [False, True]


def test_no_threshold_is_no_entry(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="more than 20.0 % of pairs of different people .*; nothing was written"):
        Calibration.of(found_with(1 - np.eye(8)), dataset_of(tmp_path), flip=True)


# Identity ------------------------------------------------------------------------------------------------------------


def test_identity_is_of_what_decides_the_features(checkpoint: Checkpoint, path: Path) -> None:
    before = identity_of(checkpoint)
    assert len(before) == 64
    assert identity_of(load_checkpoint(path)) == before
    model = checkpoint.model
    for same in (
        replace(checkpoint, training={}),
        replace(checkpoint, card={**checkpoint.card, "epoch": 2, KEY: [1]}),
        replace(checkpoint, model=dict(reversed(model.items()))),
        replace(checkpoint, model={**model, "weight": model["weight"].T.contiguous().T}),
    ):
        assert identity_of(same) == before
    others = [
        replace(checkpoint, card={"config": {"method": "baseline", "seed": 2}}),
        replace(checkpoint, model={**model, "weight": model["weight"].T}),
        replace(checkpoint, model={**model, "weight": model["weight"].view(2, 3)}),
        replace(checkpoint, model={**model, "weight": model["weight"] + 1}),
        replace(checkpoint, model={**model, "steps": torch.tensor(8)}),
        replace(checkpoint, model={**model, "steps": torch.tensor(7, dtype=torch.int32)}),
        replace(checkpoint, model={**model, "half": model["half"].view(torch.int16)}),
        replace(checkpoint, model={**model, "more": torch.empty(0)}),
    ]
    assert len({before, *map(identity_of, others)}) == len(others) + 1


# Writing -------------------------------------------------------------------------------------------------------------


def content(path: Path) -> dict[str, Any]:
    """Everything in a checkpoint, comparable."""
    parts = load_checkpoint(path)
    momentum = parts.training["optimizers"]["main"]["state"][0]["momentum_buffer"]
    return {
        "model": {name: (value.dtype, value.tolist()) for name, value in parts.model.items()},
        "momentum": momentum.tolist(),
        "iteration": parts.training["iteration"],
        "card": {name: value for name, value in parts.card.items() if name != KEY},
    }


def test_writing_changes_nothing_else(path: Path) -> None:
    before, identity = content(path), identity_of(load_checkpoint(path))
    several = (entry(0.1), entry(0.2, "msmt"), entry(0.3, flip=True), entry(0.5, protocol="no-camera"), entry(0.4))
    for one in several:
        write(path, one, identity)
    assert content(path) == before
    card = load_checkpoint(path).card
    assert {one.where(): one.threshold for one in calibrations(card)} == {
        "market without mirrored pictures under protocol market": 0.4,
        "market without mirrored pictures under protocol no-camera": 0.5,
        "market with mirrored pictures under protocol market": 0.3,
        "msmt without mirrored pictures under protocol market": 0.2,
    }
    assert identity_of(load_checkpoint(path)) == identity
    status = path.stat()
    assert status.st_mtime_ns == 10**18 + 7  # by which the last checkpoint of a run is told
    assert status.st_mode & 0o777 == 0o640
    assert [file.name for file in path.parent.iterdir()] == [path.name]


def test_an_entry_of_another_version_is_replaced_and_others_stay(path: Path) -> None:
    parts = load_checkpoint(path)
    place = {"flip": False, "protocol": "market"}
    strange = [{"dataset": "market", **place, "old": 1}, {"dataset": "duke", **place, "old": 2}]
    save_checkpoint(replace(parts, card={**parts.card, KEY: strange}), path)
    write(path, entry(), identity_of(parts))
    assert load_checkpoint(path).card[KEY] == [strange[1], dict(entry().facts)]


def test_all_names_of_the_file_are_kept(path: Path, tmp_path: Path) -> None:
    best, other, link = path.with_name("best.pt"), path.with_name("epoch_0000.pt"), tmp_path / "link.pt"
    link_or_copy(path, best)
    save_checkpoint(replace(load_checkpoint(path), training={}), other)
    untouched = other.read_bytes()
    link.symlink_to(best)
    write(link, entry(), identity_of(load_checkpoint(path)))
    assert best.samefile(path)
    assert best.stat().st_mtime_ns == 10**18 + 7
    assert threshold_of(load_checkpoint(path).card).threshold == 0.5
    assert link.is_symlink()
    assert other.read_bytes() == untouched


def test_another_checkpoint_in_its_place(path: Path) -> None:
    identity = identity_of(load_checkpoint(path))
    parts = load_checkpoint(path)
    save_checkpoint(replace(parts, model={**parts.model, "weight": torch.zeros(3, 2)}), path)
    before = path.read_bytes()
    with pytest.raises(UserError, match="written by somebody else meanwhile"):
        write(path, entry(), identity)
    assert path.read_bytes() == before
    path.unlink()
    with pytest.raises(UserError, match="there is no checkpoint"):
        write(path, entry(), identity)


def test_what_may_not_be_written_to(path: Path) -> None:
    require_writable(path)
    path.chmod(0o444)
    with pytest.raises(UserError, match="epoch_0001.pt is read-only, and --calibrate writes to its card"):
        require_writable(path)
