"""Runs on several datasets from end to end: half source and half target, and several sources at once."""

from __future__ import annotations

import json
import shutil
import signal
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path

import pytest
import torch
from torch import Tensor

from common.contracts import Batch
from data.samples import Ints
from data.training_set import TrainingSet
from engine.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from modeling.methods import METHODS
from modeling.methods.method import Facts
from tests.doors import Doors
from tests.engine.adapting import KEYS, Adapting, write_elsewhere


@pytest.fixture(scope="module")
def elsewhere(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_elsewhere(tmp_path_factory.mktemp("elsewhere") / "street")


@pytest.fixture(autouse=True)
def _adapting(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setitem(METHODS, "adapting", Adapting)
    yield
    Adapting.batches.clear()
    Adapting.views.clear()


def learned(path: Path) -> dict[str, Tensor]:
    """All weights and running statistics."""
    checkpoint = load_checkpoint(path)
    return {**checkpoint.model, **checkpoint.training["method"]}


def assert_same(left: Path, right: Path) -> None:
    first, second = learned(left), learned(right)
    assert first.keys() == second.keys()
    assert [name for name in first if not torch.equal(first[name], second[name])] == []


def test_source_and_target_are_learned_from_in_halves(
    tiny: Path, elsewhere: Path, doors: Doors, tmp_path: Path
) -> None:
    outcome = doors.train("cpu", tiny, *KEYS, f"data.target_root={elsewhere}")
    assert outcome.status == 0, outcome.said
    assert "learning from street and street (without identities)" in outcome.out
    assert "(8 an epoch)" in outcome.out
    assert len(Adapting.batches) == 16
    for domain, _ in Adapting.batches:
        assert domain == [0] * 8 + [1] * 8
    for epoch in (Adapting.batches[:8], Adapting.batches[8:]):
        assert {row for _, rows in epoch for row in rows} == set(range(100)), "every picture of both"
    card = load_checkpoint(tmp_path / "checkpoints" / "tiny" / "epoch_0002.pt").card
    assert [(part["name"], part["images"], part["labels"]) for part in card["trained_on"]] == [
        ("street", 64, True),
        ("street", 36, False),
    ]
    assert [part["fingerprint"] for part in card["trained_on"]] == [
        card["source"]["fingerprint"],
        card["target"]["fingerprint"],
    ]
    assert card["num_classes"] == 8
    judged = doors.evaluate("cpu", tmp_path / "checkpoints" / "tiny" / "epoch_0002.pt", "--json")
    assert json.loads(judged.out)["mAP"] == card["scores"]["mAP"]
    assert json.loads(judged.out)["fingerprint"] == card["target"]["fingerprint"]


def test_adapting_goes_on_exactly_inside_an_epoch(
    tiny: Path, elsewhere: Path, doors: Doors, tmp_path: Path, signalled: list[int]
) -> None:
    keys = [*KEYS, f"data.target_root={elsewhere}"]
    signalled.append(11)  # the third batch of epoch 2
    assert doors.train("cpu", tiny, "name=parts", *keys).status == 128 + signal.SIGTERM
    signalled.clear()
    copy = tmp_path / "copy"
    shutil.copytree(elsewhere, copy)
    victim = sorted((copy / "bounding_box_train").iterdir())[0]
    content = victim.read_bytes()
    victim.write_bytes(content + b"0")
    other = doors.train("cpu", tiny, "name=parts", *KEYS, f"data.target_root={copy}")
    assert other.status == 1
    assert "was started on other training pictures or identities" in other.err
    victim.write_bytes(content)
    outcome = doors.train("cpu", tiny, "name=parts", *KEYS, f"data.target_root={copy}")
    assert outcome.status == 0, outcome.said
    assert "going on after 11 of 16 iterations" in outcome.out
    assert doors.train("cpu", tiny, "name=whole", *keys).status == 0
    runs = tmp_path / "checkpoints"
    assert_same(runs / "whole" / "epoch_0002.pt", runs / "parts" / "epoch_0002.pt")


def test_hidden_labels_are_for_looking_only(
    tiny: Path, elsewhere: Path, doors: Doors, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run ends as it would if the target's identities were others: nothing that learns has seen them."""
    keys = ["train.epochs=1", "data.target=street", f"data.target_root={elsewhere}"]

    def both(name: str) -> None:
        assert doors.train("cpu", tiny, f"name={name}-baseline", *keys).status == 0
        assert doors.train("cpu", tiny, f"name={name}-adapting", *KEYS, *keys).status == 0

    both("told")
    view = Adapting.views[-1]
    assert view.hidden_labels[:64].tolist() == [-1] * 64
    assert len(set(view.hidden_labels[64:].tolist())) == 6
    assert view.facts.labels[64:].tolist() == [-1] * 36
    with monkeypatch.context() as patch:
        patch.setattr(TrainingSet, "hidden_labels", _nonsense)
        both("nonsense")
    assert Adapting.views[-1].hidden_labels.tolist() == list(range(100))
    for method in ("baseline", "adapting"):
        names = (tmp_path / "checkpoints" / f"{name}-{method}" / "epoch_0001.pt" for name in ("told", "nonsense"))
        assert_same(*names)
    assert not any("hidden" in field.name for kind in (Facts, Batch) for field in fields(kind))


def _nonsense(rows: TrainingSet) -> Ints:
    return torch.arange(len(rows)).numpy()


def test_several_sources(tiny: Path, street: Path, elsewhere: Path, doors: Doors, tmp_path: Path) -> None:
    keys = [
        "data.source=[street,street]",
        f"data.root=[{street},{elsewhere}]",
        "data.target=market",
        f"data.target_root={elsewhere}",
    ]
    outcome = doors.train("cpu", tiny, "train.epochs=1", *keys)
    assert outcome.status == 0, outcome.said
    assert "learning from street and street\n" in outcome.out
    run = tmp_path / "checkpoints" / "tiny"
    card = load_checkpoint(run / "epoch_0001.pt").card
    assert card["num_classes"] == 14
    assert card["config"]["data"]["source"] == ["street", "street"]
    assert [part["images"] for part in card["trained_on"]] == [64, 36]
    assert card["source"]["name"] == "street + street"

    assert doors.train("cpu", run / "config.yml", "name=again").status == 0
    assert_same(run / "epoch_0001.pt", tmp_path / "checkpoints" / "again" / "epoch_0001.pt")
    copy = tmp_path / "copy"
    shutil.copytree(street, copy)
    going_on = doors.train("cpu", tiny, "train.epochs=2", *keys, f"data.root=[{copy},{elsewhere}]")
    assert going_on.status == 0, going_on.said
    turned = doors.train("cpu", tiny, "train.epochs=3", *keys, f"data.root=[{elsewhere},{street}]")
    assert "was started on other training pictures or identities" in turned.err
    fewer = doors.train("cpu", tiny, "train.epochs=3", *keys, "data.source=street", f"data.root={street}")
    assert "other settings than now (data.source)" in fewer.err

    judged = doors.evaluate("cpu", run / "epoch_0002.pt", "--json")
    assert json.loads(judged.out)["source"] == "street + street"
    elsewhere_too = doors.evaluate("cpu", run / "epoch_0002.pt", "--dataset", "street", "--root", street)
    assert elsewhere_too.status == 0, elsewhere_too.said


def test_mixup_between_sources(tiny: Path, street: Path, elsewhere: Path, doors: Doors, tmp_path: Path) -> None:
    keys = ["batches.kind=random", "options.triplet.weight=0", "train.epochs=2", "data.target=street"]
    sources = ["data.source=[street,street]", f"data.root=[{street},{elsewhere}]", f"data.target_root={street}"]
    one = doors.train("cpu", tiny, *keys, "options.mix=true")
    assert one.status == 1
    assert one.err.startswith("error: options.mix blends pictures of different sources, and there is one")
    for name, mix in (("plain", "false"), ("mixed", "true")):
        outcome = doors.train("cpu", tiny, *keys, *sources, f"name={name}", f"options.mix={mix}")
        assert outcome.status == 0, outcome.said
    runs = tmp_path / "checkpoints"
    plain, mixed = (load_checkpoint(runs / name / "epoch_0002.pt").model for name in ("plain", "mixed"))
    assert any(not torch.equal(plain[name], mixed[name]) for name in plain)


def test_several_sources_need_a_target(tiny: Path, street: Path, elsewhere: Path, doors: Doors) -> None:
    outcome = doors.train("cpu", tiny, "data.source=[street,street]", f"data.root=[{street},{elsewhere}]")
    assert outcome.status == 1
    assert "say with data.target what is evaluated" in outcome.err
    shown = doors.demo("data.source=[street,street]", f"data.root=[{street},{elsewhere}]", "data.target=market")
    assert shown.status == 1
    assert "the demo makes one street" in shown.err
    held_out = doors.demo("data.validation=0.2")
    assert held_out.status == 1
    assert "the demo compares before and after on its test people" in held_out.err


def test_a_checkpoint_of_before_there_were_several_sources(tiny: Path, doors: Doors, tmp_path: Path) -> None:
    assert doors.train("cpu", tiny, "train.epochs=1").status == 0
    path = tmp_path / "checkpoints" / "tiny" / "epoch_0001.pt"
    new = load_checkpoint(path)
    assert isinstance(new.card["config"]["data"]["source"], str)
    old = {key: value for key, value in new.card.items() if key != "trained_on"}
    save_checkpoint(Checkpoint(new.model, new.training, old), path)
    assert doors.evaluate("cpu", path).status == 0
    outcome = doors.train("cpu", tiny)
    assert outcome.status == 0
    assert "going on after 4 of 8 iterations" in outcome.out
