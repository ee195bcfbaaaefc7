"""`eval.py --conditional` from end to end: chosen on held-out people, used at the test, refused where it cannot be."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F

import engine.conditional as module
from common.errors import UserError
from configs.loader import parse
from engine.checkpoint import load_checkpoint
from engine.conditional import GRID, KEY, Choice, Plan, best_of, choice_of
from engine.maps import Maps
from modeling.methods import build_embedder, options_of
from modeling.methods.cacenet_network import ConditionalEmbedder
from retrieval.columns import Ints
from retrieval.files.feature_file import read_features
from retrieval.protocols import protocol
from retrieval.ranking.results import Scores
from retrieval.reranking.conditional import Conditional
from retrieval.streaming.exact import Doubles
from retrieval.study import Question
from tests.doors import Doors, Outcome, shell
from tests.engine.toys import ToyEmbedder
from tests.retrieval.naive import naive_evaluation

FACTS: dict[str, object] = {
    **Conditional(50, 0.5, 0.1).as_dict(),
    **{"dataset": "street-validation", "fingerprint": "abc", "flip": True, "protocol": "market"},
    **{"mAP": 0.5, "individual mAP": 0.25},
}
"""A choice on a card."""
KEYS = ("method=cacenet", "options.width=16", "options.group=8", "options.non_local=false", "optimizer.lr=1.0e-3")


@pytest.fixture
def run(tiny: Path, doors: Doors, tmp_path: Path) -> Path:
    """A run's folder, with two people held out."""
    outcome = doors.train("cpu", tiny, *KEYS, "train.epochs=1", "data.validation=0.25")
    assert outcome.status == 0, outcome.said
    return tmp_path / "checkpoints" / "tiny"


def told(outcome: Outcome) -> dict[str, object]:
    assert outcome.status == 0, outcome.said
    answer: dict[str, object] = json.loads(outcome.out)
    return answer


def moved(run: Path) -> Path:
    """Its best checkpoint with a graph that does something, as after a longer training."""
    path = run / "best.pt"
    parts = torch.load(path, weights_only=True)
    torch.manual_seed(0)
    weight = parts["model"]["graph.out.weight"]
    parts["model"]["graph.out.weight"] = 3 * torch.randn_like(weight)
    torch.save(parts, path)
    return path


class Knowing:
    """In the place of a network: pictures of one person are as near as can be, others as far."""

    def __init__(self, _: object, query: Maps, gallery: Maps, *__: object) -> None:
        self.pids = [self.people(query), self.people(gallery)]

    def __call__(self, queries: Ints, gallery: Ints) -> Doubles:
        same: Doubles = np.where(self.pids[0][queries] == self.pids[1][gallery], 0.0, 2.0)
        return same

    def people(self, maps: Maps) -> Ints:
        """Of the features beside which the maps lie."""
        assert isinstance(maps.array, np.memmap)
        folder = Path(str(maps.array.filename)).parent
        return read_features(folder.parents[1] / folder.name).features.columns.pids


def test_the_numbers_are_those_of_pictures_one_pair_after_the_other(
    run: Path, street: Path, doors: Doors, tmp_path: Path
) -> None:
    path = moved(run)
    answer = told(doors.evaluate("cpu", path, "--conditional", "1000,0.6,1", "--json"))
    plain = told(doors.evaluate("cpu", path, "--json"))
    paired = answer.pop("conditional")
    assert isinstance(paired, dict)
    assert answer == plain
    assert (paired["k"], paired["lambda"], paired["hardest"]) == (1000, 0.6, 1)
    assert paired["origin"] == "as given on the command line"
    assert paired["scorer"] == "cosine, then conditional"

    checkpoint = load_checkpoint(path)
    embedder = build_embedder(parse(checkpoint.card["config"], options_of))
    assert isinstance(embedder, ConditionalEmbedder)
    embedder.load_state_dict(checkpoint.model)
    embedder.eval()
    folder = tmp_path / "features" / "tiny" / "best" / "street"
    query, gallery = (read_features(folder / name) for name in ("query", "gallery"))
    maps = [np.load(folder / "maps" / name / "maps.npy").astype(np.float32) for name in ("query", "gallery")]
    vectors = [F.normalize(torch.from_numpy(np.array(of.features.vectors)).double()) for of in (query, gallery)]
    scores = -0.4 * torch.cdist(vectors[0], vectors[1]).numpy()
    with torch.no_grad():
        for i in range(len(maps[0])):
            for j in range(len(maps[1])):
                one, other = (torch.from_numpy(of) for of in (maps[0][i : i + 1], maps[1][j : j + 1]))
                pair = embedder.conditional(one, embedder.projected(one), other, embedder.projected(other))
                scores[i, j] -= 0.6 * float((F.normalize(pair[0]) - F.normalize(pair[1])).norm())
    expected = naive_evaluation(scores, query.features.columns, gallery.features.columns, protocol("market"))
    assert paired["mAP"] == pytest.approx(expected.ap[expected.valid].mean(), abs=1e-9)
    assert paired["mAP"] != answer["mAP"]


def test_chosen_on_held_out_people_and_used_at_the_test(
    run: Path, doors: Doors, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "PairScorer", Knowing)
    path = run / "best.pt"
    unknown = doors.evaluate("cpu", run, "--conditional")
    assert unknown.status == 1
    assert unknown.err.startswith(f"error: the card of {path} does not say how to score conditionally")
    assert "--validation --conditional" in unknown.err
    assert not (tmp_path / "features" / "tiny" / "best" / "street").exists()

    choosing = doors.evaluate("cpu", run, "--validation", "--conditional")
    assert choosing.status == 0, choosing.said
    assert choosing.out.count("tried K,LAMBDA,HARDEST") == len(GRID) == 27
    assert "chosen on street-validation with mirrored pictures by protocol market, where mAP was" in choosing.out
    assert choosing.out.count("maps of 16 pictures") == 1
    facts = load_checkpoint(path).card[KEY]
    assert facts["mAP"] == 1 > facts["individual mAP"]
    chosen = Choice(facts)
    assert choice_of({KEY: facts}) == chosen
    again = told(doors.evaluate("cpu", run, "--validation", "--conditional", str(chosen.how), "--json"))
    assert isinstance(again["conditional"], dict)
    assert (again["mAP"], again["conditional"]["mAP"]) == (facts["individual mAP"], facts["mAP"])
    assert "kept" not in again["conditional"]
    assert again["fingerprint"] == facts["fingerprint"]

    tested = doors.evaluate("cpu", run, "--conditional")
    assert tested.status == 0, tested.said
    assert f"conditional scores by K,LAMBDA,HARDEST {chosen.how}, {chosen.sentence()}" in tested.out
    assert tested.out.count("rank-20") == 2
    assert "street-validation" in tested.out
    second = doors.evaluate("cpu", path, "--conditional")
    assert "maps of" not in second.out
    assert second.out.splitlines()[-1] == tested.out.splitlines()[-1]
    given = doors.evaluate("cpu", path, "--conditional", "5,0.5,0.5")
    assert "K,LAMBDA,HARDEST 5,0.5,0.5, as given on the command line" in given.out
    assert load_checkpoint(path).card[KEY] == facts
    once_more = told(doors.evaluate("cpu", path, "--validation", "--conditional", "--json"))["conditional"]
    assert isinstance(once_more, dict)
    assert once_more["kept"] is True
    assert len(once_more["tried"]) == 27


def test_what_is_no_better_is_not_kept(
    run: Path, doors: Doors, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One place alone leaves every ranking as it is."""
    monkeypatch.setattr(module, "GRID", [Conditional(1, 0.5, 1.0)])
    path = moved(run)
    asked = ("cpu", path, "--validation", "--conditional")
    card = load_checkpoint(path).card
    answer = told(doors.evaluate(*asked, "--json"))
    paired = answer["conditional"]
    assert isinstance(paired, dict)
    assert paired["kept"] is False
    assert paired["tried"] == [
        {"k": 1, "lambda": 0.5, "hardest": 1.0, "mAP": answer["mAP"], "rank-1": answer["rank-1"]},
    ]
    assert paired["origin"].startswith("the best on street-validation with mirrored pictures by protocol market, where")
    assert paired["origin"].endswith(f"so nothing is kept, and the card of {path} says nothing of it")
    assert load_checkpoint(path).card == card

    parts = torch.load(path, weights_only=True)
    parts["card"][KEY] = FACTS
    torch.save(parts, path)
    outcome = doors.evaluate(*asked)
    assert outcome.out.count("tried K,LAMBDA,HARDEST") == 1
    assert f"nothing is kept, and the card of {path} still says 50,0.5,0.1" in outcome.out
    assert load_checkpoint(path).card == {**card, KEY: FACTS}


def test_mistakes_are_sentences(run: Path, doors: Doors, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """All but the last before anything that takes long."""
    asked = ("--conditional", "50,0.5,0.1")
    for arguments, sentence in (
        ((*asked, "--calibrate"), "--calibrate finds a threshold for two pictures alone"),
        ((*asked, "--rerank"), "does not go together with re-ranking, expansion"),
        ((*asked, "--expand", "aqe"), "does not go together with re-ranking, expansion"),
        (("--conditional", "50,0.5"), "'50,0.5' is not K,LAMBDA,HARDEST"),
        (("--conditional", "0,0.5,0.1"), "'0,0.5,0.1' is not K,LAMBDA,HARDEST"),
        (("--conditional", "5,0.5,x"), "'5,0.5,x' is not K,LAMBDA,HARDEST"),
        (("--conditional", "5,0.5,0"), "'5,0.5,0' is not K,LAMBDA,HARDEST"),
    ):
        outcome = doors.evaluate("cpu", run, *arguments)
        assert outcome.status != 0
        assert sentence in outcome.err
        assert "Traceback" not in outcome.said
    outcome = doors.evaluate("cpu", "--conditional", run)
    assert f"'{run}' is not K,LAMBDA,HARDEST" in outcome.err
    assert "a checkpoint comes before --conditional" in outcome.err
    (run / "best.pt").chmod(0o444)
    outcome = doors.evaluate("cpu", run, "--validation", "--conditional")
    assert "read-only, and --validation --conditional writes to its card" in outcome.err
    assert not (tmp_path / "features").exists()

    def changed(*_: object) -> None:
        raise UserError("somebody else wrote it")

    (run / "best.pt").chmod(0o644)
    monkeypatch.setattr(module, "GRID", GRID[:1])
    monkeypatch.setattr(module, "change", changed)
    monkeypatch.setattr(module, "PairScorer", Knowing)
    outcome = doors.evaluate("cpu", run, "--validation", "--conditional")
    assert (outcome.status, outcome.err) == (1, "error: somebody else wrote it\n")


def test_a_network_that_cannot() -> None:
    with pytest.raises(UserError, match=r"'tiny' \(baseline\) compares pictures one by one and not given each other"):
        Plan.of(
            Path("best.pt"), {"name": "tiny", "method": "baseline"}, ToyEmbedder(), Question(["market"]), None, False
        )


@pytest.mark.parametrize(
    "broken",
    [
        *(7, None, {"k": 5}, [3]),
        *({**FACTS, "k": k} for k in (0, "50", 50.0, True, None)),
        *({**FACTS, "lambda": lam} for lam in ("0.5", -0.1, 1.1, float("nan"), [0.5], torch.tensor(0.5))),
        *({**FACTS, "hardest": share} for share in (0.0, 2, None, False)),
        *({**FACTS, name: 3} for name in ("dataset", "fingerprint", "flip", "protocol")),
        *({**FACTS, name: value} for name in ("mAP", "individual mAP") for value in ("1", None, 50.0, float("nan"))),
        *({name: FACTS[name] for name in FACTS if name != lacking} for lacking in FACTS),
    ],
)
def test_a_choice_of_another_version_is_passed_over(broken: object) -> None:
    assert choice_of({KEY: broken}) is None
    assert choice_of({}) is None
    for understood in (FACTS, {**FACTS, "lambda": 1, "hardest": 1, "mAP": 1, "more": [7]}):
        choice = choice_of({KEY: understood})
        assert choice is not None
        assert choice.facts == understood


def test_the_best_and_of_equal_ones_the_cheapest() -> None:
    def scored(mAP: float) -> Scores:
        return Scores(mAP, 0, 0, {1: 0.5}, 1, 1, 1, "market", "cosine", rerank=False)

    equal = [(how, scored(0.5)) for how in GRID]
    assert best_of(equal) == Conditional(20, 0.25, 0.05)
    better = [(how, scored(0.6 if how == Conditional(100, 0.75, 1.0) else 0.5)) for how in GRID]
    assert best_of(better) == Conditional(100, 0.75, 1.0)
    first = GRID[0]
    assert all(how.k <= first.k and how.hardest <= first.hardest for how in GRID)


@pytest.mark.dist
@pytest.mark.slow
def test_two_processes_choose_and_score_alike(tiny_resnet: Path, doors: Doors, tmp_path: Path) -> None:
    trained = doors.train("cpu", tiny_resnet, *KEYS, "train.epochs=1", "data.validation=0.25")
    assert trained.status == 0, trained.said
    path = moved(tmp_path / "checkpoints" / "tiny")
    answers, maps = [], []
    for devices in ("cpu", "cpu,cpu"):
        features = tmp_path / devices
        asked = ("--validation", "--conditional", "--json", "--features", features)
        judged = shell("python3", "eval.py", devices, path, *asked)
        assert judged.status == 0, judged.said
        answer = json.loads(judged.out)
        del answer["features"]
        answers.append((answer, load_checkpoint(path).card.get(KEY)))
        maps.append(np.load(features / "tiny" / "best" / "street-validation" / "maps" / "gallery" / "maps.npy"))
    assert answers[0] == answers[1]
    np.testing.assert_array_equal(maps[0], maps[1])
