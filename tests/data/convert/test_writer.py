"""A folder is there whole or not at all, nothing is written over, and no link is followed out of a dataset."""

from __future__ import annotations

import errno
import os
import shutil
from pathlib import Path
from typing import Any

import pytest

from common.errors import UserError
from common.files import write_atomically
from data.convert import writer
from data.convert.partitions import plan
from data.convert.plan import Plan
from data.convert.table import plan as table_plan
from data.convert.writer import write_plan
from data.readers import read
from data.samples import Dataset, Sample, Split
from tests.data.convert.trees import people, table_of
from tests.data.readers.trees import market_tree, picture


@pytest.fixture
def planned(tmp_path: Path) -> Plan:
    return plan(table_of(tmp_path / "set", people(3)))


def contents(root: Path) -> dict[str, tuple[bytes, int]]:
    return {str(path): (path.read_bytes(), path.stat().st_mtime_ns) for path in root.rglob("*") if path.is_file()}


@pytest.mark.parametrize("copy", [False, True])
def test_links_or_copies(planned: Plan, tmp_path: Path, copy: bool) -> None:
    before = contents(tmp_path / "set")
    summary = write_plan(tmp_path / "out", planned, copy=copy)
    count = len(planned.pictures)
    assert (summary.linked, summary.copied) == ((0, count) if copy else (count, 0))
    for split, row, path in planned.pictures:
        new = tmp_path / "out" / path
        assert new.samefile(split.file(row)) is not copy
        assert new.read_bytes() == split.file(row).read_bytes()
        assert not new.is_symlink()
    assert contents(tmp_path / "set") == before
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["images", "partitions.pkl"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out", "set"]


def test_copies_where_there_are_no_links(planned: Plan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any) -> None:
        raise OSError(errno.EXDEV, "Invalid cross-device link")

    monkeypatch.setattr(os, "link", refuse)
    assert write_plan(tmp_path / "out", planned).copied == len(planned.pictures)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: type("Usage", (), {"free": 10})())
    with pytest.raises(UserError, match=r"the pictures take 0 MB, and 0 MB are free in .*; free some space or choose"):
        write_plan(tmp_path / "other", planned)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out", "set"]


def test_links_need_no_room(planned: Plan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: type("Usage", (), {"free": 0})())
    assert write_plan(tmp_path / "out", planned).linked == len(planned.pictures)


@pytest.mark.parametrize("error", [KeyboardInterrupt(), SystemExit(143), OSError(errno.ENOSPC, "No space left")])
@pytest.mark.parametrize("at", ["picture", "list"])
def test_interrupted(planned: Plan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Any, at: str) -> None:
    """Nothing half is left, and an empty folder stays empty."""
    (tmp_path / "out").mkdir()
    calls = []

    def fail(*arguments: Any) -> None:
        calls.append(arguments)
        if at == "list" or len(calls) == 5:
            raise error

    if at == "picture":
        monkeypatch.setattr(shutil, "copyfile", fail)
    else:
        monkeypatch.setattr(writer, "write_atomically", fail)
    with pytest.raises(UserError if isinstance(error, OSError) else type(error)):
        write_plan(tmp_path / "out", planned, copy=True)
    assert calls
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out", "set"]
    assert not list((tmp_path / "out").iterdir())
    monkeypatch.undo()
    write_plan(tmp_path / "out", planned, copy=True)
    assert len(read("partitions", tmp_path / "out", "mine").query) == 1


def test_lists_are_written_after_the_pictures(planned: Plan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    there = []

    def watch(path: Path, fill: Any) -> None:
        there.append(len(list((path.parent / "images").iterdir())))
        write_atomically(path, fill)

    monkeypatch.setattr(writer, "write_atomically", watch)
    write_plan(tmp_path / "out", planned)
    assert there == [len(planned.pictures)]


@pytest.mark.parametrize("holds", [".hidden", "partitions.pkl", "images"])
def test_nothing_is_written_over(planned: Plan, tmp_path: Path, holds: str) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (out / holds).write_bytes(b"mine")
    with pytest.raises(UserError, match=rf"out already holds something \({holds}\), and nothing is written over; name"):
        write_plan(out, planned)
    assert contents(out).keys() == {str(out / holds)}
    with pytest.raises(UserError, match=r"is a file; name a new or empty folder"):
        write_plan(out / holds, planned)


def test_a_folder_that_cannot_be_made(planned: Plan, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(UserError, match=r"cannot create the folder .*file/sub: "):
        write_plan(tmp_path / "file" / "sub" / "out", planned)


def test_nothing_is_written_into_the_dataset(planned: Plan, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "set")
    for out in (tmp_path / "set" / "new", tmp_path / "set" / "train" / ".." / "new", tmp_path / "link" / "new"):
        with pytest.raises(UserError, match=r"lies in the dataset .*, where nothing is written; choose a folder"):
            write_plan(out, planned)
    assert not (tmp_path / "set" / "new").exists()


@pytest.mark.parametrize("linked", ["picture", "folder"])
def test_no_link_leads_out(tmp_path: Path, linked: str) -> None:
    root = market_tree(tmp_path / "set")
    outside = tmp_path / "elsewhere" / "0005_c1s1_000001_00.jpg"
    picture(outside)
    if linked == "picture":
        (root / "bounding_box_train" / outside.name).symlink_to(outside)
    else:
        (root / "bounding_box_train" / "more").symlink_to(outside.parent)
    with pytest.raises(UserError, match=r"the path 'bounding_box_train/.*' leads out of .*set; only paths inside"):
        write_plan(tmp_path / "out", plan(read("market", root, "mine", variant="none")))
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("copy", [False, True])
def test_a_link_inside_becomes_the_picture(tmp_path: Path, copy: bool) -> None:
    """A link to a link, or to a place that is relative to another folder, would lead nowhere."""
    root = market_tree(tmp_path / "set")
    name = "0005_c1s1_000001_00.jpg"
    (root / "bounding_box_train" / name).symlink_to("../query/0001_c1s1_001051_00.jpg")
    write_plan(tmp_path / "out", plan(read("market", root, "mine", variant="none")), copy=copy)
    new = tmp_path / "out" / "images" / "00000005_0000_00000000.jpg"
    assert not new.is_symlink()
    assert new.read_bytes() == (root / "query" / "0001_c1s1_001051_00.jpg").read_bytes()


def test_a_picture_that_is_gone(planned: Plan, tmp_path: Path) -> None:
    (tmp_path / "set" / "a.jpg").unlink()
    with pytest.raises(UserError, match=r"cannot write .*out: No such file or directory \(.*set/a.jpg\)"):
        write_plan(tmp_path / "out", planned)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["set"]


@pytest.mark.parametrize("name", [" a.jpg", "a.jpg ", "a\\b.jpg", "a\nb.jpg", "\udcff.jpg", "./a.jpg", "table.csv"])
def test_paths_that_cannot_stand_in_a_table(tmp_path: Path, name: str) -> None:
    nothing = Split.empty(tmp_path)
    dataset = Dataset("mine", Split.of(tmp_path, [Sample(name, 1)]), nothing, nothing)
    with pytest.raises(UserError, match=r"cannot stand in table.csv") as refusal:
        table_plan(dataset)
    assert str(refusal.value).isprintable()


def test_two_pictures_of_one_name(planned: Plan, tmp_path: Path) -> None:
    first, second, *_ = planned.pictures
    assert write_plan(tmp_path / "same", Plan((first, first), {})).linked == 1
    with pytest.raises(UserError, match=r"would both become images/.*; rename one of them"):
        write_plan(tmp_path / "out", Plan((first, second._replace(path=first.path)), {}))
