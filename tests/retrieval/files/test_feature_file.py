"""A feature folder comes back as it was written, appears whole or not at all, and says when it is stale."""

from __future__ import annotations

import importlib.util
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import retrieval.files.matlab as matlab
from common.errors import UserError
from retrieval.columns import Columns, Features
from retrieval.files.feature_file import read_features, stale
from retrieval.files.feature_writer import FeatureWriter, Rows
from retrieval.files.matlab import write_mat

MANIFEST: dict[str, Any] = {
    "dataset": "market",
    "split": "query",
    "fingerprint": "0123456789abcdef",
    "checkpoint": "a" * 64,
    "preprocessing": {"height": 256, "width": 128, "mean": [0.485, 0.456, 0.406]},
    "scorer": "cosine",
    "flip": True,
}
PATHS = ["query/0001, c1.jpg", 'b"quoted".jpg', "ü/人.jpg", "line\nbreak\r.jpg", "not-utf8-\udcff.jpg"]
VECTORS = np.arange(15, dtype=np.float32).reshape(5, 3)


def rows() -> Rows:
    return Rows(PATHS, Columns.of([7, -1, 9, 2**40, 0], [0, 1, -1, 3, 4]))


def write(folder: Path, vectors: np.ndarray = VECTORS, **changes: Any) -> Path:
    with FeatureWriter(folder, rows(), MANIFEST | changes) as writer:
        writer.write([4, 0, 2], vectors[[4, 0, 2]])
        writer.write(np.array([3, 1]), vectors[[3, 1]])
    return folder


def left_behind(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.parent.iterdir() if path != folder)


def test_round_trip(tmp_path: Path) -> None:
    file = read_features(write(tmp_path / "run" / "market-query"))
    assert isinstance(file.features.vectors, np.memmap)
    np.testing.assert_array_equal(file.features.vectors, VECTORS)
    assert file.paths == PATHS
    assert file.features.columns.pids.tolist() == [7, -1, 9, 2**40, 0]
    assert file.features.columns.camids.tolist() == [0, 1, -1, 3, 4]
    assert file.features.columns.clothes.tolist() == [-1] * 5
    assert file.manifest == MANIFEST | {
        "format": 2,
        "rows": 5,
        "dim": 3,
        "created_by": "retrieval.files.feature_writer",
    }
    assert file.features.parts is None
    assert left_behind(file.folder) == []


def test_round_trip_with_parts(tmp_path: Path) -> None:
    parts, visibility = np.random.default_rng(0).random((5, 2, 4), dtype=np.float32), np.eye(5, 2, dtype=np.float32)
    with FeatureWriter(tmp_path / "f", rows(), MANIFEST) as writer:
        for row in (3, 1, 4, 0, 2):
            writer.write([row], VECTORS[[row]], parts[[row]], visibility[[row]])
    features = read_features(tmp_path / "f").features
    assert features.parts is not None
    assert features.visibility is not None
    np.testing.assert_array_equal(features.parts, parts)
    np.testing.assert_array_equal(features.visibility, visibility)


def test_replacing_leaves_nothing_behind(tmp_path: Path) -> None:
    folder = write(tmp_path / "f")
    write(folder, VECTORS + 1)
    np.testing.assert_array_equal(read_features(folder).features.vectors, VECTORS + 1)
    assert left_behind(folder) == []


@pytest.mark.parametrize("written", [[], [0, 1, 2, 3], [0, 1, 2, 3, 4, 2], [0, 0, 1, 2, 3, 4]])
def test_every_row_exactly_once(tmp_path: Path, written: list[int]) -> None:
    folder = write(tmp_path / "f")
    times = "written more than once, first row" if len(written) > 5 else "never written, first row"
    writer = FeatureWriter(folder, rows(), MANIFEST)
    if written:
        writer.write(written, VECTORS[written] + 1)
    with pytest.raises(UserError, match=times):
        writer.close()
    np.testing.assert_array_equal(read_features(folder).features.vectors, VECTORS)
    assert left_behind(folder) == []


def test_interruption_leaves_the_old_one(tmp_path: Path) -> None:
    folder = write(tmp_path / "f")

    def interrupted() -> None:
        with FeatureWriter(folder, rows(), MANIFEST) as writer:
            writer.write([0, 1, 2, 3, 4], VECTORS + 1)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    np.testing.assert_array_equal(read_features(folder).features.vectors, VECTORS)
    assert left_behind(folder) == []


def test_failing_second_rename_puts_the_old_one_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = write(tmp_path / "f")
    rename = Path.rename

    def failing(self: Path, target: Path) -> Path:
        if self.suffix == ".part":
            raise OSError(28, "No space left on device")
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", failing)
    with pytest.raises(UserError, match=r"cannot write .*No space left on device; free some space"):
        write(folder, VECTORS + 1)
    np.testing.assert_array_equal(read_features(folder).features.vectors, VECTORS)
    assert left_behind(folder) == []


@pytest.mark.skipif(not hasattr(os, "posix_fallocate"), reason="space cannot be reserved here")
def test_full_disk_is_an_error_and_not_a_signal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "posix_fallocate", full)
    with pytest.raises(UserError, match="No space left on device"):
        write(tmp_path / "f")
    assert list(tmp_path.iterdir()) == []


def test_writer_refuses_what_is_wrong(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="the manifest lacks checkpoint, flip"):
        FeatureWriter(tmp_path / "f", rows(), {k: v for k, v in MANIFEST.items() if k not in ("checkpoint", "flip")})
    with pytest.raises(UserError, match="there are no pictures"):
        FeatureWriter(tmp_path / "f", Rows([], Columns.of([])), MANIFEST)
    (tmp_path / "precious").mkdir()
    (tmp_path / "precious" / "thesis.tex").touch()
    with pytest.raises(UserError, match="is not a feature folder; move it away"):
        FeatureWriter(tmp_path / "precious", rows(), MANIFEST)
    writer = FeatureWriter(tmp_path / "f", rows(), MANIFEST)
    writer.write([0], VECTORS[[0]])
    with pytest.raises(ValueError, match=r"rows must lie in 0\.\.4, got 5\.\.5"):
        writer.write([5], VECTORS[[0]])
    with pytest.raises(ValueError, match=r"expected .*vectors"):
        writer.write([1], np.zeros((1, 4)))
    with pytest.raises(ValueError, match=r"expected .*vectors"):
        writer.write([1], VECTORS[[1]], visibility=np.zeros((1, 2)))
    writer.abort()
    assert [path.name for path in tmp_path.iterdir()] == ["precious"]


def edit_manifest(**changes: Any) -> Callable[[Path], object]:
    def edit(folder: Path) -> None:
        path = folder / "manifest.json"
        manifest = json.loads(path.read_text()) | changes
        path.write_text(json.dumps({key: value for key, value in manifest.items() if value is not None}))

    return edit


def save(array: np.ndarray) -> Callable[[Path], object]:
    return lambda folder: np.save(folder / "features.npy", array, allow_pickle=True)


def replace_text(old: str, new: str) -> Callable[[Path], object]:
    def edit(folder: Path) -> None:
        path = folder / "index.csv"
        path.write_bytes(path.read_bytes().replace(old.encode(), new.encode()))

    return edit


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda folder: (folder / "manifest.json").unlink(), "it has no manifest.json"),
        (lambda folder: (folder / "manifest.json").write_text("{"), "cannot be read as JSON"),
        (lambda folder: (folder / "manifest.json").write_bytes(b"\xff\xfe"), "cannot be read as JSON"),
        (lambda folder: (folder / "manifest.json").write_text("[]"), "is not the manifest of a feature folder"),
        (edit_manifest(format=1), "format 1, but this version reads format 2"),
        (edit_manifest(flip=None), "it lacks flip"),
        (edit_manifest(rows="5"), "rows is '5' where a number is expected"),
        (edit_manifest(rows=4), r"it has more rows than the 4 of the manifest"),
        (edit_manifest(rows=6), r"it has 5 rows where the manifest says 6"),
        (edit_manifest(dim=4), r"shape \(5, 3\) where the manifest says \(5, 4\)"),
        (lambda folder: (folder / "features.npy").unlink(), "cannot be read as an array"),
        (lambda folder: (folder / "features.npy").write_bytes(b""), "it is no .npy file"),
        (lambda folder: (folder / "features.npy").write_bytes(b"not an array"), "it is no .npy file"),
        (lambda folder: os.truncate(folder / "features.npy", 150), "cannot be read as an array"),
        (save(np.array([{}] * 5, dtype=object)), "cannot be read as an array"),
        (save(np.zeros((5, 3))), "it is not one float32 array"),
        (save(np.zeros((4, 3), dtype=np.float32)), "where the manifest says 5 rows"),
        (lambda folder: np.save(folder / "parts.npy", VECTORS), "parts: expected 3 dimensions"),
        (lambda folder: (folder / "index.csv").unlink(), "No such file"),
        (replace_text("row,path", "path,row"), "the first line is not row,path,pid,camid,clothes"),
        (replace_text("\n0,", "\n1,"), "line 2 is not row 0 with 5 fields"),
        (replace_text(",7,0,-1", ",7,0"), "line 2 is not row 0 with 5 fields"),
        (replace_text(",7,0,-1", ",seven,0,-1"), "invalid literal"),
        (replace_text(",7,0,-1", f",{2**70},0,-1"), "index.csv is damaged"),
    ],
)
def test_damage_is_named(tmp_path: Path, damage: Callable[[Path], object], message: str) -> None:
    folder = write(tmp_path / "f")
    damage(folder)
    with pytest.raises(UserError, match=message) as caught:
        read_features(folder)
    assert str(folder) in str(caught.value)
    assert stale(folder, MANIFEST) == str(caught.value)


def test_missing_folder(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="there is no feature folder"):
        read_features(tmp_path / "nowhere")
    assert stale(tmp_path / "nowhere", MANIFEST) == f"there are no features in {tmp_path / 'nowhere'} yet"


def test_stale_says_what_changed(tmp_path: Path) -> None:
    folder = write(tmp_path / "f")
    assert stale(folder, MANIFEST) is None
    assert stale(folder, {"preprocessing": MANIFEST["preprocessing"] | {"mean": (0.485, 0.456, 0.406)}}) is None
    for key, value, said in (
        ("checkpoint", "b" * 64, "another checkpoint ("),
        ("dataset", "duke", 'another dataset ("market", now "duke")'),
        ("fingerprint", "f" * 16, "another dataset content (fingerprint) ("),
        ("preprocessing", {"height": 384}, "another preprocessing ("),
        ("flip", False, "another flip setting (true, now false)"),
    ):
        sentence = stale(folder, MANIFEST | {key: value})
        assert sentence is not None
        assert said in sentence
        assert sentence.count("another") == 1
    both = stale(folder, {"checkpoint": "b", "flip": False})
    assert both is not None
    assert "another checkpoint" in both
    assert "another flip setting" in both


def test_mat_file_is_read_back(tmp_path: Path) -> None:
    io = pytest.importorskip("scipy.io")
    folder = write(tmp_path / "f")
    file = read_features(folder)
    paths = ["query/0001_c1.jpg", "b.jpg", "query/0002_c1.jpg", "d.jpg", "e.jpg"]
    write_mat(tmp_path / "query.mat", file.features, paths)
    fields = io.loadmat(tmp_path / "query.mat")
    np.testing.assert_array_equal(fields["feat"], VECTORS)
    assert fields["feat"].dtype == np.float32
    assert fields["ids"].tolist() == [[7, -1, 9, 2**40, 0]]
    assert fields["cam_ids"].tolist() == [[0, 1, -1, 3, 4]]
    assert fields["cam_ids"].dtype == np.int64
    assert [path.strip() for path in fields["img_path"]] == paths
    assert {len(path) for path in fields["img_path"]} == {17}


def test_mat_file_that_cannot_be(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    features = read_features(write(tmp_path / "f")).features
    monkeypatch.setattr(matlab, "LIMIT", 59)
    with pytest.raises(UserError, match=r"do not fit in a MAT v5 file.*features\.npy"):
        write_mat(tmp_path / "query.mat", features, ["a"] * 5)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(UserError, match="pip install scipy"):
        write_mat(tmp_path / "query.mat", features, ["a"] * 5)
    assert not (tmp_path / "query.mat").exists()


def test_mat_takes_names_that_are_no_text(tmp_path: Path) -> None:
    """File names on Linux are bytes."""
    io = pytest.importorskip("scipy.io")
    features = Features(np.ones((2, 3), dtype=np.float32), Columns.of([1, 2]))
    write_mat(tmp_path / "query.mat", features, [b"caf\xe9.jpg".decode("utf-8", "surrogateescape"), "b.jpg"])
    assert [name.strip() for name in io.loadmat(tmp_path / "query.mat")["img_path"]] == ["caf\ufffd.jpg", "b.jpg"]
