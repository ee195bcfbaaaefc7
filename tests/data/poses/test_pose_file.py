"""Maps on disk: filled in parts, on after being killed, and never taken for whole when they are not."""

from __future__ import annotations

import os
import shutil
import signal
from dataclasses import replace
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import pytest

from common.errors import UserError
from data.poses.pose_file import MANIFEST, MAPS, SUMS, Contents, PoseFile
from data.poses.pose_folder import PoseFolder
from data.poses.pose_writer import PoseWriter
from data.samples import Sample, Split

COUNT = 6
MADE_BY = {"source": "keypoints", "content": ["00"]}


@pytest.fixture
def split(tmp_path: Path) -> Split:
    paths = [*(f"p/{n}.jpg" for n in range(COUNT - 1)), b"p/\xff.jpg".decode(errors="surrogateescape")]
    (tmp_path / "root" / "p").mkdir(parents=True)
    for size, path in enumerate(paths):
        (tmp_path / "root" / path).write_bytes(b"0" * size)
    return Split.of(tmp_path / "root", [Sample(path, 1) for path in paths])


def contents_of(split: Split) -> Contents:
    return Contents(list(split.paths), list(range(len(split))), 13, 32, 16, MADE_BY)


def maps_of(rows: list[int]) -> np.ndarray:
    return np.stack([np.random.default_rng(row).normal(size=(13, 8, 4)) for row in rows])


def fill(folder: Path, split: Split, rows: list[int]) -> None:
    with PoseWriter(folder, contents_of(split)) as writer:
        writer.write(np.array(rows), maps_of(rows))


def test_what_is_written_is_read(tmp_path: Path, split: Split) -> None:
    folder = tmp_path / "poses" / "toys"
    with PoseWriter(folder, contents_of(split)) as writer:
        assert writer.missing().tolist() == list(range(COUNT))
        writer.write(np.array([4, 1]), maps_of([4, 1]))
    with pytest.raises(
        UserError, match="was left unfinished: 4 of 6 pictures have no maps, such as p/0.jpg; run .*again"
    ):
        PoseFile(folder).rows_of(split)
    with PoseWriter(folder, contents_of(split)) as writer:
        assert writer.missing().tolist() == [0, 2, 3, 5]
        writer.write(writer.missing(), maps_of([0, 2, 3, 5]))
    found, rows = PoseFolder(tmp_path / "poses").find(split.take(np.array([5, 0, 4])))
    assert rows.tolist() == [5, 0, 4]
    np.testing.assert_array_equal(found.read(rows), maps_of([5, 0, 4]).astype(np.float16))
    assert PoseFolder(folder).find(split)[0].fingerprint == found.fingerprint
    fill(folder, split, [3])
    assert PoseFile(folder).fingerprint == found.fingerprint
    with PoseWriter(folder, contents_of(split)) as writer:
        writer.write(np.array([3]), maps_of([9]))
    assert PoseFile(folder).fingerprint != found.fingerprint


def _killed(folder: Path, split: Split) -> None:
    with PoseWriter(folder, contents_of(split)) as writer:
        writer.write(np.array([2, 3]), maps_of([2, 3]))
        os.kill(os.getpid(), signal.SIGKILL)


def test_a_killed_writer_is_gone_on_from(tmp_path: Path, split: Split) -> None:
    folder = tmp_path / "toys"
    process = get_context("fork").Process(target=_killed, args=(folder, split))
    process.start()
    process.join(60)
    assert process.exitcode == -signal.SIGKILL
    with PoseWriter(folder, contents_of(split)) as writer:
        assert writer.missing().tolist() == [0, 1, 4, 5]


def test_a_half_written_row_does_not_count(tmp_path: Path, split: Split) -> None:
    folder = tmp_path / "toys"
    fill(folder, split, list(range(COUNT)))
    maps = np.load(folder / MAPS, mmap_mode="r+")
    maps[2, 7:] = 0
    maps.flush()
    file = PoseFile(folder)
    rows = file.rows_of(split)
    file.read(rows[:2])
    with pytest.raises(UserError, match="the maps of p/2.jpg are damaged; run .* again, it makes them anew"):
        file.read(rows)
    with PoseWriter(folder, contents_of(split)) as writer:
        assert writer.missing().tolist() == [2]


def test_pictures_that_are_others(tmp_path: Path, split: Split) -> None:
    folder = tmp_path / "poses" / "toys"
    fill(folder, split, list(range(COUNT)))
    split.file(3).write_bytes(b"another one")
    with pytest.raises(UserError, match="p/3.jpg is another one than when its maps in .*toys were made"):
        PoseFolder(tmp_path / "poses").find(split)
    more = Split.of(split.root, [Sample("new.jpg", 1), *(Sample(path, 1) for path in split.paths)])
    with pytest.raises(UserError, match="toys has no maps of 1 of 7 pictures in .*, such as new.jpg; run python3 -m"):
        PoseFolder(tmp_path / "poses").find(more)
    with pytest.raises(UserError, match="there are no maps of joints in .*elsewhere; run python3 -m engine.pose"):
        PoseFolder(tmp_path / "elsewhere")


def test_the_right_one_of_two_is_found(tmp_path: Path, split: Split) -> None:
    """Two datasets may have the same names."""
    other = contents_of(split)
    with PoseWriter(tmp_path / "poses" / "a", replace(other, bytes=[7] * COUNT)) as writer:
        writer.write(np.arange(COUNT), maps_of(list(range(COUNT))))
    fill(tmp_path / "poses" / "b", split, list(range(COUNT)))
    shutil.copytree(tmp_path / "poses" / "b", tmp_path / "poses" / "c")
    (tmp_path / "poses" / "c" / MANIFEST).write_text("{")  # of no concern to others
    assert PoseFolder(tmp_path / "poses").find(split)[0].folder.name == "b"


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"made_by": {"source": "hrnet"}}, "another source or other weights"),
        ({"channels": 17}, "maps of another size"),
        ({"height": 30}, "pictures of another size"),
        ({"bytes": [9] * COUNT}, "other pictures"),
    ],
)
def test_maps_of_something_else_are_not_gone_on_with(
    tmp_path: Path, split: Split, changed: dict[str, object], told: str
) -> None:
    fill(tmp_path / "toys", split, [0])
    with pytest.raises(UserError, match=f"holds maps made of or by something else \\({told}\\)"):
        PoseWriter(tmp_path / "toys", replace(contents_of(split), **changed))  # type: ignore[arg-type]


def test_where_nothing_is_written(tmp_path: Path, split: Split, monkeypatch: pytest.MonkeyPatch) -> None:
    with PoseWriter(tmp_path / "toys", contents_of(split)) as writer:
        with pytest.raises(UserError, match="another process writes maps into"):
            PoseWriter(tmp_path / "toys", contents_of(split))
        with pytest.raises(UserError, match="the maps of p/1.jpg hold a number that is not finite"):
            writer.write(np.array([0, 1]), np.stack([np.zeros((13, 8, 4)), np.full((13, 8, 4), np.inf)]))
        with pytest.raises(ValueError, match="expected"):
            writer.write(np.array([0]), np.zeros((1, 17, 8, 4)))
    with pytest.raises(UserError, match="holds something else than maps"):
        PoseWriter(split.root, contents_of(split))
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=5))
    with pytest.raises(UserError, match="the maps of 6 pictures take 0.0 MiB, and 0.0 MiB are free"):
        PoseWriter(tmp_path / "full", contents_of(split))


@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        (MANIFEST, "[", "manifest.json is damaged: it is not JSON"),
        (MANIFEST, "[]", "is not the manifest of maps of joints"),
        (MANIFEST, '{"format": 2}', "format 2, and this version reads 1"),
        (MANIFEST, '{"format": 1}', "damaged: 'channels' is None"),
        (MAPS, "no array", "maps.npy is damaged: it cannot be read as an array"),
        (SUMS, "", "sums.npy is damaged"),
    ],
)
def test_damaged_files(tmp_path: Path, split: Split, name: str, content: str, told: str) -> None:
    fill(tmp_path / "toys", split, [0])
    (tmp_path / "toys" / name).write_text(content)
    with pytest.raises(UserError) as error:
        PoseFile(tmp_path / "toys")
    assert told in str(error.value)


def test_nothing_is_unpickled(tmp_path: Path, split: Split) -> None:
    fill(tmp_path / "toys", split, [0])
    np.save(tmp_path / "toys" / SUMS, np.array([{}] * COUNT, dtype=object), allow_pickle=True)
    with pytest.raises(UserError, match="sums.npy is damaged"):
        PoseFile(tmp_path / "toys")
