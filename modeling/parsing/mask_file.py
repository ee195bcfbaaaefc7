"""Part masks on disk, as far as they are made: a refresh that was stopped goes on from there."""

from __future__ import annotations

import io
import json
import math
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from common.errors import UserError
from common.files import human, make_folder, write_atomically, write_text

MISSING = 255
"""The value of every cell of a picture that has no mask yet."""

MASKS, MANIFEST = "masks.npy", "manifest.json"


class MaskFile:
    """`masks.npy`, `(N, h, w)` uint8 in the order of the training pictures, and `manifest.json`, what they are of.

    One process writes, after each person. A mask that was written in part only has cells that are missing. What does
    not look as it was written here, in its size, its header or a value, is not used.

    Args:
        folder: of one run.
        shape: (N, h, w).
        parts: P, the largest value of a cell.

    Example:
        >>> file = MaskFile(folder, (720, 24, 12), parts=3)
        >>> masks = file.begun(facts)             # of the same refresh, or all missing
        >>> file.write(rows, masks[rows])
        >>> file.finish({"foreground": 0.4})
    """

    def __init__(self, folder: Path, shape: tuple[int, int, int], parts: int) -> None:
        self.folder, self.shape, self.parts = folder, shape, parts
        self._of: dict[str, Any] = {}
        header = io.BytesIO()
        np.lib.format.write_array_header_1_0(header, {"descr": "|u1", "fortran_order": False, "shape": shape})
        self._header = header.getvalue()

    def begun(self, facts: Mapping[str, Any]) -> Tensor:
        """What is there of a refresh with these facts; of another one nothing is kept.

        Raises:
            UserError: the folder cannot be written to, or there is no room.
        """
        self._of = json.loads(json.dumps(dict(facts)))
        if self._facts() == self._of:
            masks = self._read()
            if masks is not None:
                masks[(masks == MISSING).any(axis=(1, 2))] = MISSING
                return torch.from_numpy(masks)
        make_folder(self.folder)
        (self.folder / MANIFEST).unlink(missing_ok=True)
        empty = torch.full(self.shape, MISSING, dtype=torch.uint8)
        try:
            write_atomically(self._path, lambda file: (file.write(self._header), file.write(empty.numpy().tobytes())))
        except OSError as error:
            raise self._full(error) from error
        self._tell(complete=False)
        return empty

    def write(self, rows: Tensor, masks: Tensor) -> None:
        """Put the masks `(n, h, w)` of these rows `(n,)` into the file."""
        cells = self.shape[1] * self.shape[2]
        try:
            with self._path.open("r+b") as file:
                for row, mask in zip(rows.tolist(), masks.to(torch.uint8).numpy(), strict=True):
                    os.pwrite(file.fileno(), mask.tobytes(), len(self._header) + row * cells)
        except OSError as error:
            raise self._full(error) from error

    def finish(self, statistics: Mapping[str, Any]) -> None:
        """Say that all are there, and what they are like."""
        self._tell(complete=True, statistics=dict(statistics))

    @property
    def _path(self) -> Path:
        return self.folder / MASKS

    def _facts(self) -> dict[str, Any] | None:
        """What the file says it is of; None where it says nothing that can be read."""
        try:
            facts = json.loads((self.folder / MANIFEST).read_text(encoding="utf-8"))["of"]
        except (OSError, ValueError, KeyError, TypeError, RecursionError):
            return None
        return facts if isinstance(facts, dict) else None

    def _read(self) -> NDArray[np.uint8] | None:
        """The masks; None when the file is not what it should be, and is made anew."""
        try:
            if self._path.stat().st_size != len(self._header) + math.prod(self.shape):
                return None
            content = self._path.read_bytes()
        except OSError:
            return None
        if not content.startswith(self._header):
            return None
        masks = np.frombuffer(content, np.uint8, offset=len(self._header)).reshape(self.shape).copy()
        return masks if bool(((masks <= self.parts) | (masks == MISSING)).all()) else None

    def _tell(self, **more: Any) -> None:
        write_text(self.folder / MANIFEST, json.dumps({"of": self._of, **more}, indent=2) + "\n")

    def _full(self, error: OSError) -> UserError:
        size = human(math.prod(self.shape))
        return UserError(
            f"cannot write {self._path} ({size} of part masks): {error.strerror}; free some space, or choose"
            " another folder with output.checkpoints"
        )
