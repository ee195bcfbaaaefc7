"""Datasets whose pictures all differ, and what is told of each picture by its bytes, whatever it is called."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from data.readers import read
from data.readers.listing import pictures
from data.samples import Dataset
from tests.data.trees import TREES

Line = tuple[str, int | str, int | str, str]
"""Path, pid, camid and split, as a table has them."""


class Told(NamedTuple):
    """Person, camera and outfit of a picture."""

    pid: int
    camid: int
    clothes: int


def dataset_of(title: str, root: Path) -> Dataset:
    """A miniature of `tests.data.trees`, in which every picture has bytes of its own."""
    tree = TREES[title](root)
    if tree.reader != "street":  # whose pictures differ, and have a manifest
        for number, path in enumerate(pictures(root)):
            with (root / path).open("ab") as file:
                file.write(number.to_bytes(4, "big"))
    return read(tree.reader, tree.root, "mine", **tree.options)


def by_bytes(dataset: Dataset) -> dict[str, list[tuple[bytes, Told]]]:
    """What each split tells, by the bytes of the pictures, sorted."""
    told = {}
    for title, split in dataset.splits.items():
        labels = zip(split.pids.tolist(), split.camids.tolist(), split.clothes.tolist(), strict=True)
        told[title] = sorted((split.file(row).read_bytes(), Told(*known)) for row, known in enumerate(labels))
    return told


def without(told: dict[str, list[tuple[bytes, Told]]], **labels: int) -> dict[str, list[tuple[bytes, Told]]]:
    """The same with some labels replaced."""
    return {title: [(content, row._replace(**labels)) for content, row in rows] for title, rows in told.items()}


def in_order(told: dict[str, list[tuple[bytes, Told]]]) -> dict[str, list[tuple[bytes, Told]]]:
    """The same with cameras numbered in their order."""
    cameras = sorted({row.camid for rows in told.values() for _, row in rows})
    return {
        title: [(content, row._replace(camid=cameras.index(row.camid))) for content, row in rows]
        for title, rows in told.items()
    }


def by_person(told: dict[str, list[tuple[bytes, Told]]]) -> dict[str, list[tuple[bytes, Told]]]:
    """The same with the outfits of all people numbered in their order."""
    worn = sorted(
        {(row.pid, row.clothes) for rows in told.values() for _, row in rows if -1 not in (row.pid, row.clothes)}
    )
    number = {pair: place for place, pair in enumerate(worn)}
    return {
        title: [(content, row._replace(clothes=number.get((row.pid, row.clothes), -1))) for content, row in rows]
        for title, rows in told.items()
    }


def table_root(root: Path, rows: list[Line]) -> Path:
    """A table of one's own: path, pid, camid and split; every picture has bytes of its own."""
    root.mkdir(parents=True, exist_ok=True)
    lines = ["path,pid,camid,split"]
    for path, pid, camid, split in rows:
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_bytes(f"bytes of {path}".encode())
        lines.append(f'"{path}",{pid},{camid},{split}')
    (root / "mine.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return root


def table_of(root: Path, rows: list[Line]) -> Dataset:
    return read("csv", table_root(root, rows), "mine")


def people(count: int, cameras: int = 3, shots: int = 2) -> list[Line]:
    """Rows of people to train on, and one to ask for."""
    rows: list[Line] = [
        (f"train/{pid}_{camera}_{shot}.png", pid, camera, "train")
        for pid in range(1, count + 1)
        for camera in range(cameras)
        for shot in range(shots)
    ]
    return [*rows, ("query.jpg", 900, 0, "query"), ("a.jpg", 900, 1, "gallery"), ("b.JPEG", 0, 2, "gallery")]
