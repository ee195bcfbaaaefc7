"""What is written beside the pictures: valid, complete, and what the world says."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from data.street.config import StreetConfig
from data.street.drawing.picture import LABELS
from data.street.truth import CAUSES, COLOURS, JOINTS, PARTS, PICTURES, plain
from data.street.world import Shot, World
from data.street.writer import write_street

CONFIG = StreetConfig(identities=4, cameras=2, shots=2, height=64, width=32, occluded=0.5, distractors=1)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("truth") / "street"
    write_street(out, CONFIG)
    return out


def pictures(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*.jpg")}


def test_every_picture_has_its_line_joints_and_parts(folder: Path) -> None:
    lines = [json.loads(line) for line in (folder / PICTURES).read_text().splitlines()]
    joints = json.loads((folder / JOINTS).read_text())
    assert {line["path"] for line in lines} == pictures(folder) == set(joints["pictures"])
    assert len(joints["joints"]) == 17
    parts = {str(path.relative_to(folder / PARTS).with_suffix(".jpg")) for path in (folder / PARTS).rglob("*.png")}
    assert parts == pictures(folder)


def test_lines_tell_what_the_world_says(folder: Path) -> None:
    world = World(CONFIG)
    joints = json.loads((folder / JOINTS).read_text())["pictures"]
    hidden = 0
    for line in (folder / PICTURES).read_text().splitlines():
        told = json.loads(line)
        shot = Shot(told["identity"], told["camera"], told["shot"], told["outfit"])
        causes, drawn = world.causes(shot), world.draw(shot)
        for name in ("stand", "exposure", "occluder", "passer"):
            assert told[name] == json.loads(json.dumps(plain(getattr(causes, name)))), name
        assert told["pose"] == plain(causes.figure.pose)
        assert told["hidden"] == pytest.approx(told["covered"] + told["cut"], abs=1e-5)
        assert told["hidden"] == pytest.approx(drawn.hidden, abs=1e-5)
        assert np.allclose(joints[told["path"]], drawn.joints, atol=0.006)
        with Image.open(folder / PARTS / told["path"].replace(".jpg", ".png")) as parts:
            assert parts.mode == "P"
            assert np.array_equal(np.asarray(parts), drawn.parts)
        hidden += causes.occluder is not None
    assert hidden


def test_the_causes_of_all_who_are_seen_are_told(folder: Path) -> None:
    told = json.loads((folder / CAUSES).read_text())
    world = World(CONFIG)
    assert told["parts"] == list(LABELS)
    assert set(told["people"]) == {"0", "1", "2", "3", "4"}
    assert set(told["cameras"]) == {"0", "1"}
    for number in range(4):
        assert told["people"][str(number)] == json.loads(json.dumps(plain(world.person(number))))
        assert told["outfits"][f"{number}/0"] == json.loads(json.dumps(plain(world.outfit(number))))


def test_values_are_plain() -> None:
    assert plain(np.float32(0.1)) == 0.1
    assert plain(1 / 3) == 0.333333
    assert plain((1, np.array([0.25, 2.0], dtype=np.float32), {"a": None, "b": True})) == [
        1, [0.25, 2.0], {"a": None, "b": True},
    ]  # fmt: skip
    assert plain(CONFIG)["layout"] == "market"


def test_part_maps_have_a_colour_for_every_label() -> None:
    assert len(COLOURS) == len(LABELS) == len(set(COLOURS))
