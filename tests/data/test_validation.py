"""Who is held out and what is searched for, against naive loops."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from common.errors import UserError
from data.samples import Dataset, Ints, Sample, Split
from data.validation import Mask, Pairs, hold_out

Row = tuple[str, int, int, int]
"""path, pid, camid, clothes"""


def dataset(rows: Sequence[Row], protocol: str = "market") -> Dataset:
    empty = Split.of(Path("somewhere"), [])
    return Dataset("toys", Split.of(Path("somewhere"), (Sample(*row) for row in rows)), empty, empty, protocol)


def people(count: int, seed: int = 0, cameras: int = 3, outfits: int = 2, most: int = 9) -> list[Row]:
    """`count` people with 1 to `most` pictures each, some by a camera (or in clothes) that nobody knows."""
    random = np.random.default_rng(seed)
    rows = []
    for pid in random.choice(10 * count, count, replace=False).tolist():
        for n in range(int(random.integers(1, most + 1))):
            camid, clothes = int(random.integers(-1, cameras)), int(random.integers(-1, outfits))
            rows.append((f"{pid}/{n}.jpg", pid, camid, clothes))
    return [rows[n] for n in random.permutation(len(rows)).tolist()]


def finds(protocol: str, query: Row, gallery: Row) -> bool:
    """The rules in words, for two different pictures of one person."""
    if query[2] == gallery[2] and query[2] != -1:
        return protocol == "no-camera"
    return protocol != "cloth-changing" or (query[3] != gallery[3] and -1 not in (query[3], gallery[3]))


def pairs_of(rows: Sequence[Row], protocol: str) -> Pairs:
    def pairs(query: Ints, gallery: Ints) -> Mask:
        for one, other in zip(query.tolist(), gallery.tolist(), strict=True):
            assert rows[one][1] == rows[other][1], "asked about pictures of one person only"
        return np.array([finds(protocol, rows[q], rows[g]) for q, g in zip(query, gallery, strict=True)], dtype=bool)

    return pairs


def divided(rows: Sequence[Row], share: float = 0.3, seed: int = 1, protocol: str = "market") -> Dataset:
    return hold_out(dataset(rows, protocol), share, seed, pairs_of(rows, protocol))


def naive(rows: Sequence[Row], share: float, seed: int, protocol: str) -> tuple[set[str], set[str], set[str]]:
    """Paths of train, query and gallery, with lists and loops."""

    def draw(text: str) -> str:
        return hashlib.sha256(f"{seed}\t{text}".encode()).hexdigest()

    pids = sorted({row[1] for row in rows}, key=lambda pid: draw(str(pid)))
    held_out = pids[: int(share * len(pids) + 0.5)]
    query: list[Row] = []
    for pid in held_out:
        mine = sorted((row for row in rows if row[1] == pid), key=lambda row: draw(row[0]))
        seen: set[tuple[int, ...]] = set()
        asked: list[Row] = []
        for row in mine:
            if row[2:] in seen:
                continue
            seen.add(row[2:])
            trial = [*asked, row]
            gallery = [other for other in mine if other not in trial]
            if all(any(finds(protocol, one, other) for other in gallery) for one in trial):
                asked = trial
        query += asked
    searched = {row[0] for row in query}
    everything = {row[0] for row in rows if row[1] in held_out}
    return {row[0] for row in rows} - everything, searched, everything - searched


def paths(divided: Dataset) -> tuple[set[str], set[str], set[str]]:
    return set(divided.train.paths), set(divided.query.paths), set(divided.gallery.paths)


@pytest.mark.parametrize("protocol", ["market", "no-camera", "cloth-changing"])
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_the_division_is_the_naive_one(protocol: str, seed: int) -> None:
    for sample in range(4):
        rows = people(25, seed=sample)
        found = divided(rows, 0.4, seed, protocol)
        assert paths(found) == naive(rows, 0.4, seed, protocol)
        assert sum(map(len, found.splits.values())) == len(rows), "every picture once"


@pytest.mark.parametrize("protocol", ["market", "no-camera", "cloth-changing"])
def test_people_are_disjoint_and_every_query_finds_somebody(protocol: str) -> None:
    rows = people(40, seed=5)
    labels = {row[0]: row for row in rows}
    found = divided(rows, 0.25, protocol=protocol)
    trained, held_out = set(found.train.pids.tolist()), set(found.gallery.pids.tolist())
    assert not trained & held_out
    assert len(held_out) == 10
    assert set(found.query.pids.tolist()) <= held_out
    for path in found.query.paths:
        query = labels[path]
        assert any(
            labels[other][1] == query[1] and finds(protocol, query, labels[other]) for other in found.gallery.paths
        )
    cells = [(labels[path][1:]) for path in found.query.paths]
    assert len(cells) == len(set(cells)), "one query a person, camera and outfit"
    for title in ("train", "query", "gallery"):
        split = found.splits[title]
        assert [labels[path][1:] for path in split.paths] == list(
            zip(split.pids.tolist(), split.camids.tolist(), split.clothes.tolist(), strict=True)
        )


def test_it_is_the_seeds_and_not_the_orders() -> None:
    rows = people(30)
    again = [rows[n] for n in np.random.default_rng(9).permutation(len(rows)).tolist()]
    assert paths(divided(rows)) == paths(divided(again))
    assert paths(divided(rows)) != paths(divided(rows, seed=2))
    assert list(divided(rows).gallery.paths) == [row[0] for row in rows if row[0] in paths(divided(rows))[2]]


def test_a_larger_share_holds_out_the_same_people_and_more() -> None:
    rows = people(30)
    few, many = (set(divided(rows, share).gallery.pids.tolist()) for share in (0.1, 0.5))
    assert (len(few), len(many)) == (3, 15)
    assert few < many


def test_one_picture_a_camera_leaves_something_to_find() -> None:
    rows = [(f"{pid}/{camid}.jpg", pid, camid, -1) for pid in range(10) for camid in range(2)]
    found = divided(rows)
    assert (len(found.query), len(found.gallery)) == (3, 3)
    assert sorted(found.query.pids.tolist()) == sorted(found.gallery.pids.tolist())


def test_other_clothes_have_to_be_found() -> None:
    """Two cameras, one outfit in each and a second one in the second: queries must not use up what they find."""
    rows = [(f"{pid}/{n}.jpg", pid, n // 2, int(n > 2)) for pid in range(4) for n in range(4)]
    found = divided(rows, 0.5, protocol="cloth-changing")
    assert paths(found) == naive(rows, 0.5, 1, "cloth-changing")
    assert set(found.query.pids.tolist()) == set(found.gallery.pids.tolist())


def test_what_it_is_called_and_says() -> None:
    rows = people(20, seed=3, most=2)
    found = divided(rows, 0.5, protocol="no-camera")
    assert (found.name, found.protocol) == ("toys-validation", "no-camera")
    assert found.notes[0] == "query and gallery are 10 of the 20 people of toys to train on"
    lonely = 10 - len(set(found.query.pids.tolist()))
    assert lonely > 0
    assert found.notes[1] == (
        f"{lonely} of these people have no second picture that counts, and are in the gallery only"
    )


def test_names_that_are_no_utf8() -> None:
    rows = [(f"{pid}_\udcff_{camid}.jpg", pid, camid, -1) for pid in range(10) for camid in range(2)]
    assert len(divided(rows).query) == 3


def refused(rows: Sequence[Row], share: float, protocol: str = "market") -> str:
    with pytest.raises(UserError) as refusal:
        divided(rows, share, protocol=protocol)
    return str(refusal.value)


def test_too_few_people() -> None:
    rows = people(10)
    assert refused(rows, 0.1) == (
        "data.validation=0.1 holds out 1 of the 10 people of dataset 'toys', and at least 2 are needed to tell apart;"
        " raise it to 0.2 or more, or set it to 0"
    )
    assert len(set(divided(rows, 0.2).gallery.pids.tolist())) == 2
    assert refused(rows, 0.99) == (
        "data.validation=0.99 holds out all 10 people of dataset 'toys' and leaves nobody to train on; lower it"
    )
    for count in (1, 2):
        assert refused(people(count), 0.5) == (
            f"data.validation=0.5 needs more than 2 people to train on, and dataset 'toys' has {count}; set it to 0"
        )


@pytest.mark.parametrize("count", [3, 7, 751])
def test_the_share_that_is_suggested_is_enough(count: int) -> None:
    rows = people(count, most=3)
    share = float(refused(rows, 0.0001).split("raise it to ")[1].split(" ")[0])
    assert len(set(divided(rows, share, protocol="no-camera").gallery.pids.tolist())) == 2


def test_nobody_to_search_for() -> None:
    alone = [(f"{pid}.jpg", pid, 0, 0) for pid in range(10)]
    assert refused(alone, 0.3) == (
        "data.validation=0.3 holds people of dataset 'toys' out who cannot be searched for: all of them have one"
        " picture only; raise it to hold out more people, or set it to 0"
    )
    same = [(f"{pid}/{n}.jpg", pid, 0, 0) for pid in range(10) for n in range(3)]
    said = refused(same, 0.3)
    assert "protocol market counts no picture of any of them when another is the query" in said
    assert len(divided(same, 0.3, protocol="no-camera").query) == 3
