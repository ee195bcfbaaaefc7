"""Features and what is known of each of their rows: plain arrays, so that they can be studied without any model."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from common.contracts import UNKNOWN

Ints = NDArray[np.int64]
Floats = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Columns:
    """The labels of N rows, as the dataset names them.

    Attributes:
        pids: `(N,)` int64 identities; −1 is a distractor that no query may be judged by.
        camids: `(N,)` int64 cameras; −1 unknown.
        clothes: `(N,)` int64 outfits; −1 unknown.
    """

    pids: Ints
    camids: Ints
    clothes: Ints

    def __post_init__(self) -> None:
        for name in ("pids", "camids", "clothes"):
            column = getattr(self, name)
            if column.dtype != np.int64 or column.shape != (len(self.pids),):
                raise ValueError(
                    f"{name}: expected int64 of shape ({len(self.pids)},), got {column.dtype} of {column.shape}"
                )

    @classmethod
    def of(cls, pids: ArrayLike, camids: ArrayLike | None = None, clothes: ArrayLike | None = None) -> Columns:
        """Columns from anything array-like; what is not given is unknown (−1)."""
        people = np.asarray(pids, dtype=np.int64)

        def column(values: ArrayLike | None) -> Ints:
            return np.full(people.shape, UNKNOWN) if values is None else np.asarray(values, dtype=np.int64)

        return cls(people, column(camids), column(clothes))

    def __len__(self) -> int:
        return len(self.pids)

    def take(self, rows: Ints | slice) -> Columns:
        """The labels of some rows, in the order given."""
        return Columns(self.pids[rows], self.camids[rows], self.clothes[rows])


@dataclass(frozen=True, eq=False)
class Features:
    """The embeddings of N pictures; any of the arrays may be memory-mapped.

    Attributes:
        vectors: `(N, D)` float32, not necessarily normalised: a scorer does what it needs.
        columns: the labels of the same N rows.
        parts: `(N, P, D')` float32, one feature per body part, where the system has them.
        visibility: `(N, P)` float32 in [0, 1].
    """

    vectors: Floats
    columns: Columns
    parts: Floats | None = None
    visibility: Floats | None = None

    def __post_init__(self) -> None:
        for name, dimensions in (("vectors", 2), ("parts", 3), ("visibility", 2)):
            array = getattr(self, name)
            if array is not None and (array.ndim != dimensions or len(array) != len(self.columns)):
                raise ValueError(
                    f"{name}: expected {dimensions} dimensions and {len(self.columns)} rows, got shape {array.shape}"
                )
            if array is not None and array.dtype != np.float32:  # nor in another byte order
                raise ValueError(f"{name}: expected float32, got {array.dtype}")
            if array is not None and 0 in array.shape[1:]:
                raise ValueError(f"{name}: expected at least one number a row, got shape {array.shape}")
        if self.parts is not None and self.visibility is not None and self.parts.shape[1] != self.visibility.shape[1]:
            raise ValueError(f"{self.parts.shape[1]} parts and the visibility of {self.visibility.shape[1]}")

    def __len__(self) -> int:
        return len(self.columns)

    def take(self, rows: Ints | slice) -> Features:
        """Some rows of everything, in the order given."""
        parts = None if self.parts is None else self.parts[rows]
        visibility = None if self.visibility is None else self.visibility[rows]
        return Features(self.vectors[rows], self.columns.take(rows), parts, visibility)
