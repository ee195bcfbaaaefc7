"""Some rows of features as tensors on a device: what a scorer compares, one tile with another."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from common.contracts import Embedding
from common.errors import UserError
from retrieval.columns import Features, Floats, Ints
from retrieval.streaming.exact import Doubles

_PART = 64
"""Numbers whose squares are added up in float32."""


@dataclass(frozen=True)
class Tile(Embedding):
    """An `Embedding` that knows which rows it is.

    Attributes:
        role: "query" or "gallery", the side it is on.
        rows: which rows of that side.
        squares: `(n,)` float64 the squared lengths of the rows of `vector`, as they were before any preparation.
        longest: no row of `vector` is longer than this; what rounding errors are bounded by.
    """

    role: str = "query"
    rows: slice | Ints = field(default_factory=lambda: slice(0, 0))
    squares: Tensor = field(default_factory=lambda: torch.empty(0, dtype=torch.float64))
    longest: float = float("inf")

    def __len__(self) -> int:
        return int(self.vector.shape[0])


def cut(features: Features, rows: slice | Ints, device: torch.device, role: str) -> Tile:
    """Some rows in float32 on `device`.

    Raises:
        UserError: a number is NaN or infinite; it names the first such row.
    """
    piece, squares = _finite(features.vectors, rows, role)
    parts, visibility = (
        None if array is None else torch.from_numpy(_finite(array, rows, role)[0]).to(device)
        for array in (features.parts, features.visibility)
    )
    vector, lengths = torch.from_numpy(piece).to(device), torch.from_numpy(squares).to(device)
    return Tile(vector, parts, visibility, role=role, rows=rows, squares=lengths)


def _finite(array: Floats, rows: slice | Ints, role: str) -> tuple[Floats, Doubles]:
    """Some rows, and the sum of the squares of each, which is finite when all numbers are."""
    given = array[rows]
    # torch wants memory that may be written to, and the file of a memory map may be gone when a page is needed.
    copy = isinstance(given, np.memmap) or not given.flags.writeable
    piece = np.array(given, dtype=np.float32, order="C") if copy else np.ascontiguousarray(given, dtype=np.float32)
    flat = piece.reshape(len(piece), -1)
    squares = _squares(flat)
    if not np.isfinite(squares).all():
        line = int((~np.isfinite(squares)).argmax())
        row = rows.start + line if isinstance(rows, slice) else rows[line]
        raise UserError(
            f"{role} features: row {row} holds NaN or inf, and no ranking can be trusted with it; look at that "
            "picture, or extract again in float32 if the network ran in half precision"
        )
    return piece, squares


def _squares(flat: Floats) -> Doubles:
    """`(n,)` the squared lengths as float64 has them, where no float32 number's square is too large or too small."""
    if flat.shape[1] % _PART:
        return np.asarray(np.einsum("ij,ij->i", flat, flat, dtype=np.float64))
    # Short sums in float32 are several times faster and as good, but for rows of extreme lengths.
    parts = flat.reshape(len(flat), -1, _PART)
    with np.errstate(over="ignore", invalid="ignore"):
        squares: Doubles = np.einsum("ijk,ijk->ij", parts, parts).sum(axis=1, dtype=np.float64)
    extreme = ~((squares > 1e-12) & (squares < 1e30))
    if extreme.any():
        squares[extreme] = np.einsum("ij,ij->i", flat[extreme], flat[extreme], dtype=np.float64)
    return squares


@contextmanager
def full_precision(device: torch.device) -> Iterator[None]:
    """Products in true float32, whatever the training around has switched on (autocast, TF32, bfloat16)."""
    backends = (torch.backends.cuda.matmul, torch.backends.mkldnn.matmul)  # type: ignore[attr-defined]
    before = [backend.fp32_precision for backend in backends]
    try:
        for backend in backends:
            backend.fp32_precision = "ieee"
        with torch.inference_mode(), torch.autocast(device.type, enabled=False):
            yield
    finally:
        for backend, value in zip(backends, before, strict=True):
            backend.fp32_precision = value
