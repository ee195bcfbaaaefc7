"""A cache changes no pixel, whoever fills it, whatever ends it, and shows nothing that is not whole."""

from __future__ import annotations

import logging
import multiprocessing
import os
import resource
import shutil
import signal
import time
from collections import namedtuple
from multiprocessing.synchronize import Barrier
from pathlib import Path

import numpy as np
import PIL
import pytest
import torch
from PIL import Image

from common.errors import UserError
from configs.schema import Augment, Data
from data import cache as cache_module
from data import opencv
from data.cache import PictureCache, cache_in_memory, cache_key, cache_on_disk, nbytes, open_cache
from data.loader import PictureLoader, Pictures, RawBatch, WholeBatches
from data.samplers import RandomBatches
from data.samples import Sample, Split
from data.transforms import Augmentation, Pixels, Preprocessing

COUNT, HEIGHT, WIDTH = 12, 17, 9  # a row of 459 bytes ends inside a word
SMALL = Preprocessing(HEIGHT, WIDTH, (0.5, 0.5, 0.5), (0.25, 0.25, 0.25))
FORK = multiprocessing.get_context("fork")
WORKERS = pytest.mark.parametrize("workers", [0, 2])


def make(tmp_path: Path, kind: str = "disk") -> PictureCache:
    if kind == "ram":
        return cache_in_memory(COUNT, HEIGHT, WIDTH)
    return cache_on_disk(tmp_path / "cache" / "a.pictures", COUNT, HEIGHT, WIDTH)


def picture(row: int, height: int = HEIGHT, width: int = WIDTH) -> Pixels:
    return np.random.default_rng(row).integers(0, 256, (height, width, 3), dtype=np.uint8)


def whole_rows(cache: PictureCache) -> list[int]:
    """The rows that are there, each of which must be right."""
    there = []
    for row in range(len(cache)):
        pixels = cache.get(row)
        if pixels is not None:
            np.testing.assert_array_equal(pixels, picture(row))
            there.append(row)
    return there


@pytest.fixture(autouse=True)
def _heard(monkeypatch: pytest.MonkeyPatch) -> None:
    """A run that was tested before may have turned the log away from `caplog`."""
    monkeypatch.setattr(logging.getLogger("reid"), "propagate", True)


@pytest.fixture
def split(tmp_path: Path) -> Split:
    folder = tmp_path / "pictures"
    folder.mkdir()
    for row in range(COUNT):
        Image.fromarray(picture(row, 40, 20)).save(folder / f"{row}.png")
    return Split.of(folder, [Sample(f"{row}.png", row // 3) for row in range(COUNT)])


def loaded(split: Split, cache: PictureCache | None, workers: int, epochs: int, forget: bool = False) -> list[RawBatch]:
    """The batches of some epochs.

    Args:
        forget: remove the pictures after the first epoch.
    """
    augmentation = Augmentation(Augment(pad=3, jitter=0.2), SMALL)
    pictures = Pictures(split.file, SMALL, augmentation, 1, cache)
    batches = []
    with PictureLoader(pictures, RandomBatches(np.arange(COUNT), 4, 1), workers) as loader:
        for epoch in range(1, epochs + 1):
            loader.batches.set_epoch(epoch)  # type: ignore[union-attr]
            batches += list(loader)
            if forget:
                shutil.rmtree(split.root, ignore_errors=True)
    return batches


def assert_equal(left: list[RawBatch], right: list[RawBatch]) -> None:
    assert len(left) == len(right)
    assert all(
        torch.equal(a, b)
        for one, other in zip(left, right, strict=True)
        for a, b in zip(one[:3], other[:3], strict=True)
    )


@pytest.mark.parametrize("kind", ["ram", "disk"])
def test_a_row_is_there_once_it_was_put(kind: str, tmp_path: Path) -> None:
    cache = make(tmp_path, kind)
    assert len(cache) == COUNT
    assert whole_rows(cache) == []
    for row in (0, 5, COUNT - 1):
        cache.put(row, picture(row))
    assert whole_rows(cache) == [0, 5, COUNT - 1]
    assert cache.filled() == 3
    black = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    cache.put(1, black)
    found = cache.get(1)
    assert found is not None
    np.testing.assert_array_equal(found, black)


@WORKERS
@pytest.mark.parametrize("kind", ["ram", "disk"])
def test_every_epoch_is_as_without_and_only_the_first_decodes(
    kind: str, workers: int, split: Split, tmp_path: Path
) -> None:
    """In the second epoch there are no files any more, and other processes ask for a row than decoded it."""
    expected = loaded(split, None, 0, 4)
    cache = make(tmp_path, kind)
    assert_equal(loaded(split, cache, workers, 4, forget=True), expected)
    assert cache.filled() == COUNT
    plain = Pictures(split.file, SMALL, cache=cache)
    (batch,) = PictureLoader(plain, WholeBatches(range(COUNT), COUNT), workers)
    expected_rows = [
        Image.fromarray(picture(row, 40, 20)).resize((WIDTH, HEIGHT), Image.Resampling.BILINEAR) for row in range(COUNT)
    ]
    np.testing.assert_array_equal(batch.pixels, np.stack([np.asarray(row) for row in expected_rows]))


def test_a_second_run_decodes_nothing(split: Split, tmp_path: Path) -> None:
    expected = loaded(split, None, 0, 1)
    loaded(split, make(tmp_path), 2, 1)
    shutil.rmtree(split.root)
    again = make(tmp_path)
    assert again.filled() == COUNT
    assert_equal(loaded(split, again, 0, 1), expected)


def _fill(folder: Path, together: Barrier, order: int) -> None:
    together.wait()
    cache = make(folder)
    for row in np.random.default_rng(order).permutation(COUNT).tolist():
        cache.put(row, picture(row))
        whole_rows(cache)
    assert whole_rows(cache) == list(range(COUNT))


def test_processes_that_begin_at_once_share_one_file(tmp_path: Path) -> None:
    for attempt in range(3):
        together = FORK.Barrier(4)
        processes = [FORK.Process(target=_fill, args=(tmp_path / str(attempt), together, n)) for n in range(4)]
        for process in processes:
            process.start()
        for process in processes:
            process.join(30)
        assert [process.exitcode for process in processes] == [0] * 4
        assert whole_rows(make(tmp_path / str(attempt))) == list(range(COUNT))
        assert len(list((tmp_path / str(attempt) / "cache").iterdir())) == 1


def _fill_for_ever(folder: Path) -> None:
    cache = make(folder)
    while True:
        for row in range(COUNT - 1):
            cache.put(row, picture(row))


def test_killed_at_any_moment(tmp_path: Path) -> None:
    for moment in range(6):
        process = FORK.Process(target=_fill_for_ever, args=(tmp_path,))
        process.start()
        time.sleep(0.01 * moment)
        assert process.pid is not None
        os.kill(process.pid, signal.SIGKILL)
        process.join()
        process.close()
        there = whole_rows(make(tmp_path))
        assert COUNT - 1 not in there
    cache = make(tmp_path)
    for row in range(COUNT):
        cache.put(row, picture(row))
    assert whole_rows(make(tmp_path)) == list(range(COUNT))


@pytest.mark.parametrize("lost", [slice(0, 64), slice(100, 101), slice(440, 459), slice(0, 459)])
def test_a_row_of_which_bytes_are_missing_is_decoded_again(lost: slice, tmp_path: Path) -> None:
    """As after a power cut: the checksum reached the disk and the pixels did not."""
    cache = make(tmp_path)
    for row in range(COUNT):
        cache.put(row, picture(row))
    path = tmp_path / "cache" / "a.pictures"
    content = bytearray(path.read_bytes())
    first, stride = 4096, 512
    assert len(content) == nbytes(COUNT, HEIGHT, WIDTH) == first + COUNT * stride
    begin = first + 3 * stride
    content[begin + lost.start : begin + lost.stop] = bytes(lost.stop - lost.start)
    path.write_bytes(content)
    again = make(tmp_path)
    assert whole_rows(again) == [row for row in range(COUNT) if row != 3]
    again.put(3, picture(3))
    assert whole_rows(make(tmp_path)) == list(range(COUNT))


def test_writing_stops_in_the_middle_of_a_row(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cache, write = make(tmp_path), os.pwrite

    def cut(descriptor: int, content: memoryview, offset: int) -> int:
        if len(content) < 300:
            raise OSError(28, "No space left on device")
        return write(descriptor, content[:200], offset)

    monkeypatch.setattr(os, "pwrite", cut)
    cache.put(0, picture(0))
    monkeypatch.setattr(os, "pwrite", lambda *given: write(given[0], given[1][:7], given[2]))
    assert whole_rows(make(tmp_path)) == []
    other = make(tmp_path)
    other.put(1, picture(1))  # seven bytes at a time
    assert whole_rows(other) == [1]


@WORKERS
def test_a_full_disk_is_told_once_and_training_goes_on(
    workers: int, split: Split, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    expected = loaded(split, None, 0, 3)
    cache = make(tmp_path)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (nbytes(COUNT, HEIGHT, WIDTH) - 3 * 512, limits[1]))
    try:
        assert_equal(loaded(split, cache, workers, 3), expected)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert 0 <= cache.filled() < COUNT
    told = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    assert len(told) == 1
    assert str(tmp_path / "cache") in told[0]
    assert "File too large" in told[0]
    assert "training goes on" in told[0]


def test_a_disk_without_room_is_said_before_anything_is_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = namedtuple("usage", "free")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage(5000))
    with pytest.raises(
        UserError, match=r"data.cache=disk needs 0.0 MiB more in .*cache, and 0.0 MiB are free; free some"
    ):
        make(tmp_path)
    assert list((tmp_path / "cache").iterdir()) == []
    monkeypatch.undo()
    for row in range(COUNT):
        make(tmp_path).put(row, picture(row))
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage(5000))
    assert whole_rows(make(tmp_path)) == list(range(COUNT)), "what is there needs no room"


def test_memory_that_is_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cache_module, "_free_memory", lambda: 2 * nbytes(COUNT, HEIGHT, WIDTH))
    cache_in_memory(COUNT, HEIGHT, WIDTH, processes=2)
    with pytest.raises(
        UserError, match="data.cache=ram needs .* for 12 pictures in each of 3 processes, and .* are free"
    ):
        cache_in_memory(COUNT, HEIGHT, WIDTH, processes=3)


def test_what_the_system_and_the_container_leave(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "meminfo").write_text("MemTotal: 9 kB\nMemAvailable:    4 kB\n")
    monkeypatch.setattr(cache_module, "_MEMORY", tmp_path / "meminfo")
    monkeypatch.setattr(cache_module, "_CONTAINER", tmp_path)
    assert cache_module._free_memory() == 4096
    monkeypatch.setattr(cache_module, "_MEMORY", tmp_path / "none")
    assert cache_module._free_memory() is None


@pytest.mark.parametrize(
    ("limit", "used", "statistics", "forgettable"),
    [
        ("memory.max", "memory.current", "memory.stat", "inactive_file"),
        ("memory/memory.limit_in_bytes", "memory/memory.usage_in_bytes", "memory/memory.stat", "total_inactive_file"),
    ],
    ids=["version 2", "version 1"],
)
def test_what_a_container_uses_is_not_left(
    limit: str, used: str, statistics: str, forgettable: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "meminfo").write_text("MemAvailable:    4 kB\n")
    monkeypatch.setattr(cache_module, "_MEMORY", tmp_path / "meminfo")
    monkeypatch.setattr(cache_module, "_CONTAINER", tmp_path)
    (tmp_path / "memory").mkdir()
    (tmp_path / limit).write_text("max\n")
    assert cache_module._free_memory() == 4096
    (tmp_path / used).write_text("7000\n")
    (tmp_path / statistics).write_text(f"anon 5000\n{forgettable} 1500\nactive_file 400\n")
    for most, free in (("max\n", 4096), ("9000\n", 3500), ("5400\n", 0), ("9223372036854771712\n", 4096)):
        (tmp_path / limit).write_text(most)
        assert cache_module._free_memory() == free


def test_a_file_of_another_size_is_refused(tmp_path: Path) -> None:
    make(tmp_path)
    path = tmp_path / "cache" / "a.pictures"
    path.write_bytes(b"something else")
    with pytest.raises(UserError, match=r"a.pictures has 14 bytes instead of 10,240; delete it"):
        make(tmp_path)
    path.write_bytes(b"")  # killed between the file and its size
    assert whole_rows(make(tmp_path)) == []


def test_a_folder_that_is_a_file(tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("")
    with pytest.raises(UserError, match="cannot create the folder"):
        make(tmp_path)
    (tmp_path / "cache").unlink()
    (tmp_path / "cache" / "a.pictures").mkdir(parents=True)
    with pytest.raises(UserError, match="a.pictures cannot be used: Is a directory; choose another data.cache_folder"):
        make(tmp_path)


def test_the_name_changes_with_all_that_decides_the_pixels(split: Split, monkeypatch: pytest.MonkeyPatch) -> None:
    def key(preprocessing: Preprocessing = SMALL, *splits: Split) -> str:
        return cache_key(splits or [split], preprocessing)

    before = key()
    assert before.endswith("-17x9")
    assert key(Preprocessing(HEIGHT, WIDTH, (0.1, 0.1, 0.1), (1, 1, 1))) == before, "normalised afterwards"
    status = split.file(3).stat()
    Image.fromarray(picture(99, 40, 20)).save(split.file(3))
    os.utime(split.file(3), ns=(status.st_atime_ns, status.st_mtime_ns + 1))
    replaced = key()
    keys = [before, replaced, key(Preprocessing(HEIGHT, WIDTH + 1, SMALL.mean, SMALL.std)), key(SMALL, split, split)]
    monkeypatch.setattr(opencv, "version", lambda: "5")
    keys.append(key(Preprocessing(HEIGHT, WIDTH, SMALL.mean, SMALL.std, "opencv")))
    monkeypatch.setattr(opencv, "version", lambda: "6")
    keys.append(key(Preprocessing(HEIGHT, WIDTH, SMALL.mean, SMALL.std, "opencv")))
    monkeypatch.setattr(PIL, "__version__", "0")
    keys.append(key())
    assert len(set(keys)) == len(keys)


def test_a_replaced_picture_and_another_size_are_seen(split: Split, tmp_path: Path) -> None:
    def cached(preprocessing: Preprocessing) -> Pixels:
        cache = open_cache(data, [split], preprocessing)
        (batch,) = PictureLoader(Pictures(split.file, preprocessing, cache=cache), WholeBatches([3], 1), 0)
        pixels: Pixels = batch.pixels[0].numpy()
        expected = np.empty_like(pixels)
        preprocessing.read(split.file(3), expected)
        np.testing.assert_array_equal(pixels, expected)
        return pixels

    data = Data(cache="disk", cache_folder=tmp_path / "kept")
    before = cached(SMALL)
    assert cached(Preprocessing(30, 20, SMALL.mean, SMALL.std)).shape == (30, 20, 3)
    time.sleep(0.02)
    Image.fromarray(picture(99, 40, 20)).save(split.file(3))
    assert (cached(SMALL) != before).any()
    assert len(list((tmp_path / "kept").iterdir())) == 3


def test_two_datasets_that_differ_in_nothing_but_their_pixels(tmp_path: Path) -> None:
    """The same names, sizes and times of writing, in two folders and, one after the other, in one."""
    rows = [Sample(f"{row}.bmp", row) for row in range(3)]
    data = Data(cache="disk", cache_folder=tmp_path / "kept")

    def made(folder: Path, level: int) -> Split:
        folder.mkdir()
        for row in rows:
            Image.fromarray(np.full((40, 20, 3), level, np.uint8)).save(folder / row.path)
            os.utime(folder / row.path, ns=(0, 0))
        return Split.of(folder, rows)

    def levels(split: Split) -> set[int]:
        cache = open_cache(data, [split], SMALL)
        (batch,) = PictureLoader(Pictures(split.file, SMALL, cache=cache), WholeBatches(range(3), 3), 0)
        return set(batch.pixels.unique().tolist())

    assert levels(made(tmp_path / "first", 10)) == {10}
    assert levels(made(tmp_path / "second", 200)) == {200}
    assert len(list((tmp_path / "kept").iterdir())) == 2
    (tmp_path / "first").rename(tmp_path / "elsewhere")
    (tmp_path / "second").rename(tmp_path / "first")
    assert levels(Split.of(tmp_path / "first", rows)) == {200}
    (tmp_path / "link").symlink_to(tmp_path / "first")
    before = len(list((tmp_path / "kept").iterdir()))
    assert levels(Split.of(tmp_path / "link", rows)) == {200}
    assert len(list((tmp_path / "kept").iterdir())) == before, "another way to the same folder"


def test_what_a_configuration_asks_for(split: Split, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    assert open_cache(Data(), [split], SMALL) is None
    assert caplog.messages == []
    ram = open_cache(Data(cache="ram"), [split, split], SMALL)
    assert ram is not None
    assert len(ram) == 2 * COUNT
    assert caplog.messages.pop() == "keeping 24 pictures in memory once they are decoded: up to 0.0 MiB"
    caplog.clear()
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="cannot create the folder"):
        open_cache(Data(cache="disk", cache_folder=tmp_path / "file"), [split], SMALL)
    assert caplog.messages == [], "nothing is promised before it can be kept"
    said: list[int] = []

    def noticing(descriptor: int, size: int) -> None:
        said.append(len(caplog.messages))
        truncate(descriptor, size)

    with pytest.MonkeyPatch.context() as patch:
        truncate = os.truncate
        patch.setattr(os, "truncate", noticing)
        disk = open_cache(Data(cache="disk", cache_folder=tmp_path / "kept"), [split], SMALL)
    assert said == [1], "told before anything is taken"
    assert disk is not None
    (path,) = (tmp_path / "kept").iterdir()
    assert caplog.messages[0].startswith(f"keeping 12 pictures in {path} once they are decoded: up to 0.0 MiB; delete")
    disk.put(0, picture(0))
    open_cache(Data(cache="disk", cache_folder=tmp_path / "kept"), [split], SMALL)
    assert caplog.messages[-1] == f"of 12 pictures, 1 are decoded in {path}"
    open_cache(Data(cache="disk", cache_folder=tmp_path / "kept"), [split, split], SMALL)
    assert "(1 other(s) there take 0.0 MiB)" in caplog.messages[-1]
