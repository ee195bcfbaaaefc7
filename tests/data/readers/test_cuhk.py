from __future__ import annotations

from pathlib import Path

import pytest

from common.errors import UserError
from data.readers import read
from tests.data.readers.trees import market_tree, rows

TRAIN, QUERY, GALLERY = ["0003_c1_21.png"], ["0001_c1_1.png"], ["0001_c1_2.png", "0001_c2_6.png"]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    market_tree(tmp_path / "cuhk03-np" / "detected", TRAIN, QUERY, GALLERY)
    market_tree(tmp_path / "cuhk03-np" / "labeled", TRAIN, QUERY, GALLERY[1:])
    return tmp_path / "cuhk03-np"


def test_variants(root: Path) -> None:
    detected = read("cuhk", root, "cuhk")
    first, second = rows(detected.gallery)
    assert first == ("bounding_box_test/0001_c1_2.png", 1, 0)
    assert second == ("bounding_box_test/0001_c2_6.png", 1, 1)
    assert detected.published["train"].images == 7_365
    labeled = read("cuhk", root, "cuhk", variant="labeled")
    assert len(labeled.gallery) == 1
    assert labeled.published["gallery"].images == 5_328
    assert "labeled boxes" in labeled.notes[0]
    assert labeled.query.file(0).is_file()


def test_unknown_variant_and_option(root: Path) -> None:
    with pytest.raises(UserError, match=r"unknown variant of CUHK03 'labelled', did you mean 'labeled'"):
        read("cuhk", root, "cuhk", variant="labelled")
    with pytest.raises(UserError, match=r"has no option 'variants', did you mean 'variant'"):
        read("cuhk", root, "cuhk", variants="labeled")


@pytest.mark.parametrize("given", ["..", "detected", "detected/query"])
def test_one_level_off_names_the_folder_that_works(root: Path, given: str) -> None:
    with pytest.raises(UserError, match=rf"give it with data\.root={root.resolve()} \(eval"):
        read("cuhk", (root / given).resolve(), "cuhk")


def test_the_other_variant_is_not_read_silently(root: Path) -> None:
    (root / "labeled").rename(root / "other")
    with pytest.raises(UserError, match=r"does not hold labeled/ with bounding_box_train"):
        read("cuhk", root, "cuhk", variant="labeled")
