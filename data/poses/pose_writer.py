"""Filling a pose file: row by row, in any order, and on where an earlier writer stopped or was killed."""

from __future__ import annotations

import contextlib
import fcntl
import shutil
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from common.errors import UserError
from common.files import human, make_folder, take_space, write_text
from data.poses.pose_file import MANIFEST, MAPS, SUMS, Contents, checksums, manifest_of, open_array
from data.samples import Ints

LOCK = ".in-use"
_AT_ONCE = 256  # rows whose checksums are looked at together


class PoseWriter:
    """Writes the maps of pictures.

        with PoseWriter(folder, contents) as writer:
            for rows in batches_of(writer.missing()):
                writer.write(rows, maps)

    All space is taken at the start, where the lack of it is an ordinary error. The manifest is the last to be made, so
    a folder without one holds nothing.

    Raises:
        UserError: another process writes there, the folder holds something else or maps of something else, or the disk
            has no room.
    """

    def __init__(self, folder: Path, contents: Contents) -> None:
        self.folder, self.contents = folder, contents
        self._refuse_foreign()
        make_folder(folder)
        self._closing = contextlib.ExitStack()
        with contextlib.ExitStack() as undoing:
            undoing.push(self._closing)
            self._lock()
            if not (folder / MANIFEST).is_file():
                self._create()
            self._refuse_others()
            shape = contents.shape
            self._maps: np.memmap[Any, np.dtype[np.float16]]
            self._sums: np.memmap[Any, np.dtype[np.uint64]]
            self._maps = open_array(folder / MAPS, np.dtype(np.float16), shape, "r+")
            self._sums = open_array(folder / SUMS, np.dtype(np.uint64), shape[:1], "r+")
            self._forget_damaged()
            undoing.pop_all()

    def missing(self) -> Ints:
        """The rows that have no maps yet."""
        return np.flatnonzero(self._sums == 0)

    def write(self, rows: Ints, maps: NDArray[Any]) -> None:
        """Write `(b, channels, h, w)` of some rows, in float16; `ValueError` for other shapes, `UserError` for NaN."""
        half = np.asarray(maps, np.float16)
        if half.shape != (len(rows), *self.contents.shape[1:]):
            raise ValueError(f"expected {(len(rows), *self.contents.shape[1:])}, got {half.shape}")
        if not np.isfinite(half).all():
            path = self.contents.paths[int(rows[np.flatnonzero(~np.isfinite(half).all(axis=(1, 2, 3)))[0]])]
            raise UserError(f"the maps of {path} hold a number that is not finite; are the weights a pose network's?")
        self._sums[rows] = 0
        self._maps[rows] = half
        self._sums[rows] = checksums(half)

    def __enter__(self) -> PoseWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._maps.flush()
        self._sums.flush()
        self._closing.close()

    def _refuse_foreign(self) -> None:
        ours = {MAPS, SUMS, MANIFEST, LOCK}
        foreign = self.folder.exists() and not self.folder.is_dir()
        if self.folder.is_dir():
            there = [path.name for path in self.folder.iterdir() if not path.name.endswith(".part")]
            foreign = any(name not in ours for name in there)
        if foreign:
            raise UserError(f"{self.folder} is there and holds something else than maps; choose another --folder")

    def _lock(self) -> None:
        file = self._closing.enter_context((self.folder / LOCK).open("a+"))
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise UserError(f"another process writes maps into {self.folder}; wait for it to end") from None

    def _create(self) -> None:
        """Both arrays of zeros, their space taken, then the manifest that makes them count."""
        need, free = self.contents.nbytes, shutil.disk_usage(self.folder).free
        if need > free:
            raise UserError(
                f"the maps of {len(self.contents.paths):,} pictures take {human(need)}, and {human(free)} are free in"
                f" {self.folder}; free some space or choose another --folder"
            )
        try:
            for name, dtype, shape in (
                (MAPS, np.float16, self.contents.shape),
                (SUMS, np.uint64, self.contents.shape[:1]),
            ):
                path = self.folder / name
                path.unlink(missing_ok=True)
                np.lib.format.open_memmap(path, mode="w+", dtype=dtype, shape=shape).flush()
                take_space(path)
        except OSError as error:
            raise UserError(f"cannot write {self.folder}: {error.strerror}; free some space") from error
        write_text(self.folder / MANIFEST, self.contents.as_json())

    def _refuse_others(self) -> None:
        """What is there must be of the same pictures, made in the same way."""
        there, now = manifest_of(self.folder), self.contents
        told = {
            "other pictures": (list(there.paths), list(there.bytes)) == (list(now.paths), list(now.bytes)),
            "maps of another size": there.shape[1:] == now.shape[1:],
            "pictures of another size": (there.height, there.width) == (now.height, now.width),
            "another source or other weights": dict(there.made_by) == dict(now.made_by),
        }
        differs = next((what for what, same in told.items() if not same), None)
        if differs is not None:
            raise UserError(
                f"{self.folder} holds maps made of or by something else ({differs}); delete it, or choose another"
                " --folder"
            )

    def _forget_damaged(self) -> None:
        """Rows whose maps are not whole are to be made again."""
        for start in range(0, len(self._sums), _AT_ONCE):
            rows = slice(start, start + _AT_ONCE)
            kept = self._sums[rows]
            if kept.any():
                self._sums[rows] = np.where(checksums(self._maps[rows]) == kept, kept, 0)
