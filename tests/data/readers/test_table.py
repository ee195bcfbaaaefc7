from __future__ import annotations

from pathlib import Path

import pytest

from common.errors import UserError
from data.readers import read
from data.samples import Dataset
from data.training_set import TrainingSet
from tests.data.readers.trees import rows, tree

NAMES = ("a.jpg", "b.png", "sub/c.jpg", "d.jpg")
ROWS = "a.jpg,1,1,train\nb.png,2,1,query\nsub/c.jpg,2,2,gallery\nd.jpg,3,1,gallery\n"


def table(root: Path, text: str, header: str = "path,pid,camid,split\n", **options: str) -> Dataset:
    tree(root, NAMES)
    (root / "mine.csv").write_text(header + text, encoding="utf-8")
    return read("csv", root, "mine", **options)


def test_columns(tmp_path: Path) -> None:
    dataset = table(tmp_path, ROWS)
    assert rows(dataset.train) == [("a.jpg", 1, 1)]
    assert rows(dataset.query) == [("b.png", 2, 1)]
    assert rows(dataset.gallery) == [("d.jpg", 3, 1), ("sub/c.jpg", 2, 2)]
    assert dataset.train.clothes.tolist() == [-1]
    assert (dataset.protocol, dataset.notes) == ("market", ())


@pytest.mark.parametrize("path", ["a\0.jpg", "no\0sub/a.jpg", "\0"])
def test_a_zero_byte(tmp_path: Path, path: str) -> None:
    sentence = r"mine.csv(, row 6: the path '.*x00.*' has a zero byte| cannot be read)"  # the latter by Python 3.10
    with pytest.raises(UserError, match=sentence) as told:
        table(tmp_path, f"{ROWS}{path},1,1,train\n")
    assert "\0" not in str(told.value)


def test_another_order_clothes_and_more_columns(tmp_path: Path) -> None:
    text = "train,5,1,x,a.jpg,7\n query , 5,2,y,b.png,3\nGALLERY,,1,z,sub/c.jpg,3\n"
    dataset = table(tmp_path, text, "split,clothes,Camid,remark,Path,pid\n")
    assert rows(dataset.query) == [("b.png", 3, 2)]
    assert [part.clothes.tolist() for part in dataset.splits.values()] == [[1], [0], [-1]]  # outfit 5 of two people
    assert dataset.notes == ("columns of mine.csv that are not read: remark",)


def test_outfits_are_named_for_each_person(tmp_path: Path) -> None:
    text = "a.jpg,1,1,1,train\nb.png,1,2,2,train\nsub/c.jpg,2,1,1,train\nd.jpg,2,2,1,train\n"
    dataset = table(tmp_path, text, "path,pid,camid,clothes,split\n")
    assert TrainingSet.of([dataset.train]).num_clothes == 3
    assert dataset.train.clothes.tolist() == [0, 1, 2, 2]


def test_bom_and_crlf_and_blank_lines(tmp_path: Path) -> None:
    tree(tmp_path, NAMES)
    text = "path,pid,camid,split\n\n" + ROWS
    (tmp_path / "mine.csv").write_bytes(b"\xef\xbb\xbf" + text.replace("\n", "\r\n").encode())
    dataset = read("csv", tmp_path, "mine")
    assert len(dataset.gallery) == 2


def test_names_are_numbered_in_sorted_order(tmp_path: Path) -> None:
    text = (
        "a.jpg,zoe,east,0_1,train\nb.png,anna,east,0_2,query\nsub/c.jpg,anna,west,,gallery\nd.jpg,-1,west,01,gallery\n"
    )
    dataset = table(tmp_path, text, "path,pid,camid,clothes,split\n")
    assert rows(dataset.query) == [("b.png", 0, 0)]
    assert rows(dataset.gallery) == [("sub/c.jpg", 0, 1)]
    assert dataset.train.pids.tolist() == [1]
    assert [part.clothes.tolist() for part in dataset.splits.values()] == [[1], [0], [-1]]
    assert dataset.notes[0].startswith(
        "pid: 2 names that are not plain numbers, numbered in sorted order from 0 ('anna')"
    )
    assert "identity -1 are left out: gallery 1" in dataset.notes[-1]


def test_numbers_that_would_become_one_stay_two(tmp_path: Path) -> None:
    dataset = table(tmp_path, "a.jpg,1,1,train\nb.png,01,1,train\n")
    assert dataset.train.pids.tolist() == [1, 0]


def test_without_cameras(tmp_path: Path) -> None:
    dataset = table(tmp_path, "b.png,2,,query\nsub/c.jpg,2,,gallery\n")
    assert dataset.protocol == "no-camera"
    assert dataset.query.camids.tolist() == [-1]
    assert "no camera is known" in dataset.notes[0]


def test_one_spelling_of_a_path(tmp_path: Path) -> None:
    dataset = table(tmp_path, "./a.jpg,1,1,train\nsub\\c.jpg,2,1,train\nsub/../d.jpg,3,1,train\n")
    assert list(dataset.train.paths) == ["a.jpg", "sub/../d.jpg", "sub/c.jpg"]
    assert all(dataset.train.file(row).is_file() for row in range(3))


def test_sorted_by_path(tmp_path: Path) -> None:
    dataset = table(tmp_path, "sub/c.jpg,1,1,train\nd.jpg,2,1,train\na.jpg,3,1,train\n")
    assert rows(dataset.train) == [("a.jpg", 3, 1), ("d.jpg", 2, 1), ("sub/c.jpg", 1, 1)]


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("a.jpg,1,1,train\nb.png,1,1,test\n", "row 3: split 'test'; expected one of train, query, gallery"),
        ("a.jpg,1,1,trian\n", "row 2: split 'trian', did you mean 'train'"),
        ("a.jpg,1,1,train\n\n\ngone.jpg,1,1,train\n", "row 5: there is no picture .*gone.jpg"),
        ("nowhere/a.jpg,1,1,train\n", "row 2: there is no picture .*nowhere/a.jpg"),
        ("sub,1,1,train\n", "row 2: there is no picture .*sub"),
        (",1,1,train\n", "row 2: path is empty"),
        ("a.jpg,,1,query\n", "row 2: pid is empty"),
        ("a.jpg,1,train\n", r"row 2: 3 values, expected 4 \(path,pid,camid,split\)"),
        ("a.jpg,1,1,train,x\n", "row 2: 5 values, expected 4"),
        ('a.jpg,1,1,"train\n', "cannot be read as a CSV file"),
        ("a.jpg,1,1,train\nb.png,2,1,train\n./a.jpg,1,1,train\n", r"row 4: a.jpg is already in train \(row 2\)"),
        ("a.jpg,1,1,query\n", "1 query pictures but no gallery"),
        ("a.jpg,-1,1,train\n", "holds no pictures of known people"),
        ("", "holds no pictures"),
        ("b.png,1,,query\nb.png,1,,gallery\n", "1 pictures without a camera are both query and gallery.*b.png"),
        ("b.png,1,1,query\nd.jpg,1,1,gallery\n", "every picture has camera 1"),
    ],
)
def test_rows_that_are_wrong(tmp_path: Path, text: str, match: str) -> None:
    with pytest.raises(UserError, match=match):
        table(tmp_path, text)


@pytest.mark.parametrize(
    ("header", "match"),
    [
        ("path,pid,split\n", "row 1: there is no column 'camid'; expected .* found: path,pid,split"),
        ("path;pid;camid;split\n", "row 1: there is no column 'path'; expected .*separated by commas"),
        ("", "row 1: there is no column 'path'.*found: nothing"),
        ("path,pid,camid,split,Pid\n", "row 1: the column 'pid' stands twice"),
    ],
)
def test_headers_that_are_wrong(tmp_path: Path, header: str, match: str) -> None:
    with pytest.raises(UserError, match=match):
        table(tmp_path, "", header)


def test_paths_that_lead_out_are_refused(tmp_path: Path) -> None:
    root = tmp_path / "set"
    tree(tmp_path, ["x.jpg", "other/y.jpg"])
    tree(root, NAMES)
    (root / "link.jpg").symlink_to(tmp_path / "x.jpg")
    (root / "links").symlink_to(tmp_path / "other")
    for path in ("../x.jpg", "sub/../../x.jpg", "..\\x.jpg", f"{tmp_path}/x.jpg", "link.jpg", "links/y.jpg", "/x.jpg"):
        with pytest.raises(UserError, match=r"mine.csv, row 3: the path .* leads out of"):
            table(root, f"a.jpg,1,1,train\n{path},2,1,train\n")
    with pytest.raises(UserError, match=r"row 2: the path .* is absolute; write it relative to"):
        table(root, f"{root}/a.jpg,1,1,train\n")


def test_links_inside_are_read(tmp_path: Path) -> None:
    tree(tmp_path, NAMES)
    (tmp_path / "link.jpg").symlink_to(tmp_path / "a.jpg")
    assert list(table(tmp_path, "link.jpg,1,1,train\n").train.paths) == ["link.jpg"]


def test_which_table(tmp_path: Path) -> None:
    table(tmp_path, ROWS)
    assert len(read("csv", tmp_path / "mine.csv", "mine").train) == 1
    (tmp_path / "zwei.csv").write_text("path,pid,camid,split\na.jpg,1,1,train\n")
    with pytest.raises(UserError, match=r"holds 2 tables \(mine.csv, zwei.csv\); say which with file: mine.csv"):
        read("csv", tmp_path, "mine")
    assert len(read("csv", tmp_path, "mine", file="zwei.csv").gallery) == 0
    with pytest.raises(UserError, match=r"has no table 'main.csv', did you mean 'mine.csv'"):
        read("csv", tmp_path, "mine", file="main.csv")


def test_roots_that_are_wrong(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"does not exist; expected a folder with one .csv file"):
        read("csv", tmp_path / "nowhere", "mine")
    tree(tmp_path, NAMES)
    with pytest.raises(UserError, match=r"does not hold one .csv file .*data\.root=/path/to/mine"):
        read("csv", tmp_path, "mine")
    (tmp_path / "mine.csv").write_bytes(b"path,pid,camid,split\n\xff.jpg,1,1,train\n")
    with pytest.raises(UserError, match=r"cannot be read as a CSV file.*UTF-8"):
        read("csv", tmp_path, "mine")
