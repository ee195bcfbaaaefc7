"""Adapting to a city without labels, from end to end: what is learned from, what a run leaves, and how it goes on.

Run as `python3 -m tests.test_adaptation RANK FOLDER` it is one of the two processes that it compares with one.
"""

from __future__ import annotations

import gc
import json
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import ignite.distributed as idist
import numpy as np
import pytest
import torch
from torch import Tensor

import modeling.handlers.cross_domain_mixup as cross_domain_mixup
from common.contracts import Batch
from configs.loader import load
from engine.checkpoint import load_checkpoint
from engine.gradients import broadcast_state
from engine.handlers.batch_statistics import BatchStatistics
from modeling.backbones import BACKBONES
from modeling.memory import ExemplarMemory
from modeling.methods import options_of
from modeling.methods.cail import Cail
from tests.conftest import Toy
from tests.doors import ROOT, Doors, shell
from tests.engine.adapting import write_elsewhere
from tests.modeling.methods.test_cail import batches, cail, trained

STAGES = (
    "method=cail",
    "batches.kind=domains",
    "options.intra={weight: 1.0, from_epoch: 2}",
    "options.inter={weight: 0.5, from_epoch: 3}",
    "options.diagnose_every=1",
    "train.epochs=3",
    "train.evaluate_every=0",
)


@pytest.fixture(scope="module")
def elsewhere(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_elsewhere(tmp_path_factory.mktemp("elsewhere") / "street")


def table(
    folder: Path,
    city: Path,
    people: Sequence[int] | None = None,
    cameras: Sequence[object] | None = None,
    count: int = 36,
) -> tuple[str, str]:
    """The keys of a table of the city's pictures, where the training pictures are of other people, or cameras."""
    shutil.copytree(city, folder)
    lines = ["path,pid,camid,split"]
    for split, where in (("train", "bounding_box_train"), ("query", "query"), ("gallery", "bounding_box_test")):
        for number, path in enumerate(sorted((folder / where).iterdir())):
            found = re.match(r"(\d+)_c(\d+)", path.name)
            assert found is not None
            pid, camera = found.groups()
            if split == "train":
                pid = pid if people is None else str(people[number])
                camera = camera if cameras is None else str(cameras[number])
            if split != "train" or number < count:
                lines.append(f"{where}/{path.name},{pid},{camera},{split}")
    (folder / "list.csv").write_text("\n".join(lines) + "\n")
    return "data.target=csv", f"data.target_root={folder}"


def learned(path: Path) -> dict[str, Tensor]:
    """Weights, running statistics, the memory and which of its rows are filled, and the optimiser's moments."""
    checkpoint = load_checkpoint(path)
    moments = {
        f"{number}.{key}": value
        for number, state in checkpoint.training["optimizers"]["main"]["state"].items()
        for key, value in state.items()
    }
    return {**checkpoint.model, **checkpoint.training["method"], **moments}


def assert_same(left: Path, right: Path) -> None:
    first, second = learned(left), learned(right)
    assert {"memory.rows", "memory.filled", "classifier.weight"} <= first.keys() == second.keys()
    assert [name for name in first if not torch.equal(first[name], second[name])] == []


def told(logs: Path) -> list[dict[str, Any]]:
    """What training said of itself, without when and how fast."""
    lines = [json.loads(line) for line in (logs / "metrics.jsonl").read_text().splitlines()]
    varying = ("time", "images_per_second", "waiting_share")
    return [{k: v for k, v in line.items() if k not in varying} for line in lines if line["event"] == "train"]


def test_a_run_fills_the_memory_and_keeps_it_out_of_the_network(
    tiny: Path, elsewhere: Path, doors: Doors, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    keys = [*STAGES, "data.target=street", f"data.target_root={elsewhere}", "train.keep=3"]
    outcome = doors.train("cpu", tiny, *keys)
    assert outcome.status == 0, outcome.said
    assert "learning from street and street (without identities)" in outcome.out
    run = tmp_path / "checkpoints" / "tiny"
    for epoch in (1, 2, 3):
        method = load_checkpoint(run / f"epoch_000{epoch}.pt").training["method"]
        assert method["memory.rows"].shape == (36, 32)
        assert method["memory.filled"].all(), "every target picture has its exemplar after one epoch"
        torch.testing.assert_close(method["memory.rows"].norm(dim=1), torch.ones(36))
    checkpoint = load_checkpoint(run / "epoch_0003.pt")
    assert not any("classifier" in name or "memory" in name for name in checkpoint.model)
    assert checkpoint.training["method"].keys() == {
        "classifier.weight",
        "memory.rows",
        "memory.lengths",
        "memory.filled",
    }
    lines = told(tmp_path / "logs" / "tiny")
    by_epoch = [{name for line in lines if line["epoch"] == epoch for name in line} for epoch in (1, 2, 3)]
    assert {"identity", "accuracy", "memory filled"} <= by_epoch[0]
    assert not {"mixup", "intra", "inter"} & by_epoch[0]
    assert {"mixup", "intra", "intra neighbours", "intra right"} <= by_epoch[1]
    assert not {"identity", "inter"} & by_epoch[1]
    assert {"mixup", "intra", "inter", "inter neighbours", "inter top", "inter right"} <= by_epoch[2]

    [curves] = (tmp_path / "logs" / "tiny").glob("events.*")
    for name in ("memory filled", "intra neighbours", "intra top", "intra right", "inter right", "mixup"):
        assert f"train/{name}".replace(" ", "_").encode() in curves.read_bytes(), name

    def refused(*_: Any, **__: Any) -> Any:
        raise AssertionError("evaluation needs the embedder only")

    for kind in (Cail, ExemplarMemory):
        monkeypatch.setattr(kind, "__init__", refused)
    judged = doors.evaluate("cpu", run / "epoch_0003.pt", "--json")
    assert judged.status == 0, judged.said
    assert json.loads(judged.out)["mAP"] == checkpoint.card["scores"]["mAP"]


@pytest.mark.parametrize(
    "options",
    [
        ["options.ghost=8", "options.clamp=1.0e-5", "options.gate=0.1", "train.ema=0.9"],
        ["options.sharded=true", "options.sync=true", "options.clamp=1.0e-5"],
        ["options.statistics=both", "options.align=true", "options.instance={from_epoch: 2}", "options.negatives=2"],
    ],
    ids=str,
)
def test_switches_train_and_are_evaluated(
    options: list[str], tiny: Path, elsewhere: Path, doors: Doors, tmp_path: Path
) -> None:
    outcome = doors.train("cpu", tiny, *STAGES, *options, "data.target=street", f"data.target_root={elsewhere}")
    assert outcome.status == 0, outcome.said
    assert doors.evaluate("cpu", tmp_path / "checkpoints" / "tiny").status == 0


def test_identities_of_the_target_teach_nothing(tiny: Path, elsewhere: Path, doors: Doors, tmp_path: Path) -> None:
    """The same pictures and cameras with other people on them: the same weights and memory, another diagnosis."""
    people = np.random.default_rng(0).integers(0, 6, 36).tolist()
    for name, target in (
        ("told", table(tmp_path / "told", elsewhere)),
        ("shuffled", table(tmp_path / "shuffled", elsewhere, people)),
    ):
        outcome = doors.train("cpu", tiny, f"name={name}", *STAGES, *target)
        assert outcome.status == 0, outcome.said
    runs = tmp_path / "checkpoints"
    assert_same(runs / "told" / "epoch_0003.pt", runs / "shuffled" / "epoch_0003.pt")
    true, shuffled = told(tmp_path / "logs" / "told"), told(tmp_path / "logs" / "shuffled")
    right = [
        [line.pop(f"{name} right", None) for line in lines for name in ("intra", "inter")] for lines in (true, shuffled)
    ]
    assert right[0] != right[1]
    assert true == shuffled


def test_going_on_inside_an_epoch_and_after_one_is_exact(
    tiny: Path,
    elsewhere: Path,
    doors: Doors,
    tmp_path: Path,
    signalled: list[int],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    shares: list[float] = []

    def spy(batch: Batch, share: float) -> Batch:
        shares.append(share)
        return mixed(batch, share)

    mixed = cross_domain_mixup.mixed
    monkeypatch.setattr(cross_domain_mixup, "mixed", spy)
    keys = [*STAGES, "options.negatives=2", "data.target=street", f"data.target_root={elsewhere}"]
    assert doors.train("cpu", tiny, "name=whole", *keys).status == 0
    whole = shares.copy()
    assert len(whole) == len(set(whole)) == 16, "epochs 2 and 3"
    shares.clear()
    for iteration in (3, 11, 16):  # before there is mixup, the third batch of epoch 2, and its last
        signalled[:] = [iteration]
        assert doors.train("cpu", tiny, "name=parts", *keys).status == 128 + signal.SIGTERM
        interrupted = load_checkpoint(tmp_path / "checkpoints" / "parts" / "interrupted.pt")
        assert interrupted.training["iteration"] == iteration
        assert bool(interrupted.training["method"]["memory.filled"].all()) == (iteration > 8)
    signalled.clear()
    outcome = doors.train("cpu", tiny, "name=parts", *keys)
    assert outcome.status == 0, outcome.said
    assert "going on after 16 of 24 iterations" in outcome.out
    assert shares == whole
    runs = tmp_path / "checkpoints"
    assert_same(runs / "whole" / "epoch_0003.pt", runs / "parts" / "epoch_0003.pt")


@pytest.mark.slow
def test_going_on_after_being_killed_is_exact(tiny: Path, elsewhere: Path, doors: Doors, tmp_path: Path) -> None:
    """With the published curriculum, where intra-camera neighbours have begun and where inter-camera ones have."""
    target = ["data.target=street", f"data.target_root={elsewhere}"]
    batches = ["method=cail", "batches.kind=domains", "batches.size=32"]
    keys = [*batches, "train.epochs=36", "train.evaluate_every=0", *target]
    assert doors.train("cpu", tiny, "name=whole", *keys).status == 0
    length = 4
    for epoch in (12, 35):
        fatal = str((epoch - 1) * length + 2)
        killed = shell(sys.executable, "-m", "tests.killed", fatal, "cpu", tiny, "name=parts", *keys, "data.workers=0")
        assert killed.status == -signal.SIGKILL, killed.said
    outcome = doors.train("cpu", tiny, "name=parts", *keys)
    assert outcome.status == 0, outcome.said
    assert f"going on after {34 * length} of {36 * length} iterations" in outcome.out
    runs = tmp_path / "checkpoints"
    assert_same(runs / "whole" / "epoch_0036.pt", runs / "parts" / "epoch_0036.pt")


DEGENERATE: dict[str, dict[str, Any]] = {
    "one camera": {"cameras": [1] * 36},
    "a camera with one picture": {"cameras": [3, *[1] * 17, *[2] * 18]},
    "a camera for every picture": {"cameras": list(range(1, 37))},
    "fewer pictures than half a batch": {"count": 3},
    "one picture": {"count": 1},
}


@pytest.mark.parametrize("case", DEGENERATE)
def test_a_degenerate_target(case: str, tiny: Path, elsewhere: Path, doors: Doors, tmp_path: Path) -> None:
    target = table(tmp_path / "set", elsewhere, **DEGENERATE[case])
    outcome = doors.train("cpu", tiny, *STAGES, *target, "data.workers=0", "options.negatives=2")
    assert outcome.status == 0, outcome.said
    found = learned(tmp_path / "checkpoints" / "tiny" / "epoch_0003.pt")
    assert all(value.isfinite().all() for value in found.values())
    assert found["memory.filled"].all()
    assert all(np.isfinite(line[name]) for line in told(tmp_path / "logs" / "tiny") for name in line if name != "event")


def test_cameras_that_nobody_knows(tiny: Path, elsewhere: Path, doors: Doors, tmp_path: Path) -> None:
    target = table(tmp_path / "set", elsewhere, cameras=["", "", *[1] * 34])
    outcome = doors.train("cpu", tiny, *STAGES, *target)
    assert outcome.status == 1
    assert outcome.err.startswith(
        "error: method 'cail' needs to know the camera of every target picture, and dataset 'csv' does not tell it of"
        " 2 of 36 training pictures"
    )
    keys = ["options.neighbor_mode=0", "options.agnostic={weight: 0.1, from_epoch: 2}", "data.workers=0"]
    agnostic = doors.train("cpu", tiny, *STAGES, *keys, *target)
    assert agnostic.status == 0, agnostic.said
    lines = told(tmp_path / "logs" / "tiny")
    assert {"agnostic", "agnostic neighbours", "agnostic right"} <= lines[-1].keys()
    assert "intra" not in lines[-1]


def test_pictures_of_nobody_knows_whom(tiny: Path, elsewhere: Path, doors: Doors, tmp_path: Path) -> None:
    """A table without a single identity to train on, and without a test set: the source is judged instead."""
    told, target = table(tmp_path / "told", elsewhere), table(tmp_path / "set", elsewhere)
    lines = (tmp_path / "set" / "list.csv").read_text().splitlines()
    nameless = [re.sub(r",\d+,(\d+),train", r",,\1,train", line) for line in lines if line.endswith(("train", "split"))]
    assert sum(",," in line for line in nameless) == 36
    (tmp_path / "set" / "list.csv").write_text("\n".join(nameless) + "\n")
    assert doors.train("cpu", tiny, "name=told", *STAGES, *told).status == 0
    outcome = doors.train("cpu", tiny, "name=nameless", *STAGES, *target)
    assert outcome.status == 0, outcome.said
    assert "unlabelled      36 images      0 identities  cameras: 2" in outcome.out
    assert "'csv' has no query and gallery: all scores are of the source street" in outcome.out
    assert outcome.out.rstrip().endswith("--dataset street")
    runs = tmp_path / "checkpoints"
    assert_same(runs / "told" / "epoch_0003.pt", runs / "nameless" / "epoch_0003.pt")
    card = load_checkpoint(runs / "nameless" / "epoch_0003.pt").card
    assert card["best_by"] == "mAP on the source street's query and gallery"
    assert [(part["name"], part["images"], part["labels"]) for part in card["trained_on"]] == [
        ("street", 64, True),
        ("csv", 36, False),
    ]
    alone = doors.train("cpu", tiny, "data.source=csv", *(key.replace("target_", "") for key in target[1:]))
    assert alone.status == 1
    assert "dataset 'csv'" in alone.err
    assert "has no train pictures" in alone.err


def test_pictures_that_are_source_and_target(tiny: Path, elsewhere: Path, doors: Doors, tmp_path: Path) -> None:
    """A table in which some are not labelled is not two datasets."""
    _, root = table(tmp_path / "set", elsewhere)
    path = tmp_path / "set" / "list.csv"
    lines = path.read_text().splitlines()
    path.write_text("\n".join([re.sub(r",\d+,(\d+),train", r",,\1,train", line) for line in lines[:9]] + lines[9:]))
    folder = root.partition("=")[2]
    keys = ["data.source=csv", f"data.root={folder}", "data.target=csv", root]
    outcome = doors.train("cpu", tiny, *STAGES, *keys)
    assert outcome.status == 1
    assert "and 28 of those of 'csv' are also learned from with their labels, such as" in outcome.err
    missing = doors.train("cpu", tiny, *STAGES, "data.target=csv", "data.target_root=/nowhere")
    assert "named by data.target_root" in missing.err


def test_going_on_with_the_memory_in_parts(tiny: Path, elsewhere: Path, doors: Doors, tmp_path: Path) -> None:
    keys = [*STAGES, "data.target=street", f"data.target_root={elsewhere}"]
    assert doors.train("cpu", tiny, "name=whole", *keys).status == 0
    assert doors.train("cpu", tiny, "name=parts", *keys, "options.sharded=true", "train.epochs=2").status == 0
    outcome = doors.train("cpu", tiny, "name=parts", *keys, "options.diagnose_every=0")
    assert outcome.status == 0, outcome.said
    runs = tmp_path / "checkpoints"
    assert_same(runs / "whole" / "epoch_0003.pt", runs / "parts" / "epoch_0003.pt")
    refused = doors.train("cpu", tiny, "name=parts", *keys, "train.epochs=4", "options.scale=11")
    assert "other settings than now (options.scale)" in refused.err


@pytest.mark.dist
@pytest.mark.slow
def test_two_processes_with_a_part_each_are_gone_on_from_by_one(
    tiny_resnet: Path, elsewhere: Path, doors: Doors, tmp_path: Path
) -> None:
    keys = [*STAGES, "data.target=street", f"data.target_root={elsewhere}", "options.sharded=true"]
    outcome = shell("bash", "train.sh", "cpu,cpu", tiny_resnet, *keys, "train.epochs=2")
    assert outcome.status == 0, outcome.said
    state = load_checkpoint(tmp_path / "checkpoints" / "tiny" / "epoch_0002.pt").training["method"]
    assert state["memory.rows"].shape == (36, 512)
    assert state["memory.filled"].all()
    torch.testing.assert_close(state["memory.rows"].norm(dim=1), torch.ones(36))
    filled = [line["memory filled"] for line in told(tmp_path / "logs" / "tiny") if line["epoch"] == 1]
    assert filled[-1] > 0.5
    assert doors.train("cpu", tiny_resnet, *keys, "options.sharded=false").status == 0


def test_terms_that_come_too_late_are_told(tiny: Path, elsewhere: Path, doors: Doors) -> None:
    keys = [*STAGES, "data.target=street", f"data.target_root={elsewhere}", "train.epochs=2"]
    assert "loss 'inter' begins in epoch 3, after the last one" in doors.train("cpu", tiny, *keys).out


def test_batches_of_the_wrong_kind(tiny: Path, elsewhere: Path, doors: Doors) -> None:
    target = ["data.target=street", f"data.target_root={elsewhere}"]
    for kind in ("identity", "random"):
        outcome = doors.train("cpu", tiny, *STAGES, f"batches.kind={kind}", *target)
        assert outcome.status == 1
        assert f"method 'cail' learns from source and target at once, and batches.kind={kind} does not" in outcome.err
    outcome = doors.train("cpu", tiny, "batches.kind=domains", *target)
    assert outcome.status == 1
    assert outcome.err.strip().endswith("set batches.kind=identity or random, or choose a method that adapts: cail")
    same = doors.train("cpu", tiny, *STAGES, "data.target=")
    assert same.status == 1
    assert "is what it learns from as the source" in same.err


@pytest.mark.parametrize(
    ("key", "sentence"),
    [
        ("options.neighbor_mode=2", "options.neighbor_mode"),
        ("options.neighbour_mode=1", "options.neighbour_mode: unknown key, did you mean 'neighbor_mode'?"),
        ("options.alpha=-1", "options.alpha"),
        ("options.ghost=6", "options.ghost=6 does not divide"),
        ("options.ghost=5", "options.ghost=5 does not divide"),
        ("batches.size=15", "size 15 cannot be half source and half target"),
    ],
)
def test_a_mistake_is_one_sentence(key: str, sentence: str, tiny: Path, elsewhere: Path, doors: Doors) -> None:
    outcome = doors.train("cpu", tiny, *STAGES, "data.target=street", f"data.target_root={elsewhere}", key)
    assert outcome.status == 1
    assert outcome.err.startswith("error: ")
    assert sentence in outcome.err
    assert "Traceback" not in outcome.said


def test_a_mistake_with_restart_forgets_nothing(tiny: Path, elsewhere: Path, doors: Doors, tmp_path: Path) -> None:
    keys = [*STAGES, "data.target=street", f"data.target_root={elsewhere}", "train.epochs=1"]
    assert doors.train("cpu", tiny, *keys).status == 0
    run = tmp_path / "checkpoints" / "tiny"
    before = sorted(path.name for path in run.iterdir())
    for key in ("options.neighbor_mode=2", "batches.kind=random", "options.ghost=6"):
        assert doors.train("cpu", tiny, *keys, "train.restart=true", key).status == 1
        assert sorted(path.name for path in run.iterdir()) == before, key


def test_the_configuration_on_the_street() -> None:
    config = load(ROOT / "configs" / "street_city2city.yml", [], options_of)
    assert (config.method, config.batches.kind) == ("cail", "domains")
    assert config.target not in dict(config.data.sources)
    options: Any = config.options
    assert 1 < options.intra.from_epoch < options.inter.from_epoch < options.mix_from < config.train.epochs


# Two processes and one.

WORLD, EPOCHS = 2, 5
OPTIONS = {"intra": {"weight": 1.0, "from_epoch": 3}, "inter": {"weight": 0.5, "from_epoch": 4}, "diagnose_every": 1}
SEEN = {
    # One picture comes twice to one process, another once to each.
    "all have neighbours": ((0, 6, 12, 12, 7, 13, 2, 6), (8, 3, 14, 9, 4, 1, 15, 16), (5, 10, 11, 17, 18, 19, 20, 21)),
    "some have none": ((0, 6, 12, 1, 7, 13, 2, 6), (8, 3, 14, 9, 4, 8, 15, 16), (5, 10, 11, 0, 1, 2, 12, 13)),
}
CAMERAS = {"all have neighbours": (0, 1) * 11, "some have none": (0,) * 6 + (1,) * 6 + (2,) * 5}


def part_of(batch: Batch, rank: int) -> Batch:
    """What `DomainBatches` gives one process: the same part of both halves."""
    share = len(batch) // (2 * WORLD)
    pairs = torch.arange(rank * share, (rank + 1) * share)
    places = torch.cat([pairs, len(batch) // 2 + pairs])
    names = ("images", "labels", "camids", "clothes", "index", "domain", "geometry")
    return Batch(**{name: getattr(batch, name)[places] for name in names})


def state_after(case: str, rank: int | None, **options: Any) -> dict[str, Tensor]:
    """The method after five epochs of one process with whole batches, or of one of two."""
    method = cail({**OPTIONS, **options}, cameras=CAMERAS[case])
    if rank:
        for parameter in method.parameters():
            torch.nn.init.ones_(parameter)
    broadcast_state(method)
    whole = batches(SEEN[case], CAMERAS[case])
    seen = whole if rank is None else [part_of(b, rank) for b in whole]
    trained(method, EPOCHS, 1, seen, BatchStatistics(method), cameras=CAMERAS[case])
    return dict(method.state_dict())


def in_parts(case: str) -> str:
    """The name of a case in which each process holds a part of the memory."""
    return f"{case}, in parts"


@pytest.fixture(scope="module")
def of_two(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, dict[str, Tensor]]]:
    """What each of two processes holds in the end, case by case."""
    folder = tmp_path_factory.mktemp("two")
    command = [sys.executable, "-m", "tests.test_adaptation"]
    processes = [
        subprocess.Popen(
            [*command, str(rank), str(folder)], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        for rank in range(WORLD)
    ]
    try:
        said = [process.communicate(timeout=200)[0] for process in processes]
    finally:
        for process in processes:
            process.kill()
    assert [process.returncode for process in processes] == [0] * WORLD, "\n".join(said)
    return [torch.load(folder / f"{rank}.pt", weights_only=True) for rank in range(WORLD)]


@pytest.mark.dist
@pytest.mark.slow
@pytest.mark.parametrize("case", SEEN)
def test_two_processes_hold_the_same_memory(case: str, of_two: list[dict[str, dict[str, Tensor]]]) -> None:
    first, second = (found[case] for found in of_two)
    assert [name for name in first if not torch.equal(first[name], second[name])] == []
    assert first["memory.filled"].all()


@pytest.mark.dist
@pytest.mark.slow
@pytest.mark.parametrize("case", SEEN)
def test_two_processes_with_a_part_each_learn_the_same(case: str, of_two: list[dict[str, dict[str, Tensor]]]) -> None:
    second_half = slice(len(CAMERAS[case]) // 2, None)
    for rank, found in enumerate(of_two):
        assert found[case].keys() == found[in_parts(case)].keys()
        for name, value in found[case].items():
            held = value[second_half] if rank and name.startswith("memory.") else value
            torch.testing.assert_close(found[in_parts(case)][name], held, rtol=1e-6, atol=1e-8, msg=name)


@pytest.mark.dist
@pytest.mark.slow
@pytest.mark.parametrize("case", SEEN)
def test_two_processes_are_one_with_ghost_batches(
    case: str, of_two: list[dict[str, dict[str, Tensor]]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Losses are means over the samples that have them, of all processes together."""
    monkeypatch.setitem(BACKBONES, "toy", lambda **_: Toy())
    first = of_two[0][case]
    alone, without = (state_after(case, None, ghost=ghost) for ghost in (8, None))
    assert alone.keys() == first.keys() == without.keys()
    for name, value in alone.items():
        torch.testing.assert_close(first[name], value, rtol=1e-6, atol=1e-8, msg=name)
    assert (first["memory.rows"] - without["memory.rows"]).abs().max() > 1e-2, "chunks do matter"


@pytest.mark.dist
@pytest.mark.slow
def test_the_door_with_two_processes(tiny_resnet: Path, elsewhere: Path, doors: Doors, tmp_path: Path) -> None:
    """Batches, augmentation and λ are those of one process; what is left is rounding, and that grows."""
    target = ["data.target=street", f"data.target_root={elsewhere}"]
    keys = [*STAGES, *target, "train.epochs=2", "optimizer.name=sgd", "optimizer.lr=1.0e-9"]
    outcome = shell("bash", "train.sh", "cpu,cpu", tiny_resnet, *keys, "name=two")
    assert outcome.status == 0, outcome.said
    assert doors.train("cpu", tiny_resnet, *keys, "name=ghost", "options.ghost=8").status == 0
    assert doors.train("cpu", tiny_resnet, *keys, "name=one").status == 0
    two, ghost, one = (
        load_checkpoint(tmp_path / "checkpoints" / name / "epoch_0002.pt").training["method"]["memory.rows"]
        for name in ("two", "ghost", "one")
    )
    torch.testing.assert_close(two, ghost, rtol=0, atol=1e-3)
    assert (two - one).abs().max() > 1e-2


def main(rank: int, folder: Path) -> None:
    torch.set_num_threads(1)
    BACKBONES["toy"] = lambda **_: Toy()
    idist.initialize("gloo", init_method=f"file://{folder / 'meeting'}", world_size=WORLD, rank=rank)
    whole = {case: state_after(case, rank) for case in SEEN}
    parts = {in_parts(case): state_after(case, rank, sharded=True) for case in SEEN}
    torch.save(whole | parts, folder / f"{rank}.pt")
    gc.collect()
    idist.finalize()


if __name__ == "__main__":
    main(int(sys.argv[1]), Path(sys.argv[2]))
