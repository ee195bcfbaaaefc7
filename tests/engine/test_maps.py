"""Maps on disk are those of the pictures as they are, made once, and only if there is room."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image

import engine.maps as module
from common.errors import UserError
from data.samples import Dataset
from data.transforms import Preprocessing
from engine.extraction import Extraction, extract_maps, map_shape
from engine.maps import Maps, Wanted, maps_of
from tests.engine.paired import PairedEmbedder
from tests.engine.toys import CPU, dataset_of

HOW = Extraction(Preprocessing(32, 16, (0.5,) * 3, (0.25,) * 3), CPU, batch_size=4, workers=0, flip=True)
MADE_BY = {"dataset": "toys", "checkpoint": "abc", "scorer": "cosine", "flip": True}


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    return dataset_of(tmp_path_factory.mktemp("pictures"))


@pytest.fixture
def embedder() -> PairedEmbedder:
    torch.manual_seed(0)
    return PairedEmbedder()


def wanted(dataset: Dataset, folder: Path, **made_by: str) -> list[Wanted]:
    splits = ((dataset.query, "query"), (dataset.gallery, "gallery"))
    return [Wanted.of(split, title, folder, {**MADE_BY, **made_by}, HOW) for split, title in splits]


def test_the_maps_of_pictures_that_are_not_mirrored(embedder: PairedEmbedder, dataset: Dataset, tmp_path: Path) -> None:
    query, gallery = maps_of(embedder, wanted(dataset, tmp_path), HOW)
    assert query.array.dtype == np.float16
    assert (query.array.shape, gallery.array.shape) == ((5, 4, 4, 2), (9, 4, 4, 2))
    assert not embedder.with_maps
    for maps, split in ((query, dataset.query), (gallery, dataset.gallery)):
        assert isinstance(maps.array, np.memmap)
        assert maps.size == 64
        for row in range(len(split)):
            pixels = np.asarray(Image.open(split.file(row)))
            image = torch.from_numpy((pixels / 255 - 0.5) / 0.25).float().permute(2, 0, 1)[None]
            with torch.no_grad():
                expected = embedder.convolution(image)[0].half()
            np.testing.assert_allclose(maps.read(np.array([row]))[0], expected.numpy(), rtol=2e-3, atol=2e-3)


def test_they_are_used_again_until_something_changes(
    embedder: PairedEmbedder,
    dataset: Dataset,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    made: list[str] = []

    def extract(*arguments: object) -> None:
        made.append(str(arguments[-1]))
        extract_maps(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(module, "extract_maps", extract)
    with caplog.at_level("INFO", "reid"):
        maps_of(embedder, wanted(dataset, tmp_path), HOW)
    assert f"maps of 14 pictures: 0.9 kB in {tmp_path}" in caplog.text
    assert made == ["maps of the query", "maps of the gallery"]
    maps_of(embedder, wanted(dataset, tmp_path, flip="no", scorer="other"), HOW)
    assert len(made) == 2
    maps_of(embedder, wanted(dataset, tmp_path, checkpoint="other"), HOW)
    assert len(made) == 4
    stopped = tmp_path / "maps" / "gallery"
    (stopped / "manifest.json").unlink()
    maps_of(embedder, wanted(dataset, tmp_path, checkpoint="other"), HOW)
    assert made[4:] == ["maps of the gallery"]
    (stopped / "maps.npy").write_bytes(b"half of")
    maps_of(embedder, wanted(dataset, tmp_path, checkpoint="other"), HOW)
    assert made[5:] == ["maps of the gallery"]
    (stopped / "manifest.json").write_text("[")
    maps_of(embedder, wanted(dataset, tmp_path, checkpoint="other"), HOW)
    assert made[6:] == ["maps of the gallery"]
    assert json.loads((stopped / "manifest.json").read_text())["checkpoint"] == "other"
    assert sorted(path.name for path in stopped.iterdir()) == ["manifest.json", "maps.npy"]


def test_pictures_that_were_written_again(embedder: PairedEmbedder, tmp_path: Path) -> None:
    """Of the same size, so that only the time of writing tells."""
    pictures = dataset_of(tmp_path / "pictures")
    maps_of(embedder, wanted(pictures, tmp_path), HOW)
    assert [one.there() for one in wanted(pictures, tmp_path)] == [True, True]
    os.utime(pictures.gallery.file(4), (1, 1))
    assert [one.there() for one in wanted(pictures, tmp_path)] == [True, False]


def test_no_room(embedder: PairedEmbedder, dataset: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "extract_maps", lambda *_: pytest.fail("nothing is made"))
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=895))
    with pytest.raises(UserError, match=r"take 0\.9 kB, and .*maps has 0\.9 kB left; free some space"):
        maps_of(embedder, wanted(dataset, tmp_path), HOW)

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=896))
    monkeypatch.setattr(os, "posix_fallocate", full, raising=False)
    with pytest.raises(UserError, match=r"cannot write .*maps\.npy: No space left on device"):
        maps_of(embedder, wanted(dataset, tmp_path), HOW)
    assert not (tmp_path / "maps" / "query" / "maps.npy").exists()


def test_numbers_beyond_half_precision(embedder: PairedEmbedder, dataset: Dataset) -> None:
    assert map_shape(embedder, dataset.query, HOW) == (4, 4, 2)
    found: list[np.ndarray] = []
    with torch.no_grad():
        embedder.convolution.weight.mul_(1e8)
    extract_maps(embedder, dataset.query, lambda _, maps: found.append(maps), HOW, "maps")
    assert np.isfinite(np.concatenate(found)).all()
    assert np.abs(np.concatenate(found)).max() == 65504


def test_only_what_is_asked_for_is_read() -> None:
    array = np.arange(60, dtype=np.float16).reshape(10, 3, 2, 1)
    part = Maps(array).read(np.array([7, 2]))
    np.testing.assert_array_equal(part, array[[7, 2]])
    assert not np.shares_memory(part, array)


def test_old_maps_are_gone_before_new_ones_come(
    embedder: PairedEmbedder, dataset: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    maps_of(embedder, wanted(dataset, tmp_path), HOW)

    def stopped(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(module, "extract_maps", stopped)
    with pytest.raises(KeyboardInterrupt):
        maps_of(embedder, wanted(dataset, tmp_path, checkpoint="other"), HOW)
    assert not any(one.there() for one in wanted(dataset, tmp_path))
    assert not (tmp_path / "maps" / "gallery" / "maps.npy").exists()
