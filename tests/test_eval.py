"""`eval.py` from end to end: the checkpoint alone is enough, features are used again, mistakes are sentences."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.doors import Doors


@pytest.fixture
def checkpoint(tiny: Path, doors: Doors, tmp_path: Path) -> Path:
    """A trained checkpoint with its run's folder to itself."""
    assert doors.train("cpu", tiny, "train.epochs=1").status == 0
    return tmp_path / "checkpoints" / "tiny" / "epoch_0001.pt"


def test_scores_features_and_their_second_use(checkpoint: Path, doors: Doors, tmp_path: Path) -> None:
    first = doors.evaluate("cpu", checkpoint)
    assert first.status == 0
    assert first.out.count("extracting, since there are no features") == 2
    for word in ("mAP", "mAP_trap", "mINP", "rank-1", "rank-20", "protocol market", "16 of 16 queries"):
        assert word in first.out
    folder = tmp_path / "features" / "tiny" / "epoch_0001" / "street"
    vectors = np.load(folder / "query" / "features.npy")
    assert vectors.shape == (16, 32)
    assert vectors.dtype == np.float32

    second = doors.evaluate("cpu", checkpoint)
    assert second.out.count("using the features in") == 2
    assert second.out.splitlines()[-1] == first.out.splitlines()[-1]
    flipped = doors.evaluate("cpu", checkpoint, "--flip")
    assert "another flip setting" in flipped.out


def test_training_and_evaluation_print_the_same_scores(checkpoint: Path, doors: Doors) -> None:
    told = json.loads(doors.evaluate("cpu", checkpoint, "--json").out)
    card = torch.load(checkpoint, weights_only=True)["card"]
    assert {name: told[name] for name in ("mAP", "mINP", "rank-1")} == {
        name: card["scores"][name] for name in ("mAP", "mINP", "rank-1")
    }


def test_a_relative_root_is_found_from_anywhere(
    tiny: Path, street: Path, doors: Doors, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(street.parent)
    assert doors.train("cpu", tiny, "train.epochs=1", f"data.root={street.name}").status == 0
    monkeypatch.chdir(tmp_path)
    outcome = doors.evaluate("cpu", tmp_path / "checkpoints" / "tiny")
    assert outcome.status == 0
    assert "16 of 16 queries count" in outcome.out


def test_pictures_that_were_written_again(checkpoint: Path, street: Path, doors: Doors, tmp_path: Path) -> None:
    """Of the same size, so that only the time of writing tells."""
    copy = tmp_path / "copy"
    shutil.copytree(street, copy)
    assert doors.evaluate("cpu", checkpoint, "--root", copy).status == 0
    victim = next((copy / "query").iterdir())
    os.utime(victim, (1, 1))
    assert "query: extracting, since" in doors.evaluate("cpu", checkpoint, "--root", copy).out


def test_weights_that_are_not_what_the_card_says(checkpoint: Path, doors: Doors) -> None:
    parts = torch.load(checkpoint, weights_only=True)
    for change in (
        {"model": {**parts["model"], "neck.weight": torch.ones(3)}},
        {"card": {"name": "only"}},
        {"card": {**parts["card"], "config": {**parts["card"]["config"], "name": "../../escaped"}}},
    ):
        torch.save({**parts, **change}, checkpoint)
        outcome = doors.evaluate("cpu", checkpoint)
        assert outcome.status == 1
        assert outcome.err.startswith("error: ")
        assert "Traceback" not in outcome.said


def test_numbers_that_make_no_sense(doors: Doors) -> None:
    for flag, value in (("--batch-size", "0"), ("--batch-size", "-3"), ("--workers", "-1")):
        assert doors.evaluate("cpu", "x.pt", flag, value).status == 2


def test_what_changed_is_told(checkpoint: Path, street: Path, doors: Doors, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(street, copy)
    assert doors.evaluate("cpu", checkpoint, "--root", copy).status == 0
    next((copy / "query").iterdir()).unlink()
    outcome = doors.evaluate("cpu", checkpoint, "--root", copy)
    assert "query: extracting, since" in outcome.out
    assert "another dataset content" in outcome.out
    assert "gallery: using the features" in outcome.out
    changed = torch.load(checkpoint, weights_only=True)
    changed["model"]["neck.weight"] += 0.1
    torch.save(changed, checkpoint)
    assert doors.evaluate("cpu", checkpoint, "--root", copy).out.count("another checkpoint") == 2


def test_matlab_and_reranking(checkpoint: Path, doors: Doors, tmp_path: Path) -> None:
    from scipy.io import loadmat

    outcome = doors.evaluate("cpu", checkpoint.parent, "--mat", "--rerank")
    assert outcome.status == 0
    assert "with re-ranking" in outcome.out
    fields = loadmat(tmp_path / "features" / "tiny" / "best" / "street" / "gallery.mat")
    assert fields["feat"].shape == (48, 32)
    assert fields["ids"].size == fields["cam_ids"].size == 48


def test_json_alone_is_on_stdout(checkpoint: Path, doors: Doors) -> None:
    outcome = doors.evaluate("cpu", checkpoint, "--json")
    told = json.loads(outcome.out)
    assert told["protocol"] == "market"
    assert told["dataset"] == "street"
    assert "extracting" in outcome.err


def test_another_dataset_with_other_identities(checkpoint: Path, doors: Doors, tmp_path: Path) -> None:
    from PIL import Image

    for split in ("query", "gallery"):
        for person in ("ann", "bob"):
            (tmp_path / "mine" / split / person).mkdir(parents=True)
            Image.new("RGB", (20, 40), "red").save(tmp_path / "mine" / split / person / f"{split}.jpg")
    outcome = doors.evaluate("cpu", checkpoint, "--dataset", "folders", "--root", tmp_path / "mine")
    assert outcome.status == 0
    assert "protocol no-camera" in outcome.out


def test_mistakes_are_sentences(checkpoint: Path, doors: Doors, tmp_path: Path) -> None:
    whole = checkpoint.read_bytes()
    files = {
        "cut.pt": whole[: len(whole) // 2],
        "text.pt": b"this is no checkpoint",
        "empty.pt": b"",
    }
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)
    torch.save({"conv1.weight": torch.zeros(2)}, tmp_path / "bare.pt")
    cases = [
        (["cpu", tmp_path / "nothing.pt"], "there is no checkpoint"),
        (["cpu", checkpoint.with_name("epoch_0002.pt")], "did you mean 'epoch_0001.pt'?"),
        (["cpu", tmp_path / "cut.pt"], "is damaged or cut short"),
        (["cpu", tmp_path / "text.pt"], "not a checkpoint"),
        (["cpu", tmp_path / "empty.pt"], "damaged or cut short"),
        (["cpu", tmp_path / "bare.pt"], "model.pretrained="),
        (["cpu", checkpoint, "--dataset", "marktt"], "unknown dataset 'marktt', did you mean 'market'?"),
        (["cpu", checkpoint, "--dataset", "market", "--root", tmp_path / "no"], "no"),
        (["9", checkpoint], "GPU 9 is not there"),
    ]
    for arguments, sentence in cases:
        outcome = doors.evaluate(*arguments)
        assert outcome.status == 1, arguments
        assert outcome.err.startswith("error: "), arguments
        assert sentence in outcome.err, arguments


def test_queries_without_a_positive(checkpoint: Path, street: Path, doors: Doors, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(street, copy)
    victim = sorted((copy / "query").iterdir())[0].name.split("_")[0]
    for path in (copy / "bounding_box_test").glob(f"{victim}_*"):
        path.unlink()
    outcome = doors.evaluate("cpu", checkpoint, "--root", copy)
    assert outcome.status == 0
    assert "2 of 16 queries have no positive" in outcome.out
    assert "14 of 16 queries count" in outcome.out
    for path in (copy / "bounding_box_test").iterdir():
        path.rename(path.with_name("9" + path.name[1:]))
    outcome = doors.evaluate("cpu", checkpoint, "--root", copy)
    assert outcome.status == 1
    assert "positive" in outcome.err


def test_unknown_flags_are_refused(doors: Doors) -> None:
    assert doors.evaluate("cpu", "x.pt", "--rernk").status == 2
