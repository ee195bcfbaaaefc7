"""What was seen in all pictures, as columns: about 500 bytes a picture, whatever its size on the disk."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from common.progress import progress
from data.doctor.inspection import DECODED, HEIGHT, WIDTH, Look
from data.doctor.workers import inspected
from data.samples import Ints

ONE_COLOUR = 4
"""Of 255: between the darkest and the brightest of a small version in which nothing can be seen."""


@dataclass(frozen=True)
class Looks:
    """One row for each file.

    Attributes:
        states: `(F,)` uint8, of `inspection.State`.
        faults: by row, of those that are not fine.
        digests: `(F, 16)` uint8; equal for equal bytes, zeros where nothing was read.
        heights, widths: `(F,)` int64; 0 unknown.
        turned: `(F,)` bool, upright only by EXIF.
        small: `(F, 16, 9, 3)` uint8.
    """

    states: NDArray[np.uint8]
    faults: dict[int, str]
    digests: NDArray[np.uint8]
    heights: Ints
    widths: Ints
    turned: NDArray[np.bool_]
    small: NDArray[np.uint8]

    @property
    def decoded(self) -> NDArray[np.bool_]:
        """`(F,)` which files became pixels."""
        return np.isin(self.states, DECODED)

    @cached_property
    def comparable(self) -> NDArray[np.bool_]:
        """`(F,)` which files show something: they were decoded and are not of one colour."""
        pixels = self.small.reshape(len(self), -1, 3)
        spread = (pixels.max(axis=1) - pixels.min(axis=1)).max(axis=1, initial=0)
        mask: NDArray[np.bool_] = self.decoded & (spread > ONE_COLOUR)
        return mask

    def __len__(self) -> int:
        return len(self.states)


def look_at(place: Path, files: Sequence[str], workers: int = 1) -> Looks:
    """Look at every file below `place` once, with a bar on a terminal."""
    looks = progress(inspected(place, files, workers), total=len(files), title="looking at pictures", unit="")
    return columns(looks, len(files))


def columns(looks: Iterable[Look], count: int) -> Looks:
    """The columns of `count` looks."""
    all_of_them = Looks(
        np.zeros(count, dtype=np.uint8),
        {},
        np.zeros((count, 16), dtype=np.uint8),
        np.zeros(count, dtype=np.int64),
        np.zeros(count, dtype=np.int64),
        np.zeros(count, dtype=bool),
        np.zeros((count, HEIGHT, WIDTH, 3), dtype=np.uint8),
    )
    for row, look in enumerate(looks):
        all_of_them.states[row] = look.state
        all_of_them.digests[row] = np.frombuffer(look.digest, dtype=np.uint8)
        all_of_them.heights[row], all_of_them.widths[row] = look.height, look.width
        all_of_them.turned[row] = look.turned
        if look.small is not None:
            all_of_them.small[row] = look.small
        if look.fault:
            all_of_them.faults[row] = look.fault
    return all_of_them
