"""A whole question at once gives what its parts give, and lists show what the scores are of."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest

from common.errors import UserError
from retrieval.columns import Columns, Features
from retrieval.files.foreign import Cache
from retrieval.lists import HEADER, write_lists
from retrieval.protocols import protocol
from retrieval.ranking.evaluation import evaluate
from retrieval.ranking.positions import positions
from retrieval.reranking.expansion import EXPANSIONS
from retrieval.reranking.k_reciprocal import rerank
from retrieval.scorers import Cosine
from retrieval.study import Question, Reranking, study
from tests.retrieval.naive import exact_scores, naive_judgement, naive_metrics
from tests.retrieval.teams import together


def clustered(seed: int, rows: int) -> Features:
    rng = np.random.default_rng(seed)
    pids = rng.integers(-1, 12, rows)
    vectors = np.random.default_rng(9).standard_normal((13, 24))[pids] + 1.1 * rng.standard_normal((rows, 24))
    columns = Columns.of(pids, rng.integers(0, 3, rows), rng.integers(0, 2, rows))
    return Features(vectors.astype(np.float32), columns)


QUERY, GALLERY = clustered(0, 40), clustered(1, 160)


def test_one_protocol_is_evaluate() -> None:
    answer = study(QUERY, GALLERY, Question(["market"]))
    expected = evaluate(Cosine(), QUERY, GALLERY, protocol("market"))
    assert answer.scores["market"].mAP == np.nanmean(expected.ap)
    assert answer.cameras == {}
    plain = json.loads(json.dumps(answer.as_dict(), allow_nan=False))
    assert plain["mAP"] == answer.scores["market"].mAP
    assert "protocols" not in plain


def test_everything_at_once() -> None:
    question = Question(
        ["cloth-changing", "market", "market"], expand="aqe", rerank=Reranking(k1=8, k2=3), ranks=(1, 3), cameras=True
    )
    answer = study(QUERY, GALLERY, question)
    assert list(answer.scores) == ["cloth-changing", "market"]
    expanded, gallery = EXPANSIONS["aqe"](QUERY, GALLERY)
    kind = rerank(Cosine(), expanded, gallery, k1=8, k2=3)
    found = positions(kind, expanded, gallery, [protocol("market")])
    scores = answer.scores["market"]
    assert scores.mAP == np.nanmean(found.judge("market").ap)
    assert (scores.rerank, scores.expand, list(scores.cmc)) == (True, "aqe", [1, 3])
    np.testing.assert_array_equal(answer.cameras["market"].mAP, found.cameras("market").mAP)
    text = answer.text()
    assert text.index("protocol cloth-changing") < text.index("by camera") < text.index("protocol market")
    assert set(json.loads(json.dumps(answer.as_dict(), allow_nan=False))["protocols"]) == {"cloth-changing", "market"}


@pytest.mark.parametrize("rerank", [None, Reranking(k1=8, k2=3)])
def test_a_team_gets_the_same_answer(rerank: Reranking | None) -> None:
    question = Question(["market", "no-camera"], expand="dba", rerank=rerank)
    alone = study(QUERY, GALLERY, question)
    for answer in together(2, lambda team: study(QUERY, GALLERY, question, team=team)):
        assert answer.scores == alone.scores


def test_mistakes_are_named() -> None:
    for question, sentence in (
        (Question(["markt"]), "unknown protocol 'markt', did you mean 'market'"),
        (Question(["market"], scorer="cosin"), "unknown scorer 'cosin'"),
        (Question(["market"], expand="aqee"), "unknown expansion 'aqee', did you mean 'aqe'"),
        (Question(["market"], scorer="euclidean", expand="aqe"), "by 'euclidean'; leave them out"),
        (Question(["market"], scorer="euclidean", rerank=Reranking()), "by 'euclidean'; leave them out"),
        (Question(["market"], rerank=Reranking(k1=0)), "re-ranking by k1 0, k2 6, lambda 0.3: k1 and k2 are whole"),
        (Question(["market"], rerank=Reranking(lam=7)), "lambda 7: k1 and k2 are whole"),
        (Question(["market"], ranks=(0, 1)), "rank-0 cannot be read"),
        (Question(["market"], index="flt", rerank=Reranking()), "'flt'"),
    ):
        with pytest.raises(UserError, match=sentence):
            study(QUERY, GALLERY, question)


def read(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", errors="surrogateescape", newline="") as file:
        return list(csv.DictReader(file))


@pytest.mark.parametrize("name", ["market", "cloth-changing"])
def test_lists_show_the_best_without_junk(name: str, tmp_path: Path) -> None:
    query = Cache(QUERY, [f"q{row}.jpg" for row in range(40)])
    gallery = Cache(GALLERY, [b"g\xe9.jpg".decode("utf-8", "surrogateescape")] * 160)
    write_lists(tmp_path / "top.csv", study(QUERY, GALLERY, Question([name])), query.paths, gallery.paths, 5)
    lines = read(tmp_path / "top.csv")
    assert list(lines[0]) == HEADER
    assert lines[0]["gallery_path"] == gallery.paths[0]
    scores = exact_scores(Cosine(), QUERY, GALLERY)
    for row in range(40):
        kinds = [naive_judgement(name, QUERY.columns, row, GALLERY.columns, item) for item in range(160)]
        order = [item for item in np.argsort(-scores[row], kind="stable") if kinds[item] is not None][:5]
        mine = [line for line in lines if int(line["query"]) == row]
        assert [int(line["gallery"]) for line in mine] == order
        assert [int(line["rank"]) for line in mine] == [1, 2, 3, 4, 5]
        assert [line["correct"] == "1" for line in mine] == [kinds[item] == "good" for item in order]
        assert float(mine[0]["score"]) == pytest.approx(scores[row, order[0]], abs=1e-5)
        assert mine[0]["query_path"] == f"q{row}.jpg"


@pytest.mark.parametrize(
    "question",
    [Question(["market"], expand="dba"), Question(["market"], expand="aqe", rerank=Reranking(k1=8, k2=3))],
)
def test_lists_are_of_the_ranking_that_was_judged(question: Question, tmp_path: Path) -> None:
    """Pictures that are not shown take part in expansion and re-ranking in both."""
    answer = study(QUERY, GALLERY, question)
    write_lists(tmp_path / "top.csv", answer, [""] * 40, [""] * 160, 160)
    precisions = []
    for row in range(40):
        hits = [line["correct"] == "1" for line in read(tmp_path / "top.csv") if int(line["query"]) == row]
        if any(hits):
            precisions.append(naive_metrics(hits)[0])
    assert np.mean(precisions) == pytest.approx(answer.scores["market"].mAP, rel=1e-12)


def test_one_protocol_without_anything_to_find_does_not_spoil_the_others() -> None:
    bare = Features(GALLERY.vectors, Columns.of(GALLERY.columns.pids, GALLERY.columns.camids))
    answer = study(QUERY, bare, Question(["cloth-changing", "market"], cameras=True))
    assert list(answer.scores) == list(answer.cameras) == ["market"]
    assert "needs the column clothes" in answer.problems["cloth-changing"]
    assert answer.text().endswith(answer.problems["cloth-changing"])
    assert answer.as_dict()["problems"] == answer.problems
    with pytest.raises(UserError, match="in the gallery it is known of no picture: use the protocol 'market'"):
        study(QUERY, bare, Question(["cloth-changing"]))


def test_scores_that_carry_the_name_of_others() -> None:
    question = Question(["celeb", "market", "deepchange"], dataset="market", own="market")
    answer = study(QUERY, GALLERY, question)
    told = answer.as_dict()["warnings"]
    assert [sentence.split("'")[1] for sentence in told] == ["celeb", "deepchange"]
    assert answer.text().splitlines()[-2:] == [f"warning: {sentence}" for sentence in told]
    for fine in (Question(["market"], dataset="market", own="market"), Question(["celeb"])):
        answer = study(QUERY, GALLERY, fine)
        assert "warnings" not in answer.as_dict()
        assert "warning" not in answer.text()


def test_what_was_done_is_told() -> None:
    question = Question(["market"], expand="aqe", rerank=Reranking(k1=8, k2=3, lam=0.5), index="flat")
    answer = study(QUERY, GALLERY, question)
    assert answer.text().startswith(
        "with k1 8, k2 3, lambda 0.5, index flat\nprotocol market, cosine scores, expansion"
    )
    told = answer.as_dict()
    assert (told["k1"], told["k2"], told["lambda"], told["index"]) == (8, 3, 0.5, "flat")
    assert "k1" not in study(QUERY, GALLERY, Question(["market"])).as_dict()


def test_widths_that_do_not_fit_are_one_sentence() -> None:
    other = Features(GALLERY.vectors[:, :20], GALLERY.columns)
    for question in (
        Question(["market"]),
        Question(["market"], expand="dba"),
        Question(["market"], rerank=Reranking()),
    ):
        with pytest.raises(UserError, match=r"do not fit: \(24,\) and \(20,\) numbers a row"):
            study(QUERY, other, question)
