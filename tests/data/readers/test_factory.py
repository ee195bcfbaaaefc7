from __future__ import annotations

from pathlib import Path

import pytest

from common.errors import UserError
from data.readers import READERS, read
from tests.data.readers.trees import market_tree


def test_readers() -> None:
    old = {"market", "cuhk", "msmt", "csv", "folders", "street", "prcc", "ltcc"}
    new = {"celeb", "last", "vcclothes", "deepchange", "p-duke", "partitions", "pattern"}
    occluded = {"occluded-duke", "occluded-reid"}
    assert set(READERS) == old | new | occluded


def test_unknown_reader_names_the_closest(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"unknown reader 'markt', did you mean 'market'. known: celeb, csv, cuhk"):
        read("markt", tmp_path, "mine")


def test_unknown_option(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"reader 'ltcc' has no option 'variant'; it has none"):
        read("ltcc", market_tree(tmp_path), "mine", variant="labeled")
    with pytest.raises(
        UserError, match=r"reader 'msmt' has no option 'verson', did you mean 'version'. known: version"
    ):
        read("msmt", tmp_path, "mine", verson="v1")


def test_an_option_is_a_text(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"version: 2 is not a text; put it in quotes"):
        read("msmt", tmp_path, "mine", version=2)
