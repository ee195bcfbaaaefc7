from __future__ import annotations

from pathlib import Path

import pytest

from common.errors import UserError
from data.readers import read
from tests.data.readers.trees import picture, rows, tree
from tests.data.trees import celeb


def test_published_counts_belong_to_the_variant(tmp_path: Path) -> None:
    root = celeb(tmp_path).root
    full, light = read("celeb", root, "celeb"), read("celeb", root, "celeb", variant="light")
    assert [full.published[title].images for title in full.splits] == [20_208, 2_972, 11_006]
    assert [full.published[title].identities for title in full.splits] == [632, 420, 420]
    assert [light.published[title].images for title in light.splits] == [9_021, 887, 934]
    assert [light.published[title].identities for title in light.splits] == [490, 100, 100]
    assert full.notes == light.notes == ()
    with pytest.raises(UserError, match=r"unknown variant of Celeb-reID 'lite', did you mean 'light'"):
        read("celeb", root, "celeb", variant="lite")


def test_names(tmp_path: Path) -> None:
    tree(tmp_path, ["train/007_1_0.PNG", "train/12_3_45.jpg.jpg", "query/7_1_0.jpg", "gallery/7_2_1.webp"])
    picture(tmp_path / "query" / "more" / "8_1_0.jpg")
    dataset = read("celeb", tmp_path, "celeb")
    assert rows(dataset.train) == [("train/007_1_0.PNG", 7, -1), ("train/12_3_45.jpg.jpg", 12, -1)]
    assert "1 pictures in sub-folders of query/ are not read" in dataset.notes


@pytest.mark.parametrize("wrong", ["-1_2_3.jpg", "a7_1_0.jpg", "7_1.jpg", "7_1_x.jpg", "_7_1_0.jpg", "7-1-0.jpg"])
def test_names_that_tell_nothing(tmp_path: Path, wrong: str) -> None:
    root = celeb(tmp_path).root
    picture(root / "gallery" / wrong)
    with pytest.raises(UserError, match=rf"1 of 7 file names .*: gallery/{wrong}; expected PID_INDEX_X"):
        read("celeb", root, "celeb")
