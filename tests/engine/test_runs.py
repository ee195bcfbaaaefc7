"""Whether the same command starts a run, goes on with it or is refused."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

import pytest

from common.errors import UserError
from common.files import link_or_copy
from configs.loader import plain
from configs.schema import Config
from engine.checkpoint import CARD, Checkpoint, save_checkpoint
from engine.runs import BEST, INTERRUPTED, Folders, to_resume
from tests.engine.toys import config_of


def config_in(folder: Path, **sections: Any) -> Config:
    output = {"checkpoints": folder / "checkpoints", "logs": folder / "logs"}
    train = {"epochs": 5, **sections.pop("train", {})}
    return config_of(name="demo", output={**output, **sections.pop("output", {})}, train=train, **sections)


def interrupted(folder: Path, epoch: int = 3, name: str = INTERRUPTED, **card: Any) -> Path:
    """A checkpoint of the run of `config_in(folder)`."""
    path = Folders.of(config_in(folder)).checkpoints / name
    told = dict.fromkeys(CARD, "")
    whole = {**told, "config": plain(config_in(folder)), "epoch": epoch, "finished": False, "pictures": "abc", **card}
    save_checkpoint(Checkpoint({}, {"iteration": epoch}, whole), path)
    return path


def refused(config: Config, label_map: str = "abc") -> str:
    with pytest.raises(UserError) as refusal:
        to_resume(config, label_map)
    return str(refusal.value)


def test_folders(tmp_path: Path) -> None:
    folders = Folders.of(config_in(tmp_path))
    assert folders == Folders(tmp_path / "checkpoints" / "demo", tmp_path / "logs" / "demo")
    assert folders.last() is None
    folders.make()
    folders.make()
    assert folders.logs.is_dir()
    assert folders.epoch(7) == folders.checkpoints / "epoch_0007.pt"
    assert folders.last() is None
    for epoch in (10, 9, 100):
        folders.epoch(epoch).touch()
    assert [path.name for path in folders.epochs()] == ["epoch_0009.pt", "epoch_0010.pt", "epoch_0100.pt"]
    assert folders.last() == folders.epoch(100)
    (folders.checkpoints / "epoch_0200_copy.pt").touch()
    link_or_copy(folders.epoch(100), folders.checkpoints / BEST)
    assert folders.last() == folders.epoch(100)
    (folders.checkpoints / BEST).unlink()
    (folders.checkpoints / BEST).touch()
    os.utime(folders.epoch(100), (1, 1))
    assert folders.last() == folders.checkpoints / BEST
    (folders.checkpoints / INTERRUPTED).touch()
    assert folders.last() == folders.checkpoints / INTERRUPTED


def test_clear_forgets_the_run_and_nothing_else(tmp_path: Path) -> None:
    folders = Folders.of(config_in(tmp_path))
    folders.make()
    mine = [folders.checkpoints / name for name in (BEST, INTERRUPTED, "epoch_0001.pt")]
    others = [folders.checkpoints / name for name in ("notes.txt", "epoch_0001_paper.pt")]
    others += [folders.logs / "train.log", tmp_path / "checkpoints" / "other.pt"]
    for path in [*mine, *others]:
        path.touch()
    folders.clear()
    assert [path for path in [*mine, *others] if path.exists()] == others
    folders.clear()


def test_logs_are_set_aside(tmp_path: Path) -> None:
    folders = Folders.of(config_in(tmp_path))
    folders.make()
    for name in ("events.out.1", "metrics.jsonl", "train.log", "plot.png"):
        (folders.logs / name).write_text("old")
    folders.set_logs_aside()
    folders.set_logs_aside()
    assert sorted(path.name for path in folders.logs.iterdir()) == [
        "plot.png",
        "previous.metrics.jsonl",
        "previous.train.log",
    ]


def test_one_process_at_a_time(tmp_path: Path) -> None:
    folders = Folders.of(config_in(tmp_path))
    folders.make()
    with folders.locked(), pytest.raises(UserError, match=f"in use by process {os.getpid()}"), folders.locked():
        pass
    with folders.locked():
        pass
    assert list(folders.checkpoints.iterdir()) == []


def test_no_earlier_run(tmp_path: Path) -> None:
    assert to_resume(config_in(tmp_path), "abc") is None


def test_going_on(tmp_path: Path) -> None:
    interrupted(tmp_path)
    found = to_resume(config_in(tmp_path), "abc")
    assert found is not None
    assert found.training["iteration"] == 3


def test_going_on_from_the_last_epoch(tmp_path: Path) -> None:
    for epoch in (1, 2):
        interrupted(tmp_path, epoch, f"epoch_{epoch:04d}.pt")
    found = to_resume(config_in(tmp_path), "abc")
    assert found is not None
    assert found.card["epoch"] == 2


def test_restart(tmp_path: Path) -> None:
    interrupted(tmp_path, finished=True, epoch=5)
    assert to_resume(config_in(tmp_path, train={"restart": True}), "abc") is None


def test_finished(tmp_path: Path) -> None:
    path = interrupted(tmp_path, epoch=5, finished=True)
    said = refused(config_in(tmp_path))
    assert said.startswith(f"the run 'demo' is finished: 5 of 5 epochs, last checkpoint {path}. Raise train.epochs")
    assert "train.restart=true" in said
    assert to_resume(config_in(tmp_path, train={"epochs": 6}), "abc") is not None


def test_below_what_was_reached(tmp_path: Path) -> None:
    path = interrupted(tmp_path, epoch=4)
    said = refused(config_in(tmp_path, train={"epochs": 3}))
    assert said.startswith(f"train.epochs=3 lies below epoch 4, which {path} has reached")
    assert to_resume(config_in(tmp_path, train={"epochs": 4}), "abc") is not None


def test_changed_settings_are_named(tmp_path: Path) -> None:
    path = interrupted(tmp_path)
    said = refused(config_in(tmp_path, seed=2, optimizer={"lr": 7.0}, train={"log_every": 3, "clip_norm": 1.0}))
    assert "(optimizer.lr, seed, train.clip_norm)" in said
    assert str(path.parent / "config.yml") in said


@pytest.mark.parametrize(
    "changes",
    [
        {"method": "cail"},
        {"seed": 9},
        {"data": {"source": "duke"}},
        {"data": {"height": 128}},
        {"data": {"validation": 0.1}},
        {"data": {"augment": {"flip": 0.25}}},
        {"batches": {"size": 32}},
        {"model": {"backbone": "resnet18"}},
        {"schedule": {"milestones": [1, 2]}},
        {"train": {"opt_level": "O1"}},
        {"train": {"accumulate": 2}},
        {"train": {"ema": 0.5}},
    ],
)
def test_what_changes_the_run_is_refused(tmp_path: Path, changes: dict[str, Any]) -> None:
    interrupted(tmp_path)
    assert "was started with other settings than now" in refused(config_in(tmp_path, **changes))


@pytest.mark.parametrize(
    "changes",
    [
        {"data": {"root": "/elsewhere", "target": "duke", "target_root": "/there", "workers": 9}},
        {"model": {"pretrained": "none"}},
        {"test": {"batch_size": 3, "flip": True}},
        {"output": {"features": "/else"}},
        {
            "train": {
                **{"epochs": 9, "evaluate_every": 1, "checkpoint_every": 1, "keep": 9},
                **{"best": "mINP", "log_every": 1},
            }
        },
    ],
)
def test_what_does_not_change_the_run_is_free(tmp_path: Path, changes: dict[str, Any]) -> None:
    interrupted(tmp_path)
    assert to_resume(config_in(tmp_path, **changes), "abc") is not None


def test_a_key_that_came_since_has_its_default(tmp_path: Path) -> None:
    old = plain(config_in(tmp_path))
    del old["data"]["validation"]
    interrupted(tmp_path, config=old)
    assert to_resume(config_in(tmp_path), "abc") is not None
    assert "(data.validation)" in refused(config_in(tmp_path, data={"validation": 0.1}))
    interrupted(tmp_path, config={**old, "gone": 1})
    assert "data.validation, gone" in refused(config_in(tmp_path))


def test_other_pictures(tmp_path: Path) -> None:
    interrupted(tmp_path)
    assert "was started on other training pictures or identities" in refused(config_in(tmp_path), "xyz")


def test_a_damaged_checkpoint_is_not_passed_over(tmp_path: Path) -> None:
    path = interrupted(tmp_path)
    path.write_bytes(path.read_bytes()[:100])
    assert re.search("is damaged or cut short", refused(config_in(tmp_path)))
