from __future__ import annotations

from pathlib import Path

import pytest

from common.errors import UserError
from data.readers import read
from tests.data.readers.trees import tree
from tests.data.trees import vcclothes


def test_variants(tmp_path: Path) -> None:
    root = vcclothes(tmp_path).root
    every = read("vcclothes", root, "vc")
    assert every.notes == ()
    assert [every.published[title].images for title in every.splits] == [9_449, 1_020, 8_591]
    for variant, cameras in (("sc", [1, 2]), ("cc", [2, 3])):
        dataset = read("vcclothes", root, "vc", variant=variant)
        assert sorted(set(dataset.query.camids.tolist())) == cameras
        assert sorted(set(dataset.gallery.camids.tolist())) == cameras
        assert dataset.train.camids.tolist() == every.train.camids.tolist()
        assert list(dataset.published) == ["train"]  # nobody published the counts of these
        assert dataset.notes == (
            f"variant {variant}: query and gallery of cameras {cameras[0] + 1} and {cameras[1] + 1} only, "
            "12 pictures of others are left out",
        )
    with pytest.raises(UserError, match=r"unknown variant of VC-Clothes 'CC', did you mean 'cc'"):
        read("vcclothes", root, "vc", variant="CC")


def test_two_people_share_no_outfit(tmp_path: Path) -> None:
    names = ["0001-01-10-01.jpg", "0001-01-02-01.jpg", "0002-01-02-01.png", "0011-12-02-01.jpg"]
    dataset = read("vcclothes", tree(tmp_path, [f"train/{name}" for name in names]), "vc")
    assert dataset.train.clothes.tolist() == [0, 1, 2, 3]
    assert dataset.train.camids.tolist() == [0, 0, 0, 11]


@pytest.mark.parametrize("wrong", ["0001-01-01.jpg", "0001_01_01_01.jpg", "x-0001-01-01-01.jpg", "0001-00-01-01.jpg"])
def test_names_that_tell_nothing(tmp_path: Path, wrong: str) -> None:
    with pytest.raises(UserError, match=rf"1 of 1 file names .*: query/{wrong}; expected PID-CAMERA-OUTFIT-INDEX"):
        read("vcclothes", tree(tmp_path, [f"query/{wrong}"]), "vc")
