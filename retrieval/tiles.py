"""Consecutive rows of features as tensors on a device: what a scorer compares, one tile with another."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from common.contracts import Embedding
from common.errors import UserError
from retrieval.columns import Features


@dataclass(frozen=True)
class Tile(Embedding):
    """An `Embedding` that knows which rows it is.

    Attributes:
        start: the first row, counted in the query or gallery it was cut from.
    """

    start: int = 0

    def __len__(self) -> int:
        return int(self.vector.shape[0])

    @property
    def rows(self) -> slice:
        return slice(self.start, self.start + len(self))


def cut(features: Features, start: int, stop: int, device: torch.device, role: str) -> Tile:
    """Rows `start` to `stop` in float32 on `device`.

    Args:
        role: "query" or "gallery", for the error.

    Raises:
        UserError: a number is NaN or infinite; it names the first such row.
    """

    def tensor(array: NDArray[np.float32] | None) -> Tensor | None:
        if array is None:
            return None
        # A copy: a memory map is read-only, and its alignment would decide which kernel the product takes.
        piece = torch.from_numpy(np.array(array[start:stop], dtype=np.float32))
        finite = torch.isfinite(piece)
        if not finite.all():
            row = start + int((~finite.flatten(1).all(dim=1)).int().argmax())
            raise UserError(
                f"{role} features: row {row} holds NaN or inf, and no ranking can be trusted with it; look at that "
                "picture, or extract again in float32 if the network ran in half precision"
            )
        return piece.to(device)

    vector = tensor(features.vectors)
    assert vector is not None
    return Tile(vector, tensor(features.parts), tensor(features.visibility), start=start)


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
