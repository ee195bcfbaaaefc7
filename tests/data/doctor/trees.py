"""Small datasets of drawn people, healthy until a test breaks them, and the doctor's word on them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from data.doctor.command import main
from data.readers.listing import PICTURE_SUFFIXES

PEOPLE, CAMERAS, SHOTS = 6, 2, 2
"""People 0, 1 and 2 are for training; of the others the first shot of each camera is the query."""


def drawn(person: int, camera: int, shot: int, size: tuple[int, int] = (64, 32)) -> Image.Image:
    """A picture of no one else: coarse blocks of colour that follow from the numbers alone."""
    random = np.random.default_rng([person, camera, shot])
    blocks = random.integers(0, 256, (8, 4, 3), dtype=np.uint8)
    return Image.fromarray(blocks).resize(size[::-1], Image.Resampling.BICUBIC)


def save(path: Path, image: Image.Image, **options: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    image.save(path, **options)
    return path


def paint(root: Path) -> Path:
    """Give every picture below `root` that is not empty other pixels, which follow from its path alone."""
    for path in sorted(root.rglob("*")):
        if path.name.lower().endswith(PICTURE_SUFFIXES) and path.is_file() and path.stat().st_size:
            save(path, drawn(*hashlib.sha256(path.relative_to(root).as_posix().encode()).digest()[:3]))
    return root


def split_of(person: int, shot: int) -> str:
    return "train" if person < PEOPLE // 2 else ("gallery" if shot else "query")


def tree(root: Path, name: Callable[[int, int, int], str]) -> Path:
    """All pictures below `root` as `name(person, camera, shot)` has it."""
    for person in range(PEOPLE):
        for camera in range(CAMERAS):
            for shot in range(SHOTS):
                save(root / name(person, camera, shot), drawn(person, camera, shot))
    return root


def market_name(person: int, camera: int, shot: int) -> str:
    folder = {"train": "bounding_box_train", "query": "query", "gallery": "bounding_box_test"}[split_of(person, shot)]
    return f"{folder}/{person:04d}_c{camera + 1}s1_{shot:06d}_00.jpg"


def csv_tree(root: Path, edit: Callable[[list[list[str]]], list[list[str]]] = lambda rows: rows) -> Path:
    """A table of one's own; `edit` changes its rows (path, pid, camid, split, clothes)."""
    tree(root, lambda person, camera, shot: f"{person}_{camera}_{shot}.jpg")
    rows = [
        [f"{person}_{camera}_{shot}.jpg", str(person), str(camera), split_of(person, shot), ""]
        for person in range(PEOPLE)
        for camera in range(CAMERAS)
        for shot in range(SHOTS)
    ]
    lines = [["path", "pid", "camid", "split", "clothes"], *edit(rows)]
    (root / "table.csv").write_text("".join(",".join(line) + "\n" for line in lines))
    return root


def msmt_name(person: int, camera: int, shot: int, folders: tuple[str, str] = ("train", "test")) -> str:
    number = person % (PEOPLE // 2)
    folder = folders[split_of(person, shot) != "train"]
    return f"{folder}/{number:04d}/{number:04d}_{shot:03d}_{camera + 1:02d}_0303morning_{shot:04d}_0.jpg"


def msmt_tree(root: Path, folders: tuple[str, str] = ("train", "test")) -> Path:
    tree(root, lambda person, camera, shot: msmt_name(person, camera, shot, folders))
    lists: dict[str, list[str]] = {"train": [], "query": [], "gallery": []}
    for person in range(PEOPLE):
        for camera in range(CAMERAS):
            for shot in range(SHOTS):
                path = msmt_name(person, camera, shot).partition("/")[2]
                lists[split_of(person, shot)].append(f"{path} {person}\n")
    for split, lines in lists.items():
        (root / f"list_{split}.txt").write_text("".join(lines))
    (root / "list_val.txt").write_text("")
    return root


@dataclass(frozen=True)
class Word:
    """What the doctor said."""

    status: int
    report: dict[str, Any]

    def finding(self, kind: str) -> dict[str, Any]:
        found: list[dict[str, Any]] = [finding for finding in self.report["findings"] if finding["kind"] == kind]
        assert found, f"no '{kind}' among {self.kinds}"
        return found[0]

    def names(self, kind: str) -> list[list[str]]:
        """The names of every item of a finding."""
        return [item["names"] for item in self.finding(kind)["items"]]

    @property
    def kinds(self) -> list[str]:
        return [finding["kind"] for finding in self.report["findings"]]


class Doctor:
    """Asks the command in this process."""

    def __init__(self, sheets: Path, catalog: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.sheets, self.catalog, self.capsys = sheets, catalog, capsys

    def __call__(self, dataset: str, root: Path, *options: str) -> Word:
        """The report as JSON."""
        status, out, _ = self.said(dataset, root, "--json", *options)
        return Word(status, json.loads(out))

    def said(self, dataset: str, root: Path, *options: str) -> tuple[int, str, str]:
        """Status, stdout and stderr."""
        common = ["--root", str(root), "--sheets", str(self.sheets), "--workers", "1"]
        status = main([dataset, *common, *options], self.catalog)
        out, err = self.capsys.readouterr()
        return status, out, err
