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


@dataclass(frozen=True)
class Tile(Embedding):
    """An `Embedding` that knows which rows it is.

    Attributes:
        role: "query" or "gallery", the side it is on.
        rows: which rows of that side.
        squares: `(n,)` the squared lengths of the rows of `vector`, as they were before any preparation.
        longest: no row of `vector` is longer than this; what rounding errors are bounded by.
    """

    role: str = "query"
    rows: slice | Ints = field(default_factory=lambda: slice(0, 0))
    squares: Tensor = field(default_factory=lambda: torch.empty(0))
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


def _finite(array: Floats, rows: slice | Ints, role: str) -> tuple[Floats, Floats]:
    """Some rows, and the sum of the squares of each, which is finite when all numbers are."""
    piece = np.asarray(array[rows], dtype=np.float32)
    flat = piece.reshape(len(piece), -1)
    squares: Floats = np.einsum("ij,ij->i", flat, flat)
    if not np.isfinite(squares).all():
        _refuse_broken(flat, rows, role)
    # torch wants memory that may be written to, and the file of a memory map may be gone when a page is needed.
    return (piece if piece.flags.writeable and not isinstance(piece, np.memmap) else np.array(piece)), squares


def _refuse_broken(flat: Floats, rows: slice | Ints, role: str) -> None:
    broken = ~np.isfinite(flat).all(axis=1)
    too_long = not broken.any()
    line = int((~np.isfinite(np.einsum("ij,ij->i", flat, flat)) if too_long else broken).argmax())
    row = rows.start + line if isinstance(rows, slice) else rows[line]
    if too_long:
        raise UserError(
            f"{role} features: row {row} is too long, its squared length is beyond float32; scale the features"
        )
    raise UserError(
        f"{role} features: row {row} holds NaN or inf, and no ranking can be trusted with it; look at that "
        "picture, or extract again in float32 if the network ran in half precision"
    )


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
