"""P-DukeMTMC-reID, Occluded-REID and Occluded-Duke."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from common.errors import UserError
from data.readers import read
from data.readers.checks import positives, without_cameras
from retrieval.protocols import PROTOCOLS
from tests.data.readers.trees import picture, tree
from tests.data.trees import occluded_duke, occluded_duke_lists, occluded_reid, occluded_reid_half, p_duke


def test_published_counts(tmp_path: Path) -> None:
    made = read("market", occluded_duke(tmp_path / "a").root, "mine", variant="occluded-duke").published
    assert read("occluded-duke", occluded_duke_lists(tmp_path / "lists").root, "mine").published == made
    assert [(made[title].images, made[title].identities) for title in made] == [
        (15_618, 702),
        (2_210, 519),
        (17_661, 1_110),
    ]
    made = read("p-duke", p_duke(tmp_path / "b").root, "mine").published
    assert sum(counts.images for counts in made.values()) == 24_143
    assert [counts.identities for counts in made.values()] == [665, 634, 634]
    dataset = read("occluded-reid", occluded_reid(tmp_path / "c").root, "mine")
    assert [(title, counts.images) for title, counts in dataset.published.items()] == [
        ("query", 1_000),
        ("gallery", 1_000),
    ]
    assert dataset.notes[0] == "all people are for the test, none for training"


def test_without_cameras_is_what_two_cameras_for_two_kinds_are(tmp_path: Path) -> None:
    """Papers number the hidden people's pictures 0 and the whole ones' 1; nothing is junk either way."""
    for dataset in (
        read("p-duke", p_duke(tmp_path / "a").root, "mine"),
        read("occluded-reid", occluded_reid(tmp_path / "b").root, "mine"),
    ):
        query, gallery = dataset.query, dataset.gallery
        hidden, whole = (replace(part, camids=np.full(len(part), n)) for n, part in enumerate((query, gallery)))
        seen = positives(without_cameras(query), without_cameras(gallery))
        assert positives(hidden, whole).tolist() == seen.tolist()
        assert (seen > 0).all()
        assert PROTOCOLS[dataset.protocol].good is PROTOCOLS["no-camera"].good


def test_p_duke_with_one_camera(tmp_path: Path) -> None:
    """Somebody whom one camera saw has positives all the same."""
    root = tree(
        tmp_path,
        ["test/occluded_body_images/0001/0001_c2_f1.jpg", "test/whole_body_images/0001/0001_c2_f2.jpg"],
    )
    dataset = read("p-duke", root, "mine")
    assert dataset.notes == ("as papers have it, every picture of the same person counts, of the same camera too",)
    assert dataset.query.camids.tolist() == [1]


def test_variants_of_occluded_reid(tmp_path: Path) -> None:
    root = occluded_reid(tmp_path).root
    with pytest.raises(UserError, match=r"unknown variant of Occluded-REID 'al', did you mean 'all'"):
        read("occluded-reid", root, "mine", variant="al")
    with pytest.raises(UserError, match=r"does not hold train/, query/ and test/"):
        read("occluded-reid", root, "mine", variant="half")


def test_the_halves_have_a_protocol_of_their_own(tmp_path: Path) -> None:
    """Under its name nobody takes a score on half of the people for one on all of them."""
    half = read("occluded-reid", occluded_reid_half(tmp_path / "a").root, "mine", variant="half")
    every = read("occluded-reid", occluded_reid(tmp_path / "b").root, "mine", variant="all")
    assert (half.protocol, every.protocol) == ("occluded-reid-half", "occluded-reid")
    assert (half.rule, every.rule) == ("no-camera", "no-camera")
    assert half.published == {}


TRAIN, QUERY = "0001_c1_f0046182.jpg", "0005_c4_f0046182.jpg"
"""Names in two lists of the tree."""


def test_lists_divide_duke_anew(tmp_path: Path) -> None:
    """Whichever folder a picture lies in; what no list names is not read."""
    root = occluded_duke_lists(tmp_path).root
    dataset = read("occluded-duke", root, "mine")
    assert f"bounding_box_test/{QUERY}" in dataset.query.paths
    assert f"bounding_box_test/{QUERY}" not in dataset.gallery.paths
    assert "query/0001_c2_f0000007.jpg" in dataset.train.paths
    assert dataset.notes == ("1 pictures of DukeMTMC-reID are in no list and not read",)
    with (root / "Occluded_Duke" / "train.list").open("a") as file:
        file.write("0020_c5_f0001111.jpg")
    assert read("occluded-duke", root, "mine").notes == ()


def test_lists_in_another_folder(tmp_path: Path) -> None:
    root = occluded_duke_lists(tmp_path / "duke").root
    there = read("occluded-duke", root, "mine")
    (root / "deep").mkdir()
    (root / "Occluded_Duke").rename(root / "deep" / "lists")
    assert read("occluded-duke", root, "mine", lists="deep/lists").fingerprint() == there.fingerprint()
    with pytest.raises(UserError, match=r"'mine': .*Occluded_Duke holds none of train.list, query.list, gallery.list"):
        read("occluded-duke", root, "mine")
    for file in (root / "deep" / "lists").iterdir():
        file.rename(root / file.name)
    for here in (".", ""):
        assert read("occluded-duke", root, "mine", lists=here).fingerprint() == there.fingerprint()


def test_lists_are_not_followed_out_of_the_folder(tmp_path: Path) -> None:
    root = occluded_duke_lists(tmp_path / "duke").root
    (root / "Occluded_Duke").rename(tmp_path / "lists")
    for outside in ("../lists", str(tmp_path / "lists")):
        with pytest.raises(UserError, match=r"'mine': the path '.*lists/train.list' leads out of .*duke; only"):
            read("occluded-duke", root, "mine", lists=outside)
    (root / "Occluded_Duke").symlink_to(tmp_path / "lists")
    with pytest.raises(UserError, match=r"'Occluded_Duke/train.list' leads out of"):
        read("occluded-duke", root, "mine")


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        (
            "0900_c1_f0000001.jpg",
            r"'mine': 1 of 4 pictures in .*query.list are in none of bounding_box_train/.*\(row 5\)",
        ),
        (QUERY, rf"query.list, row 5: {QUERY} is already in row 3"),
        (f"query/{QUERY}", rf"query.list, row 5: expected the bare name of a picture, found 'query/{QUERY}'"),
        (f"..\\{QUERY}", r"query.list, row 5: expected the bare name of a picture"),
        ("..", r"are in none of .*first: \.\. \(row 5\)"),
        ("x.jpg", r"'mine': 1 of 4 file names .* do not tell person and camera: query/x.jpg"),
    ],
)
def test_a_line_that_is_wrong_is_named(tmp_path: Path, line: str, sentence: str) -> None:
    """A name that is nowhere, twice, with a path, or that tells nothing; blank lines count as rows."""
    root = occluded_duke_lists(tmp_path).root
    picture(root / "query" / "x.jpg")
    with (root / "Occluded_Duke" / "query.list").open("a") as file:
        file.write(f"{line}\n")
    with pytest.raises(UserError, match=sentence):
        read("occluded-duke", root, "mine")


def test_a_name_in_two_folders(tmp_path: Path) -> None:
    """Refused only where a list names it, as nobody can tell which of the two is meant."""
    root = occluded_duke_lists(tmp_path).root
    for folder in ("query", "bounding_box_test"):
        picture(root / folder / "0020_c6_f0001111.jpg")
    assert "3 pictures" in read("occluded-duke", root, "mine").notes[0]
    picture(root / "query" / TRAIN)
    told = rf"train.list, row \d+: {TRAIN} lies in .* more than once: bounding_box_train/{TRAIN}, query/{TRAIN};"
    with pytest.raises(UserError, match=told):
        read("occluded-duke", root, "mine")


def test_a_list_that_cannot_be_read(tmp_path: Path) -> None:
    root = occluded_duke_lists(tmp_path).root
    (root / "Occluded_Duke" / "gallery.list").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(UserError, match=r"cannot read .*gallery.list: .*; copy it from the repository"):
        read("occluded-duke", root, "mine")
