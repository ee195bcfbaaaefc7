"""How well body parts that were found agree with those that are there: intersection over union, per part.

Cells are summed over all pictures first and divided once, so that a picture weighs by what it shows of a part.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from common.errors import UserError
from data.street.part_truth import CLASSES, NOT_COUNTED, Cells

PROTOCOL = "parts"
"""What scores like these are kept under, beside those of `retrieval.protocols`."""

MEAN = "mean"
SCORES = (MEAN, *CLASSES[1:], CLASSES[0])
"""In the order in which they are told; the mean is over the parts and not the background."""

PARTS = len(CLASSES) - 1


@dataclass
class Agreement:
    """Cells counted so far.

    Attributes:
        counts: `(4, 4)` int64, by what a cell shows and what it was said to show.
        pictures: how many were counted.
    """

    counts: NDArray[np.int64] = field(default_factory=lambda: np.zeros((len(CLASSES), len(CLASSES)), np.int64))
    pictures: int = 0

    def add(self, found: Tensor, truth: Cells) -> None:
        """Count the cells of `(B, h, w)` pictures, both with the values of `CLASSES`; `truth` also `NOT_COUNTED`."""
        counted = truth != NOT_COUNTED
        pairs = truth[counted].astype(np.int64) * len(CLASSES) + found.cpu().numpy()[counted]
        self.counts += np.bincount(pairs, minlength=self.counts.size).reshape(self.counts.shape)
        self.pictures += len(truth)

    def scores(self) -> dict[str, float]:
        """By the names of `SCORES`, in [0, 1].

        Raises:
            UserError: no cell shows some part, so that nothing can be said of it.
        """
        lacking = [CLASSES[part] for part in range(1, len(CLASSES)) if not self.counts[part].any()]
        if lacking:
            raise UserError(
                f"no cell of {self.pictures:,} pictures shows {' or '.join(lacking)}, so there is nothing to compare"
                " with; judge on more or on larger pictures"
            )
        both = np.diagonal(self.counts)
        either = self.counts.sum(0) + self.counts.sum(1) - both
        # Only of the background there may be none at all, neither found nor there: then all agree.
        each = dict(zip(CLASSES, np.where(either > 0, both / np.maximum(either, 1), 1.0).tolist(), strict=True))
        parts = {name: each[name] for name in CLASSES[1:]}
        return {MEAN: sum(parts.values()) / PARTS, **parts, CLASSES[0]: each[CLASSES[0]]}


def lines(scores: Mapping[str, float]) -> Iterator[str]:
    """A line for each score, in per cent."""
    for name in SCORES:
        yield f"{name:<12}{100 * scores[name]:>6.1f}"
