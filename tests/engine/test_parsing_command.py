"""`python3 -m engine.parsing`: sheets of pictures, scores against a street's truth, and what it says."""

from __future__ import annotations

import json
import re
import shutil
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

import engine.parsing as command
from common.errors import UserError
from data.readers import read
from data.street.part_truth import CLASSES, NOT_COUNTED, PartTruth
from engine.parsing_sheet import overlaid
from modeling.methods import METHODS
from modeling.parsing.options import ParsingOptions
from modeling.parsing.parser import Parsed
from tests.doors import shell
from tests.engine.parsed import PREPROCESSING, ParsedEmbedder, ParsedMethod, checkpoint_of, images_of


@pytest.fixture
def checkpoint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setitem(METHODS, "parsed", ParsedMethod)
    return checkpoint_of(tmp_path / "run" / "epoch_0003.pt", "parsed", by="k-means", first=9)


def on_street(checkpoint: Path, street: Path, *more: object) -> list[str]:
    return [*map(str, ["cpu", checkpoint, "--dataset", "street", "--root", street, *more])]


def naive(found: np.ndarray, truth: np.ndarray) -> dict[str, float]:
    counted = truth != NOT_COUNTED
    each = {}
    for part, name in enumerate(CLASSES):
        there, said = (truth == part) & counted, (found == part) & counted
        each[name] = float((there & said).sum() / (there | said).sum())
    return {**each, "mean": (each["head"] + each["torso"] + each["legs"]) / 3}


def expected(street: Path, title: str, embedder: ParsedEmbedder) -> dict[str, float]:
    split = read("street", street, "street").splits[title]
    rows = np.arange(len(split))
    with torch.no_grad():
        found = embedder.eval().parsed(images_of(split, rows)).argmax(1).numpy()
    return naive(found, PartTruth.of(split).cells(rows.tolist(), 8, 4))


@pytest.mark.parametrize("title", ["train", "query"])
def test_scores_of_the_network(title: str, checkpoint: Path, street: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert command.main(on_street(checkpoint.parent, street, "--split", title, "--json")) == 0
    told = json.loads(capsys.readouterr().out)
    embedder = ParsedEmbedder()
    torch.nn.init.constant_(embedder.threshold, 0.1)
    for name, value in expected(street, title, embedder).items():
        assert told[name] == pytest.approx(value, abs=1e-12), name
    split = read("street", street, "street").splits[title]
    assert (told["protocol"], told["by"], told["split"]) == ("parts", "network", title)
    assert (told["pictures"], told["identities"]) == (len(split), split.identities)
    assert (told["run"], told["epoch"], told["fallbacks"]) == ("parsed", 3, 0)
    assert told["seconds"] > 0


def test_a_parser_other_than_that_of_the_training(
    checkpoint: Path, street: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    asked: list[ParsingOptions] = []
    truth = PartTruth.of(split := read("street", street, "street").train)
    seeds: list[int] = []

    def build(options: ParsingOptions) -> Any:
        asked.append(options)

        def parser(maps: Tensor, seed: int) -> Parsed:
            seeds.append(seed)
            cells = truth.cells(np.flatnonzero(split.pids == seed).tolist(), 8, 4)
            masks = torch.from_numpy(np.where(cells == NOT_COUNTED, 0, cells))
            if seed == seeds[0]:
                masks = masks % 3  # legs as background
            return Parsed(masks, 3, 5, seed == seeds[0])

        return parser

    monkeypatch.setattr(command, "build_parser", build)
    assert command.main(on_street(checkpoint, street, "--by", "co-parsing")) == 0
    assert [(options.by, options.first) for options in asked] == [("co-parsing", 9)]
    assert seeds == np.unique(split.pids).tolist()
    told = capsys.readouterr().out
    assert "run 'parsed' (parsed), epoch 3: parts by co-parsing on street, train, 64 pictures of 8 people, 1 of" in told
    assert "people, 1 of them by its fallback, " in told
    assert "cells summed over all pictures" in told
    lines = dict(re.findall(r"^(\w+) +([0-9.]+)$", told, re.MULTILINE))
    everything = truth.cells(list(range(64)), 8, 4)
    first = everything[split.pids == seeds[0]]
    legs = (everything == 3).sum()
    assert lines["head"] == lines["torso"] == "100.0"
    assert lines["legs"] == f"{100 * (1 - (first == 3).sum() / legs):.1f}"


def test_the_stripes_of_the_house(checkpoint: Path, street: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert command.main(on_street(checkpoint, street, "--by", "stripes", "--json", "--batch-size", 7)) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["background"] == 0.0  # there is none in stripes
    assert 0.05 < told["mean"] < 0.8


def test_a_sheet(checkpoint: Path, street: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "sheets" / "parts.jpg"
    folder = street / "query"
    more = ["--images", str(folder), "--out", str(out), "--rows", "1", "--workers", "0"]
    assert command.main(["cpu", str(checkpoint), *more]) == 0
    told = capsys.readouterr().out
    assert f"pictures in {folder}; drawing the first 6 (--rows)" in told
    assert f"drew {out}: 6 pictures" in told
    split = read("street", street, "street").query
    assert [Path(path).name for path in split.paths] == sorted(path.name for path in folder.iterdir())
    images = images_of(split, np.arange(6))
    embedder = ParsedEmbedder()
    torch.nn.init.constant_(embedder.threshold, 0.1)
    parsed = embedder.eval().parsed(images)
    with Image.open(out) as sheet:
        drawn = np.asarray(sheet).astype(float)
    for column in range(6):
        pixels = np.empty((32, 16, 3), np.uint8)
        PREPROCESSING.read(split.file(column), pixels)
        shown = overlaid(pixels, parsed[column])
        for left, wanted in ((36 * column, pixels), (36 * column + 16, shown)):
            assert np.abs(drawn[2:30, left + 2 : left + 14] - wanted[2:30, 2:14]).mean() < 25  # it is a JPEG


def test_pictures_that_cannot_be_drawn(checkpoint: Path, street: Path, tmp_path: Path) -> None:
    folder, out = tmp_path / "pictures", tmp_path / "parts.jpg"
    asked = ["cpu", str(checkpoint), "--images", str(folder), "--out", str(out), "--workers", "0"]
    with pytest.raises(UserError, match="does not exist; give a folder of pictures with --images"):
        command.main(asked)
    folder.mkdir()
    (folder / "notes.txt").write_text("no picture")
    with pytest.raises(UserError, match="there are no pictures in .*pictures; give another folder"):
        command.main(asked)
    shutil.copy(next((street / "query").iterdir()), folder / "a.jpg")
    (folder / "b.jpg").write_bytes(b"broken")
    with pytest.raises(UserError, match=r"the picture .*b\.jpg cannot be read"):
        command.main(asked)
    assert not out.exists()
    with pytest.raises(UserError, match=r"notes.txt is a file; give a folder"):
        command.main([*asked[:3], str(folder / "notes.txt")])


def test_checkpoints_that_find_no_parts_or_others(
    checkpoint: Path, street: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = checkpoint_of(tmp_path / "plain.pt", "baseline")
    with pytest.raises(UserError, match=r"plain\.pt is of the method baseline, which finds no body parts; .* hcga"):
        command.main(on_street(plain, street))
    five = checkpoint_of(tmp_path / "five.pt", "parsed", parts=5, rule="mean")
    with pytest.raises(UserError, match="the run 'parsed' finds 5 parts, and the truth of a street is of 3"):
        command.main(on_street(five, street))
    monkeypatch.setattr(ParsedMethod, "build_embedder", lambda _: torch.nn.Linear(1, 1))
    with pytest.raises(UserError, match="finds no body parts"):
        command.main(on_street(checkpoint, street))


def test_weights_of_another_network(checkpoint: Path, street: Path) -> None:
    parts = torch.load(checkpoint, weights_only=True)
    parts["model"] = {"other": torch.zeros(1)}
    torch.save(parts, checkpoint)
    with pytest.raises(UserError, match="does not hold the weights that its own card describes"):
        command.main(on_street(checkpoint, street))


def test_datasets_without_truth(checkpoint: Path, street: Path, tmp_path: Path) -> None:
    root = tmp_path / "street"
    shutil.copytree(street, root)
    shutil.rmtree(root / "parts")
    with pytest.raises(UserError, match="no true body parts of 64 of 64 pictures"):
        command.main(on_street(checkpoint, root))


@pytest.mark.parametrize(
    ("more", "told"),
    [
        (["--images", "x", "--by", "stripes"], "--by says nothing of --images; leave it out"),
        (["--images", "x", "--json"], "--json says nothing of --images"),
        (["--dataset", "street", "--out", "x.jpg"], "--out says nothing of --dataset"),
    ],
)
def test_arguments_that_do_not_go_together(more: list[str], told: str, checkpoint: Path) -> None:
    with pytest.raises(UserError, match=told):
        command.main(["cpu", str(checkpoint), *more])


def test_arguments_that_are_wrong(checkpoint: Path, street: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(UserError, match="one device, and 'cpu,cpu' names 2"):
        command.main(["cpu,cpu", *on_street(checkpoint, street)[1:]])
    for more in (["--by", "guess"], ["--images", "x"], ["--split", "test"], ["--batch-size", "0"]):
        with pytest.raises(SystemExit):
            command.main(on_street(checkpoint, street, *more))
    with pytest.raises(SystemExit):
        command.main(["cpu", str(checkpoint)])
    assert "one of the arguments --images --dataset is required" in capsys.readouterr().err


def test_the_command_itself(street: Path, tmp_path: Path) -> None:
    plain = checkpoint_of(tmp_path / "plain.pt", "baseline")
    wrong = shell(sys.executable, "-m", "engine.parsing", *on_street(plain, street))
    assert wrong.status == 1
    assert wrong.err.startswith("error: ")
    assert wrong.err.count("\n") == 1
    assert wrong.out == ""
