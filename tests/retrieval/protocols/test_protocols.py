"""Rules of the protocols on labels written out by hand and in loops, and whom they are asked about."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from common.errors import UserError
from retrieval.columns import Columns, Features
from retrieval.protocols import PROTOCOLS, Choice, Protocol, of_others, protocol
from retrieval.ranking.acquaintances import Acquaintances
from retrieval.ranking.evaluation import PerQuery, evaluate
from retrieval.scorers import Precomputed
from retrieval.study import Question, study
from tests.retrieval.naive import naive_asked, naive_judgement, naive_shown

QUERY = Columns.of([1, 1, -1], [0, -1, 0], [5, 5, 5])
GALLERY = Columns.of([1, 1, 1, 2, -1, 1, 1], [0, 1, -1, 0, 0, 1, 1], [5, 5, 6, 5, 5, 6, -1])


def wanted(name: str, query: Columns = QUERY, gallery: Columns = GALLERY) -> list[list[int]]:
    """A line per query: the gallery rows that are positives."""
    pairs = Acquaintances.of(query, gallery)
    positives = pairs.positives(protocol(name))
    return [pairs.rows[positives & (pairs.owners == row)].tolist() for row in range(len(query))]


def test_market() -> None:
    assert wanted("market") == [[1, 2, 5, 6], [0, 1, 2, 5, 6], []]


def test_no_camera() -> None:
    assert wanted("no-camera") == [[0, 1, 2, 5, 6], [0, 1, 2, 5, 6], []]


def test_cloth_changing() -> None:
    assert wanted("cloth-changing") == [[2, 5], [2, 5], []]


def test_same_clothes() -> None:
    assert wanted("same-clothes") == [[1], [0, 1], []]


def test_cameras_of_prcc() -> None:
    """Queries of A, B and C and of nowhere; the gallery's pictures of B count for nobody."""
    query = Columns.of([1, 1, 1, 1], [0, 1, 2, -1])
    gallery = Columns.of([1, 1, 2, 1, -1], [0, 1, 0, 0, 0])
    for name, asked in (("prcc-cc", 2), ("prcc-sc", 1), ("prcc-single-cc", 2), ("prcc-single-sc", 1)):
        assert wanted(name, query, gallery) == [[0, 3] if row == asked else [] for row in range(4)], name
        assert protocol(name).shown(gallery).tolist() == [True, False, True, True, False]


@pytest.mark.parametrize(("name", "cameras"), [("vcclothes-sc", (1, 2)), ("vcclothes-cc", (2, 3))])
def test_cameras_of_vcclothes(name: str, cameras: tuple[int, int]) -> None:
    """Their camera 4 is 3 here; within the two, pictures from the query's own camera are junk."""
    everywhere = Columns.of(np.zeros(5), [0, 1, 2, 3, -1])
    one, two = cameras
    expected = [[two] if row == one else [one] if row == two else [] for row in range(5)]
    assert wanted(name, everywhere, everywhere) == expected


@pytest.mark.parametrize("name", PROTOCOLS)
@given(seed=st.integers(0, 2**32 - 1), queries=st.integers(0, 6), items=st.integers(0, 20))
@settings(deadline=None, max_examples=50)
def test_the_list_equals_looking_at_every_pair(name: str, seed: int, queries: int, items: int) -> None:
    rng = np.random.default_rng(seed)
    query, gallery = (Columns.of(*(rng.integers(-1, 4, rows) for _ in range(3))) for rows in (queries, items))
    pairs = Acquaintances.of(query, gallery)
    every = [
        (row, item)
        for row in range(queries)
        for item in range(items)
        if query.pids[row] == gallery.pids[item] and query.pids[row] != -1
    ]
    assert list(zip(pairs.owners.tolist(), pairs.rows.tolist(), strict=True)) == every
    rule = protocol(name)
    good = [naive_judgement(name, query, row, gallery, item) == "good" for row, item in every]
    assert pairs.positives(rule).tolist() == good
    assert rule.asked(query).tolist() == [naive_asked(name, query, row) for row in range(queries)]
    assert rule.shown(gallery).tolist() == [naive_shown(name, gallery, item) for item in range(items)]


def in_this_order(query: Columns, gallery: Columns, name: str) -> PerQuery:
    """One query and a gallery that is ranked as it stands."""
    scores = -np.arange(len(gallery), dtype=np.float32)[None]
    left, right = (Features(np.zeros((len(columns), 1), dtype=np.float32), columns) for columns in (query, gallery))
    return evaluate(Precomputed(scores), left, right, protocol(name))


@pytest.mark.parametrize(
    ("name", "precision"),
    [("standard", 0.64583), ("market", 0.64583), ("cloth-changing", 0.58333), ("same-clothes", 0.5)],
)
def test_the_golden_ranking_of_changed_clothes(name: str, precision: float) -> None:
    """What the reference evaluator of CAL and AIM gives for it."""
    ranked = [(1, 0, 10), (2, 1, 20), (1, 1, 10), (1, 1, 11), (1, 2, 12), (3, 2, 30), (1, 2, 10), (1, 0, 11)]
    result = in_this_order(Columns.of([1], [0], [10]), Columns.of(*np.array(ranked).T), name)
    assert result.ap[0] == pytest.approx(precision, abs=5e-6)
    assert result.first_rank.tolist() == [2]


def test_deepchange_counts_another_tracklet_of_the_same_camera() -> None:
    """Tracklets stand where cameras do."""
    assert wanted("deepchange", Columns.of([1], [77]), Columns.of([1, 1, 2], [77, 78, 78])) == [[1]]


@pytest.mark.parametrize("name", ["last", "celeb", "p-duke", "occluded-reid", "occluded-reid-half"])
def test_dummy_cameras_make_nothing_junk(name: str) -> None:
    """Celeb's published reader numbers the cameras of query and gallery from 0 each, so that two may be equal."""
    assert wanted(name, Columns.of([1], [0]), Columns.of([1, 1], [0, 1])) == [[0, 1]]


def test_prcc_by_cameras_is_prcc_by_clothes() -> None:
    """A and B saw a person in one outfit, C in another; the means are over the same queries."""
    rng = np.random.default_rng(0)
    pids = rng.integers(0, 9, 60)
    camids = rng.integers(1, 3, 60)
    query = Features(
        rng.standard_normal((60, 8)).astype(np.float32), Columns.of(pids, camids, 2 * pids + (camids == 2))
    )
    shown = rng.integers(0, 9, 50)
    gallery = Features(rng.standard_normal((50, 8)).astype(np.float32), Columns.of(shown, np.zeros(50), 2 * shown))
    scores = study(query, gallery, Question(["prcc-cc", "cloth-changing", "prcc-sc", "same-clothes"])).scores
    for by_camera, by_clothes, camera in (("prcc-cc", "cloth-changing", 2), ("prcc-sc", "same-clothes", 1)):
        assert scores[by_camera].metrics() == scores[by_clothes].metrics()
        assert scores[by_camera].queries == scores[by_camera].valid_queries == (camids == camera).sum()


def test_same_rules_are_the_same_objects() -> None:
    for rule in PROTOCOLS.values():
        if rule.same_as is not None:
            other = PROTOCOLS[rule.same_as]
            for part in ("good", "shown", "asked", "draws"):
                assert getattr(rule, part) is getattr(other, part)
        if rule.draws is not None:
            whole = PROTOCOLS[rule.draws.of]
            assert (rule.good, rule.shown, rule.asked) == (whole.good, whole.shown, whole.asked)
    shared = {name: rule.same_as for name, rule in PROTOCOLS.items() if rule.same_as}
    assert shared == {
        **dict.fromkeys(("standard", "cuhk03-np", "deepchange", "occluded-duke"), "market"),
        **dict.fromkeys(("last", "p-duke", "occluded-reid", "occluded-reid-half", "celeb"), "no-camera"),
        "vcclothes": "standard",
    }


def test_what_a_protocol_is_made_of() -> None:
    made = {name: (rule.uses, rule.needs) for name, rule in PROTOCOLS.items()}
    assert made["market"] == (("camid",), ())
    assert made["no-camera"] == ((), ())
    assert made["cloth-changing"] == made["same-clothes"] == (("camid", "clothes"), ("clothes",))
    assert made["prcc-single-cc"] == made["vcclothes-sc"] == (("camid",), ("camid",))


def test_who_is_asked_and_shown() -> None:
    asked, shown = Choice("", lambda columns: columns.camids == 0), Choice("", lambda columns: columns.camids != 1)
    pairs = Acquaintances.of(QUERY, GALLERY)
    positives = pairs.positives(Protocol("x", "", asked=asked, shown=shown))
    assert pairs.owners[positives].tolist() == [0, 0]
    assert pairs.rows[positives].tolist() == [0, 2]


BARE = Columns.of([1, 2])
CAMERAS = Columns.of([1, 2], [0, 4])
DRESSED = Columns.of([1, 2], [0, 4], [1, -1])


@pytest.mark.parametrize(
    ("name", "query", "gallery", "sentence"),
    [
        (
            "cloth-changing",
            DRESSED,
            CAMERAS,
            "the protocol 'cloth-changing' needs the column clothes, and in the gallery it is known of no picture: use "
            "the protocol 'market'",
        ),
        (
            "prcc-cc",
            CAMERAS,
            CAMERAS,
            "the protocol 'prcc-cc' needs query pictures of camera 2 (C), and the column camid of the query has only "
            "0, 4: use the protocol 'market'",
        ),
        (
            "vcclothes-sc",
            Columns.of([1], [1]),
            BARE,
            "the protocol 'vcclothes-sc' needs gallery pictures of cameras 1, 2 (Cam2, Cam3), and the column camid of "
            "the gallery has none that is known: use the protocol 'market'",
        ),
        (
            "prcc-single-cc",
            DRESSED,
            DRESSED,
            "the protocol 'prcc-single-cc' needs query pictures of camera 2 (C), and the column camid of the query has "
            "only 0, 4: use the protocol 'cloth-changing'",
        ),
        ("same-clothes", DRESSED, DRESSED, None),
        ("market", BARE, BARE, None),
        ("prcc-single-sc", Columns.of([1], [1]), CAMERAS, None),
    ],
)
def test_a_column_that_is_wanting_is_named(name: str, query: Columns, gallery: Columns, sentence: str | None) -> None:
    assert protocol(name).lacking(query, gallery) == sentence


def test_unknown_names_suggest() -> None:
    with pytest.raises(UserError, match="unknown protocol 'markt', did you mean 'market'"):
        protocol("markt")
    with pytest.raises(UserError, match="the dataset 'ltcc' is judged by standard, cloth-changing, same-clothes$"):
        protocol("ltcc")


@pytest.mark.parametrize(
    ("name", "dataset", "own"),
    [
        *((name, "prcc", "prcc-cc") for name in ("prcc-cc", "prcc-single-sc", "market", "cloth-changing")),
        ("prcc-single-cc", "mine", "prcc-cc"),  # a name of one's own for what the reader knows
        ("deepchange", "deepchange-val", "deepchange"),
        ("vcclothes-cc", "vcclothes-sc", "vcclothes-sc"),
        ("occluded-duke", "occluded-duke-lists", "occluded-duke"),
        ("prcc-cc", "prcc", "no-camera"),  # as the reader found no camera
        ("no-camera", "market", "market"),
        ("standard", "street", "market"),
    ],
)
def test_a_protocol_of_ones_own(name: str, dataset: str, own: str) -> None:
    assert of_others(name, dataset, own) is None


@pytest.mark.parametrize(
    ("name", "dataset", "own"),
    [
        ("deepchange", "market", "market"),
        ("celeb", "market", "market"),
        ("prcc-cc", "ltcc", "cloth-changing"),
        ("deepchange", "deepchange-validation", "market"),
        ("occluded-duke", "duke", "market"),
        ("last", "celeb", "celeb"),
        ("occluded-reid", "occluded-reid-half", "occluded-reid-half"),
        ("occluded-reid-half", "occluded-reid", "occluded-reid"),
    ],
)
def test_a_protocol_of_others(name: str, dataset: str, own: str) -> None:
    sentence = of_others(name, dataset, own)
    assert sentence is not None
    assert sentence.startswith(f"the protocol '{name}' is one of ")
    assert f"'{dataset}' is judged by '{own}'" in sentence


def test_what_there_is_only_of_one_gallery() -> None:
    protocol("prcc-cc").require_one_gallery("a table")
    with pytest.raises(UserError, match="a table cannot be had by .* draws 10 galleries: use 'prcc-cc', which"):
        protocol("prcc-single-cc").require_one_gallery("a table")
    with pytest.raises(ValueError, match="'prcc-single-cc' draws galleries"):
        in_this_order(Columns.of([1], [2]), Columns.of([1], [0]), "prcc-single-cc")
    draws = protocol("prcc-single-cc").draws
    assert draws is not None
    with pytest.raises(ValueError, match="1 draws: a spread needs two"):
        replace(draws, count=1)


def test_columns_and_features_check_their_shapes() -> None:
    with pytest.raises(ValueError, match="camids: expected int64"):
        Columns.of([1, 2], [1])
    with pytest.raises(ValueError, match="vectors: expected 2 dimensions and 2 rows"):
        Features(np.zeros((3, 4), dtype=np.float32), Columns.of([1, 2]))
    some = Features(np.eye(3, dtype=np.float32), Columns.of([4, 5, 6])).take(np.array([2, 0]))
    assert some.columns.pids.tolist() == [6, 4]
    assert some.vectors[0].tolist() == [0, 0, 1]
