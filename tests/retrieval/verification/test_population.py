"""Which pairs count, and who is in which half, against loops over all pairs."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from common.errors import UserError
from retrieval.columns import Columns
from retrieval.protocols import EVERYONE, PROTOCOLS, Choice, Protocol, protocol
from retrieval.verification.population import HIDDEN, Population
from tests.retrieval.naive import naive_asked, naive_judgement, naive_shown


def random_labels(seed: int, queries: int, items: int, people: int) -> tuple[Columns, Columns]:
    """People from −1, and some in the gallery who are not asked for; cameras and clothes from −1."""
    random = np.random.default_rng(seed)

    def columns(count: int, most: int) -> Columns:
        return Columns.of(*(random.integers(-1, high, count) for high in (most, 4, 2)))

    return columns(queries, people), columns(items, 2 * people)


@given(
    seed=st.integers(0, 2**32 - 1),
    queries=st.integers(1, 25),
    items=st.integers(1, 40),
    people=st.integers(1, 9),
    name=st.sampled_from(sorted(PROTOCOLS)),
)
@settings(deadline=None, max_examples=100)
def test_equals_loops(seed: int, queries: int, items: int, people: int, name: str) -> None:
    query, gallery = random_labels(seed, queries, items, people)
    found = Population.of(query, gallery, protocol(name), seed)

    asked = [query.pids[row] != -1 and naive_asked(name, query, row) for row in range(queries)]
    assert found.pids.tolist() == sorted(set(query.pids[asked].tolist()))
    genuine, impostors = set(), np.zeros((len(found.pids), 2), dtype=np.int64)
    for row in range(queries):
        if not asked[row]:
            assert found.person[row] == -1
            continue
        person = found.person[row]
        assert found.pids[person] == query.pids[row]
        for item in range(items):
            kind = naive_judgement(name, query, row, gallery, item)
            if kind == "good":
                genuine.add((row, item))
            if kind == "bad":
                impostors[person, found.group[item] & 1] += 1
    pairs = found.pairs
    assert {(pairs.owners[at], pairs.rows[at]) for at in found.genuine} == genuine
    assert found.impostors.tolist() == impostors.tolist()
    assert found.all_impostors == impostors.sum()
    assert set(found.pids[found.found]) == {query.pids[row] for row, _ in genuine}

    # Nobody is in both halves, and neither half is larger by more than one person of each kind.
    half = dict(zip(found.pids.tolist(), found.half.tolist(), strict=True))
    others: dict[int, int] = {}
    for item, pid in enumerate(gallery.pids.tolist()):
        if not naive_shown(name, gallery, item):
            assert found.group[item] == HIDDEN
        elif pid in half:
            assert found.group[item] == half[pid]
        else:
            assert found.group[item] in (2, 3)
            assert others.setdefault(pid, found.group[item]) == found.group[item]
    if not protocol(name).partial:  # where some pictures are not shown, those who have no other are shared out too
        assert 0 <= list(others.values()).count(2) - list(others.values()).count(3) <= 1
    for members in (found.found, ~found.found):
        assert 0 <= (found.half[members] == 0).sum() - (found.half[members] == 1).sum() <= 1


def test_unknown_people_that_are_shown_are_strangers_to_all() -> None:
    """And each is in a half of its own, since nobody knows who they are."""
    query, gallery = Columns.of([1, 2, -1]), Columns.of([1, -1, -1, -1, 2])
    shows_all = Protocol("all", "", shown=EVERYONE)
    found = Population.of(query, gallery, shows_all)
    assert found.all_impostors == 2 * 4
    assert sorted(found.group[1:4]) == [2, 2, 3]


def test_what_is_not_shown_is_of_nobody() -> None:
    query, gallery = Columns.of([1, 2]), Columns.of([1, 1, 2, 3], [0, 1, 1, 0])
    one_camera = Protocol("one camera", "", shown=Choice("", lambda columns: columns.camids == 1))
    found = Population.of(query, gallery, one_camera)
    assert found.impostors.sum(axis=1).tolist() == [1, 1]
    assert len(found.genuine) == 2


def test_the_seed_draws_the_halves() -> None:
    labels = Columns.of(np.arange(40))
    halves = [Population.of(labels, labels, protocol("no-camera"), seed).half.tolist() for seed in (0, 0, 1)]
    assert halves[0] == halves[1]
    assert halves[0] != halves[2]


def test_drawing_again() -> None:
    query = Columns.of(np.repeat(np.arange(11), 2))
    gallery = Columns.of([0, 1, 2, 3, 4, 5, 6, 20, 21])
    population = Population.of(query, gallery, protocol("no-camera"))
    everybody, *parts = population.drawn(500, seed=3)
    assert everybody.tolist() == [[1.0] * 11]
    drawn = np.concatenate(parts)
    assert drawn.shape == (500, 11)
    for half in (0, 1):
        for found in (True, False):
            members = (population.half == half) & (population.found == found)
            assert members.any()
            assert (drawn[:, members].sum(axis=1) == members.sum()).all()
    # Of n people drawn n times, each comes once on average, with variance 1 − 1/n.
    assert abs(drawn.mean(axis=0) - 1).max() < 0.2
    size = (population.half == 0) & population.found
    assert abs(drawn[:, size].var() - (1 - 1 / size.sum())) < 0.1
    again = np.concatenate(list(population.drawn(500, seed=3))[1:])
    assert (again == drawn).all()
    assert (np.concatenate(list(population.drawn(500, seed=4))[1:]) != drawn).any()


def test_parts_of_the_draw_are_small(monkeypatch: pytest.MonkeyPatch) -> None:
    labels = Columns.of(np.arange(10))
    population = Population.of(labels, labels, protocol("no-camera"))
    monkeypatch.setattr("retrieval.verification.population._AT_ONCE", 30)
    assert [len(part) for part in population.drawn(8)] == [1, 3, 3, 2]


def refused(query: Columns, gallery: Columns, far: float) -> str:
    with pytest.raises(UserError) as refusal:
        Population.of(query, gallery, protocol("no-camera")).require(far)
    return str(refusal.value)


def test_too_little_is_refused() -> None:
    few = Columns.of([1, 2, 3])
    assert refused(few, few, 0.5).startswith("3 people have a picture to be found under the protocol 'no-camera'")
    assert refused(few, Columns.of([1, 9, 9]), 0.5).startswith("1 person has a picture")
    assert refused(few, Columns.of([9]), 0.5).startswith("0 people have")
    ten = Columns.of(np.arange(10))
    assert refused(ten, ten, 0.01) == (
        "a false accept rate of 0.01 needs 1,000 pairs of different people and there are 90: ask for at least 0.12 or"
        " take a larger dataset"
    )
    Population.of(ten, ten, protocol("no-camera")).require(0.12)
