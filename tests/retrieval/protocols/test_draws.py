"""Galleries that are drawn: which, and that judging them equals a loop over galleries of their own."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from common.errors import UserError
from retrieval.columns import Columns, Features
from retrieval.lists import write_lists
from retrieval.protocols import PROTOCOLS, protocol
from retrieval.protocols.draws import Draws
from retrieval.reranking.expansion import EXPANSIONS
from retrieval.reranking.k_reciprocal import rerank
from retrieval.scorers import Cosine
from retrieval.study import Question, Reranking, study
from tests.retrieval.naive import exact_scores, naive_evaluation
from tests.retrieval.teams import together

DRAWS = Draws(4, seed=3, of="x")


@given(seed=st.integers(0, 2**32 - 1), rows=st.integers(0, 60))
@settings(deadline=None, max_examples=100)
def test_one_of_each_person_and_camera(seed: int, rows: int) -> None:
    rng = np.random.default_rng(seed)
    pool = Columns.of(rng.integers(0, 6, rows), rng.integers(-1, 3, rows))
    for number in range(3):
        drawn = DRAWS.rows(pool, number)
        assert drawn.tolist() == sorted(set(drawn.tolist()))
        people = Counter(zip(pool.pids[drawn].tolist(), pool.camids[drawn].tolist(), strict=True))
        assert people == Counter(set(zip(pool.pids.tolist(), pool.camids.tolist(), strict=True)))


def test_equals_a_loop_over_people_and_cameras() -> None:
    rng = np.random.default_rng(1)
    pool = Columns.of(rng.integers(0, 9, 80), rng.integers(-1, 2, 80))
    for number in range(3):
        raw = np.random.PCG64([3, number])
        expected = []
        for key in sorted(set(zip(pool.pids.tolist(), pool.camids.tolist(), strict=True))):
            rows = [row for row in range(80) if (pool.pids[row], pool.camids[row]) == key]
            expected.append(rows[int(raw.random_raw()) % len(rows)])
        assert DRAWS.rows(pool, number).tolist() == sorted(expected)


def test_golden_draws() -> None:
    """A change here changes every number that was ever printed."""
    pool = Columns.of(np.repeat(np.arange(4), 10), np.zeros(40))
    drawn = [(DRAWS.rows(pool, number) % 10).tolist() for number in range(3)]
    assert drawn == [[0, 1, 8, 4], [9, 1, 6, 5], [1, 5, 4, 9]]


def test_every_picture_is_drawn_as_often() -> None:
    pool = Columns.of(np.zeros(5), np.zeros(5))
    often = np.bincount([int(DRAWS.rows(pool, number)[0]) for number in range(1000)], minlength=5)
    assert often.min() > 150
    assert often.max() < 250


def prcc(seed: int, queries: int = 40, items: int = 60, levels: int = 0) -> tuple[Features, Features]:
    """Labels as PRCC has them, and some that it has not: pictures of nobody, and of B and of nowhere in the gallery."""
    rng = np.random.default_rng(seed)

    def some(rows: int, cameras: list[int]) -> Features:
        pids = rng.integers(-1, 8, rows)
        vectors = np.random.default_rng(9).standard_normal((9, 6))[pids] + rng.standard_normal((rows, 6))
        if levels:
            vectors = np.round(vectors * levels) / levels
        vectors[:, 0] += 0.1
        return Features(vectors.astype(np.float32), Columns.of(pids, rng.choice(cameras, rows)))

    return some(queries, [-1, 0, 1, 2]), some(items, [-1, 0, 0, 0, 1])


def loop(query: Features, gallery: Features, name: str, question: Question) -> list[dict[str, float]]:
    """Each draw's metrics: a gallery of its own, ranked by a stable sort, judged by what is not drawn."""
    rule = PROTOCOLS[name]
    assert rule.draws is not None
    camera = {"prcc-single-cc": 2, "prcc-single-sc": 1}[name]
    asked = query.take(np.flatnonzero(query.columns.camids == camera))
    pool = gallery.take(np.flatnonzero((gallery.columns.camids == 0) & (gallery.columns.pids != -1)))
    each = []
    for number in range(10):
        left, right, kind = asked, pool.take(rule.draws.rows(pool.columns, number)), Cosine()
        if question.expand:
            left, right = EXPANSIONS[question.expand](left, right)
        if question.rerank:
            again = question.rerank
            kind = rerank(kind, left, right, k1=again.k1, k2=again.k2, lam=again.lam)  # type: ignore[assignment]
        scores = exact_scores(kind, left, right)
        result = naive_evaluation(scores, left.columns, right.columns, PROTOCOLS[rule.draws.of])
        means = {"mAP": result.ap, "mAP_trap": result.ap_trap, "mINP": result.inp}
        ranks = {f"rank-{k}": result.first_rank[result.valid] <= k for k in (1, 5, 10, 20)}
        each.append({name: float(np.nanmean(values)) for name, values in (means | ranks).items()})
    return each


@pytest.mark.parametrize("name", ["prcc-single-cc", "prcc-single-sc"])
@pytest.mark.parametrize(
    "question",
    [
        Question([]),
        Question([], expand="aqe"),
        Question([], rerank=Reranking(k1=4, k2=2)),
        Question([], expand="dba", rerank=Reranking(k1=4, k2=2)),
    ],
    ids=["plain", "expanded", "re-ranked", "both"],
)
def test_equals_a_loop_over_draws(name: str, question: Question) -> None:
    query, gallery = prcc(0)
    each = loop(query, gallery, name, question)
    asked = Question(["market", name], expand=question.expand, rerank=question.rerank)
    scores = study(query, gallery, asked).scores[name]
    assert scores.deviation is not None
    for metric, value in scores.metrics().items():
        values = [one[metric] for one in each]
        assert value == pytest.approx(np.mean(values), rel=1e-12)
        assert scores.deviation[metric] == pytest.approx(np.std(values, ddof=1), rel=1e-9, abs=1e-15)
    assert scores.deviation["mAP"] > 0
    assert (scores.protocol, scores.draws) == (name, PROTOCOLS[name].draws)


@pytest.mark.parametrize("levels", [1, 2])
def test_equals_a_loop_over_draws_with_ties(levels: int) -> None:
    query, gallery = prcc(3, levels=levels)
    scores = study(query, gallery, Question(["prcc-single-cc"])).scores["prcc-single-cc"]
    each = loop(query, gallery, "prcc-single-cc", Question([]))
    assert scores.mAP == pytest.approx(np.mean([one["mAP"] for one in each]), rel=1e-12)


def test_whoever_else_is_judged_and_however_many_judge() -> None:
    query, gallery = prcc(1)
    alone = study(query, gallery, Question(["prcc-single-cc"]))
    assert alone.compared == {}
    several = ["no-camera", "prcc-sc", "prcc-single-cc", "prcc-single-sc", "market"]
    every = study(query, gallery, Question(several))
    assert list(every.scores) == several
    assert every.scores["prcc-single-cc"] == alone.scores["prcc-single-cc"]
    assert every.scores["market"] == study(query, gallery, Question(["market"])).scores["market"]
    for answer in together(2, lambda team: study(query, gallery, Question(several), team=team)):
        assert answer.scores == every.scores


def test_the_same_with_the_gallery_on_disk(tmp_path: Path) -> None:
    query, gallery = prcc(2)
    np.save(tmp_path / "a.npy", gallery.vectors)
    mapped = Features(np.load(tmp_path / "a.npy", mmap_mode="r"), gallery.columns)
    question = Question(["prcc-single-cc"])
    assert study(query, mapped, question).scores == study(query, gallery, question).scores


def test_what_is_printed() -> None:
    answer = study(*prcc(0), Question(["prcc-single-cc", "market"]))
    told = json.loads(json.dumps(answer.as_dict(), allow_nan=False))
    assert (told["protocol"], told["draws"], told["seed"]) == ("prcc-single-cc", 10, 3)
    scores = answer.scores["prcc-single-cc"]
    assert scores.deviation is not None
    assert told["mAP_std"] == told["protocols"]["prcc-single-cc"]["mAP_std"] == scores.deviation["mAP"]
    assert {"draws", "seed", "mAP_std"}.isdisjoint(told["protocols"]["market"])
    first, names, values, spread = scores.table().splitlines()
    assert first.startswith("protocol prcc-single-cc, cosine scores, no re-ranking; ")
    assert first.endswith(", gallery 8; mean of 10 galleries drawn with seed 3; in %")
    assert names.split()[0] == "mAP"
    assert values.split()[0] == f"{100 * scores.mAP:.2f}"
    assert spread.split()[0] == f"{100 * scores.deviation['mAP']:.2f}"
    assert spread.endswith("standard deviation over the draws")
    assert len(answer.scores["market"].table().splitlines()) == 3


def test_nothing_to_find_in_the_draws() -> None:
    query, gallery = prcc(0)
    strangers = Features(gallery.vectors, Columns.of(gallery.columns.pids + 100, gallery.columns.camids))
    with pytest.raises(UserError, match="none of the .* queries has a positive .* under the protocol 'prcc-single-cc'"):
        study(query, strangers, Question(["prcc-single-cc"]))
    nowhere = Features(query.vectors, Columns.of(query.columns.pids))
    answer = study(nowhere, gallery, Question(["prcc-single-cc", "market"]))
    assert list(answer.scores) == ["market"]
    assert "of the query has none that is known" in answer.problems["prcc-single-cc"]


def test_no_lists_and_no_tables_of_draws(tmp_path: Path) -> None:
    query, gallery = prcc(0)
    answer = study(query, gallery, Question(["prcc-single-cc"]))
    with pytest.raises(UserError, match="each query cannot be had by the protocol 'prcc-single-cc'"):
        write_lists(tmp_path / "top.csv", answer, [""] * 40, [""] * 60, 5)
    with pytest.raises(UserError, match="a table by cameras cannot be had by the protocol 'prcc-single-cc'"):
        study(query, gallery, Question(["market", "prcc-single-cc"], cameras=True))


@pytest.mark.parametrize("question", [Question([], expand="dba"), Question([], rerank=Reranking(k1=6, k2=2))])
def test_neighbours_are_those_of_the_protocol(question: Question, tmp_path: Path) -> None:
    """What a protocol leaves out has no say in re-ranking and expansion; the lists name rows of the whole."""
    query, gallery = prcc(4)
    asked, shown = (
        np.flatnonzero(query.columns.camids == 2),
        np.flatnonzero((gallery.columns.camids == 0) & (gallery.columns.pids != -1)),
    )
    names = ["prcc-cc", "no-camera"]
    answer = study(query, gallery, Question(names, expand=question.expand, rerank=question.rerank))
    alone = study(
        query.take(asked),
        gallery.take(shown),
        Question(["no-camera"], expand=question.expand, rerank=question.rerank),
    )
    found = answer.scores["prcc-cc"]
    assert found.metrics() == alone.scores["no-camera"].metrics()
    assert (found.queries, found.gallery) == (len(asked), len(shown))
    plain = study(query, gallery, Question(["prcc-cc"])).scores["prcc-cc"]
    assert (plain.queries, plain.gallery) == (len(asked), len(shown))
    assert answer.scores["no-camera"].gallery == len(gallery)
    rows = [f"{row}.jpg" for row in range(60)]
    write_lists(tmp_path / "top.csv", answer, rows, rows, 3)
    write_lists(tmp_path / "alone.csv", alone, rows, rows, 3)
    lines, expected = ((tmp_path / name).read_text().splitlines()[1:] for name in ("top.csv", "alone.csv"))
    for line, other in zip(lines, expected, strict=True):
        whole, part = line.split(","), other.split(",")
        assert (int(whole[0]), int(whole[2])) == (asked[int(part[0])], shown[int(part[2])])
        assert whole[5:] == [f"{whole[0]}.jpg", f"{whole[2]}.jpg"]
        assert (whole[1], whole[3], whole[4]) == (part[1], part[3], part[4])


def test_the_two_of_prcc_draw_the_same_galleries() -> None:
    changed, same = protocol("prcc-single-cc").draws, protocol("prcc-single-sc").draws
    assert changed is not None
    assert same is not None
    assert (changed.count, changed.seed) == (same.count, same.seed) == (10, 3)
