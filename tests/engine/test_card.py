"""Facts on a checkpoint's card change nothing else of it."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest
import torch

import engine.card as module
from common.errors import UserError
from common.files import link_or_copy
from engine.card import change, change_file, identity_of, require_changeable
from engine.checkpoint import CannotSave, Checkpoint, load_checkpoint, save_checkpoint


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "run" / "epoch_0001.pt"
    card = {"config": {"seed": 1}, "epoch": 1, "calibration": [{"threshold": 0.5}]}
    save_checkpoint(Checkpoint({"weight": torch.ones(3, 2)}, {"iteration": 4}, card), path)
    os.utime(path, ns=(10**18, 10**18 + 7))
    path.chmod(0o640)
    return path


def test_nothing_else_changes(path: Path) -> None:
    before = load_checkpoint(path)
    best, other = path.with_name("best.pt"), path.with_name("epoch_0000.pt")
    link_or_copy(path, best)
    save_checkpoint(replace(before, training={}), other)
    untouched = other.read_bytes()
    change(path, lambda card: {"conditional": {"k": 1}}, identity_of(before))
    change(path, lambda card: {"conditional": {"k": card["conditional"]["k"] + 1}}, identity_of(before))
    after = load_checkpoint(path)
    assert after.card == {**before.card, "conditional": {"k": 2}}
    assert torch.equal(after.model["weight"], before.model["weight"])
    assert after.training == before.training
    assert identity_of(after) == identity_of(before)
    assert best.samefile(path)
    assert other.read_bytes() == untouched
    assert path.stat().st_mtime_ns == 10**18 + 7  # by which the last checkpoint of a run is told
    assert path.stat().st_mode & 0o777 == 0o640
    assert len(list(path.parent.iterdir())) == 3


def test_another_checkpoint_in_its_place(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UserError, match="written by somebody else meanwhile"):
        change_file(path, lambda card: {"conditional": {}}, "another")
    newer = Checkpoint({}, {}, {"config": {}})

    def interrupted(checkpoint: Checkpoint, part: Path) -> None:
        save_checkpoint(checkpoint, part)
        save_checkpoint(newer, path)

    monkeypatch.setattr(module, "save_checkpoint", interrupted)
    with pytest.raises(UserError, match="written by somebody else meanwhile"):
        change_file(path, lambda card: {"conditional": {}}, identity_of(load_checkpoint(path)))
    assert load_checkpoint(path).card == newer.card
    assert len(list(path.parent.iterdir())) == 1


def test_a_full_disk(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = path.read_bytes()

    def full(checkpoint: Checkpoint, part: Path) -> None:
        part.write_bytes(b"half of")
        raise CannotSave("no space")

    monkeypatch.setattr(module, "save_checkpoint", full)
    with pytest.raises(UserError, match="could not be written and is as it was"):
        change(path, lambda card: {"conditional": {}}, identity_of(load_checkpoint(path)))
    assert path.read_bytes() == before
    assert len(list(path.parent.iterdir())) == 1


def test_what_may_not_be_written_to(path: Path) -> None:
    require_changeable(path, "--this")
    path.chmod(0o444)
    with pytest.raises(UserError, match="read-only, and --this writes to its card"):
        require_changeable(path, "--this")
