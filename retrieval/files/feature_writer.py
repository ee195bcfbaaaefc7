"""Writing a feature folder: rows arrive in any order, and the folder appears whole or not at all."""

from __future__ import annotations

import csv
import io
import json
import os
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from common.errors import UserError
from common.files import make_folder, take_space
from retrieval.columns import Columns, Floats
from retrieval.files.feature_file import ARRAYS, CALLER_KEYS, FORMAT, HEADER, INDEX, MANIFEST


@dataclass(frozen=True, eq=False)
class Rows:
    """What the N rows of a feature folder are of: picture paths as the dataset names them, and their labels."""

    paths: Sequence[str]
    columns: Columns

    def __post_init__(self) -> None:
        if len(self.paths) != len(self.columns):
            raise ValueError(f"{len(self.paths)} paths and {len(self.columns)} labels")

    def __len__(self) -> int:
        return len(self.paths)


class FeatureWriter:
    """Fills a temporary folder beside `folder` and puts it in its place when every row is there.

        with FeatureWriter(folder, Rows(paths, columns), manifest) as writer:
            writer.write(index, vectors)

    An older feature folder is replaced only at that moment: after Ctrl-C or on a full disk it is untouched.

    Args:
        rows: paths and labels of all N rows.
        manifest: values for `CALLER_KEYS` (ready for JSON), and `created_by` if wanted.

    Raises:
        UserError: there are no rows, `folder` is something else than a feature folder, or cannot be written.
        ValueError: the manifest lacks a key.
    """

    def __init__(self, folder: Path, rows: Rows, manifest: Mapping[str, Any]) -> None:
        missing = [key for key in CALLER_KEYS if key not in manifest]
        if missing:
            raise ValueError(f"the manifest lacks {', '.join(missing)}")
        if not len(rows):
            raise UserError(f"there are no pictures to write features of in {folder}; check the dataset's split")
        self.folder = folder.resolve()
        self._rows = rows
        self._manifest = {
            "created_by": "retrieval.files.feature_writer",
            **manifest,
            "format": FORMAT,
            "rows": len(rows),
        }
        json.dumps(self._manifest, allow_nan=False)
        self._refuse_foreign()
        make_folder(self.folder.parent)
        self._part = Path(tempfile.mkdtemp(dir=self.folder.parent, prefix=f".{self.folder.name}.", suffix=".part"))
        self._times = np.zeros(len(rows), dtype=np.int32)
        self._arrays: dict[str, np.memmap[Any, np.dtype[np.float32]]] = {}

    def write(
        self,
        index: ArrayLike,
        vectors: ArrayLike,
        parts: ArrayLike | None = None,
        visibility: ArrayLike | None = None,
    ) -> None:
        """Write `b` rows.

        Args:
            index: `(b,)` their rows, in any order.
            vectors, parts, visibility: `(b, D)`, `(b, P, D')` and `(b, P)`; the first call fixes their shapes.

        Raises:
            UserError: the disk is full.
            ValueError: a row is out of range, or shapes differ from those of the first call.
        """
        at = np.asarray(index, dtype=np.int64)
        given = {"vectors": vectors, "parts": parts, "visibility": visibility}
        batch = {name: np.asarray(value, dtype=np.float32) for name, value in given.items() if value is not None}
        if at.size and (at.min() < 0 or at.max() >= len(self._rows)):
            raise ValueError(f"rows must lie in 0..{len(self._rows) - 1}, got {at.min()}..{at.max()}")
        if not self._arrays:
            self._create(batch)
        shapes = {name: (len(at), *array.shape[1:]) for name, array in self._arrays.items()}
        if shapes != {name: array.shape for name, array in batch.items()}:
            raise ValueError(f"expected {shapes}, got { {name: array.shape for name, array in batch.items()} }")
        for name, array in batch.items():
            self._arrays[name][at] = array
        np.add.at(self._times, at, 1)

    def close(self) -> None:
        """Check that every row was written exactly once, then put the folder in its place.

        Raises:
            UserError: a row is missing or was written twice (the old folder stays), or the disk is full.
        """
        try:
            self._check_complete()
            self._manifest["dim"] = int(self._arrays["vectors"].shape[1])
            for array in self._arrays.values():
                array.flush()
            self._arrays = {}
            try:
                self._write_text(INDEX, self._index())
                self._write_text(MANIFEST, json.dumps(self._manifest, indent=2, ensure_ascii=False) + "\n")
                self._part.chmod(0o755)
            except OSError as error:
                raise self._cannot_write(error) from error
            self._replace()
        finally:
            self.abort()

    def abort(self) -> None:
        """Forget what was written; whatever stood at `folder` stays. Harmless when already closed."""
        self._arrays = {}
        shutil.rmtree(self._part, ignore_errors=True)

    def __enter__(self) -> FeatureWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self.close()
        else:
            self.abort()

    def _create(self, batch: Mapping[str, Floats]) -> None:
        arrays = {}
        for name, array in batch.items():
            path, shape = self._part / ARRAYS[name], (len(self._rows), *array.shape[1:])
            try:
                arrays[name] = np.lib.format.open_memmap(path, mode="w+", dtype=np.float32, shape=shape)
                take_space(path)
            except OSError as error:
                raise self._cannot_write(error) from error
        self._arrays = arrays

    def _check_complete(self) -> None:
        for wrong, what in ((self._times == 0, "never written"), (self._times > 1, "written more than once")):
            if wrong.any():
                raise UserError(
                    f"the features for {self.folder} are incomplete: {int(wrong.sum())} of {len(self._rows)} rows were "
                    f"{what}, first row {int(wrong.argmax())}; extract them again"
                )

    def _index(self) -> str:
        text = io.StringIO()
        print(",".join(HEADER), file=text)
        # Strings quoted, always: Python before 3.13 leaves a carriage return bare, which ends a line when read.
        lines = csv.writer(text, lineterminator="\n", quoting=csv.QUOTE_NONNUMERIC)
        columns = self._rows.columns
        labels = zip(columns.pids.tolist(), columns.camids.tolist(), columns.clothes.tolist(), strict=True)
        lines.writerows((row, path, *of) for row, (path, of) in enumerate(zip(self._rows.paths, labels, strict=True)))
        return text.getvalue()

    def _write_text(self, name: str, text: str) -> None:
        # File names on Linux are bytes: one that is not UTF-8 must come back as it was.
        with (self._part / name).open("w", encoding="utf-8", errors="surrogateescape", newline="") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())

    def _refuse_foreign(self) -> None:
        foreign = self.folder.exists() and not self.folder.is_dir()
        if self.folder.is_dir() and not (self.folder / MANIFEST).is_file():
            foreign = any(self.folder.iterdir())
        if foreign:
            raise UserError(f"{self.folder} is there and is not a feature folder; move it away or choose another place")

    def _replace(self) -> None:
        """Two renames, since a folder that has something in it cannot be renamed over; undone when the second fails."""
        self._refuse_foreign()
        old = self._part.with_suffix(".old")
        try:
            had_one = self.folder.exists()
            if had_one:
                self.folder.rename(old)
            try:
                self._part.rename(self.folder)
            except BaseException:
                if had_one:
                    old.rename(self.folder)
                raise
        except OSError as error:
            raise self._cannot_write(error) from error
        shutil.rmtree(old, ignore_errors=True)

    def _cannot_write(self, error: OSError) -> UserError:
        return UserError(f"cannot write {self.folder}: {error.strerror}; free some space or choose another folder")
