"""Checkpoints come back as they were, and everything else is refused with a sentence that helps."""

from __future__ import annotations

import os
import pickle
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from common.errors import UserError
from engine.checkpoint import FORMAT, Checkpoint, checkpoint_file, load_checkpoint, save_checkpoint


def checkpoint_of(value: float = 1.0) -> Checkpoint:
    model = {"weight": torch.full((2, 3), value), "count": torch.tensor(7)}
    training = {"iteration": 12, "best": None, "random": {"cpu": torch.get_rng_state()[None]}}
    card = {"name": "run", "scores": {"mAP": 0.5}, "config": {"data": {"mean": [0.5, 0.25]}}}
    return Checkpoint(model, training, card)


def written(path: Path, value: float = 1.0) -> Path:
    save_checkpoint(checkpoint_of(value), path)
    return path


def value_of(path: Path) -> float:
    return float(load_checkpoint(path).model["weight"][0, 0])


def refused(path: Path) -> str:
    with pytest.raises(UserError) as refusal:
        load_checkpoint(path)
    return str(refusal.value)


def test_round_trip(tmp_path: Path) -> None:
    path = written(tmp_path / "new" / "epoch_0001.pt")
    found, expected = load_checkpoint(path), checkpoint_of()
    assert found.card == expected.card
    assert found.model.keys() == expected.model.keys()
    for name, value in expected.model.items():
        assert torch.equal(found.model[name], value)
        assert found.model[name].dtype == value.dtype
    assert found.training["iteration"] == 12
    assert torch.equal(found.training["random"]["cpu"], expected.training["random"]["cpu"])
    assert [file.name for file in path.parent.iterdir()] == ["epoch_0001.pt"]


def test_a_folder_is_its_best_checkpoint_or_its_newest(tmp_path: Path) -> None:
    for age, (name, value) in enumerate([("interrupted.pt", 3.0), ("epoch_0009.pt", 2.0), ("epoch_0010.pt", 1.0)]):
        os.utime(written(tmp_path / name, value), (1000 - age, 1000 - age))
    assert checkpoint_file(tmp_path).name == "interrupted.pt"
    assert value_of(tmp_path) == 3.0
    os.utime(written(tmp_path / "best.pt", 4.0), (1, 1))
    assert value_of(tmp_path) == 4.0


def test_missing_with_the_closest_name(tmp_path: Path) -> None:
    written(tmp_path / "epoch_0010.pt")
    written(tmp_path / "best.pt")
    assert refused(tmp_path / "epoch_001.pt").endswith("epoch_001.pt, did you mean 'epoch_0010.pt'?")
    assert refused(tmp_path / "zzz").endswith("zzz; there are: best.pt, epoch_0010.pt")


def test_missing_in_an_empty_or_a_missing_folder(tmp_path: Path) -> None:
    assert refused(tmp_path / "x.pt") == f"there is no checkpoint {tmp_path / 'x.pt'}"
    folder = tmp_path / "no" / "where"
    assert refused(folder / "x.pt") == f"there is no checkpoint {folder / 'x.pt'}: the folder {folder} does not exist"
    assert refused(tmp_path) == f"there is no checkpoint (*.pt) in the folder {tmp_path}"


@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 0.99])
def test_cut_short(tmp_path: Path, share: float) -> None:
    path = written(tmp_path / "x.pt")
    content = path.read_bytes()
    path.write_bytes(content[: int(share * len(content))])
    assert refused(path).startswith(f"{path} is damaged or cut short and cannot be read; take another checkpoint")


def test_text(tmp_path: Path) -> None:
    path = tmp_path / "x.pt"
    path.write_text("version https://git-lfs.github.com/spec/v1\n")
    assert refused(path).startswith(f"{path} is not a checkpoint of this toolkit")


@pytest.mark.parametrize(
    "content", [b"epoch 1", b"X", b"]q", b"}}Kus", b"\x80\x05]", b"hello", b"PK\x03\x04", b"\xff\xd8"]
)
def test_any_other_bytes(tmp_path: Path, content: bytes) -> None:
    """Letters are opcodes to an unpickler, which falls over them in many ways."""
    path = tmp_path / "x.pt"
    path.write_bytes(content)
    said = refused(path)
    assert "is damaged or cut short" in said or "is not a checkpoint of this toolkit" in said


class Bomb:
    """Executes something when it is unpickled."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[Callable[[Path], None], tuple[Path]]:
        return Path.touch, (self.mark,)


def parts(**changes: Any) -> dict[str, Any]:
    return {"format": FORMAT, "model": {}, "training": {}, "card": {}, **changes}


def save_with_pickle(content: object, path: Path) -> None:
    path.write_bytes(pickle.dumps(content, protocol=2))


@pytest.mark.parametrize("save", [torch.save, save_with_pickle])
def test_nothing_is_executed(tmp_path: Path, save: Callable[[object, Path], None]) -> None:
    path, mark = tmp_path / "x.pt", tmp_path / "executed"
    save(parts(card=Bomb(mark)), path)
    assert "is not a checkpoint of this toolkit" in refused(path)
    assert not mark.exists()


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        ({"weight": torch.ones(2), "bias": torch.ones(2)}, "the bare weights of a network (2 tensors)"),
        ({"state_dict": {"weight": torch.ones(2)}}, "a dict"),
        ({}, "a dict"),
        ([torch.ones(2)], "a list"),
        ({"format": 1, "model": {}, "card": {}}, "a dict"),
    ],
)
def test_other_weights_are_for_starting_from(tmp_path: Path, content: object, kind: str) -> None:
    path = tmp_path / "resnet.pt"
    torch.save(content, path)
    expected = f"{path} holds {kind}, not a checkpoint of this toolkit. To start training from such weights, give"
    assert refused(path) == f"{expected} model.pretrained={path}"


def test_other_format(tmp_path: Path) -> None:
    path = tmp_path / "x.pt"
    torch.save(parts(format=FORMAT + 1), path)
    assert refused(path) == f"{path} has checkpoint format 2, this version reads 1; update the code"


@pytest.mark.parametrize(
    ("error", "reason"),
    [(OSError(28, "No space left on device"), "No space left on device"), (RuntimeError("x"), "the disk may be full")],
)
def test_a_failure_keeps_what_was_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception, reason: str
) -> None:
    path = written(tmp_path / "x.pt", 1.0)

    def save(content: object, file: Any) -> None:
        file.write(b"half of it")
        raise error

    with monkeypatch.context() as patch:
        patch.setattr(torch, "save", save)
        with pytest.raises(
            UserError, match=re.escape(f"the checkpoint {path} could not be written: {reason}. Earlier")
        ):
            written(path, 2.0)
    assert value_of(path) == 1.0
    assert [file.name for file in tmp_path.iterdir()] == ["x.pt"]
