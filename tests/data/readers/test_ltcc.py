from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from common.errors import UserError
from data.readers import read
from tests.data.readers.trees import picture, rows, tree

TRAIN = ("002_1_c1_000001.png", "002_2_c12_000002.png", "010_1_c3_000003.jpg", "2_10_c1_000004.png")
QUERY = ("000_2_c1_015833.png", "094_1_c9_015834.png")
GALLERY = ("000_1_c2_000001.png", "000_10_c3_000002.png", "000_2_c1_000003.png", "094_1_c2_000004.png")


def ltcc_tree(
    root: Path, train: tuple[str, ...] = TRAIN, query: tuple[str, ...] = QUERY, gallery: tuple[str, ...] = GALLERY
) -> Path:
    named = {"train": train, "query": query, "test": gallery}
    return tree(root, (f"{folder}/{name}" for folder, names in named.items() for name in names))


@pytest.mark.parametrize("above", ["LTCC_ReID", "my_code", "person_cc", "0009_c7_x", "1_2_c3_4"])
def test_labels_come_from_base_names(tmp_path: Path, above: str) -> None:
    dataset = read("ltcc", ltcc_tree(tmp_path / above), "ltcc")
    assert rows(dataset.train) == [
        ("train/002_1_c1_000001.png", 2, 0),
        ("train/002_2_c12_000002.png", 2, 11),
        ("train/010_1_c3_000003.jpg", 10, 2),
        ("train/2_10_c1_000004.png", 2, 0),
    ]
    assert dataset.train.clothes.tolist() == [0, 1, 3, 2]  # outfit 10 after outfit 2, person 10 after person 2
    assert rows(dataset.query) == [("query/000_2_c1_015833.png", 0, 0), ("query/094_1_c9_015834.png", 94, 8)]
    assert dataset.gallery.pids.tolist() == [0, 0, 0, 94]
    assert dataset.gallery.camids.tolist() == [2, 1, 0, 1]
    assert dataset.gallery.clothes.tolist() == [2, 0, 1, 3]  # by number, though "000_10" sorts before "000_1_"
    assert dataset.query.clothes.tolist() == [1, 3]
    assert dataset.gallery.file(0).is_file()
    assert dataset.protocol == "cloth-changing"


def test_query_and_gallery_share_one_map(tmp_path: Path) -> None:
    """Outfits that are only in the gallery are counted for the query too."""
    gallery = (*GALLERY, "000_0_c5_000009.png", "001_7_c5_000009.png")
    dataset = read("ltcc", ltcc_tree(tmp_path, gallery=gallery), "ltcc")
    assert dataset.query.clothes.tolist() == [2, 5]
    told: dict[int, set[str]] = {}
    for split in (dataset.query, dataset.gallery):
        for path, outfit in zip(split.paths, split.clothes.tolist(), strict=True):
            told.setdefault(outfit, set()).add("_".join(path.rpartition("/")[2].split("_")[:2]))
    assert sorted(told) == list(range(6))
    assert all(len(pairs) == 1 for pairs in told.values())


def test_what_the_user_is_told(tmp_path: Path) -> None:
    root = ltcc_tree(tmp_path)
    picture(root / "query" / "more" / "094_1_c9_015834.png")
    dataset = read("ltcc", root, "ltcc")
    assert dataset.notes == (
        "1 pictures in sub-folders of query/ are not read",
        "1 of 2 queries have no positive in other clothes from another camera: they are left out of the scores; "
        "first: query/094_1_c9_015834.png",
    )
    published = dataset.published
    assert [published[title].images for title in ("train", "query", "gallery")] == [9_576, 493, 7_050]
    assert [published[title].identities for title in ("train", "query", "gallery")] == [77, 75, 75]


@pytest.mark.parametrize(
    "wrong",
    ["002_c1_000001.png", "x02_1_c1_1.png", "002_1_c0_1.png", "002_1_1.png", "002_1_c1.png", "a_1_002_1_c1_1.png"],
)
@pytest.mark.parametrize("folder", ["train", "test"])
def test_a_name_that_does_not_parse_is_named(tmp_path: Path, folder: str, wrong: str) -> None:
    root = ltcc_tree(tmp_path)
    picture(root / folder / wrong)
    with pytest.raises(UserError, match=rf"1 of 5 file names .*: {folder}/{wrong}; expected PID_OUTFIT_cCAMERA_FRAME"):
        read("ltcc", root, "ltcc")


def test_a_split_may_be_absent(tmp_path: Path) -> None:
    only_train = read("ltcc", ltcc_tree(tmp_path / "a", query=(), gallery=()), "ltcc")
    assert [len(split) for split in only_train.splits.values()] == [4, 0, 0]
    assert only_train.query.clothes.dtype == np.int64
    only_test = read("ltcc", ltcc_tree(tmp_path / "b", train=()), "ltcc")
    assert [len(split) for split in only_test.splits.values()] == [0, 2, 4]
    with pytest.raises(UserError, match=r"2 query pictures but no gallery"):
        read("ltcc", ltcc_tree(tmp_path / "c", gallery=()), "ltcc")


def test_where_nobody_changes_clothes(tmp_path: Path) -> None:
    dataset = read("ltcc", ltcc_tree(tmp_path, query=QUERY[1:], gallery=GALLERY[3:]), "ltcc")
    assert dataset.protocol == "market"
    assert dataset.notes == (
        "no query has a positive in other clothes from another camera: not protocol cloth-changing",
    )


@pytest.mark.parametrize("given", ["..", "train", "query"])
def test_one_level_off_names_the_folder_that_works(tmp_path: Path, given: str) -> None:
    root = ltcc_tree(tmp_path / "above" / "LTCC_ReID")
    with pytest.raises(UserError, match=rf"{root} does: give it with data\.root={root} \(eval"):
        read("ltcc", (root / given).resolve(), "ltcc")


def test_roots_without_pictures(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"does not exist; expected a folder with train/, query/ and test/"):
        read("ltcc", tmp_path / "nowhere", "ltcc")
    with pytest.raises(UserError, match=r"is empty; expected train/"):
        read("ltcc", tmp_path, "ltcc")
    (tmp_path / "info").mkdir()
    with pytest.raises(UserError, match=r"does not hold train/.* Say where it lies with data\.root"):
        read("ltcc", tmp_path, "ltcc")
    (tmp_path / "test").mkdir()
    with pytest.raises(UserError, match=r"holds no pictures"):
        read("ltcc", tmp_path, "ltcc")
