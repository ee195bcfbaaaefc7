"""Every dataset of the field to each layout and back: the same bytes, people, cameras and splits."""

from __future__ import annotations

from pathlib import Path

import pytest

from data.convert.command import LAYOUTS
from data.convert.writer import write_plan
from data.readers import read
from data.samples import Dataset
from tests.data.convert.trees import Line, by_bytes, by_person, dataset_of, in_order, table_of, without
from tests.data.trees import TREES

EVERY = pytest.mark.parametrize("title", TREES)
READING = {"partitions": {}, "csv": {}, "market": {"variant": "none"}}


def converted(dataset: Dataset, layout: str, out: Path) -> Dataset:
    write_plan(out, LAYOUTS[layout](dataset))
    return read(layout, out, "mine", **READING[layout])


@EVERY
def test_to_partitions_and_back(title: str, tmp_path: Path) -> None:
    dataset = dataset_of(title, tmp_path / "set")
    told = without(by_bytes(dataset), clothes=-1)
    if dataset.rule == "no-camera":
        told = without(told, camid=-1)
    if dataset.query.camids.max() > 9_999:  # tracklets of DeepChange
        told = in_order(told)
    there = converted(dataset, "partitions", tmp_path / "partitions")
    assert by_bytes(there) == told
    assert there.rule == ("market" if dataset.rule == "cloth-changing" else dataset.rule)
    table = converted(there, "csv", tmp_path / "table")
    assert by_bytes(table) == told
    assert table.rule == there.rule
    again = converted(table, "partitions", tmp_path / "again")
    assert by_bytes(again) == told
    lists = [(tmp_path / folder / "partitions.pkl").read_bytes() for folder in ("partitions", "again")]
    if there.train.cameras:
        assert lists[0] == lists[1]


@EVERY
def test_to_a_table_nothing_is_lost(title: str, tmp_path: Path) -> None:
    dataset = dataset_of(title, tmp_path / "set")
    told = by_person(by_bytes(dataset))
    table = converted(dataset, "csv", tmp_path / "table")
    assert by_bytes(table) == (without(told, camid=-1) if dataset.rule == "no-camera" else told)
    assert list(table.query.paths) == list(dataset.query.paths)


@EVERY
def test_to_market_and_back(title: str, tmp_path: Path) -> None:
    dataset = dataset_of(title, tmp_path / "set")
    there = converted(dataset, "market", tmp_path / "market")
    told = without(by_bytes(dataset), clothes=-1)
    if dataset.rule == "no-camera" or any((split.camids == -1).any() for split in dataset.splits.values()):
        told, found = without(told, camid=0), without(by_bytes(there), camid=0)
        assert found == told
        return
    assert by_bytes(there) == told
    partitions = converted(there, "partitions", tmp_path / "partitions")
    if dataset.query.camids.max() > 9_999:
        told = in_order(told)
    assert by_bytes(partitions) == told
    assert by_bytes(converted(partitions, "market", tmp_path / "again")) == told


@pytest.mark.parametrize("layout", ["partitions", "market"])
def test_pictures_without_a_camera_find_the_same(layout: str, tmp_path: Path) -> None:
    """No query is kept from a picture because of the cameras that names must have."""
    rows: list[Line] = [("q.jpg", 1, "", "query"), ("r.jpg", 2, 3, "query")]
    rows += [("a.jpg", 1, "", "gallery"), ("b.jpg", 1, 3, "gallery"), ("c.jpg", 2, "", "gallery")]
    rows += [("d.jpg", 2, 3, "gallery")]
    there = converted(table_of(tmp_path / "set", rows), layout, tmp_path / "out")
    query, gallery = there.query, there.gallery
    finds = [
        {
            gallery.file(other).read_bytes()[-5:]
            for other in range(len(gallery))
            if gallery.pids[other] == query.pids[row]
            and (query.camids[row] == -1 or gallery.camids[other] != query.camids[row])
        }
        for row in range(2)
    ]
    assert finds == [{b"a.jpg", b"b.jpg"}, {b"c.jpg"}]


def test_people_to_adapt_to(tmp_path: Path) -> None:
    """A table can tell that nobody knows them; names cannot."""
    rows: list[Line] = [("q.jpg", 1, 0, "query"), ("a.jpg", 1, 1, "gallery")]
    rows += [("u.jpg", "", 1, "train"), ("t.jpg", 3, 1, "train")]
    dataset = table_of(tmp_path / "set", rows)
    assert by_bytes(converted(dataset, "csv", tmp_path / "csv")) == by_bytes(dataset)
    for layout in ("partitions", "market"):
        there = converted(dataset, layout, tmp_path / layout)
        assert there.unlabelled is None
        assert len(there.train) == 1
        assert any(note.startswith("1 training pictures of nobody") for note in LAYOUTS[layout](dataset).notes)
