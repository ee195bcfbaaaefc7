"""Masks are found person by person at the start of epochs, given to batches, and found again after a stop."""

from __future__ import annotations

import json
import logging
import multiprocessing
import os
from collections.abc import Generator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.distributed as dist
from ignite.engine import Engine, Events
from torch import Tensor, nn

import modeling.handlers.part_masks as module
from common.contracts import Batch, Embedding
from common.events import ReIDEvents
from modeling.handlers.part_masks import MASKS, PartMasks
from modeling.methods.method import Embedder, Facts, ParsingEmbedder, Update
from modeling.parsing.options import ParsingOptions
from modeling.parsing.parser import Parsed
from tests.engine.toys import engine_of

HEIGHT, WIDTH = 8, 4
LABELS = [2, 0, 1, 0, 2, 2, 1]
OPTIONS = ParsingOptions(first=2, every=2, until=6)


class Network(ParsingEmbedder):
    """The pictures are the maps."""

    parts = 3

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(()))
        self.passes: list[list[int]] = []

    def maps(self, images: Tensor) -> Tensor:
        assert not self.training
        assert not torch.is_grad_enabled()
        self.passes.append([int(image[0, 0, 0]) for image in images])
        return images * self.scale

    def parsed(self, images: Tensor) -> Tensor:
        raise NotImplementedError

    def forward(self, images: Tensor, **extras: Tensor) -> Embedding:
        raise NotImplementedError


class View:
    """A training set whose picture of row r is filled with r."""

    def __init__(self, folder: Path, labels: Sequence[int] = LABELS, batch: int = 3) -> None:
        self.folder, self.batch, self.embedder = folder, batch, Network()
        rows = torch.tensor(labels)
        unknown = torch.full_like(rows, -1)
        self.facts = Facts(3, rows, unknown, unknown, torch.zeros_like(rows), len(rows), torch.zeros_like(rows))
        self.hidden_labels = unknown
        self.asked: list[int] = []
        self.made_of = "pictures"
        self.stop_after = 10**9

    def pictures(self, rows: Sequence[int]) -> Generator[Batch, None, None]:
        self.asked += list(rows)
        for start in range(0, len(rows), self.batch):
            index = torch.tensor(rows[start : start + self.batch])
            images = index[:, None, None, None].float().expand(-1, 3, HEIGHT, WIDTH)
            one = torch.zeros_like(index)
            yield Batch(images, self.facts.labels[index], one, one, index, one, torch.zeros(len(index), 10).long())

    def content(self) -> str:
        return self.made_of

    def network(self) -> Embedder:
        return self.embedder

    def moved(self, labels: Tensor, geometry: Tensor) -> Tensor:
        return labels.long() + geometry[:, :1, None]

    def stopping(self) -> bool:
        self.stop_after -= 1
        return self.stop_after < 0


class Marking:
    """A parser whose mask of a picture is its row modulo 4 in the first cell and 1 elsewhere."""

    def __init__(self) -> None:
        self.people: list[list[int]] = []
        self.seeds: list[int] = []

    def __call__(self, maps: Tensor, seed: int) -> Parsed:
        rows = maps[:, 0, 0, 0]
        self.people.append([int(row) for row in rows])
        self.seeds.append(seed)
        masks = torch.ones(len(maps), HEIGHT, WIDTH, dtype=torch.uint8)
        masks[:, 0, 0] = (rows % 4).to(torch.uint8)
        return Parsed(masks, labels=10 + len(rows), iterations=4, fallback=False)


@pytest.fixture
def parser(monkeypatch: pytest.MonkeyPatch) -> Marking:
    marking = Marking()
    monkeypatch.setattr(module, "build_parser", lambda _: marking)
    return marking


def attached(view: View, options: ParsingOptions = OPTIONS) -> tuple[Engine, PartMasks]:
    def process(engine: Engine, batch: Batch) -> Tensor:
        state: Any = engine.state
        given.append(state.batch.extras[MASKS])
        state.update = Update({}, metrics={"accuracy": torch.ones(())})
        engine.fire_event(ReIDEvents.LOSSES_COMPUTED)
        told.append(dict(state.update.metrics))
        return given[-1]

    given: list[Tensor] = []
    told: list[dict[str, Tensor]] = []
    engine = engine_of(process)
    handler = PartMasks(
        torch.zeros(len(view.facts.labels), HEIGHT, WIDTH, dtype=torch.uint8), torch.zeros((), dtype=torch.int64),
        options, seed=7, view=view,
    )  # fmt: skip

    def prepared(engine: Engine) -> None:
        state: Any = engine.state
        state.batch = next(iter(view.pictures([3, 5])))

    engine.add_event_handler(Events.ITERATION_STARTED, prepared)
    handler.attach(engine)
    engine.given, engine.told = given, told  # type: ignore[attr-defined]
    return engine, handler


def expected() -> Tensor:
    masks = torch.ones(len(LABELS), HEIGHT, WIDTH, dtype=torch.uint8)
    masks[:, 0, 0] = torch.arange(len(LABELS)) % 4
    return masks


def test_every_picture_has_the_mask_that_its_person_gave_it(tmp_path: Path, parser: Marking) -> None:
    view = View(tmp_path)
    engine, handler = attached(view)
    engine.run([0], max_epochs=2, epoch_length=1)
    assert torch.equal(handler.masks, expected())
    assert int(handler.made_in) == 2
    assert parser.people == [[0, 4, 5], [1, 3], [2, 6]]  # most pictures first, whole people, rows in order
    assert view.embedder.passes == parser.people  # who shares a pass depends on the person alone
    assert len(set(parser.seeds)) == 3


def test_a_large_person_goes_through_the_network_in_pieces(
    tmp_path: Path, parser: Marking, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "CHUNK", 2)
    view = View(tmp_path, [0] * 5 + [1])
    attached(view)[0].run([0], max_epochs=2, epoch_length=1)
    assert view.embedder.passes == [[0, 1], [2, 3], [4], [5]]
    assert parser.people == [[0, 1, 2, 3, 4], [5]]


def test_in_which_epochs(tmp_path: Path, parser: Marking) -> None:
    engine, handler = attached(View(tmp_path))
    made = []
    engine.add_event_handler(Events.EPOCH_COMPLETED, lambda: made.append(int(handler.made_in)))
    engine.run([0], max_epochs=9, epoch_length=1)
    assert made == [0, 2, 2, 4, 4, 6, 6, 6, 6]


def test_a_run_that_goes_on_in_the_middle_of_an_epoch_has_its_masks_already(tmp_path: Path, parser: Marking) -> None:
    engine, handler = attached(View(tmp_path))
    handler.made_in.fill_(2)
    engine.run([0], max_epochs=2, epoch_length=1)
    assert parser.people == []


def test_stripes_are_never_found_anew(tmp_path: Path, parser: Marking) -> None:
    engine, handler = attached(View(tmp_path), ParsingOptions(by="stripes"))
    engine.run([0], max_epochs=4, epoch_length=1)
    assert parser.people == []
    assert int(handler.made_in) == 0


def test_batches_get_the_masks_of_their_rows_moved_along(tmp_path: Path, parser: Marking) -> None:
    view = View(tmp_path)
    engine, _ = attached(view)
    engine.run([0, 0], max_epochs=2, epoch_length=2)
    first, second = engine.given[0], engine.given[2]  # type: ignore[attr-defined]
    assert not first.any()  # as the buffer was
    assert second.dtype == torch.int64
    assert torch.equal(second, expected()[[3, 5]].long())


def test_statistics_are_in_the_metrics_and_in_the_log(
    tmp_path: Path, parser: Marking, caplog: pytest.LogCaptureFixture
) -> None:
    engine, _ = attached(View(tmp_path))
    with caplog.at_level(logging.INFO, "reid"):
        engine.run([0], max_epochs=2, epoch_length=1)
    before, after = engine.told  # type: ignore[attr-defined]
    assert set(before) == {"accuracy"}
    assert set(after) > {"accuracy", "foreground"}
    share = float((expected() > 0).float().mean())
    assert float(after["foreground"]) == pytest.approx(share)
    assert "epoch 2: co-parsing in" in caplog.text
    manifest = json.loads((tmp_path / "parsing" / "manifest.json").read_text())
    assert manifest["complete"] is True
    assert manifest["statistics"]["foreground"] == pytest.approx(share)
    assert np.array_equal(np.load(tmp_path / "parsing" / "masks.npy"), expected().numpy())


def test_a_refresh_that_was_stopped_goes_on(tmp_path: Path, parser: Marking, caplog: pytest.LogCaptureFixture) -> None:
    view = View(tmp_path)
    view.stop_after = 1
    engine, handler = attached(view)
    with caplog.at_level(logging.INFO, "reid"):
        engine.run([0], max_epochs=2, epoch_length=1)
    assert int(handler.made_in) == 0
    assert not handler.masks.any()  # nothing half done is learned from
    assert "left unfinished" in caplog.text

    again = View(tmp_path)
    engine, handler = attached(again)
    with caplog.at_level(logging.INFO, "reid"):
        engine.run([0], max_epochs=2, epoch_length=1)
    assert torch.equal(handler.masks, expected())
    assert parser.people == [[0, 4, 5], [1, 3], [2, 6]]  # nobody twice
    assert "3 of 7 masks are taken from" in caplog.text
    share = float((expected() > 0).float().mean())
    assert handler.statistics is not None
    assert handler.statistics.numbers()["foreground"] == pytest.approx(share)


def test_with_other_weights_it_begins_anew(tmp_path: Path, parser: Marking) -> None:
    view = View(tmp_path)
    view.stop_after = 1
    attached(view)[0].run([0], max_epochs=2, epoch_length=1)
    again = View(tmp_path)
    again.embedder.scale.data.fill_(1 + 1e-6)
    attached(again)[0].run([0], max_epochs=2, epoch_length=1)
    assert parser.people == [[0, 4, 5], [0, 4, 5], [1, 3], [2, 6]]


def test_of_other_pictures_it_begins_anew(tmp_path: Path, parser: Marking) -> None:
    view = View(tmp_path)
    view.stop_after = 1
    attached(view)[0].run([0], max_epochs=2, epoch_length=1)
    again = View(tmp_path)
    again.made_of = "other pictures"
    attached(again)[0].run([0], max_epochs=2, epoch_length=1)
    assert parser.people == [[0, 4, 5], [0, 4, 5], [1, 3], [2, 6]]


def test_a_person_of_whom_a_picture_is_missing_is_parsed_whole_and_counted_once(
    tmp_path: Path, parser: Marking
) -> None:
    attached(View(tmp_path))[0].run([0], max_epochs=2, epoch_length=1)
    with (tmp_path / "parsing" / "masks.npy").open("r+b") as raw:
        os.pwrite(raw.fileno(), bytes([255]), 128 + 4 * HEIGHT * WIDTH)
    parser.people.clear()
    engine, handler = attached(View(tmp_path))
    engine.run([0], max_epochs=2, epoch_length=1)
    assert parser.people == [[0, 4, 5]]
    assert torch.equal(handler.masks, expected())
    assert handler.statistics is not None
    assert handler.statistics.pictures == len(LABELS)
    assert handler.statistics.foreground == pytest.approx(float((expected() > 0).float().mean()))


def test_a_run_that_goes_on_tells_of_the_masks_it_has(tmp_path: Path, parser: Marking) -> None:
    engine, handler = attached(View(tmp_path))
    handler.masks.copy_(expected())
    handler.made_in.fill_(2)
    engine.run([0], max_epochs=1, epoch_length=1)
    share = float((expected() > 0).float().mean())
    assert float(engine.told[0]["foreground"]) == pytest.approx(share)  # type: ignore[attr-defined]


def test_before_the_first_iteration_it_is_not_stopped(tmp_path: Path, parser: Marking) -> None:
    view = View(tmp_path)
    view.stop_after = 0
    engine, handler = attached(view, ParsingOptions(first=1))
    engine.run([0], max_epochs=1, epoch_length=1)
    assert torch.equal(handler.masks, expected())


def test_seeds_differ_between_epochs_and_runs(tmp_path: Path, parser: Marking) -> None:
    engine, _ = attached(View(tmp_path))
    engine.run([0], max_epochs=4, epoch_length=1)
    assert len(set(parser.seeds)) == 6


def process(rank: int, world: int, folder: Path) -> None:
    torch.set_num_threads(1)
    os.environ["LOCAL_RANK"] = str(rank)  # else Ignite guesses it, and says so
    dist.init_process_group("gloo", init_method=f"file://{folder / 'meeting'}", rank=rank, world_size=world)
    try:
        marking = Marking()
        module.build_parser = lambda _: marking  # type: ignore[assignment, attr-defined]  # this process ends here
        for folders, stop_after in (("whole", 10**9), ("parts", 1), ("parts", 10**9)):
            marking.people.clear()
            view = View(folder / folders)
            view.stop_after = stop_after
            engine, handler = attached(view)
            engine.run([0], max_epochs=2, epoch_length=1)
            assert handler.statistics is not None or stop_after == 1
            found = {"masks": handler.masks, "people": marking.people, "asked": view.asked, "made": handler.made_in}
            torch.save(found, folder / f"{rank}-{folders}-{stop_after}.pt")
    finally:
        dist.destroy_process_group()


@pytest.mark.dist
def test_two_processes_share_the_people_and_hold_the_same_masks(tmp_path: Path) -> None:
    spawn = multiprocessing.get_context("spawn")
    running = [spawn.Process(target=process, args=(rank, 2, tmp_path)) for rank in range(2)]
    for one in running:
        one.start()
    for one in running:
        one.join(timeout=120)
    assert [one.exitcode for one in running] == [0, 0]

    def of_both(name: str) -> list[dict[str, Any]]:
        return [torch.load(tmp_path / f"{rank}-{name}.pt", weights_only=True) for rank in range(2)]

    first, second = of_both(f"whole-{10**9}")
    assert torch.equal(first["masks"], expected())
    assert torch.equal(second["masks"], expected())
    assert first["people"] == [[0, 4, 5], [2, 6]]
    assert second["people"] == [[1, 3]]

    stopped = of_both("parts-1")  # after a round
    assert [one["people"] for one in stopped] == [[[0, 4, 5]], [[1, 3]]]
    assert not any(one["masks"].any() or one["made"] for one in stopped)
    again = of_both(f"parts-{10**9}")
    assert [one["people"] for one in again] == [[[2, 6]], []]
    assert all(torch.equal(one["masks"], expected()) for one in again)
