"""What a method's handlers see of the training set, and how labels they find reach the next batch."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from ignite.engine import Engine, Events

from common.events import Handler
from configs.schema import Augment
from data.loader import PictureLoader, Pictures
from data.readers import read
from data.samplers import RandomBatches
from data.training_set import TrainingSet
from data.transforms import Augmentation, Preprocessing
from engine.handlers.prepare import PrepareBatch
from engine.view import PlainView
from modeling.methods import METHODS
from modeling.methods.baseline import Baseline
from modeling.methods.method import TrainingView
from tests.doors import Doors

PREPROCESSING = Preprocessing(32, 16, (0.5, 0.5, 0.5), (0.25, 0.25, 0.25))


@pytest.fixture
def training_set(street: Path) -> TrainingSet:
    return TrainingSet.of([read("market", street, "street").train])


@pytest.mark.parametrize("workers", [0, 1])
def test_pictures_are_plain_and_in_order(training_set: TrainingSet, workers: int) -> None:
    preparing = PrepareBatch(training_set, PREPROCESSING, torch.device("cpu"))
    view = PlainView(training_set, preparing, batch_size=3, workers=workers)
    rows = [5, 0, 63, 7, 7]
    batches = list(view.pictures(rows))
    assert [len(batch) for batch in batches] == [3, 2]
    assert torch.cat([batch.index for batch in batches]).tolist() == rows
    assert torch.cat([batch.labels for batch in batches]).tolist() == training_set.labels[rows].tolist()
    images = torch.cat([batch.images for batch in batches])
    assert torch.equal(images[3], images[4])
    assert not any(batch.geometry.any() for batch in batches)


def test_labels_that_a_handler_writes_are_in_the_next_batch(training_set: TrainingSet) -> None:
    preparing = PrepareBatch(training_set, PREPROCESSING, torch.device("cpu"))
    view = PlainView(training_set, preparing, batch_size=8, workers=0)
    augmentation = Augmentation(Augment(), PREPROCESSING)
    pictures = Pictures(training_set.file, PREPROCESSING, augmentation)
    before = training_set.label_map_hash()
    view.facts.labels[:] = 7
    assert training_set.label_map_hash() == before
    with PictureLoader(pictures, RandomBatches(torch.arange(64).numpy(), 16, seed=1), workers=0) as loader:
        assert all(preparing.prepare(raw).labels.eq(7).all() for raw in loader)


class Renaming:
    """A handler that exchanges identities 0 and 1 at the start of epoch 2, having looked at every picture."""

    def __init__(self, view: TrainingView, seen: list[int]) -> None:
        self.view, self.seen = view, seen

    def attach(self, engine: Engine) -> None:
        engine.add_event_handler(Events.EPOCH_STARTED(once=2), self._rename)

    def _rename(self) -> None:
        labels = self.view.facts.labels
        for batch in self.view.pictures(range(len(labels))):
            self.seen += batch.index.tolist()
        labels[labels < 2] = 1 - labels[labels < 2]


def test_a_method_brings_such_a_handler(tiny: Path, doors: Doors, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[int] = []

    class Method(Baseline):
        def handlers(self, view: TrainingView) -> Sequence[Handler]:
            return [Renaming(view, seen)]

    monkeypatch.setitem(METHODS, "renaming", Method)
    assert doors.train("cpu", tiny, "method=renaming").status == 0
    assert seen == list(range(64))


def test_masks_go_where_the_pixels_of_their_pictures_go(training_set: TrainingSet) -> None:
    """A picture painted with the numbers of its mask, augmented, still shows the numbers of the moved mask.

    It is cut out in whole cells and never enlarged, so that no cell shows two numbers; border and erased are black.
    """
    augmentation = Augmentation(Augment(pad=4, erase_fill=(0, 0, 0)), PREPROCESSING)
    preparing = PrepareBatch(training_set, PREPROCESSING, torch.device("cpu"))
    view = PlainView(training_set, preparing, batch_size=8, workers=0, pad=4)
    random, seen = np.random.default_rng(1), {"flip": 0, "erased": 0, "moved": 0}
    for _ in range(200):
        draw = augmentation.draw(random)
        draw = draw._replace(
            geometry=draw.geometry._replace(top=draw.geometry.top // 4 * 4, left=draw.geometry.left // 4 * 4)
        )
        mask = random.integers(1, 5, (8, 4), dtype=np.uint8)
        painted = np.repeat(np.repeat(mask, 4, axis=0), 4, axis=1)[:, :, None].repeat(3, axis=2)
        shown = np.empty_like(painted)
        augmentation.write(painted, draw, shown)
        middles = shown[2::4, 2::4, 0]  # what is right and below of the middle of a cell
        found = view.moved(torch.from_numpy(mask)[None], torch.tensor([draw.geometry]))[0]
        assert found.dtype == torch.int64
        geometry = draw.geometry
        assert np.array_equal(found.numpy(), middles), geometry
        seen["flip"] += geometry.flip
        seen["erased"] += int(geometry.erase_height > 3 and geometry.erase_width > 3)
        seen["moved"] += int((geometry.top, geometry.left) != (4, 4))
    assert min(seen.values()) > 50
