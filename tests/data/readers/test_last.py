from __future__ import annotations

from pathlib import Path

import pytest

from common.errors import UserError
from data.readers import read
from tests.data.readers.trees import picture, tree
from tests.data.trees import last


def test_published_counts(tmp_path: Path) -> None:
    root = last(tmp_path).root
    test, val = read("last", root, "last"), read("last", root, "last", variant="val")
    assert test.published["train"] == val.published["train"]
    assert (test.published["train"].images, test.published["train"].identities) == (71_248, 5_000)
    assert (test.published["gallery"].identities, val.published["gallery"].identities) == (5_806, 56)
    assert test.published["query"].images + test.published["gallery"].images == 135_529
    assert val.published["query"].images + val.published["gallery"].images == 21_379
    assert val.gallery.paths[0].startswith("val/gallery/")
    with pytest.raises(UserError, match=r"unknown variant of LaST 'tests', did you mean 'test'"):
        read("last", root, "last", variant="tests")


@pytest.mark.parametrize(
    ("name", "pid", "outfit"),
    [("12_x.jpg", 12, "x"), ("12_a_b_c_03.jpg", 12, "03"), ("12__3.png", 12, "3"), ("12_7.8_9.jpg", 12, "7")],
)
def test_the_last_field_before_the_first_point_is_the_outfit(tmp_path: Path, name: str, pid: int, outfit: str) -> None:
    """The other picture wears this outfit, a third one another."""
    tree(tmp_path, [f"train/12/{name}", f"train/12/12_other_{outfit}.bmp", "train/12/12_other_zz.bmp"])
    split = read("last", tmp_path, "last").train
    clothes = dict(zip(split.paths, split.clothes.tolist(), strict=True))
    assert clothes[f"train/12/{name}"] == clothes[f"train/12/12_other_{outfit}.bmp"]
    assert clothes[f"train/12/{name}"] != clothes["train/12/12_other_zz.bmp"]
    assert split.pids.tolist() == [pid] * 3


def test_the_query_is_flat(tmp_path: Path) -> None:
    root = last(tmp_path).root
    picture(root / "test" / "query" / "000003" / "000003_9_9.jpg")
    dataset = read("last", root, "last")
    assert "1 pictures in sub-folders of test/query/ are not read" in dataset.notes
    assert len(dataset.query) == 3


def test_only_for_training(tmp_path: Path) -> None:
    dataset = read("last", tree(tmp_path, ["train/1/1_2.jpg"]), "last")
    assert [len(split) for split in dataset.splits.values()] == [1, 0, 0]
