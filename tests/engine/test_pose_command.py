"""`python3 -m engine.pose`: every picture once, on after an interruption, and what it says."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import engine.pose as pose_command
import engine.poses as poses_module
from common.errors import UserError
from configs.schema import Data
from data.loader import Pictures, RawBatch
from data.poses.heatmaps import heatmaps
from data.poses.joints import merged
from data.poses.keypoints import read_keypoints
from data.poses.moving import moved_joints
from data.poses.pose_file import PoseFile
from data.poses.pose_writer import PoseWriter
from data.readers import read
from data.samplers import Key
from data.transforms import Augmentation, Preprocessing
from engine.inputs import Inputs
from engine.pose_sheet import COLUMNS, overlaid, pose_sheet
from tests.doors import shell
from tests.engine.posed import build_brightness


def command(street: Path, folder: Path, *more: object) -> list[str]:
    size = ["--height", 32, "--width", 16, "--workers", 1]
    return [*map(str, ["cpu", "--dataset", "street", "--root", street, "--folder", folder, *size, *more])]


def test_from_keypoints(
    street: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pose_command, "_DRAWN_AT_ONCE", 3)
    assert pose_command.main(command(street, tmp_path, "--source", "keypoints")) == 0
    told = capsys.readouterr().out
    dataset, file = read("street", street, "street"), PoseFile(tmp_path / "street")
    assert len(file) == sum(map(len, dataset.splits.values()))
    assert f"street: maps of {len(file)} pictures, 13 x 8 x 4 each, 0.1 MiB in {tmp_path / 'street'}" in told
    assert f"made {len(file)} in" in told
    assert f"data.poses.source=cached data.poses.folder={tmp_path}" in told
    for split in dataset.splits.values():
        joints = torch.from_numpy(read_keypoints(street / "joints.json").of(split, 32, 16))
        found = torch.from_numpy(file.read(file.rows_of(split))).float()
        torch.testing.assert_close(found, merged(heatmaps(joints, 32, 16)), atol=1e-3, rtol=1e-3)
    assert pose_command.main(command(street, tmp_path, "--source", "keypoints")) == 0
    told = capsys.readouterr().out
    assert f"{len(file)} are there already" in told
    assert "made 0 in" in told


def test_from_a_network_that_is_interrupted(
    street: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(poses_module, "build_pose_network", build_brightness)
    weights = tmp_path / "pose.pth"
    weights.write_bytes(b"weights")
    asked = command(street, tmp_path / "poses", "--weights", weights, "--batch-size", 16, "--face", "apart")
    write, written = PoseWriter.write, []

    def interrupted(self: PoseWriter, rows: np.ndarray, maps: np.ndarray) -> None:
        write(self, rows, maps)
        written.extend(rows.tolist())
        if len(written) == 32:
            raise KeyboardInterrupt

    monkeypatch.setattr(PoseWriter, "write", interrupted)
    with pytest.raises(KeyboardInterrupt):
        pose_command.main(asked)
    assert pose_command.main(asked) == 0
    assert "32 are there already" in capsys.readouterr().out
    file = PoseFile(tmp_path / "poses" / "street")
    assert sorted(written) == list(range(len(file)))
    assert file.contents.channels == 17
    everything = pose_command.pictures_of(read("street", street, "street"))
    options = pose_command._parser().parse_args(asked)
    raws: list[RawBatch] = list(pose_command._batches(everything, np.arange(40), pose_command.configuration(options)))
    images = Preprocessing.of(Data(height=32, width=16)).normalise(raws[2].pixels)
    expected = build_brightness("", weights)(images)
    found = torch.from_numpy(file.read(raws[2].rows.numpy())).float()
    torch.testing.assert_close(found, expected.clone(), atol=0.02, rtol=2e-3)
    weights.write_bytes(b"others")
    with pytest.raises(UserError, match="another source or other weights"):
        pose_command.main(asked)


@pytest.mark.parametrize(
    ("more", "told"),
    [
        ([], "data.poses.weights=FILE"),
        (["--source", "keypoints", "--file", "none.json"], "there is no file of joints .*none.json"),
    ],
)
def test_what_is_wrong(street: Path, tmp_path: Path, more: list[str], told: str) -> None:
    with pytest.raises(UserError, match=told):
        pose_command.main(command(street, tmp_path, *more))
    with pytest.raises(UserError, match="made on one device, and 'cpu,cpu' names 2"):
        pose_command.main(["cpu,cpu", *command(street, tmp_path)[1:]])
    assert not list(tmp_path.iterdir())


def test_a_sheet_shows_maps_where_pictures_went(street: Path, tmp_path: Path) -> None:
    path = tmp_path / "sheets" / "poses.jpg"
    assert pose_command.main(command(street, tmp_path / "maps", "--source", "keypoints", "--sheet", path)) == 0
    assert not (tmp_path / "maps").exists()
    with Image.open(path) as sheet:
        assert sheet.size == (COLUMNS * (16 + 2) - 2, 4 * (32 + 2) - 2)
    everything = pose_command.pictures_of(read("street", street, "street"))
    config = pose_command.configuration(
        pose_command._parser().parse_args(command(street, tmp_path, "--source=keypoints"))
    )
    drawn = np.asarray(pose_sheet(everything, Inputs(("poses",), config), config, torch.device("cpu")))
    rows = np.linspace(0, len(everything) - 1, COLUMNS).round().astype(int)
    joints = torch.from_numpy(read_keypoints(street / "joints.json").of(everything.take(rows), 32, 16))
    preprocessing = Preprocessing.of(config.data)
    augmented = Pictures(everything.file, preprocessing, Augmentation(config.data.augment, preprocessing))
    seen = augmented.__getitems__([Key(row, 0, row) for row in rows.tolist()])
    assert isinstance(seen, RawBatch)
    moved = moved_joints(joints, seen.geometry, (32, 16), config.data.augment.pad)
    for column in range(COLUMNS):
        plain, over, turned, over_turned = (
            drawn[34 * line : 34 * line + 32, 18 * column :][:, :16] for line in range(4)
        )
        for pixels, shown, of in ((plain, over, joints), (turned, over_turned, moved)):
            assert (shown == overlaid(pixels, merged(heatmaps(of, 32, 16))[column])).all()
        assert (turned == seen.pixels[column].numpy()).all()
    with pytest.raises(UserError, match="it is a folder; name a file"):
        pose_command.main(command(street, tmp_path, "--source", "keypoints", "--sheet", tmp_path))
    with pytest.raises(UserError, match="give one without slashes"):
        pose_command.main(command(street, tmp_path, "--source", "keypoints", "--name", "a/b"))


def test_a_map_over_a_picture() -> None:
    pixels = np.full((8, 8, 3), (90, 120, 150), np.uint8)
    maps = torch.zeros(3, 2, 2)
    assert (overlaid(pixels, maps) == 120).all()  # in grey
    maps[0, 0, 0] = 1
    shown = overlaid(pixels, maps)
    assert shown[0, 0].tolist() == [255, 0, 0]
    assert shown[7, 7].tolist() == [120, 120, 120]
    maps[1] = maps[0]
    assert overlaid(pixels, maps)[0, 0].tolist() == [128, 128, 0]  # both in one place
    maps[0, 0, 0] = -2  # a network's maps may be below nothing and above everything
    maps[1, 0, 0] = 9
    assert overlaid(pixels, maps)[0, 0].tolist() == [0, 255, 0]


def test_the_command_itself(street: Path, tmp_path: Path) -> None:
    asked = command(street, tmp_path, "--source", "keypoints")
    assert shell(sys.executable, "-m", "engine.pose", *asked).status == 0
    assert [path.name for path in tmp_path.iterdir()] == ["street"]
    wrong = shell(sys.executable, "-m", "engine.pose", *asked, "--face", "apart")
    assert wrong.status == 1
    assert wrong.err.startswith("error: ")
    assert wrong.err.count("\n") == 1
