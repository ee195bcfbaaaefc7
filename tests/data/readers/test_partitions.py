from __future__ import annotations

import os
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from common.errors import UserError
from data.readers import read
from tests.data.readers.trees import picture, rows, tree
from tests.data.trees import partitions

TRAIN, QUERY, GALLERY = "00000002_0001_00000000.jpg", "00000003_0001_00000000.jpg", "00000003_0002_00000000.jpg"
LISTS: dict[str, Any] = {
    "trainval_im_names": [TRAIN],
    "test_im_names": [GALLERY, QUERY],
    "test_marks": [1, 0],
}


def made(root: Path, *more: str, **changes: Any) -> Path:
    tree(root, [f"images/{name}" for name in (TRAIN, QUERY, GALLERY, *more)])
    (root / "partitions.pkl").write_bytes(pickle.dumps({**LISTS, **changes}, protocol=2))
    return root


def test_marks(tmp_path: Path) -> None:
    dataset = read("partitions", partitions(tmp_path).root, "mine")
    assert "4 pictures with mark 2 (multi-query) are not read" in dataset.notes
    assert dataset.published == {}
    with pytest.raises(UserError, match=r"unknown variant of partitions 'vla', did you mean 'val'"):
        read("partitions", tmp_path, "mine", variant="vla")


def test_arrays_for_lists(tmp_path: Path) -> None:
    names = np.array([GALLERY, QUERY])
    dataset = read("partitions", made(tmp_path, test_im_names=names, test_marks=np.array([1, 0])), "mine")
    assert rows(dataset.query) == [(f"images/{QUERY}", 3, 1)]
    assert rows(dataset.gallery) == [(f"images/{GALLERY}", 3, 2)]


def test_names_of_the_family(tmp_path: Path) -> None:
    """Shorter ones, in sub-folders whose names are no labels, a `c` before the camera, junk and distractors."""
    names = ["7_c1/12_c15_3.png", "-0000001_0001_00000000.jpg", "00000000_0001_00000001.tif"]
    dataset = read("partitions", made(tmp_path, *names, trainval_im_names=[*names, f"./{TRAIN}"]), "mine")
    assert rows(dataset.train) == [
        ("images/00000000_0001_00000001.tif", 0, 1),
        (f"images/{TRAIN}", 2, 1),
        ("images/7_c1/12_c15_3.png", 12, 15),
    ]
    assert dataset.notes == ("pictures with identity -1 are left out: train 1",)


@pytest.mark.parametrize(
    ("changes", "match"),
    [
        ({"test_marks": [1]}, r"partitions.pkl: test_marks has 1 marks for 2 names"),
        ({"test_marks": [1, 3]}, r"test_marks\[1\] is none of 0 \(query\), 1 \(gallery\) and 2"),
        ({"test_marks": "01"}, r"test_marks is a str, not a list"),
        ({"trainval_im_names": {"a": 1}}, r"trainval_im_names is a dict, not a list"),
        ({"trainval_im_names": [TRAIN, 5]}, r"trainval_im_names\[1\] is a int, not the name of a file"),
        ({"trainval_im_names": [TRAIN, TRAIN]}, r"lists images/00000002_0001_00000000.jpg more than once"),
        ({"trainval_im_names": [TRAIN, "9_9_9.jpg"]}, r"1 of 2 pictures that .* lists are not there; first: .*9_9_9"),
        ({"trainval_im_names": [""]}, r"1 of 1 pictures that .* lists are not there"),
    ],
)
def test_lists_that_are_wrong(tmp_path: Path, changes: dict[str, Any], match: str) -> None:
    with pytest.raises(UserError, match=match):
        read("partitions", made(tmp_path, **changes), "mine")


@pytest.mark.parametrize(
    "path",
    ["../{}", "sub/../../{}", "{root}/{}", "..\\{}", "C:\\{}", "C:{}", "\\{}", "sub/..", "\\\\host\\share\\{}"],
)
@pytest.mark.parametrize("key", ["trainval_im_names", "test_im_names"])
def test_no_path_leads_out(tmp_path: Path, path: str, key: str) -> None:
    """Though the picture is there."""
    root = tmp_path / "set"
    for folder in (tmp_path, root, root / "images"):
        picture(folder / TRAIN)
    told = path.replace("{}", TRAIN).replace("{root}", str(root / "images"))
    with pytest.raises(UserError, match=rf"partitions.pkl: {key}\[0\]: '.*' leads out of .*images"):
        read("partitions", made(root, **{key: [told, QUERY]}), "mine")


def test_names_that_tell_nothing(tmp_path: Path) -> None:
    for number, wrong in enumerate(("0002_c1s1_000451_03.jpg", "x_1_1.jpg", "-2_1_1.jpg", "2_1.jpg")):
        root = made(tmp_path / str(number), wrong, trainval_im_names=[wrong])
        with pytest.raises(UserError, match=rf"1 of 1 file names .*: images/{wrong}; expected PID_CAMERA_INDEX"):
            read("partitions", root, "mine")


def test_absent_lists_and_pictures(tmp_path: Path) -> None:
    only_train = read("partitions", made(tmp_path / "a", test_im_names=[], test_marks=[]), "mine")
    assert [len(split) for split in only_train.splits.values()] == [1, 0, 0]
    (tmp_path / "a" / "partitions.pkl").write_bytes(pickle.dumps({}))
    with pytest.raises(UserError, match=r"holds no pictures"):
        read("partitions", tmp_path / "a", "mine")


def test_a_misspelt_list_is_told(tmp_path: Path) -> None:
    root = made(tmp_path)
    (root / "partitions.pkl").write_bytes(
        pickle.dumps({"trainval_names": [TRAIN], **{key: LISTS[key] for key in ("test_im_names", "test_marks")}})
    )
    dataset = read("partitions", root, "mine")
    assert len(dataset.train) == 0
    assert dataset.notes[0] == (
        "partitions.pkl has no list trainval_im_names, did you mean 'trainval_names'?; it has: test_im_names, "
        "test_marks, trainval_names"
    )
    assert not any("no list" in note for note in read("partitions", made(tmp_path / "whole"), "mine").notes)


def test_a_pickle_that_is_a_program(tmp_path: Path) -> None:
    class Program:
        def __reduce__(self) -> tuple[Any, tuple[str]]:
            return os.system, (f"touch {tmp_path / 'touched'}",)

    root = made(tmp_path / "set", more=Program())
    with pytest.raises(UserError, match=r"partitions.pkl asks for \w+\.system, which is refused"):
        read("partitions", root, "mine")
    assert not (tmp_path / "touched").exists()
