from __future__ import annotations

import os
from pathlib import Path

import pytest

from common.errors import UserError
from data.readers import read
from tests.data.readers.trees import market_tree, picture, rows


def test_columns_come_from_base_names(tmp_path: Path) -> None:
    dataset = read("market", market_tree(tmp_path), "mine")
    assert rows(dataset.train) == [
        ("bounding_box_train/0002_c1s1_000451_03.jpg", 2, 0),
        ("bounding_box_train/0002_c2s1_000776_01.jpg", 2, 1),
        ("bounding_box_train/0007_c3s3_077419_03.jpg", 7, 2),
    ]
    assert rows(dataset.query)[1] == ("query/0003_c10s1_000001_00.jpg", 3, 9)
    assert dataset.gallery.pids.tolist() == [0, 1, 1, 3]
    assert dataset.gallery.clothes.tolist() == [-1] * 4
    assert dataset.notes == ("pictures with identity -1 are left out: gallery 1",)
    assert (dataset.protocol, dataset.published) == ("market", {})
    assert dataset.gallery.file(0).is_file()


@pytest.mark.parametrize("folder", ["msmt_stuff", "0009_c4_x", "a-1_c2"])
def test_folder_names_are_not_parsed(tmp_path: Path, folder: str) -> None:
    dataset = read("market", market_tree(tmp_path / folder), "mine")
    assert dataset.train.pids.tolist() == [2, 2, 7]
    assert dataset.train.camids.tolist() == [0, 1, 2]


@pytest.mark.parametrize(
    ("name", "pid", "camid"),
    [
        ("0001_c2_f0046182.jpg", 1, 1),
        ("0001_c10_f0046182.png", 1, 9),
        ("0013_c01s12_1_c7.JPG", 13, 0),
        ("1501_c6s4_000001_00.jpg.jpg", 1501, 5),
        ("12_c15.jpeg", 12, 14),
    ],
)
def test_names_of_the_family(tmp_path: Path, name: str, pid: int, camid: int) -> None:
    dataset = read("market", market_tree(tmp_path, [name], (), ()), "mine")
    assert rows(dataset.train) == [(f"bounding_box_train/{name}", pid, camid)]


@pytest.mark.parametrize("name", ["x0001_c1s1.jpg", "0001-c1s1.jpg", "0001_c0s1.jpg", "-2_c1.jpg", "0001_cs1.jpg"])
def test_a_name_that_does_not_parse_is_named(tmp_path: Path, name: str) -> None:
    root = market_tree(tmp_path, (name, "0002_c1s1_1.jpg"))
    with pytest.raises(UserError, match=rf"1 of 2 file names .*bounding_box_train/{name}; expected PID_cCAMERA"):
        read("market", root, "mine")


def test_three_examples_and_the_count(tmp_path: Path) -> None:
    root = market_tree(tmp_path, [f"face{n}.jpg" for n in range(5)])
    with pytest.raises(UserError, match=r"5 of 5 .*face0.jpg, .*face1.jpg, .*face2.jpg, \.\.\.; expected"):
        read("market", root, "mine")


@pytest.mark.parametrize("name", ["market", "occluded-duke", "mine"])
def test_a_variant_without_counts(tmp_path: Path, name: str) -> None:
    dataset = read("market", market_tree(tmp_path), name, variant="none")
    assert (dataset.published, dataset.protocol) == ({}, "market")


def test_other_files_are_ignored(tmp_path: Path) -> None:
    root = market_tree(tmp_path)
    for name in ("Thumbs.db", ".DS_Store", "readme.txt", "._0001_c1s1_1.jpg"):
        (root / "bounding_box_train" / name).write_bytes(b"")
    picture(root / "bounding_box_train" / ".thumbnails" / "x.jpg")
    assert len(read("market", root, "mine").train) == 3


def test_only_the_training_folder_is_recursive(tmp_path: Path) -> None:
    root = market_tree(tmp_path)
    picture(root / "bounding_box_train" / "more" / "0001_c1s1_1.jpg")
    picture(root / "query" / "more" / "0001_c1s1_1.jpg")
    dataset = read("market", root, "mine")
    assert (len(dataset.train), len(dataset.query)) == (4, 2)
    assert "1 pictures in sub-folders of query/ are not read" in dataset.notes


def test_sorted_by_path(tmp_path: Path) -> None:
    root = market_tree(tmp_path, ["b/0001_c1s1_1.jpg", "a/0003_c1s1_1.jpg", "0002_c1s1_1.jpg", "a.b/0004_c1s1_1.jpg"])
    paths = list(read("market", root, "mine").train.paths)
    assert paths == sorted(paths)
    assert len(paths) == 4


def test_published_counts_belong_to_the_name(tmp_path: Path) -> None:
    root = market_tree(tmp_path)
    assert read("market", root, "market").published["gallery"].images == 15_913
    assert read("market", root, "duke").published["train"].identities == 702
    assert "published: 12,936 images" in read("market", root, "market").summary()


def test_published_counts_of_a_variant(tmp_path: Path) -> None:
    root = market_tree(tmp_path)
    assert read("market", root, "mine", variant="duke").published["query"].images == 2_228
    assert read("market", root, "market", variant="occluded-duke").published["train"].images == 15_618
    assert read("market", root, "occluded-duke").published["query"].identities == 519
    with pytest.raises(UserError, match=r"unknown variant of Market-1501's layout 'ocluded-duke', did you mean 'occl"):
        read("market", root, "mine", variant="ocluded-duke")


def test_a_split_may_be_absent(tmp_path: Path) -> None:
    only_train = read("market", market_tree(tmp_path / "a", query=(), gallery=()), "mine")
    assert [len(split) for split in only_train.splits.values()] == [3, 0, 0]
    only_test = read("market", market_tree(tmp_path / "b", train=()), "mine")
    assert [len(split) for split in only_test.splits.values()] == [0, 2, 4]
    assert len(read("market", market_tree(tmp_path / "c", query=()), "mine").gallery) == 4


def test_a_query_needs_a_gallery(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"2 query pictures but no gallery"):
        read("market", market_tree(tmp_path, gallery=()), "mine")


def test_no_pictures_at_all(tmp_path: Path) -> None:
    (tmp_path / "query").mkdir()
    with pytest.raises(UserError, match=r"holds no pictures.*data\.root=/path/to/mine"):
        read("market", tmp_path, "mine")
    picture(tmp_path / "bounding_box_test" / "-1_c1s1_1.jpg")
    with pytest.raises(UserError, match=r"holds no pictures of known people .*gallery 1"):
        read("market", tmp_path, "mine")


def test_missing_empty_and_wrong_roots(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"does not exist; expected .*bounding_box_train.*data\.root=.*datasets\.yml"):
        read("market", tmp_path / "nowhere", "mine")
    with pytest.raises(UserError, match=r"is empty; expected bounding_box_train"):
        read("market", tmp_path, "mine")
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match=r"is a file, not a folder"):
        read("market", tmp_path / "file", "mine")
    with pytest.raises(UserError, match=r"does not hold bounding_box_train/.* Say where it lies with data\.root"):
        read("market", tmp_path, "mine")


@pytest.mark.parametrize("given", ["above", "above/Market-1501-v15.09.15/bounding_box_train"])
def test_one_level_off_names_the_folder_that_works(tmp_path: Path, given: str) -> None:
    right = market_tree(tmp_path / "above" / "Market-1501-v15.09.15")
    with pytest.raises(UserError, match=rf"{right} does: give it with data\.root={right} \(eval"):
        read("market", tmp_path / given, "mine")


def test_links(tmp_path: Path) -> None:
    root = market_tree(tmp_path / "real")
    (tmp_path / "link").symlink_to(root)
    assert len(read("market", tmp_path / "link", "mine").train) == 3
    (root / "bounding_box_train" / "round").symlink_to(root / "bounding_box_train")
    with pytest.raises(UserError, match=r"round is a link to a folder it lies in"):
        read("market", root, "mine")
    (root / "bounding_box_train" / "round").unlink()
    (root / "query" / "0001_c1s1_9.jpg").symlink_to(tmp_path / "gone.jpg")
    with pytest.raises(UserError, match=r"0001_c1s1_9.jpg is a link that leads to no file"):
        read("market", root, "mine")


def test_a_folder_that_may_not_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = market_tree(tmp_path)
    scandir = os.scandir

    def refusing(folder: Path) -> object:
        if Path(folder).name == "query":
            raise PermissionError(13, "Permission denied")
        return scandir(folder)

    monkeypatch.setattr(os, "scandir", refusing)
    with pytest.raises(UserError, match=r"cannot read the folder .*query: Permission denied; make it readable"):
        read("market", root, "mine")


def test_real_pictures() -> None:
    place = os.environ.get("REID_REAL_DATA")
    if not place:
        pytest.skip("REID_REAL_DATA is not set (a folder that holds pku-reid/ and rendered/)")
    market = read("market", Path(place) / "pku-reid", "pku-reid")
    assert [len(split) for split in market.splits.values()] == [640, 68, 476]
    assert (market.protocol, market.notes) == ("market", ())
    rendered = read("csv", Path(place) / "rendered", "rendered")
    assert [len(split) for split in rendered.splits.values()] == [480, 120, 120]
    assert rendered.train.clothes.min() >= 0
    assert len(market.fingerprint()) == 16
