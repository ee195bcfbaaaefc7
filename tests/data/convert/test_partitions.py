"""The lists that are written are those of CACE-Net's own converter."""

from __future__ import annotations

import hashlib
import pickle
import pickletools
import re
from collections import defaultdict
from pathlib import Path
from typing import Any

import pytest

from common.errors import UserError
from data.convert.partitions import plan
from data.convert.writer import write_plan
from data.readers import read
from data.readers.pickled import read_plain
from data.samples import Dataset, Sample, Split
from tests.data.convert.trees import Line, people, table_of
from tests.data.readers.trees import market_tree, picture

NAME = re.compile(r"([0-9]{8})_([0-9]{4})_([0-9]{8})\.(jpg|png|JPEG)")


def lists_of(dataset: Dataset) -> dict[str, Any]:
    lists: dict[str, Any] = pickle.loads(plan(dataset).documents["partitions.pkl"])  # noqa: S301  # our own
    return lists


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    return table_of(tmp_path_factory.mktemp("table"), people(20))


def test_keys_and_kinds(dataset: Dataset, tmp_path: Path) -> None:
    content = plan(dataset).documents["partitions.pkl"]
    assert next(pickletools.genops(content))[:2][1] == 2
    (tmp_path / "some.pkl").write_bytes(content)
    lists = read_plain(tmp_path / "some.pkl")
    assert sorted(lists) == [
        *("test_im_names", "test_marks", "train_ids2labels", "train_im_names", "trainval_ids2labels"),
        *("trainval_im_names", "val_im_names", "val_marks"),
    ]
    assert lists["trainval_ids2labels"] == {pid: pid - 1 for pid in range(1, 21)}
    assert lists["test_marks"] == [0, 1, 1]
    assert lists["test_im_names"] == [
        "00000900_0000_00000000.jpg",
        "00000000_0002_00000000.JPEG",
        "00000900_0001_00000000.jpg",
    ]


def test_names(dataset: Dataset) -> None:
    """Eight, four and eight digits; the last count the pictures of a person by a camera."""
    counted = defaultdict(list)
    for name in [*lists_of(dataset)["trainval_im_names"], *lists_of(dataset)["test_im_names"]]:
        match = NAME.fullmatch(name)
        assert match
        counted[match[1], match[2]].append(int(match[3]))
    assert len(counted) == 20 * 3 + 3
    assert all(indices == list(range(len(indices))) for indices in counted.values())


def test_validation(dataset: Dataset) -> None:
    lists = lists_of(dataset)
    held_out = {name[:8] for name in lists["val_im_names"]}
    assert len(held_out) == 20 // 5
    assert sorted([*lists["train_im_names"], *lists["val_im_names"]]) == sorted(lists["trainval_im_names"])
    assert not held_out & {name[:8] for name in lists["train_im_names"]}
    left = sorted({int(name[:8]) for name in lists["train_im_names"]})
    assert lists["train_ids2labels"] == {pid: label for label, pid in enumerate(left)}
    marks = dict(zip(lists["val_im_names"], lists["val_marks"], strict=True))
    queries = [name for name, mark in marks.items() if mark == 0]
    assert len(queries) == len({name[:13] for name in queries}) == 4 * 3
    for query in queries:
        assert any(mark == 1 and name[:8] == query[:8] and name[9:13] != query[9:13] for name, mark in marks.items())


def test_who_is_held_out_for_val(dataset: Dataset) -> None:
    """A draw with the seed 1, whoever draws."""
    drawn = sorted(range(1, 21), key=lambda pid: hashlib.sha256(f"1\t{pid}".encode()).hexdigest())[:4]
    assert {int(name[:8]) for name in lists_of(dataset)["val_im_names"]} == set(drawn)


def test_a_copy_is_divided_as_the_dataset_is(dataset: Dataset, tmp_path: Path) -> None:
    """Whatever its pictures are called, and whether it tells outfits."""
    expected = lists_of(dataset)
    renamed = [(f"another/{path}", pid, camid, split) for path, pid, camid, split in people(20)]
    (tmp_path / "worn.csv").write_text(
        "\n".join(
            ["path,pid,camid,split,clothes"]
            + [f"{path},{pid},{camid},{split},{row % 2}" for row, (path, pid, camid, split) in enumerate(renamed)]
        )
    )
    for path, *_ in renamed:
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_bytes(b"")
    found = lists_of(read("csv", tmp_path, "worn"))
    assert {key: found[key] for key in found if "val" in key} == {key: expected[key] for key in found if "val" in key}


def test_at_most_a_hundred_people_are_held_out(tmp_path: Path) -> None:
    lists = lists_of(table_of(tmp_path, people(505, cameras=2, shots=1)))
    assert len({name[:8] for name in lists["val_im_names"]}) == 100
    assert sorted(set(lists["val_marks"])) == [0, 1]  # of two pictures one asks and the other is found


@pytest.mark.parametrize("count", [1, 9])
def test_too_few_people_to_hold_out(tmp_path: Path, count: int) -> None:
    dataset = table_of(tmp_path, people(count))
    lists = lists_of(dataset)
    assert (lists["val_im_names"], lists["val_marks"]) == ([], [])
    assert lists["train_im_names"] == lists["trainval_im_names"]
    assert any(f"nobody of the {count} training people is held out" in note for note in plan(dataset).notes)


def test_the_validation_is_read(dataset: Dataset, tmp_path: Path) -> None:
    write_plan(tmp_path / "out", plan(dataset))
    found = read("partitions", tmp_path / "out", "mine", variant="val")
    lists = lists_of(dataset)
    assert [len(split) for split in found.splits.values()] == [
        len(lists["train_im_names"]),
        lists["val_marks"].count(0),
        lists["val_marks"].count(1),
    ]


def test_training_people_without_cameras(tmp_path: Path) -> None:
    """Nobody knows their cameras, so each query of the validation finds whatever else shows its person."""
    rows: list[Line] = [(f"{pid}_{shot}.jpg", pid, "", "train") for pid in range(10) for shot in range(3)]
    dataset = table_of(tmp_path / "set", rows)
    write_plan(tmp_path / "out", plan(dataset))
    found = read("partitions", tmp_path / "out", "mine", variant="val")
    assert found.rule == "no-camera"
    assert (len(found.query), len(found.gallery)) == (2, 4)
    lists = lists_of(dataset)
    asked = {name[9:13] for name, mark in zip(lists["val_im_names"], lists["val_marks"], strict=True) if mark == 0}
    others = {name[9:13] for name, mark in zip(lists["val_im_names"], lists["val_marks"], strict=True) if mark == 1}
    assert (asked, others) == ({"0000"}, {"0001"})
    assert sorted(lists["unknown_cameras"]) == sorted(lists["trainval_im_names"])


def test_multi_query(tmp_path: Path) -> None:
    """Of Market-1501's drawn boxes those that share person and camera with a query, between queries and gallery."""
    root = market_tree(tmp_path / "market")
    for name in ("0001_c1s1_001051_00.jpg", "0001_c1s2_1.jpg", "0001_c2s1_1.jpg", "-1_c1s1_1.jpg", "0009_c1s1_1.jpg"):
        picture(root / "gt_bbox" / name)
    dataset = read("market", root, "mine", variant="none")
    lists = lists_of(dataset)
    assert lists["test_marks"] == [0, 0, 2, 2, 1, 1, 1, 1]
    assert [name[:13] for name in lists["test_im_names"][:4]] == [
        *("00000001_0000", "00000003_0009", "00000001_0000", "00000001_0000")
    ]
    assert "2 pictures of gt_bbox are marked 2 (multi-query)" in plan(dataset).notes
    write_plan(tmp_path / "out", plan(dataset))
    found = read("partitions", tmp_path / "out", "mine")
    assert [len(split) for split in found.splits.values()] == [3, 2, 4]
    assert "2 pictures with mark 2 (multi-query) are not read" in found.notes


def test_multi_query_of_cameras_that_are_numbered_anew(tmp_path: Path) -> None:
    root = market_tree(tmp_path / "market", query=["0001_c20000s1_1.jpg"], gallery=["0001_c7s1_1.jpg"])
    picture(root / "gt_bbox" / "0001_c20000s1_2.jpg")
    lists = lists_of(read("market", root, "mine", variant="none"))
    assert [name[:13] for name in lists["test_im_names"]] == ["00000001_0004", "00000001_0004", "00000001_0003"]
    assert lists["test_marks"] == [0, 2, 1]


def test_people_that_a_name_has_no_room_for(tmp_path: Path) -> None:
    """They would be taken for others: CACE-Net reads digits by their place."""
    rows: list[Line] = [("x.jpg", 10**8, 0, "train"), ("y.jpg", 99_999_999, 9_999, "train")]
    with pytest.raises(UserError, match=r"x.jpg shows person 100000000, and names .* room up to 99999999; .*--to csv"):
        plan(table_of(tmp_path, rows))
    assert lists_of(table_of(tmp_path / "y", rows[1:]))["trainval_im_names"] == ["99999999_9999_00000000.jpg"]


@pytest.mark.parametrize(("camids", "named"), [((7, 10**4, 10**9), (0, 1, 2)), (("", 9_998, 7), (3, 1, 0))])
def test_cameras_that_a_name_has_no_room_for(
    tmp_path: Path, camids: tuple[int | str, ...], named: tuple[int, ...]
) -> None:
    """Two that stand for none must have room too."""
    planned = plan(table_of(tmp_path, [(f"{place}.jpg", 1, camid, "train") for place, camid in enumerate(camids)]))
    assert tuple(int(picture.path[16:20]) for picture in planned.pictures) == named
    assert f"cameras up to {max(c for c in camids if c)} have no room in names: numbered in their order" in str(
        planned.notes
    )


def test_more_cameras_than_there_are_numbers(tmp_path: Path) -> None:
    train = Split.of(tmp_path, [Sample(f"{camid}.jpg", 1, camid) for camid in range(10_001)])
    nothing = Split.empty(tmp_path)
    with pytest.raises(UserError, match=r"10000.jpg shows camera 10000, and names in this layout have room up to 9999"):
        plan(Dataset("mine", train, nothing, nothing))


@pytest.mark.parametrize("name", ["picture", "picture.dat", "jpg"])
def test_a_file_that_readers_take_for_no_picture(tmp_path: Path, name: str) -> None:
    with pytest.raises(UserError, match=rf"{name} does not end as a picture's does \(.jpg, "):
        plan(table_of(tmp_path, [(name, 1, 0, "train")]))


def test_what_cannot_be_told_is_said(tmp_path: Path) -> None:
    (tmp_path / "mine.csv").write_text("path,pid,camid,split,clothes\na.jpg,1,,train,4\n")
    (tmp_path / "a.jpg").write_bytes(b"a")
    notes = plan(read("csv", tmp_path, "mine")).notes
    assert "outfits cannot be told in this layout" in notes
    assert any(note.startswith("1 pictures have no known camera") for note in notes)
