"""`train.sh` from end to end: what a run leaves behind, going on where it stopped, and every mistake's sentence."""

from __future__ import annotations

import json
import os
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from engine.checkpoint import load_checkpoint
from engine.runs import Folders
from engine.trainer import TrainingStep
from tests.doors import Doors, shell


def weights(path: Path) -> dict[str, Tensor]:
    """Everything that was learned, and the optimisers' memory of it."""
    checkpoint = load_checkpoint(path)
    moments = {
        f"{name}.{number}.{key}": value
        for name, optimizer in checkpoint.training["optimizers"].items()
        for number, state in optimizer["state"].items()
        for key, value in state.items()
    }
    return {**checkpoint.model, **checkpoint.training["method"], **moments}


def assert_same(left: Path, right: Path) -> None:
    first, second = weights(left), weights(right)
    assert first.keys() == second.keys()
    assert [name for name in first if not torch.equal(first[name], second[name])] == []


def events(path: Path) -> Iterator[dict[str, Any]]:
    yield from (json.loads(line) for line in path.read_text().splitlines())


def test_a_run_leaves_checkpoints_logs_and_scores(tiny: Path, doors: Doors, tmp_path: Path) -> None:
    outcome = doors.train("cpu", tiny, "train.keep=1")
    assert outcome.status == 0
    assert "8 identities" in outcome.out
    run = tmp_path / "checkpoints" / "tiny"
    assert sorted(path.name for path in run.iterdir()) == ["best.pt", "config.yml", "epoch_0002.pt"]
    card = load_checkpoint(run / "epoch_0002.pt").card
    assert card["epoch"] == 2
    assert card["finished"]
    assert card["num_classes"] == 8
    assert card["scores"]["epoch"] == 2
    told = list(events(tmp_path / "logs" / "tiny" / "metrics.jsonl"))
    assert [event["epoch"] for event in told if event["event"] == "evaluation"] == [0, 1, 2]
    assert all(event["identity"] > 0 for event in told if event["event"] == "train")
    assert "epoch 2/2" in (tmp_path / "logs" / "tiny" / "train.log").read_text()
    assert list((tmp_path / "logs" / "tiny").glob("events.*"))


def test_a_real_network(tiny_resnet: Path, doors: Doors, tmp_path: Path) -> None:
    keys = ["model.backbone=resnet18_ibn_a", "model.last_stride=2", "train.epochs=1"]
    assert doors.train("cpu", tiny_resnet, *keys).status == 0
    assert doors.evaluate("cpu", tmp_path / "checkpoints" / "tiny").status == 0


def test_the_resolved_configuration_repeats_the_run(tiny: Path, doors: Doors, tmp_path: Path) -> None:
    assert doors.train("cpu", tiny, "train.epochs=1").status == 0
    run = tmp_path / "checkpoints" / "tiny"
    assert doors.train("cpu", run / "config.yml", "name=again").status == 0
    assert_same(run / "epoch_0001.pt", tmp_path / "checkpoints" / "again" / "epoch_0001.pt")


@pytest.mark.parametrize("workers", [0, 2])
def test_going_on_after_an_epoch_is_exact(workers: int, tiny: Path, doors: Doors, tmp_path: Path) -> None:
    keys = [f"data.workers={workers}", "train.epochs=3"]
    assert doors.train("cpu", tiny, "name=whole", "train.epochs=3").status == 0
    assert doors.train("cpu", tiny, "name=parts", "train.epochs=1").status == 0
    outcome = doors.train("cpu", tiny, "name=parts", *keys)
    assert outcome.status == 0
    assert "going on after 4 of 12 iterations" in outcome.out
    runs = tmp_path / "checkpoints"
    assert_same(runs / "whole" / "epoch_0003.pt", runs / "parts" / "epoch_0003.pt")


def test_going_on_inside_an_epoch_is_exact(tiny: Path, doors: Doors, tmp_path: Path, signalled: list[int]) -> None:
    signalled.append(7)  # the third batch of epoch 2
    stopped = doors.train("cpu", tiny, "name=parts")
    assert stopped.status == 128 + signal.SIGTERM
    assert "SIGTERM: saving and stopping" in stopped.out
    run = tmp_path / "checkpoints" / "parts"
    interrupted = load_checkpoint(run / "interrupted.pt")
    assert interrupted.training["iteration"] == 7
    assert not interrupted.card["finished"]
    assert doors.evaluate("cpu", run / "interrupted.pt").status == 0

    signalled.clear()
    outcome = doors.train("cpu", tiny, "name=parts")
    assert outcome.status == 0
    assert "going on after 7 of 8 iterations" in outcome.out
    assert not (run / "interrupted.pt").exists()
    assert doors.train("cpu", tiny, "name=whole").status == 0
    assert_same(tmp_path / "checkpoints" / "whole" / "epoch_0002.pt", run / "epoch_0002.pt")


@pytest.mark.parametrize(
    "keys",
    [
        ["train.opt_level=O1"],
        ["train.opt_level=O2"],
        ["train.fp16=true", "train.accumulate=2", "train.clip_norm=1"],
        ["train.ema=0.9", "model.pooling=gem"],
        ["options.center.weight=0.0005", "options.triplet.normalize=true"],
        ["optimizer.name=sgd", "optimizer.lr=0.01", "optimizer.backbone_lr=0.001", "model.pooling=maxavg"],
        ["batches.kind=random", "schedule.kind=cosine", "schedule.by=iteration", "options.triplet.weight=0"],
        ["data.augment.jitter=0.2", "optimizer.name=adamw"],
    ],
    ids=lambda keys: keys[0],
)
def test_every_switch_trains_and_goes_on_exactly(keys: list[str], tiny: Path, doors: Doors, tmp_path: Path) -> None:
    assert doors.train("cpu", tiny, "name=whole", *keys).status == 0
    if "schedule.kind=cosine" in keys:  # its rates depend on the length of the run
        return
    assert doors.train("cpu", tiny, "name=parts", "train.epochs=1", *keys).status == 0
    assert doors.train("cpu", tiny, "name=parts", *keys).status == 0
    runs = tmp_path / "checkpoints"
    assert_same(runs / "whole" / "epoch_0002.pt", runs / "parts" / "epoch_0002.pt")
    assert doors.evaluate("cpu", runs / "whole").status == 0


def test_a_finished_run_is_not_trained_again(tiny: Path, doors: Doors, tmp_path: Path) -> None:
    assert doors.train("cpu", tiny).status == 0
    checkpoint = tmp_path / "checkpoints" / "tiny" / "epoch_0002.pt"
    before = checkpoint.read_bytes()
    again = doors.train("cpu", tiny)
    assert again.status == 1
    assert "is finished: 2 of 2 epochs" in again.err
    below = doors.train("cpu", tiny, "train.epochs=1")
    assert below.status == 1
    assert "train.epochs=1 lies below epoch 2" in below.err
    other = doors.train("cpu", tiny, "train.epochs=3", "optimizer.lr=0.1", "seed=5")
    assert other.status == 1
    assert "other settings than now (optimizer.lr, seed)" in other.err
    assert checkpoint.read_bytes() == before
    assert doors.train("cpu", tiny, "train.restart=true", "train.epochs=1").status == 0
    assert [path.name for path in checkpoint.parent.glob("epoch*")] == ["epoch_0001.pt"]


def test_a_mistake_with_restart_forgets_nothing(tiny: Path, street: Path, doors: Doors, tmp_path: Path) -> None:
    assert doors.train("cpu", tiny, "train.epochs=1").status == 0
    run = tmp_path / "checkpoints" / "tiny"
    before = sorted(path.name for path in run.iterdir())
    for key in ("optimizer.name=adma", "model.pooling=gme", "batches.size=64", "data.source=markt"):
        assert doors.train("cpu", tiny, "train.restart=true", key).status == 1
    copy = tmp_path / "copy"
    shutil.copytree(street, copy)
    next((copy / "query").iterdir()).write_bytes(b"broken")
    assert doors.train("cpu", tiny, "train.restart=true", f"data.root={copy}").status == 1
    assert sorted(path.name for path in run.iterdir()) == before
    assert "restart: false" in (run / "config.yml").read_text()


def test_a_killed_run_goes_on_from_its_best(tiny: Path, doors: Doors, tmp_path: Path) -> None:
    keys = ["train.checkpoint_every=100", "train.epochs=3"]
    assert doors.train("cpu", tiny, "train.epochs=2", "train.checkpoint_every=100").status == 0
    run = tmp_path / "checkpoints" / "tiny"
    best = load_checkpoint(run / "best.pt")
    (run / "epoch_0002.pt").unlink()  # as if it had been killed before its first regular checkpoint
    outcome = doors.train("cpu", tiny, *keys)
    assert outcome.status == 0
    assert f"going on after {best.training['iteration']} of 12 iterations" in outcome.out


def test_a_signal_in_the_last_evaluation_leaves_it_to_be_made_up(
    tiny: Path, doors: Doors, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, signalled: list[int]
) -> None:
    signalled.append(8)  # the last batch: what is due at the end of the epoch still begins, the evaluation stops
    stopped = doors.train("cpu", tiny)
    assert stopped.status == 128 + signal.SIGTERM
    assert "evaluation left unfinished" in stopped.out
    run = tmp_path / "checkpoints" / "tiny"
    assert not load_checkpoint(run / "interrupted.pt").card["finished"]
    signalled.clear()
    outcome = doors.train("cpu", tiny)
    assert outcome.status == 0
    assert "epoch 2: mAP" in outcome.out
    card = load_checkpoint(run / "epoch_0002.pt").card
    assert card["finished"]
    assert card["scores"]["epoch"] == 2
    assert doors.train("cpu", tiny).status == 1


def test_the_best_score_is_forgotten_with_what_it_meant(tiny: Path, doors: Doors, tmp_path: Path) -> None:
    assert doors.train("cpu", tiny, "train.epochs=1", "train.best=rank-20").status == 0
    assert doors.train("cpu", tiny, "train.epochs=2").status == 0
    checkpoint = load_checkpoint(tmp_path / "checkpoints" / "tiny" / "best.pt")
    assert checkpoint.card["epoch"] == 2
    assert checkpoint.training["best"] == checkpoint.card["scores"]["mAP"]


def test_other_pictures_of_the_same_people_are_noticed(tiny: Path, street: Path, doors: Doors, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(street, copy)
    assert doors.train("cpu", tiny, "train.epochs=1").status == 0
    assert doors.train("cpu", tiny, f"data.root={copy}").status == 0  # a copy is the same
    victim = sorted((copy / "bounding_box_train").iterdir())[0]
    victim.write_bytes(victim.read_bytes() + b"0")
    outcome = doors.train("cpu", tiny, f"data.root={copy}", "train.epochs=3")
    assert outcome.status == 1
    assert "other training pictures or identities" in outcome.err


def test_other_pictures_than_the_run_began_with(tiny: Path, street: Path, doors: Doors, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(street, copy)
    assert doors.train("cpu", tiny, f"data.root={copy}", "train.epochs=1").status == 0
    for path in list((copy / "bounding_box_train").iterdir())[:4]:
        path.unlink()
    outcome = doors.train("cpu", tiny, f"data.root={copy}")
    assert outcome.status == 1
    assert "other training pictures or identities" in outcome.err


MISTAKES = {
    "misspelt key": (["train.epoch=2"], "train.epoch: unknown key, did you mean 'epochs'?"),
    "misspelt option": (["options.triplt.margin=1"], "options.triplt: unknown key, did you mean 'triplet'?"),
    "wrong type": (["train.epochs=many"], "train.epochs: Input should be a valid integer"),
    "unknown dataset": (["data.source=markt", "data.root=null"], "unknown dataset 'markt', did you mean 'market'?"),
    "unknown method": (["method=basline"], "unknown method 'basline', did you mean 'baseline'?"),
    "unknown optimizer": (["optimizer.name=adma"], "unknown optimizer 'adma', did you mean 'adam'?"),
    "unknown backbone": (["model.backbone=resnet51"], "unknown backbone 'resnet51', did you mean"),
    "unknown pooling": (["model.pooling=gme"], "unknown pooling 'gme', did you mean 'gem'?"),
    "unknown score": (["train.best=map"], "train.best=map is not a score"),
    "missing root": (["data.root=nowhere"], "nowhere does not exist (named by data.root)"),
    "missing weights": (["model.pretrained=nowhere.pth"], "nowhere.pth"),
    "batch too large": (["batches.size=64"], "needs 16 identities in a batch, the training set has 8"),
    "no whole identities": (["batches.size=18"], "size 18 is not a multiple of instances 4"),
    "averaging half weights": (["train.ema=0.9", "train.opt_level=O2"], "train.ema needs float32 weights"),
    "no equals sign": (["train.epochs"], "'train.epochs' is not an override"),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_one_sentence(mistake: str, tiny: Path, doors: Doors) -> None:
    keys, sentence = MISTAKES[mistake]
    outcome = doors.train("cpu", tiny, *keys)
    assert outcome.status == 1
    assert outcome.err.startswith("error: ")
    assert sentence in outcome.err
    assert "Traceback" not in outcome.said


@pytest.mark.parametrize(
    ("devices", "sentence"),
    [("gpu", "names no devices"), ("0,0", "names a GPU twice"), ("99", "GPU 99 is not there"), ("cpu,0", "no devices")],
)
def test_devices_that_are_not_there(devices: str, sentence: str, tiny: Path, doors: Doors) -> None:
    outcome = doors.train(devices, tiny)
    assert outcome.status == 1
    assert sentence in outcome.err


def test_a_configuration_that_is_not_there(doors: Doors) -> None:
    outcome = doors.train("cpu", "configs/dmeo.yml")
    assert outcome.status == 1
    assert "there is no configuration configs/dmeo.yml, did you mean configs/demo.yml?" in outcome.err


def test_a_picture_that_cannot_be_read_is_named(tiny: Path, street: Path, doors: Doors, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(street, copy)
    victim = sorted((copy / "bounding_box_train").iterdir())[5]
    victim.write_bytes(victim.read_bytes()[:200])
    outcome = doors.train("cpu", tiny, f"data.root={copy}")
    assert outcome.status == 1
    assert victim.name in outcome.err
    assert "Traceback" not in outcome.said


def test_a_failure_loses_nothing_that_was_learned(
    tiny: Path, street: Path, doors: Doors, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A picture breaks in the second epoch; once it is whole again, the run ends as if nothing had happened."""
    copy = tmp_path / "copy"
    shutil.copytree(street, copy)
    keys = [f"data.root={copy}", "data.workers=0", "train.checkpoint_every=2", "train.evaluate_every=0"]
    assert doors.train("cpu", tiny, "name=whole", *keys).status == 0
    victim = sorted((copy / "bounding_box_train").iterdir())[5]
    content = victim.read_bytes()
    step = TrainingStep.__call__

    def breaking(self: TrainingStep, engine: Any, batch: Any) -> dict[str, Tensor]:
        if engine.state.iteration == 4:
            victim.write_bytes(content[:200])
        return step(self, engine, batch)

    with monkeypatch.context() as patch:
        patch.setattr(TrainingStep, "__call__", breaking)
        outcome = doors.train("cpu", tiny, "name=parts", *keys)
    assert outcome.status == 1
    assert victim.name in outcome.err
    runs = tmp_path / "checkpoints"
    assert 4 <= load_checkpoint(runs / "parts" / "interrupted.pt").training["iteration"] < 8
    victim.write_bytes(content)
    assert doors.train("cpu", tiny, "name=parts", *keys).status == 0
    assert_same(runs / "whole" / "epoch_0002.pt", runs / "parts" / "epoch_0002.pt")


def test_a_run_in_use_is_not_started_twice(tiny: Path, doors: Doors, tmp_path: Path) -> None:
    folders = Folders(tmp_path / "checkpoints" / "tiny", tmp_path / "logs" / "tiny")
    folders.make()
    with folders.locked():
        outcome = doors.train("cpu", tiny)
    assert outcome.status == 1
    assert f"is in use by process {os.getpid()}" in outcome.err
    assert doors.train("cpu", tiny).status == 0


def test_a_loss_that_is_not_finite_names_its_files(tiny: Path, doors: Doors, tmp_path: Path) -> None:
    assert doors.train("cpu", tiny, "train.epochs=1", "optimizer.name=sgd", "optimizer.lr=1e30").status == 1
    outcome = doors.train("cpu", tiny, "train.restart=true", "optimizer.name=sgd", "optimizer.lr=1e30")
    assert outcome.status == 1
    assert "the loss is not finite in epoch 1" in outcome.err
    assert ".jpg" in outcome.err


def test_a_folder_that_cannot_be_written(tiny: Path, doors: Doors, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    outcome = doors.train("cpu", tiny, f"output.checkpoints={tmp_path / 'file'}")
    assert outcome.status == 1
    assert "cannot create the folder" in outcome.err


def test_a_full_disk_keeps_the_previous_checkpoint(tiny_resnet: Path, doors: Doors, tmp_path: Path) -> None:
    """No file may grow beyond a megabyte, which a checkpoint does: what a full disk does to it."""
    assert doors.train("cpu", tiny_resnet, "train.epochs=1").status == 0
    before = (tmp_path / "checkpoints" / "tiny" / "epoch_0001.pt").read_bytes()
    outcome = shell("bash", "-c", f"ulimit -f 1000; trap '' XFSZ; exec bash train.sh cpu {tiny_resnet}")
    assert outcome.status == 1
    assert "could not be written" in outcome.err
    assert "Traceback" not in outcome.said
    names = sorted(path.name for path in (tmp_path / "checkpoints" / "tiny").iterdir())
    assert names == ["best.pt", "config.yml", "epoch_0001.pt"]
    assert (tmp_path / "checkpoints" / "tiny" / "epoch_0001.pt").read_bytes() == before
    assert doors.train("cpu", tiny_resnet).status == 0


def test_help_shows_how(doors: Doors) -> None:
    outcome = doors.train("--help")
    assert outcome.status == 0
    assert "bash train.sh 0,1 configs/single_domain.yml" in outcome.out
