from __future__ import annotations

from pathlib import Path

import pytest

from common.errors import UserError
from data.catalog import CATALOG, find, load
from data.readers import read
from tests.data.readers.trees import rows, tree

NAMES = ("train/1_c1.jpg", "query/2_c1.jpg", "gallery/2_c2.jpg")
PATTERN = r"(?P<pid>\d+)_c(?P<cam>\d+)"


def test_from_the_catalog(tmp_path: Path) -> None:
    """With the backslashes that YAML's single quotes keep."""
    tree(tmp_path / "set", NAMES)
    file = tmp_path / "datasets.yml"
    file.write_text(f"mine: {{reader: pattern, root: {tmp_path / 'set'}, pattern: '{PATTERN}'}}\n")
    dataset = find("mine", catalog=file)
    assert rows(dataset.query) == [("query/2_c1.jpg", 2, 1)]
    assert rows(dataset.gallery) == [("gallery/2_c2.jpg", 2, 2)]
    assert load(CATALOG)["pattern"].options == {"pattern": PATTERN}
    assert rows(find("pattern", tmp_path / "set").train) == [("train/1_c1.jpg", 1, 1)]


def test_only_base_names_from_their_start(tmp_path: Path) -> None:
    tree(tmp_path, ["train/8_c8/7_c3_9_c9.jpg", "train/x1_c1/0_c0.png"])
    assert rows(read("pattern", tmp_path, "mine", pattern=PATTERN).train) == [
        ("train/8_c8/7_c3_9_c9.jpg", 7, 3),
        ("train/x1_c1/0_c0.png", 0, 0),
    ]
    with pytest.raises(UserError, match=r"1 of 1 file names .*: query/x7_c3.jpg; expected names that fit '"):
        read("pattern", tree(tmp_path / "other", ["query/x7_c3.jpg"]), "mine", pattern=PATTERN)


def test_without_cameras_and_with_optional_ones(tmp_path: Path) -> None:
    tree(tmp_path, ["query/anna.jpg", "gallery/anna-2.jpg", "gallery/anna-x.jpg"])
    dataset = read("pattern", tmp_path, "mine", pattern="(?P<pid>[a-z]+)")
    assert (dataset.protocol, dataset.query.pids.tolist()) == ("no-camera", [0])
    assert any(note.startswith("people: 1 names") for note in dataset.notes)
    dataset = read("pattern", tmp_path, "mine", pattern=r"(?P<pid>[a-z]+)(-(?P<cam>\d))?")
    assert dataset.gallery.camids.tolist() == [2, -1]
    assert dataset.query.camids.tolist() == [-1]


def test_outfits_are_a_persons_own(tmp_path: Path) -> None:
    tree(tmp_path, ["train/1-red.jpg", "train/2-red.jpg", "query/1-red.jpg", "gallery/1-.jpg", "gallery/1-tan.jpg"])
    dataset = read("pattern", tmp_path, "mine", pattern=r"(?P<pid>\d+)-(?P<clothes>\w*)")
    assert [split.clothes.tolist() for split in dataset.splits.values()] == [[0, 1], [0], [-1, 1]]


def test_a_person_that_matches_nothing_is_not_told(tmp_path: Path) -> None:
    tree(tmp_path, ["train/1.jpg", "train/x.jpg"])
    for pattern in (r"(?P<pid>\d+)?", r"(?P<pid>\d*)"):
        with pytest.raises(UserError, match=r"1 of 2 file names .*: train/x.jpg; expected names that fit"):
            read("pattern", tmp_path, "mine", pattern=pattern)


@pytest.mark.parametrize(
    ("pattern", "match"),
    [
        (None, r"dataset 'mine': reader pattern needs a pattern in configs/datasets.yml, such as pattern: '\(\?P<pid>"),
        ("(?P<pid>", r"pattern '\(\?P<pid>' is not a regular expression: missing \).*; write it as in"),
        ("[", r"pattern '\[' is not a regular expression"),
        ("(?P<pid>a){99999999999}", r"is not a regular expression"),
        (r"(\d+)_c(\d+)", r"has no group pid, which tells the person; write it as in"),
        (r"(?P<cam>\d+)", r"has no group pid"),
        (r"(?P<pid>\d+)_(?P<camid>\d+)", r"has a group 'camid', did you mean 'cam'\? known: pid, cam, clothes"),
    ],
)
def test_patterns_that_are_none(tmp_path: Path, pattern: str | None, match: str) -> None:
    with pytest.raises(UserError, match=match) as told:
        read("pattern", tree(tmp_path, NAMES), "mine", pattern=pattern)
    assert "\n" not in str(told.value)
