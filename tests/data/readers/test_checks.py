from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from common.errors import UserError
from data.readers.checks import checked, positives
from data.samples import Dataset, Sample, Split

Row = tuple[int, int]
NOTHING = Split.of(Path("/r"), ())


def split(title: str, *rows: Row) -> Split:
    return Split.of(Path("/r"), (Sample(f"{title}/{n}.jpg", pid, camid) for n, (pid, camid) in enumerate(rows)))


def judged(query: list[Row], gallery: list[Row]) -> Dataset:
    return checked("mine", NOTHING, split("query", *query), split("gallery", *gallery))


def naive_positives(query: Split, gallery: Split) -> list[int]:
    counts = []
    for pid, camid in zip(query.pids, query.camids, strict=True):
        found = 0
        for other, camera in zip(gallery.pids, gallery.camids, strict=True):
            found += bool(pid == other and (camid != camera or camid == -1))
        counts.append(found)
    return counts


@pytest.mark.parametrize("seed", range(20))
def test_positives_equal_the_loops(seed: int) -> None:
    random = np.random.default_rng(seed)

    def rows(n: int) -> list[Row]:
        return list(zip(random.integers(0, 6, n).tolist(), random.integers(-1, 3, n).tolist(), strict=True))

    query, gallery = split("q", *rows(30)), split("g", *rows(int(random.integers(1, 40))))
    assert positives(query, gallery).tolist() == naive_positives(query, gallery)


def dressed(title: str, *rows: tuple[int, int, int]) -> Split:
    return Split.of(Path("/r"), (Sample(f"{title}/{n}.jpg", *row) for n, row in enumerate(rows)))


@pytest.mark.parametrize("seed", range(20))
def test_positives_in_other_clothes_equal_the_loops(seed: int) -> None:
    random = np.random.default_rng(seed)

    def rows(n: int) -> list[tuple[int, int, int]]:
        columns = random.integers(0, 4, n), random.integers(-1, 3, n), random.integers(-1, 3, n)
        return list(zip(*(column.tolist() for column in columns), strict=True))

    query, gallery = rows(30), rows(int(random.integers(1, 40)))
    counts = [
        sum(
            pid == other and (camid != camera or camid == -1) and clothes != outfit and -1 not in (clothes, outfit)
            for other, camera, outfit in gallery
        )
        for pid, camid, clothes in query
    ]
    found = positives(dressed("q", *query), dressed("g", *gallery), other_clothes=True)
    assert found.tolist() == counts


def test_cloth_changing_where_somebody_changes_clothes() -> None:
    query, gallery = dressed("q", (1, 0, 0), (2, 0, 2)), dressed("g", (1, 1, 1), (2, 1, 2))
    dataset = checked("mine", NOTHING, query, gallery, protocol="cloth-changing")
    assert dataset.protocol == "cloth-changing"
    assert dataset.notes == (
        "1 of 2 queries have no positive in other clothes from another camera: they are left out of the scores; "
        "first: q/1.jpg",
    )
    assert checked("mine", query, NOTHING, NOTHING, protocol="cloth-changing").protocol == "cloth-changing"


def test_cloth_changing_where_nobody_changes_clothes() -> None:
    query, gallery = dressed("q", (1, 0, 0), (2, 0, 2)), dressed("g", (1, 1, 0), (2, 1, -1))
    dataset = checked("mine", NOTHING, query, gallery, protocol="cloth-changing")
    assert dataset.protocol == "market"
    assert dataset.notes == (
        "no query has a positive in other clothes from another camera: not protocol cloth-changing",
    )
    unknown = checked("mine", NOTHING, dressed("q", (1, 0, -1)), dressed("g", (1, 1, -1)), protocol="cloth-changing")
    assert unknown.protocol == "market"


def test_some_queries_without_positive_are_a_note() -> None:
    dataset = judged([(1, 0), (2, 0), (3, 0)], [(1, 1), (2, 0)])
    assert dataset.notes == (
        "2 of 3 queries have no positive in another camera: they are left out of the scores; first: query/1.jpg",
    )
    assert len(dataset.query) == 3


def test_no_identity_shared() -> None:
    with pytest.raises(UserError, match=r"none of the 2 queries .*no identity is in both.*first query: query/0.jpg"):
        judged([(1, 0), (2, 1)], [(3, 1), (4, 0)])


def test_one_camera_only() -> None:
    with pytest.raises(UserError, match=r"every picture has camera 4.*leave the camera ids empty"):
        judged([(1, 4)], [(1, 4), (2, 4)])


def test_the_same_camera_only() -> None:
    with pytest.raises(UserError, match=r"the 1 identities .* only in the same camera.*leave the camera ids empty"):
        judged([(1, 0)], [(1, 0), (2, 1)])


def test_without_cameras_nothing_is_junk() -> None:
    dataset = judged([(1, -1), (2, -1)], [(1, -1), (3, -1)])
    assert dataset.protocol == "no-camera"
    assert "no camera is known" in dataset.notes[0]
    assert dataset.notes[1].startswith("1 of 2 queries have no positive: ")


def test_cameras_that_are_known_and_not_judged_by() -> None:
    query, gallery = split("query", (1, 0), (2, 1)), split("gallery", (1, 0), (3, 1))
    dataset = checked("mine", NOTHING, query, gallery, protocol="no-camera")
    assert dataset.protocol == "no-camera"
    assert dataset.query.camids.tolist() == [0, 1]
    assert dataset.notes == ("1 of 2 queries have no positive: they are left out of the scores; first: query/1.jpg",)
    both = split("same", (1, 0), (1, 1))
    with pytest.raises(UserError, match=r"2 pictures without a camera are both query and gallery"):
        checked("mine", NOTHING, both, both, protocol="no-camera")


def test_the_protocol_of_a_training_set_is_that_of_its_cameras() -> None:
    assert checked("mine", split("t", (1, 0)), NOTHING, NOTHING).protocol == "market"
    assert checked("mine", split("t", (1, -1)), NOTHING, NOTHING).protocol == "no-camera"


def test_a_picture_without_camera_must_not_find_itself() -> None:
    both = split("same", (1, -1), (2, -1))
    with pytest.raises(UserError, match=r"2 pictures without a camera are both query and gallery.*same/0.jpg"):
        checked("mine", NOTHING, both, both)


def test_a_picture_with_a_camera_may_be_in_both() -> None:
    both = split("same", (1, 0), (1, 1))
    assert checked("mine", NOTHING, both, both).notes == ()


def test_unknown_people_are_left_out_everywhere() -> None:
    dataset = checked(
        "mine", split("t", (-1, 0), (5, 0)), split("q", (1, 0), (-1, 0)), split("g", (-1, 1), (-1, 0), (1, 1))
    )
    assert [list(part.paths) for part in dataset.splits.values()] == [["t/1.jpg"], ["q/0.jpg"], ["g/2.jpg"]]
    assert dataset.notes == ("pictures with identity -1 are left out: train 1, query 1, gallery 2",)


def test_pictures_without_anyone_known() -> None:
    with pytest.raises(UserError, match=r"holds no pictures of known people"):
        checked("mine", split("t", (-1, 0)), NOTHING, NOTHING)
