"""Sources joined: the label space of all, and no camera or outfit of one that is also another's."""

from __future__ import annotations

from pathlib import Path

import pytest

from data.readers import read
from data.samples import Split
from data.training_set import TrainingSet
from tests.data.trees import TREES

KEPT = {"pids": "labels", "camids": "camids", "clothes": "clothes"}
SOURCES = ("market", "msmt", "ltcc", "celeb", "prcc", "vcclothes", "last", "deepchange", "p_duke", "partitions")


def trained(tmp_path: Path, title: str) -> Split:
    tree = TREES[title](tmp_path / title)
    return read(tree.reader, tree.root, title, **tree.options).train


@pytest.mark.parametrize("column", KEPT)
def test_no_two_sources_share_a_value(tmp_path: Path, column: str) -> None:
    splits = [trained(tmp_path, title) for title in SOURCES]
    rows = TrainingSet.of(splits)
    joined = getattr(rows, KEPT[column]).tolist()
    pairs = [(number, told) for number, split in enumerate(splits) for told in getattr(split, column).tolist()]
    assert len(pairs) == len(joined)
    numbers: dict[tuple[int, int], int] = {}
    for (source, told), value in zip(pairs, joined, strict=True):
        if told == -1:
            assert value == -1
            continue
        assert numbers.setdefault((source, told), value) == value
    assert sorted(numbers.values()) == list(range(len(numbers)))  # all different, none left out
    if column == "pids":
        assert rows.num_classes == len(numbers)
