from __future__ import annotations

import os
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from common.errors import UserError
from data.readers import partitions as partitions_reader
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
        ({"test_marks": [True, False]}, r"test_marks\[0\] is none of 0 \(query\), 1 \(gallery\) and 2"),
        ({"test_marks": [1.0, 0]}, r"test_marks\[0\] is none of 0"),
        ({"test_marks": [[], 0]}, r"test_marks\[0\] is none of 0"),
        ({"test_marks": None}, r"test_marks is a NoneType, not a list"),
        ({"unknown_cameras": True}, r"partitions.pkl: unknown_cameras is a bool, not a list"),
        ({"unknown_cameras": [1]}, r"partitions.pkl: unknown_cameras\[0\] is a int, not the name of a file"),
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


def test_no_pictures(tmp_path: Path) -> None:
    only_train = read("partitions", made(tmp_path / "a", test_im_names=[], test_marks=[]), "mine")
    assert [len(split) for split in only_train.splits.values()] == [1, 0, 0]
    with pytest.raises(UserError, match=r"holds no pictures"):
        read("partitions", made(tmp_path / "b", **{key: [] for key in LISTS}), "mine")


@pytest.mark.parametrize("variant", ["test", "val"])
def test_a_missing_list_is_refused(tmp_path: Path, variant: str) -> None:
    """It may be misspelt, which would leave a split empty without a word."""
    whole = {**LISTS, "train_im_names": [TRAIN], "val_im_names": [QUERY, GALLERY], "val_marks": [0, 1]}
    root = made(tmp_path)
    for key in (partitions_reader.TRAIN[variant], f"{variant}_im_names", f"{variant}_marks"):
        left = {name: told for name, told in whole.items() if name != key}
        if key == "trainval_im_names":
            del left["val_im_names"]
        (root / "partitions.pkl").write_bytes(pickle.dumps({**left, f"{key}s": []}))
        with pytest.raises(
            UserError,
            match=rf"has no list {key}, did you mean '{key}s'\? it has: .*\. Write it anew, with an empty list",
        ):
            read("partitions", root, "mine", variant=variant)
    (root / "partitions.pkl").write_bytes(pickle.dumps({}))
    with pytest.raises(UserError, match=r"has no list \w+; it has: nothing. Write it anew, with an empty list where"):
        read("partitions", root, "mine", variant=variant)


def test_training_pictures_in_two_parts(tmp_path: Path) -> None:
    """As the README of CACE-Net's authors names them; what they train on is both."""
    more = "00000009_0003_00000000.jpg"
    root = made(tmp_path, more)
    told = {key: LISTS[key] for key in ("test_im_names", "test_marks")}
    told |= {"train_im_names": [TRAIN], "val_im_names": [more], "val_marks": [1]}
    (root / "partitions.pkl").write_bytes(pickle.dumps(told))
    dataset = read("partitions", root, "mine")
    assert rows(dataset.train) == [(f"images/{TRAIN}", 2, 1), (f"images/{more}", 9, 3)]
    assert dataset.notes == (
        "partitions.pkl has no trainval_im_names: the training pictures are those of train_im_names and val_im_names",
    )
    (root / "partitions.pkl").write_bytes(pickle.dumps({**told, "val_im_names": more}))
    with pytest.raises(UserError, match=r"val_im_names is a str, not a list"):
        read("partitions", root, "mine")


def test_cameras_that_stand_for_none(tmp_path: Path) -> None:
    dataset = read("partitions", made(tmp_path, unknown_cameras=[TRAIN, QUERY, "not there"]), "mine")
    assert [split.camids.tolist() for split in dataset.splits.values()] == [[-1], [-1], [2]]
    assert dataset.rule == "market"
    dataset = read("partitions", made(tmp_path, unknown_cameras=[TRAIN, QUERY, GALLERY]), "mine")
    assert dataset.rule == "no-camera"


@pytest.mark.parametrize("linked", ["picture", "folder", "images"])
def test_no_link_leads_out(tmp_path: Path, linked: str) -> None:
    """Though the picture is there; a link within the folder is as good as a file."""
    root = made(tmp_path / "set")
    picture(tmp_path / "elsewhere" / TRAIN)
    if linked == "picture":
        (root / "images" / TRAIN).unlink()
        (root / "images" / TRAIN).symlink_to(tmp_path / "elsewhere" / TRAIN)
    elif linked == "folder":
        (root / "images" / "sub").symlink_to(tmp_path / "elsewhere")
        made(root, trainval_im_names=[f"sub/{TRAIN}"])
    else:
        (root / "images").rename(tmp_path / "pictures")
        (root / "images").symlink_to(tmp_path / "pictures")
    with pytest.raises(UserError, match=r"partitions.pkl: the path 'images.*' leads out of .*set; only"):
        read("partitions", root, "mine")


def test_a_link_that_stays_inside(tmp_path: Path) -> None:
    root = made(tmp_path / "set", "sub/more.jpg")
    (root / "images" / TRAIN).unlink()
    (root / "images" / TRAIN).symlink_to("sub/more.jpg")
    assert rows(read("partitions", root, "mine").train) == [(f"images/{TRAIN}", 2, 1)]


def test_hostile_names_are_one_sentence(tmp_path: Path) -> None:
    for number, hostile in enumerate(("a\nb\x1b[2J.jpg", "\0.jpg", "x" * 5000, "..\nerror: /etc")):
        with pytest.raises(UserError) as told:
            read("partitions", made(tmp_path / str(number), trainval_im_names=[hostile]), "mine")
        assert str(told.value).isprintable()
        assert len(str(told.value)) < 500


def test_a_pickle_that_is_a_program(tmp_path: Path) -> None:
    class Program:
        def __reduce__(self) -> tuple[Any, tuple[str]]:
            return os.system, (f"touch {tmp_path / 'touched'}",)

    root = made(tmp_path / "set", more=Program())
    with pytest.raises(UserError, match=r"partitions.pkl asks for \w+\.system, which is refused"):
        read("partitions", root, "mine")
    assert not (tmp_path / "touched").exists()
