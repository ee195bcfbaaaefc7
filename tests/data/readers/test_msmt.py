from __future__ import annotations

from pathlib import Path

import pytest

from common.errors import UserError
from data.readers import read
from tests.data.readers.trees import picture, rows, tree

TRAIN = ("0000/0000_000_01_0303morning_0015_0.jpg", "0001/0001_000_15_0303noon_0015_0.jpg")
QUERY = ("0000/0000_000_01_0303morning_0008_0.jpg",)
GALLERY = ("0000/0000_001_10_0303noon_0032_1.jpg", "0001/0001_000_02_0303noon_0001_0.jpg")


def msmt_tree(root: Path, train: str = "train", test: str = "test") -> Path:
    tree(root, [f"{train}/{path}" for path in TRAIN] + [f"{test}/{path}" for path in QUERY + GALLERY])
    lists = {"query": QUERY, "gallery": GALLERY[::-1], "train": TRAIN[:1], "val": TRAIN[1:]}
    for title, paths in lists.items():
        # The labels of the lists are wrong on purpose: people are read from the file names.
        (root / f"list_{title}.txt").write_text("".join(f"{path} 77\n" for path in paths))
    return root


def test_version_1(tmp_path: Path) -> None:
    dataset = read("msmt", msmt_tree(tmp_path / "0009_c7" / "MSMT17_V1"), "msmt")
    assert rows(dataset.train) == [(f"train/{TRAIN[0]}", 0, 0), (f"train/{TRAIN[1]}", 1, 14)]
    assert rows(dataset.query) == [(f"test/{QUERY[0]}", 0, 0)]
    assert rows(dataset.gallery) == [(f"test/{GALLERY[0]}", 0, 9), (f"test/{GALLERY[1]}", 1, 1)]
    assert dataset.notes == ("MSMT17 V1 is read, the version papers use",)
    assert dataset.published["train"].images == 32_621
    assert dataset.gallery.file(0).is_file()


def test_version_2_says_so(tmp_path: Path) -> None:
    dataset = read("msmt", msmt_tree(tmp_path, "mask_train_v2", "mask_test_v2"), "msmt")
    assert "V2" in dataset.notes[0]
    assert "papers use V1" in dataset.notes[0]
    assert dataset.query.paths[0] == f"mask_test_v2/{QUERY[0]}"


def test_both_versions(tmp_path: Path) -> None:
    msmt_tree(tmp_path / "MSMT17_V1")
    msmt_tree(tmp_path / "MSMT17_V2", "mask_train_v2", "mask_test_v2")
    assert read("msmt", tmp_path, "msmt").train.root == tmp_path / "MSMT17_V1"
    assert "version: v2 reads the other" in read("msmt", tmp_path, "msmt").notes[0]
    for version in ("v2", "V2"):
        assert read("msmt", tmp_path, "msmt", version=version).train.root == tmp_path / "MSMT17_V2"
    with pytest.raises(UserError, match=r"unknown version of MSMT17 'v3'"):
        read("msmt", tmp_path, "msmt", version="v3")


def test_a_version_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"holds MSMT17 v1 only, not v2"):
        read("msmt", msmt_tree(tmp_path), "msmt", version="v2")


def test_lists(tmp_path: Path) -> None:
    root = msmt_tree(tmp_path)
    with (root / "list_gallery.txt").open("a") as file:
        file.write("0002/0002_000_01_0303noon_0001_0.jpg 2\n../outside.jpg 3\n")
    with pytest.raises(UserError, match=r"2 of 4 pictures in .*list_gallery.txt are not there; first"):
        read("msmt", root, "msmt")
    (root / "list_gallery.txt").write_text(f"{GALLERY[0]} 0\r\n\r\n{GALLERY[0]} 0\r\n")
    with pytest.raises(UserError, match=r"lists test/0000/.* more than once"):
        read("msmt", root, "msmt")
    (root / "list_gallery.txt").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(UserError, match=r"cannot read .*list_gallery.txt"):
        read("msmt", root, "msmt")
    (root / "list_gallery.txt").unlink()
    with pytest.raises(UserError, match=r"list_gallery.txt is missing"):
        read("msmt", root, "msmt")


def test_training_lists_that_differ_are_noted(tmp_path: Path) -> None:
    root = msmt_tree(tmp_path)
    picture(root / "train" / "0002" / "0002_000_03_0303noon_0001_0.jpg")
    dataset = read("msmt", root, "msmt")
    assert len(dataset.train) == 3
    assert "1 pictures are not listed, 0 listed ones are not there" in dataset.notes[1]


def test_only_for_training(tmp_path: Path) -> None:
    dataset = read("msmt", tree(tmp_path, [f"train/{path}" for path in TRAIN]), "msmt")
    assert [len(split) for split in dataset.splits.values()] == [2, 0, 0]


def test_names_and_roots(tmp_path: Path) -> None:
    root = msmt_tree(tmp_path / "above" / "MSMT17_V1")
    assert len(read("msmt", tmp_path / "above", "msmt").train) == 2
    with pytest.raises(UserError, match=r"give it with data\.root="):
        read("msmt", root / "train", "msmt")
    with pytest.raises(UserError, match=rf"give it with data\.root={tmp_path / 'above'} "):
        read("msmt", tmp_path, "msmt")
    with pytest.raises(UserError, match=r"does not exist; expected a folder with train/"):
        read("msmt", tmp_path / "nowhere", "msmt")
    picture(root / "train" / "0002" / "0002_c3s1_000001.jpg")
    with pytest.raises(UserError, match=r"1 of 3 file names .*expected PID_SEQUENCE_CAMERA"):
        read("msmt", root, "msmt")
