"""What is loaded depends on the seed, the epoch and the place, not on processes; what cannot be read has a name."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from common.errors import UserError
from configs.schema import Augment
from data.loader import PictureLoader, Pictures, RawBatch, WholeBatches
from data.samplers import IdentityBatches, Key, RandomBatches
from data.samples import Sample, Split
from data.training_set import TrainingSet
from data.transforms import Augmentation, Preprocessing

SMALL = Preprocessing(16, 8, (0.5, 0.5, 0.5), (0.25, 0.25, 0.25))
COUNT = 12
WORKERS = pytest.mark.parametrize("workers", [0, 2])


@pytest.fixture
def rows(tmp_path: Path) -> TrainingSet:
    random = np.random.default_rng(0)
    for row in range(COUNT):
        Image.fromarray(random.integers(0, 256, (20, 10, 3), dtype=np.uint8)).save(tmp_path / f"{row}.png")
    return TrainingSet.of([Split.of(tmp_path, (Sample(f"{row}.png", row // 3) for row in range(COUNT)))])


def pictures(rows: TrainingSet, augment: Augment | None = None, seed: int = 1) -> Pictures:
    augmentation = Augmentation(augment, SMALL) if augment else None
    return Pictures(rows.file, SMALL, augmentation, seed)


def training(rows: TrainingSet, workers: int = 0, rank: int = 0, world: int = 1, seed: int = 1) -> PictureLoader:
    batches = IdentityBatches(rows.labels, 8, 2, seed, rank, world)
    return PictureLoader(pictures(rows, Augment(pad=3, jitter=0.2), seed), batches, workers)


def epoch_of(loader: PictureLoader, epoch: int = 1, start: int = 0) -> list[RawBatch]:
    assert not isinstance(loader.batches, WholeBatches)
    loader.batches.set_epoch(epoch, start)
    return list(loader)


def complaint(loader: PictureLoader) -> str:
    """`pytest.raises` would keep the traceback, and with it the loader, in a cycle that only the garbage collector
    breaks; by then the queues are gone, and PyTorch waits five seconds for each worker."""
    try:
        epoch_of(loader)
    except UserError as error:
        return str(error)
    pytest.fail("every picture was read")


def assert_equal(left: list[RawBatch], right: list[RawBatch]) -> None:
    assert len(left) == len(right)
    for one, other in zip(left, right, strict=True):
        for name in ("pixels", "rows", "geometry"):
            assert torch.equal(getattr(one, name), getattr(other, name)), name
        assert (one.plain is None and other.plain is None) or torch.equal(one.plain, other.plain)  # type: ignore[arg-type]


def test_shapes_and_types(rows: TrainingSet) -> None:
    loader = training(rows)
    batches = epoch_of(loader)
    assert len(batches) == len(loader) == 2
    for batch in batches:
        assert batch.pixels.shape == (8, 16, 8, 3)
        assert batch.pixels.dtype == torch.uint8
        assert batch.rows.shape == (8,)
        assert batch.rows.dtype == torch.int64
        assert batch.geometry.shape == (8, 10)
        assert batch.geometry.dtype == torch.int64


def test_a_batch_is_what_the_augmentation_makes_of_its_rows(rows: TrainingSet) -> None:
    """The loop twin: one picture after the other, its generator seeded with seed, epoch and place."""
    augmentation = Augmentation(Augment(pad=3, jitter=0.2), SMALL)
    place = 0
    for keys, batch in zip(list(training(rows).batches), epoch_of(training(rows)), strict=True):
        assert batch.rows.tolist() == [key.row for key in keys]
        for number, key in enumerate(keys):
            draw = augmentation.draw(np.random.default_rng((1, 1, place)))
            expected = np.empty((16, 8, 3), np.uint8)
            with Image.open(rows.file(key.row)) as picture:
                small = picture.convert("RGB").resize((8, 16), Image.Resampling.BILINEAR)
            augmentation.write(np.array(small), draw, expected)
            np.testing.assert_array_equal(batch.pixels[number], expected)
            assert batch.geometry[number].tolist() == list(draw.geometry)
            place += 1


def test_workers_change_nothing(rows: TrainingSet) -> None:
    alone, helped = training(rows, 0), training(rows, 2)
    for epoch, start in ((1, 0), (2, 0), (1, 0), (3, 1)):
        assert_equal(epoch_of(alone, epoch, start), epoch_of(helped, epoch, start))


def test_processes_change_nothing(rows: TrainingSet) -> None:
    whole = epoch_of(training(rows), 2)
    parts = [epoch_of(training(rows, rank=rank, world=2), 2) for rank in range(2)]
    pairs = [[batch[:3] for batch in pair] for pair in zip(*parts, strict=True)]
    joined = [RawBatch(*(torch.cat(fields) for fields in zip(*pair, strict=True))) for pair in pairs]
    assert_equal(joined, whole)


def test_start_goes_on_with_the_same_pictures(rows: TrainingSet) -> None:
    loader = training(rows)
    assert_equal(epoch_of(loader, 2, 1), epoch_of(loader, 2)[1:])


def test_every_draw_is_its_own(rows: TrainingSet) -> None:
    """The same row in other epochs, at other places and with other seeds looks different, and again the same."""
    augmented = pictures(rows, Augment())
    one = augmented[Key(0, 1, 0)]
    assert (augmented[Key(0, 1, 0)].pixels == one.pixels).all()
    others = [augmented[Key(0, 2, 0)], augmented[Key(0, 1, 1)], pictures(rows, Augment(), seed=2)[Key(0, 1, 0)]]
    assert len({tuple(item.geometry) for item in (one, *others)}) == 4
    first, second = epoch_of(training(rows), 1), epoch_of(training(rows), 2)
    geometries = [tuple(line) for batch in first + second for line in batch.geometry.tolist()]
    assert len(set(geometries)) > 0.9 * len(geometries)


@pytest.mark.parametrize("seed", [0, 1, 2**32 - 1, 2**32, 2**70])
def test_a_picture_s_generator_is_seed_epoch_and_place(rows: TrainingSet, seed: int) -> None:
    augmentation = Augmentation(Augment(), SMALL)
    for epoch, position in ((1, 0), (2, 5), (300, 2**31)):
        draw = augmentation.draw(np.random.default_rng((seed, epoch, position)))
        assert pictures(rows, Augment(), seed)[Key(0, epoch, position)].geometry == draw.geometry


def test_the_global_generators_change_nothing(rows: TrainingSet) -> None:
    torch.manual_seed(0)
    first = epoch_of(training(rows))
    torch.manual_seed(1)
    assert_equal(epoch_of(training(rows)), first)


def test_without_augmentation_pictures_are_only_resized(rows: TrainingSet) -> None:
    (batch,) = PictureLoader(pictures(rows), WholeBatches(range(COUNT), COUNT), 0)
    assert batch.rows.tolist() == list(range(COUNT))
    assert not batch.geometry.any()
    for row in range(COUNT):
        with Image.open(rows.file(row)) as picture:
            np.testing.assert_array_equal(batch.pixels[row], picture.resize((8, 16), Image.Resampling.BILINEAR))


@WORKERS
@pytest.mark.parametrize("kind", ["broken", "missing"])
@pytest.mark.timeout(30)
def test_a_picture_that_cannot_be_read_is_named_once(rows: TrainingSet, workers: int, kind: str) -> None:
    bad = rows.file(5)
    whole = bad.read_bytes()
    bad.write_bytes(b"no picture")
    if kind == "missing":
        bad.unlink()
    loader = training(rows, workers)
    for _ in range(2):  # asking again neither hangs nor gives batches
        message = complaint(loader)
        assert message.startswith(f"there is no picture {bad}" if kind == "missing" else f"the picture {bad} cannot be")
        assert message.count("copy it again") == 1
        assert "\n" not in message, "no traceback of a worker"
    bad.write_bytes(whole)
    assert_equal(epoch_of(loader), epoch_of(training(rows)))


@WORKERS
def test_batches_before_an_unreadable_picture_still_come(rows: TrainingSet, workers: int) -> None:
    rows.file(9).write_bytes(b"")
    seen = []
    with pytest.raises(UserError, match=r"9\.png cannot be read \(the file is empty\)"):
        seen += [batch.rows.tolist() for batch in PictureLoader(pictures(rows), WholeBatches(range(COUNT), 4), workers)]
    loader = iter(PictureLoader(pictures(rows), WholeBatches(range(COUNT), 4), workers))
    assert [next(loader).rows.tolist() for _ in range(2)] == [[0, 1, 2, 3], [4, 5, 6, 7]]
    with pytest.raises(UserError, match=r"9\.png"):
        next(loader)


def test_other_faults_are_not_hidden(rows: TrainingSet) -> None:
    """Only what a user can mend becomes a sentence; a row that does not exist is a fault of ours."""
    with pytest.raises(IndexError):
        pictures(rows)[Key(COUNT, 1, 0)]


@pytest.mark.parametrize("length", [0, 1, 7, 8, 9, 40])
@pytest.mark.parametrize("world", [1, 2, 3])
def test_whole_batches(length: int, world: int) -> None:
    one = list(WholeBatches(range(length), 4))
    assert [len(batch) for batch in one] == [4] * (length // 4) + ([length % 4] if length % 4 else [])
    assert [key for batch in one for key in batch] == [Key(row, 0, row) for row in range(length)]
    shares = [WholeBatches(range(length), 4, rank, world) for rank in range(world)]
    assert [len(share) for share in shares] == [len(list(share)) for share in shares]
    assert max(map(len, shares)) - min(map(len, shares)) <= 1
    assert sorted(batch for share in shares for batch in share) == one
    assert list(shares[0]) == list(shares[0]), "may be iterated again"


@WORKERS
def test_whole_batches_over_processes(rows: TrainingSet, workers: int) -> None:
    whole = list(PictureLoader(pictures(rows), WholeBatches(range(COUNT), 5), workers))
    parts = [list(PictureLoader(pictures(rows), WholeBatches(range(COUNT), 5, rank, 2), workers)) for rank in range(2)]
    assert [batch.rows.tolist() for batch in whole] == [[0, 1, 2, 3, 4], [5, 6, 7, 8, 9], [10, 11]]
    assert_equal([parts[0][0], parts[1][0], parts[0][1]], whole)


def test_random_batches_load_unlabelled_rows(rows: TrainingSet) -> None:
    target = TrainingSet.of([rows.splits[0]], [rows.splits[0]])
    loader = PictureLoader(pictures(target), RandomBatches(np.arange(COUNT, 2 * COUNT), 6, 1), 0)
    seen = torch.cat([batch.rows for batch in loader])
    assert sorted(seen.tolist()) == list(range(COUNT, 2 * COUNT))


@pytest.mark.parametrize("workers", [0, 1])
def test_loading_leaves_the_random_stream_alone(rows: TrainingSet, workers: int) -> None:
    before = torch.get_rng_state()
    with PictureLoader(pictures(rows), WholeBatches(range(COUNT), 5), workers) as loader:
        assert len(list(loader)) == len(loader)
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("workers", [0, 2])
def test_pictures_as_they_are_come_along(rows: TrainingSet, workers: int) -> None:
    """The same picture, or another one, before augmentation; nothing else changes."""
    others = np.roll(np.arange(len(rows)), -1)
    augmentation = Augmentation(Augment(), SMALL)
    batches = WholeBatches(range(12), 5)

    def batches_of(augmentation: Augmentation | None, plain: np.ndarray | None) -> list[RawBatch]:
        with PictureLoader(Pictures(rows.file, SMALL, augmentation, 1, plain=plain), batches, workers) as loader:
            return list(loader)

    expected = batches_of(None, None)
    alone, same, other = (batches_of(augmentation, plain) for plain in (None, np.arange(len(rows)), others))
    for before, one, two, three in zip(expected, alone, same, other, strict=True):
        assert one.plain is None
        assert two.plain is not None
        assert three.plain is not None
        assert torch.equal(one.pixels, two.pixels)
        assert torch.equal(one.pixels, three.pixels)
        assert torch.equal(two.plain, before.pixels)
        assert torch.equal(three.plain[:-1], before.pixels[1:])
        assert not torch.equal(two.plain, two.pixels)
