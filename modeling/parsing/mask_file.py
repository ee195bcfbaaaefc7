"""Part masks on disk, as far as they are made: a refresh that was stopped goes on from there."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from common.errors import UserError
from common.files import human, make_folder, take_space, write_text

MISSING = 255
"""The value of every cell of a picture that has no mask yet."""

MASKS, MANIFEST = "masks.npy", "manifest.json"


class MaskFile:
    """`masks.npy`, `(N, h, w)` uint8 in the order of the training pictures, and `manifest.json`, what they are of.

    One process writes, after each person. A mask that was written in part only has cells that are missing.

    Args:
        folder: of one run.
        shape: (N, h, w).

    Example:
        >>> file = MaskFile(folder, (720, 24, 12))
        >>> masks = file.begun(facts)             # of the same refresh, or all missing
        >>> file.write(rows, masks[rows])
        >>> file.finish({"foreground": 0.4})
    """

    def __init__(self, folder: Path, shape: tuple[int, int, int]) -> None:
        self.folder, self.shape = folder, shape

    def begun(self, facts: Mapping[str, Any]) -> Tensor:
        """What is there of a refresh with these facts; of another one nothing is kept.

        Raises:
            UserError: the folder cannot be written to, or there is no room.
        """
        if self._facts() == json.loads(json.dumps(dict(facts))):
            masks = self._read()
            if masks is not None:
                masks[(masks == MISSING).any(axis=(1, 2))] = MISSING
                return torch.from_numpy(masks)
        make_folder(self.folder)
        (self.folder / MANIFEST).unlink(missing_ok=True)
        try:
            empty = np.lib.format.open_memmap(self._path, mode="w+", dtype=np.uint8, shape=self.shape)
            take_space(self._path)
            empty[...] = MISSING
            empty.flush()
        except OSError as error:
            raise self._full(error) from error
        self._tell(facts, complete=False)
        return torch.full(self.shape, MISSING, dtype=torch.uint8)

    def write(self, rows: Tensor, masks: Tensor) -> None:
        """Put the masks `(n, h, w)` of these rows `(n,)` into the file."""
        cells = self.shape[1] * self.shape[2]
        try:
            with self._path.open("r+b") as file:
                start = self._path.stat().st_size - self.shape[0] * cells
                for row, mask in zip(rows.tolist(), masks.to(torch.uint8).numpy(), strict=True):
                    os.pwrite(file.fileno(), mask.tobytes(), start + row * cells)
        except OSError as error:
            raise self._full(error) from error

    def finish(self, statistics: Mapping[str, Any]) -> None:
        """Say that all are there, and what they are like."""
        facts = self._facts()
        assert facts is not None
        self._tell(facts, complete=True, statistics=dict(statistics))

    @property
    def _path(self) -> Path:
        return self.folder / MASKS

    def _facts(self) -> dict[str, Any] | None:
        """What the file says it is of; None where it says nothing that can be read."""
        try:
            facts = json.loads((self.folder / MANIFEST).read_text(encoding="utf-8"))["of"]
        except (OSError, ValueError, KeyError, TypeError):
            return None
        return facts if isinstance(facts, dict) else None

    def _read(self) -> NDArray[np.uint8] | None:
        """The masks; None when the file is not what it should be, and is made anew."""
        try:
            masks = np.load(self._path, allow_pickle=False)
        except (OSError, ValueError, EOFError):
            return None
        return masks if isinstance(masks, np.ndarray) and (masks.shape, masks.dtype) == (self.shape, np.uint8) else None

    def _tell(self, facts: Mapping[str, Any], **more: Any) -> None:
        write_text(self.folder / MANIFEST, json.dumps({"of": dict(facts), **more}, indent=2) + "\n")

    def _full(self, error: OSError) -> UserError:
        size = human(self.shape[0] * self.shape[1] * self.shape[2])
        return UserError(
            f"cannot write {self._path} ({size} of part masks): {error.strerror}; free some space, or choose"
            " another folder with output.checkpoints"
        )
