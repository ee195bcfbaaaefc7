from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from common.errors import UserError
from data.readers import read
from data.samples import Split
from retrieval.columns import Columns, Features
from retrieval.protocols import protocol
from retrieval.ranking.acquaintances import Acquaintances
from retrieval.study import Question, study
from tests.data.readers.trees import picture, rows, tree

TRAIN = ("100/B_cropped_rgb007.jpg", "9/C_x.jpg", "100/A_cropped_rgb001.jpg", "100/C_cropped_rgb001.jpg", "9/A.jpg")
VAL = ("100/A_cropped_rgb002.jpg", "9/B_cropped_rgb002.jpg")
TEST = (
    "A/003/cropped_rgb001.jpg",
    "A/003/cropped_rgb002.jpg",
    "A/011/cropped_rgb001.jpg",
    "A/012/cropped_rgb001.jpg",
    "B/003/cropped_rgb003.jpg",
    "B/011/C_cropped_rgb004.jpg",  # the folder tells the camera, not the name
    "C/003/cropped_rgb001.jpg",
    "C/011/cropped_rgb001.jpg",
    "C/011/cropped_rgb002.jpg",
)


def prcc_tree(root: Path, train: tuple[str, ...] = TRAIN, test: tuple[str, ...] = TEST) -> Path:
    return tree(root, [f"rgb/train/{path}" for path in train] + [f"rgb/test/{path}" for path in test])


def features(split: Split, taken: np.ndarray | None = None) -> Features:
    """Random vectors, the same for the same picture."""
    chosen = np.arange(len(split)) if taken is None else taken
    vectors = np.random.default_rng(0).standard_normal((len(split), 8)).astype(np.float32)
    return Features(vectors[chosen], Columns(split.pids, split.camids, split.clothes).take(chosen))


def test_people_cameras_and_clothes(tmp_path: Path) -> None:
    dataset = read("prcc", prcc_tree(tmp_path / "C_c9_012" / "prcc"), "prcc")
    assert rows(dataset.train) == [
        ("rgb/train/100/A_cropped_rgb001.jpg", 100, 0),
        ("rgb/train/100/B_cropped_rgb007.jpg", 100, 1),
        ("rgb/train/100/C_cropped_rgb001.jpg", 100, 2),
        ("rgb/train/9/A.jpg", 9, 0),
        ("rgb/train/9/C_x.jpg", 9, 2),
    ]
    assert dataset.train.clothes.tolist() == [2, 2, 3, 0, 1]  # 9 comes before 100
    assert list(dataset.gallery.paths) == [f"rgb/test/{path}" for path in TEST[:4]]
    assert dataset.gallery.pids.tolist() == [3, 3, 11, 12]
    assert dataset.gallery.clothes.tolist() == [0, 0, 2, 4]
    assert list(dataset.query.paths) == [f"rgb/test/{path}" for path in TEST[4:]]
    assert dataset.query.camids.tolist() == [1, 1, 2, 2, 2]
    assert dataset.query.clothes.tolist() == [0, 2, 1, 3, 3]
    assert dataset.query.file(0).is_file()
    assert dataset.protocol == "prcc-cc"


def test_a_person_without_query_does_not_shift_the_outfits_of_the_query(tmp_path: Path) -> None:
    extra = (*TEST, "A/001/cropped_rgb001.jpg")
    dataset = read("prcc", prcc_tree(tmp_path, test=extra), "prcc")
    assert dataset.gallery.clothes.tolist() == [0, 2, 2, 4, 6]
    assert dataset.query.clothes.tolist() == [2, 4, 3, 5, 5]


def test_what_the_user_is_told(tmp_path: Path) -> None:
    root = prcc_tree(tmp_path)
    tree(root, [f"rgb/val/{path}" for path in VAL])
    dataset = read("prcc", root, "prcc")
    assert len(dataset.train) == len(TRAIN)
    assert dataset.notes == (
        "query is test/B and test/C, gallery all of test/A (multi-shot): protocol prcc-sc judges by B, prcc-cc by C",
        "rgb/val is not read: 2 pictures of the people that are in rgb/train",
        "2 of 5 queries have no positive in other clothes from another camera: they are left out of the scores; "
        "first: rgb/test/B/003/cropped_rgb003.jpg",
    )
    published = dataset.published
    assert [published[title].images for title in ("train", "query", "gallery")] == [17_896, 7_416, 3_384]
    assert [published[title].identities for title in ("train", "query", "gallery")] == [150, 71, 71]


@pytest.mark.parametrize(("name", "camera"), [("same-clothes", 1), ("cloth-changing", 2)])
def test_the_protocols_give_the_published_queries(tmp_path: Path, name: str, camera: int) -> None:
    dataset = read("prcc", prcc_tree(tmp_path), "prcc")
    query, gallery = features(dataset.query), features(dataset.gallery)
    pairs = Acquaintances.of(query.columns, gallery.columns)
    good = pairs.positives(protocol(name))
    asked = np.flatnonzero(dataset.query.camids == camera)
    # Every picture of the person in camera A is to be found, for the queries of that camera and no others.
    assert good.tolist() == np.isin(pairs.owners, asked).tolist()
    assert np.unique(pairs.owners[good]).tolist() == asked.tolist()

    among_all = study(query, gallery, Question([name])).scores[name]
    alone = study(features(dataset.query, asked), gallery, Question(["market"])).scores["market"]
    assert (among_all.queries, among_all.valid_queries) == (5, len(asked))
    assert among_all.metrics() == alone.metrics()


@pytest.mark.parametrize(
    "wrong", ["train/100/D_1.jpg", "train/100/xA_1.jpg", "train/A_1.jpg", "train/x1/A_1.jpg", "train/100/more/A_1.jpg"]
)
def test_a_picture_that_does_not_tell_is_named(tmp_path: Path, wrong: str) -> None:
    root = prcc_tree(tmp_path)
    picture(root / "rgb" / wrong)
    with pytest.raises(UserError, match=rf"1 of 6 file names .* do not tell .*: rgb/{wrong}; expected rgb/train/PID/A"):
        read("prcc", root, "prcc")


@pytest.mark.parametrize("wrong", ["test/A/1.jpg", "test/B/p3/1.jpg", "test/C/003/more/1.jpg"])
def test_a_test_picture_that_does_not_tell_is_named(tmp_path: Path, wrong: str) -> None:
    root = prcc_tree(tmp_path)
    picture(root / "rgb" / wrong)
    with pytest.raises(
        UserError, match=rf"1 of 10 file names .* do not tell .*: rgb/{wrong}; expected rgb/train/PID/A"
    ):
        read("prcc", root, "prcc")


def test_a_split_may_be_absent(tmp_path: Path) -> None:
    only_train = read("prcc", prcc_tree(tmp_path / "a", test=()), "prcc")
    assert [len(split) for split in only_train.splits.values()] == [5, 0, 0]
    assert only_train.notes == ()
    only_test = read("prcc", prcc_tree(tmp_path / "b", train=()), "prcc")
    assert [len(split) for split in only_test.splits.values()] == [0, 5, 4]
    with pytest.raises(UserError, match=r"5 query pictures but no gallery"):
        read("prcc", prcc_tree(tmp_path / "c", test=TEST[4:]), "prcc")


def test_without_camera_c_nobody_changes_clothes(tmp_path: Path) -> None:
    dataset = read("prcc", prcc_tree(tmp_path, test=TEST[:6]), "prcc")
    assert dataset.protocol == "market"
    assert dataset.notes[1].startswith("no query has a positive in other clothes")


@pytest.mark.parametrize("given", ["..", "rgb", "rgb/test"])
def test_one_level_off_names_the_folder_that_works(tmp_path: Path, given: str) -> None:
    root = prcc_tree(tmp_path / "above" / "prcc")
    with pytest.raises(UserError, match=rf"{root} does: give it with data\.root={root} \(eval"):
        read("prcc", (root / given).resolve(), "prcc")


def test_roots_without_pictures(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"does not exist; expected a folder with rgb/train/ and rgb/test/"):
        read("prcc", tmp_path / "nowhere", "prcc")
    with pytest.raises(UserError, match=r"is empty; expected rgb/train/"):
        read("prcc", tmp_path, "prcc")
    (tmp_path / "sketch").mkdir()
    with pytest.raises(UserError, match=r"does not hold rgb/train/.* Say where it lies with data\.root"):
        read("prcc", tmp_path, "prcc")
    (tmp_path / "rgb" / "test").mkdir(parents=True)
    with pytest.raises(UserError, match=r"holds no pictures"):
        read("prcc", tmp_path, "prcc")
