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
from modeling.methods import build_embedder, options_of
from modeling.methods.cacenet_network import ConditionalEmbedder
from retrieval.files.feature_file import read_features
from retrieval.protocols import protocol
from retrieval.ranking.results import Scores
from retrieval.reranking.conditional import Conditional
from retrieval.study import Question
from tests.doors import Doors, Outcome, shell
from tests.engine.toys import ToyEmbedder
from tests.retrieval.naive import naive_evaluation

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


def test_chosen_on_held_out_people_and_used_at_the_test(run: Path, doors: Doors, tmp_path: Path) -> None:
    path = moved(run)
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
    chosen = Choice(facts)
    again = told(doors.evaluate("cpu", run, "--validation", "--conditional", str(chosen.how), "--json"))
    assert isinstance(again["conditional"], dict)
    assert (again["mAP"], again["conditional"]["mAP"]) == (facts["individual mAP"], facts["mAP"])
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
    ):
        outcome = doors.evaluate("cpu", run, *arguments)
        assert outcome.status != 0
        assert sentence in outcome.err
        assert "Traceback" not in outcome.said
    (run / "best.pt").chmod(0o444)
    outcome = doors.evaluate("cpu", run, "--validation", "--conditional")
    assert "read-only, and --validation --conditional writes to its card" in outcome.err
    assert not (tmp_path / "features").exists()

    def changed(*_: object) -> None:
        raise UserError("somebody else wrote it")

    (run / "best.pt").chmod(0o644)
    monkeypatch.setattr(module, "GRID", GRID[:1])
    monkeypatch.setattr(module, "change", changed)
    outcome = doors.evaluate("cpu", run, "--validation", "--conditional")
    assert (outcome.status, outcome.err) == (1, "error: somebody else wrote it\n")


def test_a_network_that_cannot() -> None:
    with pytest.raises(UserError, match=r"'tiny' \(baseline\) compares pictures one by one and not given each other"):
        Plan.of(
            Path("best.pt"), {"name": "tiny", "method": "baseline"}, ToyEmbedder(), Question(["market"]), None, False
        )


@pytest.mark.parametrize("broken", [7, None, {"k": 5}, [3]])
def test_a_choice_of_another_version_is_passed_over(broken: object) -> None:
    assert choice_of({KEY: broken}) is None
    assert choice_of({}) is None


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
        answers.append((answer, load_checkpoint(path).card[KEY]))
        maps.append(np.load(features / "tiny" / "best" / "street-validation" / "maps" / "gallery" / "maps.npy"))
    assert answers[0] == answers[1]
    np.testing.assert_array_equal(maps[0], maps[1])
