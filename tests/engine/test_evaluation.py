"""People held out by the real protocols, and the mean over several datasets."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from data.samples import Dataset, Sample, Split
from engine.evaluation import mean_of, validation_of
from tests.engine.toys import scores_of

Labels = tuple[int, int, int]
"""pid, camid, clothes"""


def street_of(people: int, protocol: str) -> Dataset:
    """Three cameras and three outfits, most of which each person was seen in, a few of them unknown."""
    random = np.random.default_rng(3)
    rows = [
        Sample(f"{pid}/{n}.jpg", pid, int(random.integers(-1, 3)), int(random.integers(-1, 3)))
        for pid in range(people)
        for n in range(8)
    ]
    nothing = Split.of(Path(), [])
    return Dataset("street", Split.of(Path(), rows), nothing, nothing, protocol)


def finds(protocol: str, query: Labels, gallery: Labels) -> bool:
    if protocol == "no-camera" or query[0] != gallery[0]:
        return query[0] == gallery[0]
    if query[1] == gallery[1] != -1:
        return False
    known = -1 not in (query[2], gallery[2])
    by_clothes = {"cloth-changing": query[2] != gallery[2], "same-clothes": query[2] == gallery[2]}
    return protocol == "market" or (known and by_clothes[protocol])


@pytest.mark.parametrize("protocol", ["market", "no-camera", "cloth-changing", "same-clothes"])
def test_every_query_has_a_positive_by_its_protocol(protocol: str) -> None:
    dataset = street_of(20, protocol)
    held_out = validation_of(dataset, 0.5, seed=1)
    assert held_out.protocol == protocol
    assert held_out.gallery.identities == 10
    assert len(held_out.query) >= 10
    query, gallery = held_out.query, held_out.gallery
    for row in range(len(query)):
        asked: Labels = (int(query.pids[row]), int(query.camids[row]), int(query.clothes[row]))
        labels = zip(gallery.pids.tolist(), gallery.camids.tolist(), gallery.clothes.tolist(), strict=True)
        assert any(finds(protocol, asked, other) for other in labels)


@pytest.mark.parametrize(
    ("own", "expected"),
    [("deepchange", "market"), ("occluded-duke", "market"), ("celeb", "no-camera"), ("vcclothes", "market")],
)
def test_held_out_people_have_no_published_score(own: str, expected: str) -> None:
    """Such as DeepChange's, whose test set has tracklets in the column where training pictures have cameras."""
    dataset = street_of(20, own)
    held_out, general = (validation_of(replace(dataset, protocol=name), 0.5, seed=1) for name in (own, expected))
    assert held_out.protocol == general.protocol == expected
    for title in ("train", "query", "gallery"):
        assert list(held_out.splits[title].paths) == list(general.splits[title].paths)


def test_a_protocol_of_some_cameras_is_asked_of_these_in_training_pictures_too() -> None:
    held_out = validation_of(street_of(20, "prcc-cc"), 0.5, seed=1)
    assert held_out.protocol == "prcc-cc"
    assert set(held_out.query.camids.tolist()) == {2}


def test_the_mean_counts_datasets_alike() -> None:
    one, other = scores_of(0.2), replace(scores_of(0.6), protocol="no-camera", queries=10, cmc={1: 0.4})
    assert mean_of([one]) is one
    mean = mean_of([one, other])
    assert mean.metrics() == pytest.approx({"mAP": 0.4, "mAP_trap": 0.4, "mINP": 0.4, "rank-1": 0.3})
    assert (mean.queries, mean.valid_queries, mean.gallery) == (12, 4, 8)
    assert (mean.protocol, mean_of([one, one]).protocol) == ("market + no-camera", "market")
