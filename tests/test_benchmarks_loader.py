"""The loader's benchmark measures what it says, and its parts give the same batch."""

from __future__ import annotations

import json
import sys
from argparse import Namespace
from pathlib import Path

import pytest
import torch
from PIL import Image

from benchmarks import loader
from benchmarks.loader import PARTS, STORED, Case, main, store
from data.loader import RawBatch

ASKED = Namespace(height=64, width=32, batch=8, pictures=6, repeats=1)


@pytest.fixture(scope="module")
def case(tmp_path_factory: pytest.TempPathFactory) -> Case:
    folder = tmp_path_factory.mktemp("pictures")
    return Case(store(folder, 48, 24, 6), ASKED, folder)


def test_all_ways_give_one_batch(case: Case) -> None:
    """The floats are the uint8 batch normalised, but for rounding and what the erased pixels hold."""
    works = case.works()
    batches = [works[name]() for name in ("pillow", "ram", "disk")]
    for batch in batches:
        assert isinstance(batch, RawBatch)
        assert torch.equal(batch.pixels, case.batch.pixels)
    case.augment()
    assert torch.equal(torch.from_numpy(case.out), case.batch.pixels)
    difference = (case.floats() - case.preprocessing.normalise(case.batch.pixels)).abs()
    assert difference.max() < 0.5 / 255 / 0.22 + 1e-5
    plain = works["ram_plain"]()
    assert isinstance(plain, RawBatch)
    assert not plain.geometry.any()


def test_every_part_is_told(case: Case, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert case.works().keys() | {"opencv"} == PARTS.keys()
    threads = torch.get_num_threads()
    monkeypatch.setattr(loader, "STORED", {"small": (48, 24), "large": (200, 80)})
    size = ["--height", "64", "--width", "32", "--batch", "4", "--pictures", "4", "--repeats", "1"]
    monkeypatch.setattr(sys, "argv", ["loader", *size, "--json"])
    assert main() == 0
    told = json.loads(capsys.readouterr().out)
    assert [size["stored"] for size in told["sizes"]] == ["small", "large"]
    assert told["microseconds"].keys() == PARTS.keys()
    for one in told["sizes"]:
        took = one["microseconds"]
        assert all(took[name] > 0 for name in PARTS if name != "opencv")
        assert one["pillow_over_floats"] == pytest.approx(took["floats"] / took["pillow"])
        assert one["cached_over_decode"] == pytest.approx(took["decode"] / took["ram_plain"])
    monkeypatch.setattr(sys, "argv", ["loader", *size])
    assert main() == 0
    out = capsys.readouterr().out
    assert all(words in out for words in PARTS.values())
    torch.set_num_threads(threads)


def test_pictures_are_stored_as_asked(tmp_path: Path) -> None:
    (file, *_) = store(tmp_path, 48, 24, 2)
    with Image.open(file) as picture:
        assert picture.size == (24, 48)
        assert picture.format == "JPEG"
    assert STORED["as Market-1501"] == (128, 64)
