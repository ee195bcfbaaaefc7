"""What is trained on, and every reason why a target cannot be adapted to."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from common.errors import UserError
from configs.loader import load
from configs.schema import Config
from data.training_set import TrainingSet
from engine.preparation import Prepared, prepare
from modeling.methods import METHODS, options_of
from tests.engine.adapting import KEYS, Adapting, write_elsewhere
from tests.engine.toys import split_of


@pytest.fixture(scope="module")
def elsewhere(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_elsewhere(tmp_path_factory.mktemp("elsewhere") / "street")


@pytest.fixture(autouse=True)
def _adapting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(METHODS, "adapting", Adapting)


@pytest.fixture
def config(tiny: Path) -> Any:
    """`config(key, …)`: the tiny configuration with some keys changed."""
    return lambda *keys: load(tiny, keys, options_of)


def refused(config: Config, world: int = 1) -> str:
    with pytest.raises(UserError) as refusal:
        prepare(config, world)
    return str(refusal.value)


def table(folder: Path, train: str, cameras: tuple[int | str, ...] = (0, 1)) -> Path:
    """A table of 4 training pictures (or none) and 2 to judge by."""
    split_of(folder, "all", [0] * 6, [0] * 6)
    rows = [f"all/{n}.png,{n % 2},{cameras[n % 2]},train" for n in range(4)] if train else []
    rows += ["all/4.png,7,0,query", "all/5.png,7,1,gallery"]
    (folder / "list.csv").write_text("\n".join(["path,pid,camid,split", *rows]) + "\n")
    return folder


def learned(prepared: Prepared) -> list[tuple[object, ...]]:
    return [(part["name"], part["images"], part["labels"]) for part in prepared.trained_on]


def test_one_source(config: Any) -> None:
    prepared = prepare(config(), 1)
    [source] = prepared.sources
    assert prepared.target is source
    assert prepared.datasets == (source,)
    assert prepared.pictures == source.train.fingerprint()
    assert prepared.source == {"name": "street", "fingerprint": source.fingerprint()}
    assert prepared.target_fingerprint == source.fingerprint()
    assert learned(prepared) == [("street", 64, True)]


def test_another_target_is_judged_and_not_learned_from(config: Any, elsewhere: Path) -> None:
    alone = prepare(config(), 1)
    prepared = prepare(config("data.target=street", f"data.target_root={elsewhere}"), 1)
    assert [len(dataset.train) for dataset in prepared.datasets] == [64, 36]
    assert len(prepared.training_set) == 64
    assert prepared.pictures == alone.pictures
    assert learned(prepared) == [("street", 64, True)]
    assert prepared.target_fingerprint != alone.target_fingerprint


def test_several_sources(config: Any, street: Path, elsewhere: Path) -> None:
    keys = ["data.source=[street,street]", f"data.root=[{street},{elsewhere}]", "data.target=street"]
    prepared = prepare(config(*keys, f"data.target_root={elsewhere}"), 1)
    assert prepared.target is prepared.sources[1]
    assert prepared.datasets == prepared.sources
    assert prepared.training_set.num_classes == 8 + 6
    assert learned(prepared) == [("street", 64, True), ("street", 36, True)]
    assert prepared.source["name"] == "street + street"
    assert prepared.target_fingerprint == prepared.source_fingerprints[1]
    assert len({prepared.pictures, prepare(config(), 1).pictures, *prepared.source_fingerprints}) == 4
    turned = [keys[0], f"data.root=[{elsewhere},{street}]", *keys[2:], f"data.target_root={elsewhere}"]
    assert prepare(config(*turned), 1).pictures != prepared.pictures


def test_people_who_are_held_out_are_not_learned_from(config: Any, street: Path, elsewhere: Path) -> None:
    whole = prepare(config(), 1)
    prepared = prepare(config("data.validation=0.25"), 1)
    [held_out] = prepared.validation
    assert prepared.sources[0].train.fingerprint() == whole.sources[0].train.fingerprint()
    assert prepared.target is prepared.sources[0]
    assert prepared.training_set.splits == (held_out.train,)
    assert prepared.training_set.num_classes == 6
    assert learned(prepared) == [("street", 48, True)]
    trained, judged = set(held_out.train.pids.tolist()), set(held_out.gallery.pids.tolist())
    assert len(trained) == 6
    assert trained | judged == set(whole.sources[0].train.pids.tolist())
    assert not trained & judged
    assert prepared.pictures == held_out.train.fingerprint() != whole.pictures
    assert whole.judged == {"set": "target", "name": "street", "fingerprint": whole.target_fingerprint}
    assert whole.judged_on == "the target's query and gallery"
    assert prepared.judged == {
        "set": "validation",
        "name": "street-validation",
        "fingerprint": held_out.fingerprint(),
    }
    assert prepared.judged_on == "2 held-out people of street"
    again, other = (prepare(config("data.validation=0.25", f"seed={seed}"), 1) for seed in (1, 2))
    assert again.judged == prepared.judged
    assert other.judged != prepared.judged
    adapting = prepare(config(*KEYS, f"data.target_root={elsewhere}", "data.validation=0.25"), 1)
    assert learned(adapting) == [("street", 48, True), ("street", 36, False)]
    assert adapting.validation[0].notes[-1].startswith("the target has no labels to choose epochs by")
    assert not any("no labels" in note for note in held_out.notes)


def test_several_sources_found_by_their_names(
    config: Any, street: Path, elsewhere: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REID_ROOT_MARKET", str(street))
    monkeypatch.setenv("REID_ROOT_DUKE", str(elsewhere))
    keys = ["data.source=[market,duke]", "data.target=duke"]
    prepared = prepare(config(*keys, "data.root="), 1)
    assert learned(prepared) == [("market", 64, True), ("duke", 36, True)]
    assert prepared.target is prepared.sources[1]
    other = prepare(config(*keys, f"data.root=[null,{street}]"), 1)
    assert learned(other) == [("market", 64, True), ("duke", 64, True)]


def test_a_target_to_adapt_to_comes_after_the_sources_and_without_identities(config: Any, elsewhere: Path) -> None:
    prepared = prepare(config(*KEYS, f"data.target_root={elsewhere}"), 1)
    rows = prepared.training_set
    assert learned(prepared) == [("street", 64, True), ("street", 36, False)]
    assert rows.domain.tolist() == [0] * 64 + [1] * 36
    assert rows.labels[64:].tolist() == [-1] * 36
    assert rows.num_classes == 8
    assert (rows.camids >= 0).all()
    assert len(np.unique(rows.hidden_labels()[64:])) == 6
    alone, both = TrainingSet.of([prepared.sources[0].train]), TrainingSet.of([prepared.target.train])
    assert len({prepared.pictures, alone.fingerprint(), both.fingerprint()}) == 3


def test_batches_and_the_method_must_agree(config: Any, elsewhere: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target = ["data.target=street", f"data.target_root={elsewhere}"]
    for kind in ("identity", "random"):
        said = refused(config("method=adapting", f"batches.kind={kind}", *target))
        assert said == (
            f"method 'adapting' learns from source and target at once, and batches.kind={kind} does not hold both;"
            " set batches.kind=domains"
        )
    said = refused(config("batches.kind=domains", *target))
    assert said.startswith("batches.kind=domains is half source and half target, and method 'baseline' learns from the")
    assert "set batches.kind=identity or random, or choose a method that adapts: " in said
    assert said.endswith("adapting")
    monkeypatch.setattr(Adapting, "adapts", False)
    assert "adapting" not in refused(config("batches.kind=domains", *target))


def test_processes_share_both_halves(config: Any, elsewhere: Path) -> None:
    keys = [*KEYS, f"data.target_root={elsewhere}", "batches.size=18"]
    assert "batches.size=18 cannot be half" in refused(config(*keys), world=2)
    assert len(prepare(config(*keys), 3).training_set) == 100


def test_the_target_is_not_the_source(config: Any, street: Path, elsewhere: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(street, copy)
    several = ["data.source=[street,street]", f"data.root=[{street},{elsewhere}]", f"data.target_root={elsewhere}"]
    for keys in (
        ["data.target="],
        [f"data.target_root={street}"],
        [f"data.target_root={copy}"],
        ["data.target=market", f"data.target_root={copy}"],
        several,
    ):
        said = refused(config(*KEYS, *keys))
        assert said.startswith("method 'adapting' adapts to the target's training pictures, and the target '")
        assert "is what it learns from as the source; set data.target (and data.target_root) to another" in said


def test_a_target_without_training_pictures(config: Any, tmp_path: Path) -> None:
    root = table(tmp_path / "set", train="")
    said = refused(config(*KEYS, "data.target=csv", f"data.target_root={root}"))
    assert said == (
        f"method 'adapting' adapts to the target's training pictures, and dataset 'csv' at {root} has none; choose"
        " another data.target, or a method that does not adapt"
    )
    assert prepare(config("data.target=csv", f"data.target_root={root}"), 1).target.name == "csv"


def test_a_target_whose_cameras_nobody_knows(config: Any, tmp_path: Path) -> None:
    root = table(tmp_path / "set", train="yes", cameras=(0, ""))
    keys = [*KEYS, "data.target=csv", f"data.target_root={root}"]
    said = refused(config(*keys))
    assert said.startswith(
        "method 'adapting' needs to know the camera of every target picture, and dataset 'csv' does not tell it of 2 of"
        " 4 training pictures; methods that do not: baseline"
    )
    prepared = prepare(config(*keys, "options.cameras=false"), 1)
    assert prepared.training_set.camids[64:].tolist().count(-1) == 2
    whole = table(tmp_path / "whole", train="yes")
    assert len(prepare(config(*keys, f"data.target_root={whole}"), 1).training_set) == 68
