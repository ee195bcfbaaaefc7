"""Checkpoints chosen on held-out people, from end to end: the test set is judged once, and nothing is chosen by it."""

from __future__ import annotations

import json
import shutil
import signal
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

import engine.training as training
from data.catalog import find
from data.samples import Dataset
from engine.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from engine.evaluation import evaluate_network, validation_of
from modeling.methods import METHODS
from modeling.methods.method import Embedder
from retrieval.ranking.results import Scores
from tests.doors import Doors
from tests.engine.adapting import KEYS, Adapting, write_elsewhere

HELD_OUT = "data.validation=0.25"
"""2 of the street's 8 people."""


@pytest.fixture(scope="module")
def elsewhere(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_elsewhere(tmp_path_factory.mktemp("elsewhere") / "street")


@pytest.fixture
def judged(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, dict[str, Tensor]]]:
    """Every evaluation in training: the dataset, and the weights of the network."""
    calls: list[tuple[str, dict[str, Tensor]]] = []

    def noting(embedder: Embedder, dataset: Dataset, *how: Any) -> Scores:
        calls.append((dataset.name, {name: value.clone() for name, value in embedder.state_dict().items()}))
        return evaluate_network(embedder, dataset, *how)

    monkeypatch.setattr(training, "evaluate_network", noting)
    return calls


def evaluations(folder: Path, run: str = "tiny", event: str = "evaluation") -> list[dict[str, Any]]:
    lines = (folder / "logs" / run / "metrics.jsonl").read_text().splitlines()
    return [told for told in map(json.loads, lines) if told["event"] == event]


def learned(path: Path) -> dict[str, Tensor]:
    checkpoint = load_checkpoint(path)
    return {**checkpoint.model, **checkpoint.training["method"]}


def same(left: dict[str, Tensor], right: dict[str, Tensor]) -> bool:
    return left.keys() == right.keys() and all(torch.equal(left[name], right[name]) for name in left)


def test_the_best_is_chosen_by_held_out_people_and_the_test_set_is_judged_once(
    tiny: Path,
    street: Path,
    doors: Doors,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    judged: list[tuple[str, dict[str, Tensor]]],
) -> None:
    noting: Callable[..., Scores] = vars(training)["evaluate_network"]  # the fixture's
    given = iter([0.9, 0.2, 0.6, 0.4, 0.1])  # before training, of three epochs, and of the target

    def scripted(embedder: Embedder, dataset: Dataset, *how: Any) -> Scores:
        return replace(noting(embedder, dataset, *how), mAP=next(given))

    monkeypatch.setattr(training, "evaluate_network", scripted)
    outcome = doors.train("cpu", tiny, HELD_OUT, "train.epochs=3")
    assert outcome.status == 0, outcome.said
    assert [name for name, _ in judged] == ["street-validation"] * 4 + ["street"]

    run = tmp_path / "checkpoints" / "tiny"
    best = load_checkpoint(run / "best.pt")
    assert best.card["epoch"] == 2
    assert best.card["scores"]["mAP"] == 0.6
    assert best.card["best_by"] == "mAP on 2 held-out people of street"
    assert best.card["num_classes"] == 6
    assert [part["images"] for part in best.card["trained_on"]] == [48]
    assert same(judged[-1][1], best.model), "the target judges what was chosen, not the last epoch"
    assert not same(best.model, load_checkpoint(run / "epoch_0003.pt").model)

    told = [(line["epoch"], line["set"], line["dataset"], line["mAP"]) for line in evaluations(tmp_path)]
    assert told == [
        *((epoch, "validation", "street-validation", mAP) for epoch, mAP in enumerate([0.9, 0.2, 0.6, 0.4])),
        (2, "target", "street", 0.1),
    ]
    for sentence in (
        "best.pt: by mAP on 2 held-out people of street; the test set of street is judged once, at the end",
        "query and gallery are 2 of the 8 people of street to train on",
        "epoch 2 on 2 held-out people of street: mAP 60.00",
        f"{run / 'best.pt'} (epoch 2) on the target street: mAP 10.00",
        f"evaluate with: python3 eval.py cpu {run}\n",
    ):
        assert sentence in outcome.out
    held_out = validation_of(find("street", street), 0.25, seed=1)
    assert set(held_out.train.paths).isdisjoint([*held_out.query.paths, *held_out.gallery.paths])
    assert len(held_out.train) == 48


def test_without_it_everything_is_as_it_was(
    tiny: Path, doors: Doors, tmp_path: Path, judged: list[tuple[str, dict[str, Tensor]]]
) -> None:
    assert doors.train("cpu", tiny).status == 0
    assert [name for name, _ in judged] == ["street"] * 3
    assert [(line["epoch"], line["set"]) for line in evaluations(tmp_path)] == [(n, "target") for n in range(3)]
    run = tmp_path / "checkpoints" / "tiny"
    assert load_checkpoint(run / "best.pt").card["best_by"] == "mAP on the target's query and gallery"
    outcome = doors.evaluate("cpu", run)
    assert "best.pt of that run: by mAP on the target's query and gallery" in outcome.out
    refused = doors.evaluate("cpu", run, "--validation")
    assert refused.status == 1
    assert refused.err == (
        "error: the run 'tiny' held nobody out (data.validation=0); leave --validation out, or train with"
        " data.validation=0.1\n"
    )


def test_options_are_chosen_on_the_same_people(tiny: Path, street: Path, doors: Doors, tmp_path: Path) -> None:
    assert doors.train("cpu", tiny, HELD_OUT, "seed=3").status == 0
    run = tmp_path / "checkpoints" / "tiny"
    outcome = doors.evaluate("cpu", run, "--validation")
    assert outcome.status == 0, outcome.said
    assert "best.pt of that run: by mAP on 2 held-out people of street" in outcome.out
    assert "street-validation (protocol market)" in outcome.out
    told = json.loads(doors.evaluate("cpu", run, "--validation", "--json").out)
    scores = load_checkpoint(run / "best.pt").card["scores"]
    assert {name: told[name] for name in ("mAP", "rank-1", "queries", "gallery")} == {
        name: scores[name] for name in ("mAP", "rank-1", "queries", "gallery")
    }
    assert told["dataset"] == "street-validation"
    assert "with re-ranking" in doors.evaluate("cpu", run, "--validation", "--rerank", "--flip").out
    assert (tmp_path / "features" / "tiny" / "best" / "street-validation" / "query").is_dir()
    assert json.loads(doors.evaluate("cpu", run, "--json").out)["dataset"] == "street"

    copy = tmp_path / "copy"
    shutil.copytree(street, copy)
    assert doors.evaluate("cpu", run, "--validation", "--root", copy).status == 0
    sorted((copy / "bounding_box_train").iterdir())[0].unlink()
    changed = doors.evaluate("cpu", run, "--validation", "--root", copy)
    assert changed.status == 1
    assert "does not hold the pictures that the run 'tiny' held people out of" in changed.err
    other = doors.evaluate("cpu", run, "--validation", "--dataset", "market")
    assert "--validation judges on the people held out of one dataset that the run 'tiny' learned from" in other.err


def test_going_on_is_exact_and_with_the_same_people(
    tiny: Path, doors: Doors, tmp_path: Path, signalled: list[int]
) -> None:
    signalled.append(4)  # the first batch of epoch 2, of three batches each
    assert doors.train("cpu", tiny, HELD_OUT, "name=parts").status == 128 + signal.SIGTERM
    signalled.clear()
    for share, seed in ((0, 1), (0.5, 1), (0.25, 2)):
        other = doors.train("cpu", tiny, f"data.validation={share}", f"seed={seed}", "name=parts")
        assert other.status == 1
        key = "data.validation" if seed == 1 else "seed"
        assert f"was started with other settings than now ({key})" in other.err
    outcome = doors.train("cpu", tiny, HELD_OUT, "name=parts")
    assert outcome.status == 0, outcome.said
    assert "going on after 4 of 6 iterations" in outcome.out
    assert doors.train("cpu", tiny, HELD_OUT, "name=whole").status == 0
    runs = tmp_path / "checkpoints"
    for name in ("epoch_0002.pt", "best.pt"):
        assert same(learned(runs / "whole" / name), learned(runs / "parts" / name))
    whole, parts = evaluations(tmp_path, "whole"), evaluations(tmp_path, "parts")
    assert [(line["epoch"], line["set"]) for line in parts] == [(line["epoch"], line["set"]) for line in whole]
    assert [line["mAP"] for line in parts] == [line["mAP"] for line in whole]


def test_the_best_so_far_is_forgotten_with_the_pictures_it_was_judged_by(
    tiny: Path, street: Path, doors: Doors, tmp_path: Path
) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(street, copy)
    keys = [HELD_OUT, f"data.root={copy}", "train.best=rank-20"]  # which is 1 in every epoch
    run = tmp_path / "checkpoints" / "tiny"
    assert doors.train("cpu", tiny, *keys, "train.epochs=1").status == 0
    assert doors.train("cpu", tiny, *keys, f"data.target_root={street}", "train.epochs=2").status == 0
    assert load_checkpoint(run / "best.pt").card["epoch"] == 1, "it was not chosen by the target"
    held_out = validation_of(find("street", copy), 0.25, seed=1)
    victim = held_out.gallery.file(0)
    victim.write_bytes(victim.read_bytes() + b"0")
    assert doors.train("cpu", tiny, *keys, "train.epochs=3").status == 0
    assert load_checkpoint(run / "best.pt").card["epoch"] == 3


def test_a_checkpoint_of_before_people_were_held_out(tiny: Path, doors: Doors, tmp_path: Path) -> None:
    assert doors.train("cpu", tiny, "train.epochs=1").status == 0
    path = tmp_path / "checkpoints" / "tiny" / "epoch_0001.pt"
    new = load_checkpoint(path)
    card = {key: value for key, value in new.card.items() if key != "judged"}
    del card["config"]["data"]["validation"]
    save_checkpoint(Checkpoint(new.model, new.training, card), path)
    assert doors.evaluate("cpu", path).status == 0
    changed = doors.train("cpu", tiny, HELD_OUT)
    assert "other settings than now (data.validation)" in changed.err
    outcome = doors.train("cpu", tiny)
    assert outcome.status == 0, outcome.said
    assert "going on after 4 of 8 iterations" in outcome.out


def test_a_signal_while_the_target_is_judged(
    tiny: Path, doors: Doors, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def signalling(embedder: Embedder, dataset: Dataset, *how: Any) -> Scores:
        if dataset.name == "street":
            signal.raise_signal(signal.SIGTERM)
        return evaluate_network(embedder, dataset, *how)

    monkeypatch.setattr(training, "evaluate_network", signalling)
    before = signal.getsignal(signal.SIGTERM)
    try:
        outcome = doors.train("cpu", tiny, HELD_OUT)
    finally:
        signal.signal(signal.SIGTERM, before)
    assert outcome.status == 128 + signal.SIGTERM
    best = tmp_path / "checkpoints" / "tiny" / "best.pt"
    assert f"the target was not judged; python3 eval.py DEVICE {best} does that" in outcome.out
    assert doors.evaluate("cpu", best).status == 0


def test_of_several_sources_each_holds_people_out(
    tiny: Path, street: Path, elsewhere: Path, doors: Doors, tmp_path: Path
) -> None:
    sources = ["data.source=[street,market]", f"data.root=[{street},{elsewhere}]"]
    target = ["data.target=market", f"data.target_root={elsewhere}"]
    outcome = doors.train("cpu", tiny, *sources, *target, "data.validation=0.34", "train.epochs=1")
    assert outcome.status == 0, outcome.said
    on = "3 held-out people of street and 2 held-out people of market, on average"
    assert f"epoch 1 on {on}: mAP" in outcome.out
    run = tmp_path / "checkpoints" / "tiny"
    card = load_checkpoint(run / "best.pt").card
    assert card["best_by"] == f"mAP on {on}"
    assert card["num_classes"] == 5 + 4
    *_, last, target_line = evaluations(tmp_path)
    assert (last["set"], last["dataset"]) == ("validation", "street-validation + market-validation")
    assert (target_line["set"], target_line["dataset"]) == ("target", "market")
    parts = [part for part in evaluations(tmp_path, event="evaluation-part") if part["epoch"] == 1]
    assert [part["dataset"] for part in parts] == ["street-validation", "market-validation"]
    assert last["mAP"] == pytest.approx(sum(part["mAP"] for part in parts) / 2, abs=2e-6)
    assert last["queries"] == sum(part["queries"] for part in parts)

    which = doors.evaluate("cpu", run, "--validation")
    assert which.status == 1
    assert "(street, market); say which with --dataset NAME" in which.err
    for part, name in zip(parts, ("street", "market"), strict=True):
        told = json.loads(doors.evaluate("cpu", run, "--validation", "--dataset", name, "--json").out)
        assert told["mAP"] == pytest.approx(part["mAP"], abs=2e-6)


def test_two_sources_of_one_name(tiny: Path, street: Path, elsewhere: Path, doors: Doors, tmp_path: Path) -> None:
    sources = ["data.source=[street,street]", f"data.root=[{street},{elsewhere}]"]
    target = ["data.target=street", f"data.target_root={elsewhere}"]
    assert doors.train("cpu", tiny, *sources, *target, "data.validation=0.34", "train.epochs=1").status == 0
    run = tmp_path / "checkpoints" / "tiny"
    ambiguous = doors.evaluate("cpu", run, "--validation", "--dataset", "street")
    assert "and --root where a name comes twice" in ambiguous.err
    for root, gallery in ((street, 3), (elsewhere, 2)):
        outcome = doors.evaluate("cpu", run, "--validation", "--dataset", "street", "--root", root)
        assert outcome.status == 0, outcome.said
        assert f"are {gallery} of the" in outcome.out


def test_what_adapts_is_chosen_by_the_source(
    tiny: Path, elsewhere: Path, doors: Doors, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(METHODS, "adapting", Adapting)
    try:
        outcome = doors.train("cpu", tiny, *KEYS, f"data.target_root={elsewhere}", HELD_OUT, "train.epochs=1")
        assert outcome.status == 0, outcome.said
        assert {row for _, rows in Adapting.batches for row in rows} == set(range(48 + 36)), "all of the target"
        evaluated = doors.evaluate("cpu", tmp_path / "checkpoints" / "tiny", "--validation")
        assert evaluated.status == 0, evaluated.said
    finally:
        Adapting.batches.clear()
        Adapting.views.clear()
    assert "note: the target has no labels to choose epochs by: what is best here need not be best there" in outcome.out
    card = load_checkpoint(tmp_path / "checkpoints" / "tiny" / "best.pt").card
    assert [(part["images"], part["labels"]) for part in card["trained_on"]] == [(48, True), (36, False)]
    assert [line["set"] for line in evaluations(tmp_path)] == ["validation", "validation", "target"]


MISTAKES = {
    "too few": ("data.validation=0.1", "holds out 1 of the 8 people of dataset 'street', and at least 2 are needed"),
    "all of them": ("data.validation=0.99", "holds out all 8 people of dataset 'street' and leaves nobody to train on"),
    "no share": ("data.validation=1", "data.validation: Input should be less than 1"),
    "too few are left": ("data.validation=0.75", "needs 4 identities in a batch, the training set has 2"),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_one_sentence(mistake: str, tiny: Path, doors: Doors) -> None:
    key, sentence = MISTAKES[mistake]
    outcome = doors.train("cpu", tiny, key)
    assert outcome.status == 1
    assert outcome.err.startswith("error: ")
    assert sentence in outcome.err
    assert "Traceback" not in outcome.said
