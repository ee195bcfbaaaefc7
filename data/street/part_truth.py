"""The true body parts of a street's pictures, cell by cell, for whoever finds parts by itself to be compared with.

    truth = PartTruth.of(dataset.train)
    parts = truth.cells([0, 1, 2], height=24, width=12)      # (3, 24, 12): 0 background, 1 head, 2 torso, 3 legs

Arms count to the torso and feet to the legs, other people to the background. Bags are on top of people and part of
nobody: their cells are not counted.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from common.errors import UserError
from data.samples import Split
from data.street.drawing.picture import LABELS, majority
from data.street.truth import PARTS

Cells = NDArray[np.uint8]

CLASSES = ("background", "head", "torso", "legs")
"""What the cells mean, by value."""

NOT_COUNTED = 255
"""The value of a cell that is compared with nothing."""

_BAG = len(CLASSES)  # what stands for `NOT_COUNTED` in a vote
_CLASS = {
    "background": 0, "head": 1, "torso": 2, "arms": 2, "legs": 3, "feet": 3, "bag": _BAG, "other person": 0,
}  # fmt: skip
_CLASS_OF = np.array([_CLASS[label] for label in LABELS], np.uint8)
_VALUE_OF = np.array([*range(len(CLASSES)), NOT_COUNTED], np.uint8)

_BROKEN = (OSError, SyntaxError, ValueError, EOFError, struct.error, zlib.error)

_SAMPLES = 4
"""Along a side of a cell: as many pixels as it has in a picture that maps are a quarter of."""


@dataclass(frozen=True)
class PartTruth:
    """The part maps that lie beside the pictures of a split."""

    split: Split

    @classmethod
    def of(cls, split: Split) -> PartTruth:
        """Raises `UserError` when a picture has none; how many have none, and the first."""
        truth = cls(split)
        missing = [row for row in range(len(split)) if not truth.file(row).is_file()]
        if missing:
            raise UserError(
                f"{split.root / PARTS} has no true body parts of {len(missing):,} of {len(split):,} pictures in"
                f" {split.root}, such as {split.paths[missing[0]]}; take a street, which is drawn with them (python3 -m"
                " data.street)"
            )
        return truth

    def file(self, row: int) -> Path:
        """The part map of one row's picture."""
        path: str = self.split.paths[row]
        return self.split.root / PARTS / f"{path.rpartition('.')[0]}.png"

    def cells(self, rows: Sequence[int], height: int, width: int) -> Cells:
        """`(B, height, width)` what most of every cell shows in the pictures of `rows`: `CLASSES` or `NOT_COUNTED`.

        The part map is stretched to the whole of the cells, as a picture is to the size that a network looks at. Of
        several classes that cover as much of a cell it is the greatest.

        Raises:
            UserError: a part map cannot be read or is none.
        """
        found = [majority(_CLASS_OF[_sampled(self._labels(row), height, width)], _SAMPLES) for row in rows]
        return _VALUE_OF[np.stack(found)]

    def _labels(self, row: int) -> Cells:
        """`(H, W)` indices into `LABELS` as drawn."""
        file = self.file(row)
        try:
            with Image.open(file, formats=("PNG",)) as picture:
                if picture.mode != "P":
                    raise ValueError(f"its mode is {picture.mode}, not P")
                labels = np.asarray(picture)
            if labels.max() >= len(LABELS):
                raise ValueError(f"it has the value {labels.max()}, and there are {len(LABELS)} labels")
        except _BROKEN as error:
            raise UserError(f"the part map {file} cannot be read ({error}); have the street drawn again") from error
        return labels


def _sampled(labels: Cells, height: int, width: int) -> Cells:
    """The labels under the middles of `_SAMPLES`² equal samples of each of `height` x `width` cells."""
    rows, columns = (
        (2 * np.arange(cells * _SAMPLES) + 1) * pixels // (2 * cells * _SAMPLES)
        for cells, pixels in zip((height, width), labels.shape, strict=True)
    )
    sampled: Cells = labels[rows[:, None], columns]
    return sampled
