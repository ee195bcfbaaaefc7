"""Re-scored rankings equal those of loops over one query and one picture after the other."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest

from common.errors import UserError
from retrieval.columns import Columns, Features, Ints
from retrieval.protocols import protocol
from retrieval.reranking.conditional import Conditional
from retrieval.scorers import Cosine
from retrieval.streaming.exact import Doubles
from retrieval.study import Question, Reranking, study
from tests.retrieval.naive import exact_scores, naive_evaluation, naive_judgement
from tests.retrieval.teams import together


def pictures(seed: int, rows: int) -> Features:
    rng = np.random.default_rng(seed)
    pids = rng.integers(-1, 6, rows)
    vectors = np.random.default_rng(9).standard_normal((7, 12))[pids] + 1.3 * rng.standard_normal((rows, 12))
    columns = Columns.of(pids, rng.integers(0, 3, rows), rng.integers(0, 2, rows))
    return Features(vectors.astype(np.float32), columns)


QUERY, GALLERY = pictures(0, 30), pictures(1, 90)
TABLE = np.random.default_rng(5).uniform(0, 2, (30, 90))
"""Conditional distances of all pairs."""


class Asked:
    """The table, and which pairs were looked up."""

    def __init__(self, table: Doubles = TABLE) -> None:
        self.table = table
        self.pairs: set[tuple[int, int]] = set()

    def __call__(self, queries: Ints, gallery: Ints) -> Doubles:
        assert queries.shape == gallery.shape
        self.pairs |= set(zip(queries.tolist(), gallery.tolist(), strict=True))
        found: Doubles = self.table[queries, gallery]
        return found


def naive(name: str, how: Conditional, table: Doubles = TABLE) -> tuple[Doubles, set[tuple[int, int]]]:
    """Scores whose order is the ranking, and the pairs that are looked at."""
    cosines = exact_scores(Cosine(), QUERY, GALLERY)
    rule = protocol(name)
    rankings: dict[int, list[int]] = {}
    for row in np.flatnonzero(rule.asked(QUERY.columns)).tolist():
        kinds = [naive_judgement(name, QUERY.columns, row, GALLERY.columns, item) for item in range(len(GALLERY))]
        order = sorted(range(len(GALLERY)), key=lambda item: (-cosines[row, item], item))
        rankings[row] = [item for item in order if kinds[item] is not None]
    best = sorted(rankings, key=lambda row: (cosines[row, rankings[row][0]], row))
    hard = best[: math.ceil(how.hardest * len(best) - 1e-9)]
    scores, seen = np.full(cosines.shape, -np.inf), set()
    for row, ranking in rankings.items():
        first, rest = ranking[: how.k], ranking[how.k :]
        if row in hard:
            distances = {}
            for item in first:
                a, b = (of / np.linalg.norm(of) for of in (np.float64(QUERY.vectors[row]), GALLERY.vectors[item]))
                distances[item] = (1 - how.lam) * np.linalg.norm(a - b) + how.lam * table[row, item]
                seen.add((row, item))
            first = sorted(first, key=lambda item: distances[item])
        for place, item in enumerate(first + rest):
            scores[row, item] = -place
    return scores, seen


@pytest.mark.parametrize("name", ["market", "no-camera", "cloth-changing", "prcc-cc", "vcclothes-sc"])
@pytest.mark.parametrize("how", [Conditional(7, 0.5, 0.3), Conditional(20, 0.9, 1), Conditional(1000, 1, 1)], ids=str)
def test_a_loop_under_every_kind_of_protocol(name: str, how: Conditional) -> None:
    """Junk, and pictures of nobody, take no place among the first k and make no query easy."""
    asked = Asked()
    answer = study(QUERY, GALLERY, Question([name], conditional=how), pairs=asked)
    scores, seen = naive(name, how)
    assert asked.pairs == seen
    expected = naive_evaluation(scores, QUERY.columns, GALLERY.columns, protocol(name))
    valid = expected.valid
    assert answer.scores[name].mAP == pytest.approx(expected.ap[valid].mean(), abs=1e-12)
    assert answer.scores[name].mINP == pytest.approx(expected.inp[valid].mean(), abs=1e-12)
    assert answer.scores[name].cmc[1] == pytest.approx((expected.first_rank[valid] <= 1).mean())


def test_protocols_at_once_are_ranked_each_for_itself() -> None:
    how = Conditional(10, 0.5, 0.4)
    names = ["market", "no-camera"]
    both = study(QUERY, GALLERY, Question(names, conditional=how, cameras=True), pairs=Asked())
    for name in names:
        alone = study(QUERY, GALLERY, Question([name], conditional=how), pairs=Asked())
        assert both.scores[name] == alone.scores[name]
    assert set(both.cameras) == set(names)


@pytest.mark.parametrize("how", [Conditional(20, 0, 1), Conditional(1, 1, 1)], ids=str)
def test_what_leaves_the_ranking_as_it_is(how: Conditional) -> None:
    """No weight, and one place alone."""
    plain = study(QUERY, GALLERY, Question(["market"])).scores["market"]
    asked = Asked()
    again = study(QUERY, GALLERY, Question(["market"], conditional=how), pairs=asked).scores["market"]
    assert again.metrics() == plain.metrics()
    assert asked.pairs


def test_more_places_than_pictures() -> None:
    """So many that there is no room for that many numbers."""
    every, more = (
        study(QUERY, GALLERY, Question(["market"], conditional=Conditional(k, 0.5, 0.5)), pairs=Asked())
        for k in (len(GALLERY), 10**14)
    )
    assert more.scores["market"].metrics() == every.scores["market"].metrics()


def test_equal_distances_are_in_the_order_of_the_first_ranking() -> None:
    how = Conditional(20, 1, 1)
    plain = study(QUERY, GALLERY, Question(["market"])).scores["market"]
    equal = study(QUERY, GALLERY, Question(["market"], conditional=how), pairs=Asked(np.ones_like(TABLE)))
    assert equal.scores["market"].metrics() == plain.metrics()


@pytest.mark.parametrize("name", ["market", "no-camera"])
def test_many_equal_distances(name: str) -> None:
    """Near and far ones in any order, in lists that are long enough for a sort to mix them up."""
    how, table = Conditional(60, 1, 1), np.random.default_rng(3).integers(0, 2, TABLE.shape).astype(np.float64)
    answer = study(QUERY, GALLERY, Question([name], conditional=how), pairs=Asked(table))
    expected = naive_evaluation(naive(name, how, table)[0], QUERY.columns, GALLERY.columns, protocol(name))
    assert answer.scores[name].mAP == pytest.approx(expected.ap[expected.valid].mean(), abs=1e-12)
    assert answer.scores[name].mINP == pytest.approx(expected.inp[expected.valid].mean(), abs=1e-12)


def test_the_share_of_the_queries_is_rounded_up() -> None:
    every = pictures(2, 100)
    known = every.take(np.flatnonzero(every.columns.pids >= 0))
    hundred = known.take(np.resize(np.arange(len(known)), 100))
    for query, share, count in (
        *((QUERY, share, count) for share, count in ((1e-9, 1), (0.01, 1), (0.1, 3), (0.11, 4), (0.7, 21), (1, 30))),
        *((hundred, share, count) for share, count in ((0.07, 7), (0.0701, 8), (0.29, 29))),
    ):
        asked = Asked(np.ones((100, 90)))
        study(query, GALLERY, Question(["no-camera"], conditional=Conditional(5, 0.5, share)), pairs=asked)
        assert len({row for row, _ in asked.pairs}) == count, share


def test_drawn_galleries_name_rows_of_the_whole() -> None:
    """Where own people are nearest by far, whatever is drawn is found at once."""
    same_person = QUERY.columns.pids[:, None] == GALLERY.columns.pids
    asked = Asked(np.where(same_person, 0.0, 2.0))
    question = Question(["prcc-single-cc"], conditional=Conditional(1000, 1, 1))
    assert study(QUERY, GALLERY, question, pairs=asked).scores["prcc-single-cc"].mAP == 1
    assert {GALLERY.columns.camids[item] for _, item in asked.pairs} == {0}
    asked = Asked(np.where(same_person, 2.0, 0.0))
    assert study(QUERY, GALLERY, question, pairs=asked).scores["prcc-single-cc"].cmc[1] == 0


def test_a_team_gets_the_same_answer() -> None:
    question = Question(["market", "cloth-changing"], conditional=Conditional(15, 0.5, 0.5))
    alone = study(QUERY, GALLERY, question, pairs=Asked())
    for answer in together(2, lambda team: study(QUERY, GALLERY, question, team=team, pairs=Asked())):
        assert answer.scores == alone.scores


def test_what_is_told() -> None:
    answer = study(QUERY, GALLERY, Question(["market"], conditional=Conditional(5, 0.25, 0.1)), pairs=Asked())
    assert answer.text().startswith("with k 5, lambda 0.25, hardest 0.1\nprotocol market, cosine, then conditional")
    told = json.loads(json.dumps(answer.as_dict(), allow_nan=False))
    assert (told["k"], told["lambda"], told["hardest"]) == (5, 0.25, 0.1)


@pytest.mark.parametrize(
    "how",
    [
        *(Conditional(0), Conditional(lam=1.1), Conditional(lam=np.nan)),
        *(Conditional(hardest=share) for share in (-0.1, 0.0, 1.1, np.nan)),
    ],
)
def test_numbers_that_cannot_be_asked(how: Conditional) -> None:
    with pytest.raises(UserError, match="k is a whole number from 1 on, lambda a share from 0 to 1, and the share"):
        Question(["market"], conditional=how).check()


def test_mistakes_are_named() -> None:
    for question in (
        Question(["market"], conditional=Conditional(), rerank=Reranking()),
        Question(["market"], conditional=Conditional(), expand="aqe"),
        Question(["market"], conditional=Conditional(), scorer="euclidean"),
    ):
        with pytest.raises(UserError, match="does not go together with re-ranking, expansion or another scorer"):
            question.check()
    with pytest.raises(ValueError, match="without pairs"):
        study(QUERY, GALLERY, Question(["market"], conditional=Conditional()))
    with pytest.raises(UserError, match=r"NaN for query row \d+: the network's maps hold NaN"):
        study(QUERY, GALLERY, Question(["market"], conditional=Conditional()), pairs=Asked(np.full_like(TABLE, np.nan)))
