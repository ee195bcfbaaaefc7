"""What a network is given beside the pictures: the right maps for each picture, in training and at test."""

from __future__ import annotations

import json
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

import engine.pose as pose_command
import engine.poses as poses_module
from common.errors import UserError
from configs.schema import Config, Data
from data.loader import PictureLoader, Pictures, RawBatch, WholeBatches
from data.poses.heatmaps import heatmaps
from data.poses.joints import merged
from data.poses.keypoints import read_keypoints
from data.poses.moving import moved_joints, moved_poses
from data.readers import read
from data.samples import Dataset
from data.training_set import TrainingSet
from data.transforms import Augmentation, Preprocessing
from engine.checkpoint import load_checkpoint
from engine.extraction import Extraction, InMemory, columns_of, extract
from engine.handlers.prepare import PrepareBatch
from engine.inputs import NONE, Inputs, RowInputs
from engine.training import _to_remember
from engine.view import PlainView
from modeling.methods import METHODS
from tests.doors import Doors
from tests.engine.adapting import write_elsewhere
from tests.engine.posed import AdaptingPosed, Posed, PosedEmbedder, build_brightness
from tests.engine.toys import CPU, PictureEmbedder, config_of

SIZE = (32, 16)
KEYS = ("method=posed", "train.epochs=2", "options={}")


@pytest.fixture(autouse=True)
def _posed(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setitem(METHODS, "posed", Posed)
    monkeypatch.setitem(METHODS, "adapting-posed", AdaptingPosed)
    monkeypatch.setattr(poses_module, "build_pose_network", build_brightness)
    yield
    Posed.batches.clear()


@pytest.fixture(scope="module")
def stored(street: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The maps of the street's own joints."""
    folder = tmp_path_factory.mktemp("poses")
    told = ["--dataset", "street", "--root", street, "--source", "keypoints", "--folder", folder]
    assert pose_command.main([*map(str, ["cpu", *told, "--height", 32, "--width", 16])]) == 0
    return folder


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    path = tmp_path / "pose.pth"
    path.write_bytes(b"weights")
    return path


def config(**poses: Any) -> Config:
    data = {"height": 32, "width": 16, "workers": 0, "augment": {"pad": 2, "enlarge": 0.5, "erase": 0}, "poses": poses}
    return config_of(data=data, test={"batch_size": 5})


def dataset_in(folder: Path) -> Dataset:
    return read("street", folder, "street")


def batches_of(config: Config, rows: TrainingSet) -> tuple[RowInputs, list[tuple[RawBatch, Tensor, Tensor]]]:
    """Augmented batches with their images and poses."""
    preprocessing = Preprocessing.of(config.data)
    given = Inputs(("poses",), config).of(rows.splits, CPU, config.data.augment)
    augmentation = Augmentation(config.data.augment, preprocessing)
    pictures = Pictures(rows.file, preprocessing, augmentation, 1, plain=given.plain)
    with PictureLoader(pictures, WholeBatches(range(len(rows)), 16), 0) as loader:
        raws = list(loader)
    images = [preprocessing.normalise(raw.pixels) for raw in raws]
    return given, [(raw, image, given(raw, image)["poses"]) for raw, image in zip(raws, images, strict=True)]


@pytest.mark.parametrize("shuffled", [False, True])
def test_keypoints_and_stored_maps(street: Path, stored: Path, shuffled: bool) -> None:
    rows = TrainingSet.of([dataset_in(street).train])
    joints = torch.from_numpy(read_keypoints(street / "joints.json").of(rows.splits[0], *SIZE))
    drawn, found = batches_of(config(source="keypoints", shuffled=shuffled), rows)
    _, kept = batches_of(config(source="cached", folder=stored, shuffled=shuffled), rows)
    owners = []
    for (raw, _, maps), (_, _, from_disk) in zip(found, kept, strict=True):
        assert maps.shape == from_disk.shape == (16, 13, 8, 4)
        assert maps.dtype == from_disk.dtype == torch.float32
        expected = torch.stack(
            [
                merged(heatmaps(moved_joints(joints, geometry.expand(64, -1), SIZE, 2), *SIZE))
                for geometry in raw.geometry
            ]
        )
        near = (expected - maps[:, None]).abs().flatten(2).amax(2)
        owners += near.argmin(1).tolist()
        assert near.amin(1).max() < 1e-6
        # Maps on disk move between cells, which here are wider than the Gaussians.
        still = merged(heatmaps(joints[owners[-16:]], *SIZE))
        torch.testing.assert_close(from_disk, moved_poses(still, raw.geometry, SIZE, 2), atol=1e-3, rtol=1e-3)
    if shuffled:
        assert sorted(owners) == list(range(64))
        assert not any(owner == row for row, owner in enumerate(owners))
    else:
        assert owners == list(range(64))
    assert drawn.plain is None
    assert drawn.facts["poses"]["shuffled"] == shuffled


@pytest.mark.parametrize("face", ["merged", "apart"])
def test_a_network_sees_the_clean_or_the_augmented_picture(street: Path, weights: Path, face: str) -> None:
    rows = TrainingSet.of([dataset_in(street).train])
    brightness = build_brightness("", weights)

    def one(maps: Tensor) -> Tensor:
        return merged(maps) if face == "merged" else maps

    for seen in ("clean", "augmented"):
        given, batches = batches_of(config(source="hrnet", weights=weights, input=seen, face=face), rows)
        assert (given.plain is None) == (seen == "augmented")
        for raw, images, maps in batches:
            still = raw.geometry[:, [0, 7]].sum(1) + (raw.geometry[:, 1:3] - 2).abs().sum(1) == 0
            expected = one(brightness(images))
            torch.testing.assert_close(maps[still], expected[still])
            assert torch.allclose(maps, expected, atol=1e-6) == (seen == "augmented")
            if raw.plain is not None:
                clean = one(brightness(Preprocessing.of(Data(height=32, width=16)).normalise(raw.plain)))
                torch.testing.assert_close(maps, moved_poses(clean, raw.geometry, SIZE, 2))
            assert not maps.is_inference()
            assert not maps.requires_grad
    given, batches = batches_of(config(source="hrnet", weights=weights, input="augmented", shuffled=True), rows)
    assert given.plain is not None
    assert (given.plain != np.arange(64)).all()
    for _, images, maps in batches:
        assert not torch.allclose(maps, merged(brightness(images)))


def test_zeros_and_nothing(street: Path) -> None:
    rows = TrainingSet.of([dataset_in(street).train])
    for _, _, maps in batches_of(config(source="zeros", face="apart"), rows)[1]:
        assert maps.shape == (16, 17, 8, 4)
        assert not maps.any()
    assert Inputs((), Config()).of(rows.splits, CPU)(None, torch.ones(1)) == {}  # type: ignore[arg-type]
    assert NONE.plain is None
    with pytest.raises(UserError, match="unknown input of a network 'pose', did you mean 'poses'?"):
        Inputs(("pose",), Config())


def test_only_one_plain_picture_a_row() -> None:
    def wanting(*rows: int) -> Any:
        return SimpleNamespace(plain=np.array(rows))

    nothing = SimpleNamespace(plain=None)
    same = RowInputs({"a": nothing, "b": wanting(1, 0), "c": wanting(1, 0)})
    assert same.plain is not None
    assert same.plain.tolist() == [1, 0]
    with pytest.raises(ValueError, match="room for one plain picture a row, and a, b ask for more"):
        _ = RowInputs({"a": wanting(1, 0), "b": wanting(0, 1)}).plain


def test_a_run_with_maps_is_judged_from_anywhere(
    street: Path, stored: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(stored.parent)
    poses = config(source="cached", folder=Path(stored.name), weights=Path("w.pth"), file=Path("j.json")).data.poses
    remembered = _to_remember(Config().changed(data={"poses": poses})).data.poses
    assert (remembered.folder, remembered.weights) == (stored.resolve(), stored.resolve().parent / "w.pth")
    assert remembered.file == Path("j.json")  # counts from each dataset's root


def test_the_view_shows_them_as_they_are(street: Path, weights: Path) -> None:
    rows = TrainingSet.of([dataset_in(street).train])
    asked = config(source="hrnet", weights=weights)
    preprocessing = Preprocessing.of(asked.data)
    inputs = Inputs(("poses",), asked)
    preparing = PrepareBatch(rows, preprocessing, CPU, inputs.of(rows.splits, CPU, asked.data.augment))
    view = PlainView(rows, preparing, 8, 0, inputs=inputs.of(rows.splits, CPU))
    for batch in view.pictures([3, 60, 5]):
        torch.testing.assert_close(batch.extras["poses"], merged(build_brightness("", weights)(batch.images)))


def test_features_of_mirrored_pictures_have_mirrored_poses(street: Path) -> None:
    """Twice the same feature when the network forgets the side: of what is mirrored all is."""
    split, asked = dataset_in(street).query, config(source="keypoints")
    torch.manual_seed(0)
    embedder = PosedEmbedder(13)

    def features(flip: bool) -> np.ndarray:
        sink = InMemory(columns_of(split))
        how = Extraction.of(asked.changed(test={"flip": flip}), embedder, CPU)
        extract(embedder, split, sink, how)
        return np.asarray(sink.features().vectors)

    given = Inputs(("poses",), asked).of([split], CPU)
    pixels = np.stack([np.zeros((32, 16, 3), np.uint8) for _ in range(len(split))])
    preprocessing = Preprocessing.of(asked.data)
    for row, out in enumerate(pixels):
        preprocessing.read(split.file(row), out)
    images = preprocessing.normalise(torch.from_numpy(pixels))
    maps = given(RawBatch(images, torch.arange(len(split)), images), images)["poses"]
    turned = maps.flip(3)[:, [0, 2, 1, 4, 3, 6, 5, 8, 7, 10, 9, 12, 11]]
    with torch.no_grad():
        plain = embedder(images, poses=maps).vector
        both = plain + embedder(images.flip(3), poses=turned).vector
    np.testing.assert_allclose(features(False), plain.numpy(), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(features(True), both.numpy(), rtol=1e-4, atol=1e-5)


def learned(path: Path) -> dict[str, Tensor]:
    checkpoint = load_checkpoint(path)
    return {**checkpoint.model, **checkpoint.training["method"]}


def assert_same(left: Path, right: Path) -> None:
    first, second = learned(left), learned(right)
    assert [name for name in first if not torch.equal(first[name], second[name])] == []


def test_trained_stopped_and_judged(
    tiny: Path, stored: Path, weights: Path, doors: Doors, tmp_path: Path, signalled: list[int]
) -> None:
    runs = tmp_path / "checkpoints"
    for source, keys in {
        "hrnet": [f"data.poses.weights={weights}"],
        "cached": [f"data.poses.folder={stored}", "data.poses.shuffled=true"],
    }.items():
        keys = [*KEYS, f"data.poses.source={source}", *keys]
        outcome = doors.train("cpu", tiny, f"name=whole-{source}", *keys)
        assert outcome.status == 0, outcome.said
        assert f"poses beside the pictures: {source}, 13 maps" in outcome.out
        signalled.append(6)
        assert doors.train("cpu", tiny, f"name=parts-{source}", *keys).status == 128 + signal.SIGTERM
        signalled.clear()
        assert doors.train("cpu", tiny, f"name=parts-{source}", *keys).status == 0
        assert_same(runs / f"whole-{source}" / "epoch_0002.pt", runs / f"parts-{source}" / "epoch_0002.pt")
    checkpoint = load_checkpoint(runs / "whole-hrnet" / "epoch_0002.pt")
    assert set(checkpoint.model) == {f"{name}.{of}" for name in ("colours", "both") for of in ("weight", "bias")}
    assert checkpoint.card["inputs"]["poses"]["source"] == "hrnet"
    assert all(batch.extras["poses"].any() for batch in Posed.batches)

    signalled.append(6)
    keys = [*KEYS, f"data.poses.weights={weights}"]
    assert doors.train("cpu", tiny, "name=other", *keys).status == 128 + signal.SIGTERM
    signalled.clear()
    weights.write_bytes(b"other")
    refused = doors.train("cpu", tiny, "name=other", *keys)
    assert refused.status == 1
    assert "was started with other poses beside the pictures than are there now" in refused.err


def test_judging_with_other_poses(tiny: Path, street: Path, stored: Path, doors: Doors, tmp_path: Path) -> None:
    keys = [*KEYS, "train.epochs=1", "data.poses.source=keypoints"]
    assert doors.train("cpu", tiny, *keys).status == 0
    run = tmp_path / "checkpoints" / "tiny" / "epoch_0001.pt"
    scores = load_checkpoint(run).card["scores"]

    def judged(*words: object) -> dict[str, Any]:
        outcome = doors.evaluate("cpu", run, "--json", *words)
        assert outcome.status == 0, outcome.said
        judged: dict[str, Any] = {**json.loads(outcome.out), "said": outcome.err}
        return judged

    own = judged()
    assert own["mAP"] == scores["mAP"]
    assert own["inputs"]["poses"]["source"] == "keypoints"
    assert "using the features" in judged()["said"]
    zeros, cached = judged("--poses", "zeros"), judged("--poses", "cached", "--poses-from", stored)
    shuffled = judged("--shuffle-poses")
    for other in (zeros, cached, shuffled):
        assert "were made with another poses" in other["said"]
    assert cached["mAP"] == pytest.approx(own["mAP"], abs=0.02)
    assert zeros["mAP"] != own["mAP"]
    assert shuffled["mAP"] != own["mAP"]
    assert shuffled["inputs"]["poses"]["shuffled"]
    printed = doors.evaluate("cpu", run, "--shuffle-poses")
    assert "poses: keypoints, 13 maps, of other pictures (a control)" in printed.out

    copy = shutil.copytree(street, tmp_path / "copy")
    (copy / "joints.json").unlink()
    missing = doors.evaluate("cpu", run, "--root", copy)
    assert missing.status == 1
    assert "there is no file of joints" in missing.err
    assert "--poses SOURCE [--poses-from PATH], where SOURCE is one of hrnet, cached, keypoints, zeros" in missing.err
    assert missing.err.count("\n") == 1
    assert doors.evaluate("cpu", run, "--root", copy, "--poses-from", street / "joints.json").status == 0
    assert "leave --poses" in doors.evaluate("cpu", run, "--calibrate", "--poses", "zeros").err
    assert "zeros come from nowhere" in doors.evaluate("cpu", run, "--poses", "zeros", "--poses-from", "x").err


@pytest.mark.parametrize(
    ("keys", "told"),
    [
        (["data.poses.source=hrnet"], "need a COCO checkpoint of hrnet_w48: data.poses.weights=FILE"),
        (["data.poses.weights=nowhere.pth"], "there are no weights of hrnet_w48 in nowhere.pth"),
        (["data.poses.source=keypoints", "data.poses.file=other.json"], "there is no file of joints"),
        (["data.poses.source=cached", "data.poses.folder=nowhere"], "no maps of joints in nowhere; run python3 -m"),
        (["data.poses.sorce=zeros"], "data.poses.sorce: unknown key, did you mean 'source'?"),
        (
            ["data.poses.source=cached", "data.height=64", "data.poses.folder={stored}"],
            "are of pictures of 32 x 16",
        ),
        (["data.poses.source=cached", "data.poses.face=apart", "data.poses.folder={stored}"], "have the face in one"),
    ],
)
def test_what_is_wrong_shows_before_training(
    tiny: Path, stored: Path, doors: Doors, tmp_path: Path, keys: list[str], told: str
) -> None:
    outcome = doors.train("cpu", tiny, *KEYS, *(key.format(stored=stored) for key in keys))
    assert outcome.status == 1
    assert told in outcome.err
    assert not (tmp_path / "checkpoints").exists()


def test_pictures_that_only_evaluation_needs_are_looked_at_too(
    tiny: Path, street: Path, doors: Doors, tmp_path: Path
) -> None:
    told = json.loads((street / "joints.json").read_text())["pictures"]
    victim = dataset_in(street).gallery.paths[3]
    del told[victim]
    (tmp_path / "joints.json").write_text(json.dumps(told))
    keys = ["data.poses.source=keypoints", f"data.poses.file={tmp_path / 'joints.json'}"]
    outcome = doors.train("cpu", tiny, *KEYS, *keys)
    assert outcome.status == 1
    assert f"has no joints of 1 of 48 pictures in {street}, such as {victim}" in outcome.err
    assert not (tmp_path / "checkpoints").exists()


def test_other_methods_do_not_look(tiny: Path, doors: Doors, tmp_path: Path) -> None:
    keys = ["train.epochs=1", "data.poses.source=cached", "data.poses.folder=nowhere"]
    assert doors.train("cpu", tiny, *keys).status == 0
    run = tmp_path / "checkpoints" / "tiny"
    assert doors.evaluate("cpu", run).status == 0
    refused = doors.evaluate("cpu", run, "--shuffle-poses")
    assert refused.status == 1
    assert "looks at pictures only; leave --poses" in refused.err
    assert Extraction.of(config(), PictureEmbedder(), CPU).inputs.of([], CPU).facts == {}


def test_several_sources_held_out_people_and_a_target(
    tiny: Path, street: Path, stored: Path, doors: Doors, tmp_path: Path
) -> None:
    elsewhere = write_elsewhere(tmp_path / "elsewhere")
    told = ["--dataset", "street", "--root", elsewhere, "--source", "keypoints", "--name", "second"]
    both = shutil.copytree(stored, tmp_path / "both")
    command = ["cpu", *told, "--folder", both, "--height", 32, "--width", 16]
    assert pose_command.main([*map(str, command)]) == 0
    target = ["data.target=street", f"data.target_root={elsewhere}"]
    sources = ["data.source=[street,street]", f"data.root=[{street},{elsewhere}]"]
    cases = {
        "several": [*sources, "data.validation=0.3"],
        "adapting": ["method=adapting-posed", "batches.kind=domains"],
    }
    for source in ("keypoints", "cached"):
        poses = [f"data.poses.source={source}", f"data.poses.folder={both}"]
        for name, keys in cases.items():
            Posed.batches.clear()
            outcome = doors.train("cpu", tiny, f"name={name}-{source}", *KEYS, *target, "train.epochs=1", *keys, *poses)
            assert outcome.status == 0, outcome.said
            content = load_checkpoint(tmp_path / "checkpoints" / f"{name}-{source}" / "epoch_0001.pt").card["inputs"]
            assert len(set(content["poses"]["content"])) == 2
            assert Posed.batches
