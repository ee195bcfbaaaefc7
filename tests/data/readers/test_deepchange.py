from __future__ import annotations

from pathlib import Path

import pytest

from common.errors import UserError
from data.readers import read
from data.readers.checks import positives
from tests.data.readers.trees import picture, tree
from tests.data.trees import deepchange


def test_what_the_user_is_told(tmp_path: Path) -> None:
    root = deepchange(tmp_path).root
    test, val = read("deepchange", root, "dc"), read("deepchange", root, "dc", variant="val")
    assert [test.published[title].images for title in test.splits] == [75_083, 17_527, 62_956]
    assert [val.published[title].images for title in val.splits] == [75_083, 4_976, 17_865]
    assert test.notes[0] == "1 pictures in train-set/ are not in its list and not read"
    assert "the cameras of query and gallery are tracklets" in test.notes[-1]
    with pytest.raises(UserError, match=r"unknown variant of DeepChange 'tset', did you mean 'test'"):
        read("deepchange", root, "dc", variant="tset")


def test_the_same_camera_counts_and_the_same_tracklet_does_not(tmp_path: Path) -> None:
    root = tree(tmp_path, ["test-set-query/P1_C2_3_a.jpg"] + [f"test-set-gallery/P1_C2_3_{n}.jpg" for n in "bcd"])
    (root / "test-set-query-bbox.txt").write_text("P1_C2_3_a.jpg, t9 ,1\r\n")
    (root / "test-set-gallery-bbox.txt").write_text("P1_C2_3_b.jpg,t9\nP1_C2_3_c.jpg,t10,5\nP1_C2_3_d.jpg,t8\n")
    dataset = read("deepchange", root, "dc")
    assert positives(dataset.query, dataset.gallery).tolist() == [2]
    assert dataset.protocol == "deepchange"


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("P1_C2_3_a.jpg\n", r"bbox.txt, row 1: expected FILE,TRACKLET .*found 'P1_C2_3_a.jpg'"),
        ("P1_C2_3_a.jpg,1\n\n,4\n", r"row 3: expected FILE,TRACKLET"),
        ("../test-set-query/P1_C2_3_a.jpg,1\n", r"row 1: expected FILE,TRACKLET with the bare name"),
        ("/etc/P1_C2_3_a.jpg,1\n", r"row 1: expected FILE,TRACKLET with the bare name"),
        ("P1_C2_3_a.jpg,1\nP1_C2_3_a.jpg,2\n", r"lists train-set/P1_C2_3_a.jpg more than once"),
        ("P1_C2_3_b.jpg,1\nP1_C2_3_a.jpg,1\n", r"1 of 2 pictures in .* are not there; first: .*P1_C2_3_b.jpg"),
        ("..,1\n", r"1 of 1 pictures in .* are not there"),
        ("x.jpg,1\n", r"1 of 1 file names .*: train-set/x.jpg; expected P<PID>_C<CAMERA>_<OUTFIT>"),
    ],
)
def test_lists(tmp_path: Path, text: str, match: str) -> None:
    root = tree(tmp_path, ["train-set/P1_C2_3_a.jpg", "train-set/x.jpg"])
    (root / "train-set-bbox.txt").write_text(text)
    with pytest.raises(UserError, match=match):
        read("deepchange", root, "dc")


def test_lists_that_cannot_be_read(tmp_path: Path) -> None:
    picture(tmp_path / "train-set" / "P1_C2_3_a.jpg")
    with pytest.raises(UserError, match=r"train-set-bbox.txt is missing; copy it"):
        read("deepchange", tmp_path, "dc")
    (tmp_path / "train-set-bbox.txt").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(UserError, match=r"cannot read .*train-set-bbox.txt"):
        read("deepchange", tmp_path, "dc")
