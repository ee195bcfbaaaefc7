"""The true parts of a street's pictures, cell by cell."""

from __future__ import annotations

import shutil
from collections import Counter
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from common.errors import UserError
from data.readers import read
from data.samples import Sample, Split
from data.street.drawing.picture import LABELS
from data.street.part_truth import CLASSES, NOT_COUNTED, PartTruth
from data.street.truth import PARTS

MEANS = {
    "background": "background", "other person": "background", "head": "head", "torso": "torso", "arms": "torso",
    "legs": "legs", "feet": "legs",
}  # fmt: skip


def naive(labels: np.ndarray, height: int, width: int) -> np.ndarray:
    """One cell after the other, 4 samples along each side."""
    cells = np.zeros((height, width), np.uint8)
    for row in range(height):
        for column in range(width):
            votes: Counter[int] = Counter()
            for y in range(4 * row, 4 * row + 4):
                for x in range(4 * column, 4 * column + 4):
                    down, along = Fraction(2 * y + 1, 8 * height), Fraction(2 * x + 1, 8 * width)
                    label = labels[int(down * labels.shape[0]), int(along * labels.shape[1])]
                    name = MEANS.get(LABELS[label])
                    votes[NOT_COUNTED if name is None else CLASSES.index(name)] += 1
            cells[row, column] = max(votes, key=lambda value: (votes[value], value))
    return cells


def single(folder: Path, labels: np.ndarray) -> Split:
    """A split of one picture, which need not be there, and its part map."""
    (folder / PARTS / "train").mkdir(parents=True)
    picture = Image.fromarray(labels)
    picture.putpalette([0, 0, 0] * 256)
    picture.save(folder / PARTS / "train" / "a.png")
    return Split.of(folder, [Sample("train/a.jpg", 1)])


@pytest.mark.parametrize(("height", "width"), [(8, 4), (6, 5), (12, 7)])
def test_cells_are_those_of_the_loops(street: Path, height: int, width: int) -> None:
    split = read("street", street, "street").train
    rows = [0, 7, 30, 63]
    cells = PartTruth.of(split).cells(rows, height, width)
    assert cells.shape == (4, height, width)
    assert cells.dtype == np.uint8
    for row, found in zip(rows, cells, strict=True):
        with Image.open(street / PARTS / Path(split.paths[row]).with_suffix(".png")) as picture:
            labels = np.asarray(picture)
        assert labels.shape == (32, 16)
        assert (found == naive(labels, height, width)).all()
    assert {0, 1, 2, 3} <= set(np.unique(cells).tolist())


def test_what_each_label_counts_as(tmp_path: Path) -> None:
    labels = np.repeat(np.repeat(np.arange(8, dtype=np.uint8).reshape(4, 2), 4, axis=0), 4, axis=1)
    cells = PartTruth.of(single(tmp_path, labels)).cells([0], 4, 2)
    assert cells.tolist() == [[[0, 1], [2, 2], [3, 3], [NOT_COUNTED, 0]]]


def test_torso_and_arms_vote_together(tmp_path: Path) -> None:
    labels = np.array([0] * 7 + [2] * 5 + [3] * 4, np.uint8).reshape(4, 4)
    assert PartTruth.of(single(tmp_path, labels)).cells([0], 1, 1).tolist() == [[[2]]]


def test_of_equal_votes_the_greatest(tmp_path: Path) -> None:
    labels = np.array([4] * 8 + [1] * 8, np.uint8).reshape(4, 4)
    assert PartTruth.of(single(tmp_path, labels)).cells([0], 1, 1).tolist() == [[[3]]]


def test_pictures_without_truth(street: Path, tmp_path: Path) -> None:
    root = tmp_path / "street"
    shutil.copytree(street, root)
    split = read("street", root, "street").train
    PartTruth.of(split)
    first = split.paths[5]
    (root / PARTS / Path(first).with_suffix(".png")).unlink()
    with pytest.raises(UserError, match=rf"no true body parts of 1 of 64 pictures in .*such as {first}; take a street"):
        PartTruth.of(split)
    shutil.rmtree(root / PARTS)
    with pytest.raises(UserError, match="no true body parts of 64 of 64"):
        PartTruth.of(split)


def test_part_maps_that_are_none(tmp_path: Path) -> None:
    labels = np.zeros((8, 4), np.uint8)
    split = single(tmp_path, labels)
    file, truth = tmp_path / PARTS / "train" / "a.png", PartTruth.of(split)
    whole = file.read_bytes()
    file.write_bytes(whole[: len(whole) - 30])
    with pytest.raises(UserError, match=r"a\.png cannot be read .*; have the street drawn again"):
        truth.cells([0], 2, 1)
    file.write_bytes(b"nothing")
    with pytest.raises(UserError, match=r"a\.png cannot be read"):
        truth.cells([0], 2, 1)
    Image.fromarray(labels).convert("RGB").save(file)
    with pytest.raises(UserError, match="its mode is RGB, not P"):
        truth.cells([0], 2, 1)
    shutil.rmtree(tmp_path / PARTS)
    labels[0, 0] = 8
    single(tmp_path, labels)
    with pytest.raises(UserError, match="it has the value 8, and there are 8 labels"):
        truth.cells([0], 2, 1)
