from __future__ import annotations

from pathlib import Path

import pytest

from common.errors import UserError
from data.readers import read
from data.readers.checks import positives
from tests.data.readers.trees import market_tree, picture, rows, tree


def test_three_folders_without_cameras(tmp_path: Path) -> None:
    tree(tmp_path, ["train/bob/x.jpg", "query/anna/2.png", "gallery/anna/1.jpg", "gallery/carl/0001_c3s1_1.jpg"])
    dataset = read("folders", tmp_path, "mine")
    assert rows(dataset.train) == [("train/bob/x.jpg", 1, -1)]
    assert rows(dataset.query) == [("query/anna/2.png", 0, -1)]
    assert rows(dataset.gallery) == [("gallery/anna/1.jpg", 0, -1), ("gallery/carl/0001_c3s1_1.jpg", 2, -1)]
    assert dataset.protocol == "no-camera"
    assert dataset.notes[0].startswith("people: 3 names")


def test_three_folders_with_cameras(tmp_path: Path) -> None:
    tree(
        tmp_path,
        ["train/7/a/x.jpg", "query/9/a/1.jpg", "gallery/9/b/deep/1.jpg", "gallery/0000/b/1.jpg", "test/1/1.jpg"],
    )
    dataset = read("folders", tmp_path, "mine")
    assert rows(dataset.query) == [("query/9/a/1.jpg", 9, 0)]
    assert rows(dataset.gallery) == [("gallery/0000/b/1.jpg", 0, 1), ("gallery/9/b/deep/1.jpg", 9, 1)]
    assert dataset.protocol == "market"
    assert "folders beside train, query, gallery that are not read: test" in dataset.notes


def test_absent_splits(tmp_path: Path) -> None:
    tree(tmp_path / "a", ["train/1/x.jpg"])
    assert [len(split) for split in read("folders", tmp_path / "a", "mine").splits.values()] == [1, 0, 0]
    tree(tmp_path / "b", ["query/1/x.jpg"])
    with pytest.raises(UserError, match=r"no gallery"):
        read("folders", tmp_path / "b", "mine")


def test_people_are_divided(tmp_path: Path) -> None:
    tree(tmp_path, [f"{person}/{shot}.jpg" for person in ("e", "c", "a", "d", "b") for shot in (3, 1, 2)])
    dataset = read("folders", tmp_path, "mine")
    assert [path for path, _, _ in rows(dataset.train)] == [f"{p}/{n}.jpg" for p in "ab" for n in (1, 2, 3)]
    assert list(dataset.query.paths) == ["c/1.jpg", "d/1.jpg", "e/1.jpg"]
    assert list(dataset.gallery.paths) == [f"{p}/{n}.jpg" for p in "cde" for n in (2, 3)]
    assert set(dataset.train.pids).isdisjoint(dataset.query.pids)
    assert any("the first 2 people in sorted order are for training, the other 3" in note for note in dataset.notes)


def test_people_are_divided_with_a_query_per_camera(tmp_path: Path) -> None:
    tree(tmp_path, ["1/1/a.jpg"] + [f"2/{camera}/{shot}.jpg" for camera in (1, 2) for shot in "ab"])
    dataset = read("folders", tmp_path, "mine")
    assert rows(dataset.query) == [("2/1/a.jpg", 2, 1), ("2/2/a.jpg", 2, 2)]
    assert rows(dataset.gallery) == [("2/1/b.jpg", 2, 1), ("2/2/b.jpg", 2, 2)]
    assert "the first picture of each camera as query" in dataset.notes[0]


def test_one_picture_per_camera_still_has_positives(tmp_path: Path) -> None:
    tree(tmp_path, [f"{person}/{camera}/a.jpg" for person in range(4) for camera in (1, 2)])
    dataset = read("folders", tmp_path, "mine")
    assert list(dataset.query.paths) == list(dataset.gallery.paths)
    assert positives(dataset.query, dataset.gallery).tolist() == [1, 1, 1, 1]


def test_an_only_picture_without_a_camera_is_in_the_gallery(tmp_path: Path) -> None:
    tree(tmp_path, ["1/a.jpg", "2/a.jpg", "3/a.jpg", "3/b.jpg", "-1/x.jpg"])
    dataset = read("folders", tmp_path, "mine")
    assert list(dataset.query.paths) == ["3/a.jpg"]
    assert list(dataset.gallery.paths) == ["2/a.jpg", "3/b.jpg"]
    assert "identity -1 are left out: gallery 1" in dataset.notes[1]


def test_other_files_are_ignored(tmp_path: Path) -> None:
    tree(tmp_path, ["1/a.jpg", "2/a.jpg", "2/b.jpg", ".cache/x.jpg"])
    (tmp_path / "2" / "Thumbs.db").write_bytes(b"")
    (tmp_path / "readme.txt").write_bytes(b"")
    assert len(read("folders", tmp_path, "mine").gallery) == 1


def test_roots_that_are_wrong(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"does not exist; expected a folder with {train,query,gallery}/PERSON"):
        read("folders", tmp_path / "nowhere", "mine")
    with pytest.raises(UserError, match=r"is empty"):
        read("folders", tmp_path, "mine")
    (tmp_path / "anna").mkdir()
    with pytest.raises(UserError, match=r"holds no pictures; expected .*data\.root=/path/to/mine"):
        read("folders", tmp_path, "mine")
    picture(tmp_path / "anna" / "a.jpg")
    with pytest.raises(UserError, match=r"pictures of 1 person\(s\); at least two"):
        read("folders", tmp_path, "mine")
    picture(tmp_path / "loose.jpg")
    with pytest.raises(UserError, match=r"1 pictures in .* lie in no person's folder; first: loose.jpg"):
        read("folders", tmp_path, "mine")
    picture(tmp_path / "train" / "loose.jpg")
    with pytest.raises(UserError, match=r"first: train/loose.jpg"):
        read("folders", tmp_path, "mine")
    with pytest.raises(UserError, match=r"read it with reader: market"):
        read("folders", market_tree(tmp_path / "other"), "mine")
