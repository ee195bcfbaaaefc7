"""`eval.py` from end to end: the checkpoint alone is enough, features are used again, mistakes are sentences."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import ignite.distributed as idist
import numpy as np
import pytest
import torch

import engine.judging as judging
from common.errors import UserError
from retrieval.files.feature_file import read_features
from retrieval.protocols import protocol
from retrieval.scorers import Cosine
from retrieval.verification.verify import verify
from tests.doors import ROOT, Doors, shell


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


def test_a_dataset_with_the_same_names_sizes_and_times(
    checkpoint: Path, street: Path, doors: Doors, tmp_path: Path
) -> None:
    for name in ("one", "other"):
        shutil.copytree(street, tmp_path / name)
    assert doors.evaluate("cpu", checkpoint, "--root", tmp_path / "one").status == 0
    assert doors.evaluate("cpu", checkpoint, "--root", tmp_path / "one").out.count("using the features") == 2
    assert doors.evaluate("cpu", checkpoint, "--root", tmp_path / "other").out.count(": extracting, since") == 2


def test_process_0_says_whether_features_are_good(
    checkpoint: Path, doors: Doors, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On another machine the same pictures have other numbers and times."""
    assert doors.evaluate("cpu", checkpoint).status == 0
    monkeypatch.setattr(judging, "stale", lambda *_: "this is another machine")
    monkeypatch.setattr(judging, "largest", lambda value: value)
    monkeypatch.setattr(judging, "extract", lambda *_: pytest.fail("the others do not extract"))
    monkeypatch.setattr(idist, "get_rank", lambda: 1)
    assert doors.evaluate("cpu", checkpoint).status == 0


def test_a_protocol_of_other_datasets(checkpoint: Path, doors: Doors) -> None:
    asked = ("--protocol", "market", "deepchange")
    sentence = "the protocol 'deepchange' is one of deepchange, and 'street' is judged by 'market'"
    assert f"\nwarning: {sentence}" in doors.evaluate("cpu", checkpoint, *asked).out
    (told,) = json.loads(doors.evaluate("cpu", checkpoint, *asked, "--json").out)["warnings"]
    assert told.startswith(sentence)
    assert "warning" not in doors.evaluate("cpu", checkpoint).said


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


def test_everything_that_may_be_asked(checkpoint: Path, doors: Doors) -> None:
    asked = ("--protocol", "no-camera", "market", "--cameras", "--rerank", "--expand", "aqe", "--index", "flat")
    outcome = doors.evaluate("cpu", checkpoint, *asked)
    assert outcome.status == 0
    first = outcome.out.index("protocol no-camera, cosine scores, expansion aqe, with re-ranking;")
    assert first < outcome.out.index("by camera")
    assert outcome.out.count("by camera") == 2
    assert "product, plain kernels" in outcome.out
    told = json.loads(doors.evaluate("cpu", checkpoint, *asked, "--json").out)
    assert set(told["protocols"]) == set(told["cameras"]) == {"no-camera", "market"}


def test_what_is_configured_is_asked(tiny: Path, doors: Doors, tmp_path: Path) -> None:
    configured = ("retrieval.rerank=true", "retrieval.k1=4", "retrieval.lam=0.5", "retrieval.expand=dba")
    assert doors.train("cpu", tiny, "train.epochs=1", *configured).status == 0
    checkpoint = tmp_path / "checkpoints" / "tiny"
    told = json.loads(doors.evaluate("cpu", checkpoint, "--json").out)
    assert (told["rerank"], told["expand"]) == (True, "dba")
    assert json.loads(doors.evaluate("cpu", checkpoint, "--no-rerank", "--json").out)["rerank"] is False
    assert json.loads(doors.evaluate("cpu", checkpoint, "--expand", "none", "--json").out)["expand"] is None
    outcome = doors.evaluate("cpu", checkpoint, "--calibrate")
    assert outcome.status == 1
    assert "--calibrate needs --no-rerank and --expand none" in outcome.err


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


def test_calibration_from_end_to_end(checkpoint: Path, doors: Doors, tmp_path: Path) -> None:
    before = torch.load(checkpoint, weights_only=True)
    time = checkpoint.stat().st_mtime_ns
    assert "calibrated" not in doors.evaluate("cpu", checkpoint).out
    first = doors.evaluate("cpu", checkpoint, "--calibrate", "--far", "0.1")
    assert first.status == 0, first.said
    assert first.out.count("using the features in") == 2
    last = first.out.splitlines()[-1]
    assert last.startswith("same person when cosine ≥ ")
    assert "on people not used to choose it" in last
    assert "verification: protocol market, cosine scores; 8 people" in first.out

    after = torch.load(checkpoint, weights_only=True)
    (entry,) = after["card"].pop("calibration")
    how = {name: entry[name] for name in ("dataset", "protocol", "scorer", "flip")}
    assert how == {"dataset": "street", "protocol": "market", "scorer": "cosine", "flip": False}
    assert (entry["far"], entry["people"]) == (0.1, 8)
    assert entry["fingerprint"] == before["card"]["target"]["fingerprint"]
    assert entry["interval"][0] <= entry["threshold"] <= entry["interval"][1]
    assert after["card"] == before["card"]
    assert all(torch.equal(after["model"][name], value) for name, value in before["model"].items())
    assert after["training"]["iteration"] == before["training"]["iteration"]
    assert checkpoint.stat().st_mtime_ns == time

    # Once more: the features are still good, the numbers the same, and the entry is replaced.
    again = json.loads(doors.evaluate("cpu", checkpoint, "--calibrate", "--far", "0.1", "--json").out)
    assert again["calibration"] == entry
    assert again["roc"]["far"][0] > again["roc"]["far"][-1]
    assert torch.load(checkpoint, weights_only=True)["card"]["calibration"] == [entry]
    # The numbers are those of the features on disk.
    query, gallery = (
        read_features(tmp_path / "features/tiny/epoch_0001/street" / name) for name in ("query", "gallery")
    )
    found = verify(Cosine(), query.features, gallery.features, protocol("market"), far=0.1)
    assert found.as_dict().items() <= entry.items()

    later = doors.evaluate("cpu", checkpoint)
    assert later.out.count("using the features in") == 2
    (line,) = [line for line in later.out.splitlines() if "calibrated" in line]
    assert line == f"calibrated on street without mirrored pictures under protocol market: {last}"
    told = json.loads(doors.evaluate("cpu", checkpoint, "--json").out)
    assert told["calibration"] == entry
    assert "roc" not in told
    # Another view has a threshold of its own.
    assert "calibrated" not in doors.evaluate("cpu", checkpoint, "--flip").out
    assert doors.evaluate("cpu", checkpoint, "--flip", "--calibrate", "--far", "0.1").status == 0
    entries = torch.load(checkpoint, weights_only=True)["card"]["calibration"]
    assert [entry["flip"] for entry in entries] == [False, True]
    assert entries[0] == entry


def test_calibration_under_the_protocol_that_is_asked_for(checkpoint: Path, doors: Doors, tmp_path: Path) -> None:
    asked = ("--protocol", "no-camera", "market")
    first = doors.evaluate("cpu", checkpoint, *asked, "--calibrate", "--far", "0.1")
    assert first.status == 0, first.said
    assert "verification: protocol no-camera, cosine scores" in first.out
    (entry,) = torch.load(checkpoint, weights_only=True)["card"]["calibration"]
    query, gallery = (
        read_features(tmp_path / "features/tiny/epoch_0001/street" / name) for name in ("query", "gallery")
    )
    found = verify(Cosine(), query.features, gallery.features, protocol("no-camera"), far=0.1)
    assert found.as_dict().items() <= entry.items()

    # Only where that protocol judges is it mentioned, and the dataset's own has an entry beside it.
    assert "calibrated" not in doors.evaluate("cpu", checkpoint).out
    assert "pictures under protocol no-camera: same" in doors.evaluate("cpu", checkpoint, *asked).out
    assert doors.evaluate("cpu", checkpoint, "--calibrate", "--far", "0.1").status == 0
    entries = torch.load(checkpoint, weights_only=True)["card"]["calibration"]
    assert [one["protocol"] for one in entries] == ["no-camera", "market"]
    assert entries[0] == entry
    assert "pictures under protocol market: same" in doors.evaluate("cpu", checkpoint).out
    other = ("--protocol", "cloth-changing", "--features", tmp_path / "others")
    refused = doors.evaluate("cpu", checkpoint, *other, "--calibrate", "--far", "0.1")
    assert "0 people have a picture to be found under the protocol 'cloth-changing'" in refused.err
    assert "extracting" not in refused.out


def test_training_goes_on_from_a_calibrated_checkpoint(checkpoint: Path, tiny: Path, doors: Doors) -> None:
    folder = checkpoint.parent
    assert (folder / "best.pt").samefile(checkpoint)
    assert doors.evaluate("cpu", folder, "--calibrate", "--far", "0.1").status == 0
    assert (folder / "best.pt").samefile(checkpoint)
    on = doors.train("cpu", tiny)
    assert on.status == 0, on.said
    assert "going on after 4 of 8 iterations" in on.out
    card = torch.load(folder / "epoch_0002.pt", weights_only=True)["card"]
    assert card["epoch"] == 2
    assert "calibration" not in card  # its weights are others


def test_calibration_refused(checkpoint: Path, street: Path, doors: Doors, tmp_path: Path) -> None:
    before = checkpoint.read_bytes()
    few = tmp_path / "few"
    shutil.copytree(street, few)
    people = sorted({path.name.split("_")[0] for path in (few / "query").iterdir()})
    for path in [*(few / "query").iterdir(), *(few / "bounding_box_test").iterdir()]:
        if path.name.split("_")[0] in people[3:]:
            path.unlink()
    cases: list[tuple[list[object], str]] = [
        (["--calibrate", "--rerank"], "--rerank and --calibrate do not go together"),
        (["--far", "0.1"], "give --calibrate too"),
        (["--calibrate"], "a false accept rate of 0.01 needs 1,000 pairs of different people and there are"),
        (["--calibrate", "--far", "0.1", "--root", few], "3 people have a picture to be found"),
    ]
    for arguments, sentence in cases:
        outcome = doors.evaluate("cpu", checkpoint, *arguments)
        assert outcome.status == 1, arguments
        assert outcome.err.startswith("error: "), arguments
        assert sentence in outcome.err, arguments
        assert "extracting" not in outcome.out, arguments  # told before hours of work
    checkpoint.chmod(0o444)
    assert "is read-only" in doors.evaluate("cpu", checkpoint, "--calibrate", "--far", "0.1").err
    assert checkpoint.read_bytes() == before
    for value in ("0", "1", "-1", "nan", "x"):
        assert doors.evaluate("cpu", checkpoint, "--calibrate", "--far", value).status == 2


def test_a_dataset_that_was_another_when_calibrated(
    checkpoint: Path, street: Path, doors: Doors, tmp_path: Path
) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(street, copy)
    assert doors.evaluate("cpu", checkpoint, "--root", copy, "--calibrate", "--far", "0.1").status == 0
    next((copy / "query").iterdir()).unlink()
    assert "pass and" in doors.evaluate("cpu", checkpoint).out
    assert "the dataset was another then" in doors.evaluate("cpu", checkpoint, "--root", copy).out


def test_an_index_for_nothing(checkpoint: Path, doors: Doors) -> None:
    for more in ((), ("--no-rerank", "--expand", "none")):
        outcome = doors.evaluate("cpu", checkpoint, "--index", "exact", *more)
        assert outcome.status == 1
        assert outcome.err.startswith("error: --index says what finds the neighbours")
        assert outcome.err.count("\n") == 1
        assert "extracting" not in outcome.out
    for used in (("--rerank",), ("--expand", "aqe")):
        assert doors.evaluate("cpu", checkpoint, "--index", "exact", *used).status == 0


@pytest.mark.parametrize("step", ["study", "calibrate"])
def test_who_alone_fails_speaks(step: str, checkpoint: Path, doors: Doors, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only this process has looked at this share of the gallery."""

    def fail(*_: object, **__: object) -> None:
        raise UserError("row 17 is broken")

    monkeypatch.setattr(judging, step, fail)
    monkeypatch.setattr(idist, "get_local_rank", lambda: 1)
    outcome = doors.evaluate("cpu", checkpoint, "--calibrate", "--far", "0.1")
    assert (outcome.status, outcome.err) == (1, "error: row 17 is broken\n")


SMALL_BLOCKS = """
import eval as door
from engine.launch import run_door
from retrieval.streaming.stream import Backend

door.__file__ = __file__
Backend.choose = classmethod(lambda cls, *_: cls("torch", "plain", 1, 4, 4))
if __name__ == "__main__":
    run_door(door.main)
"""
"""`eval.py` with four gallery rows in a block, so that the second process has a share of a small gallery."""


@pytest.mark.dist
@pytest.mark.slow
@pytest.mark.parametrize("row", [1, 5])
def test_a_broken_row_in_the_share_of_one_process(row: int, tiny_resnet: Path, tmp_path: Path) -> None:
    assert shell("bash", "train.sh", "cpu", tiny_resnet, "train.epochs=1").status == 0
    checkpoint = tmp_path / "checkpoints" / "tiny" / "epoch_0001.pt"
    assert shell("python3", "eval.py", "cpu", checkpoint).status == 0
    file = tmp_path / "features" / "tiny" / "epoch_0001" / "street" / "gallery" / "features.npy"
    vectors = np.load(file)
    vectors[row, 3] = np.nan
    np.save(file, vectors)
    script = tmp_path / "small_blocks.py"
    script.write_text(SMALL_BLOCKS)
    outcome = shell("python3", script, "cpu,cpu", checkpoint, PYTHONPATH=str(ROOT))
    assert outcome.status == 1
    assert "using the features in" in outcome.out
    speaker = "[process 1] " if row // 4 == 1 else ""
    assert f"{speaker}error: gallery features: row {row} holds NaN or inf" in outcome.err
    assert "Traceback" not in outcome.said


@pytest.mark.dist
@pytest.mark.slow
def test_two_processes_calibrate_alike(tiny_resnet: Path, tmp_path: Path) -> None:
    assert shell("bash", "train.sh", "cpu", tiny_resnet, "train.epochs=1").status == 0
    checkpoint = tmp_path / "checkpoints" / "tiny" / "epoch_0001.pt"
    entries = []
    for devices in ("cpu", "cpu,cpu"):
        judged = shell("python3", "eval.py", devices, checkpoint, "--calibrate", "--far", "0.1", "--json")
        assert judged.status == 0, judged.said
        entries.append(json.loads(judged.out)["calibration"])
        assert torch.load(checkpoint, weights_only=True)["card"]["calibration"] == entries[-1:]
    assert entries[0] == entries[1]
    checkpoint.chmod(0o444)
    refused = shell("python3", "eval.py", "cpu,cpu", checkpoint, "--calibrate", "--far", "0.1")
    assert refused.status == 1
    assert refused.err.count("error:") == 1
