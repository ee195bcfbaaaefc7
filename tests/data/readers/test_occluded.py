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
from tests.data.readers.trees import tree
from tests.data.trees import occluded_duke, occluded_reid, p_duke


def test_published_counts(tmp_path: Path) -> None:
    made = read("market", occluded_duke(tmp_path / "a").root, "mine", variant="occluded-duke").published
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
