"""Decoded, resized pictures in memory or on disk, so that a picture is decoded once and not once an epoch.

One array of rows in the order of a training set, filled by whichever process decodes a picture first, and shared by all
that look: loader processes inherit the mapping. A row is shown only when its checksum is there and fits, so a process
that is killed while it writes, a machine that loses power, and two that write at once cost a decoding and nothing else.

`ram` belongs to one process and its loader, so that of several each decodes what only others had in earlier epochs;
`disk` to all processes of a machine and to later runs, which the operating system serves from memory as far as there is
room. The name of the file changes with all that decides the pixels: the
pictures (also one that is written again), the size, the decoder, its version and our own code for opening.
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import json
import logging
import mmap
import os
import shutil
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import numpy as np
import PIL
import torch
from PIL import features

from common.errors import UserError
from common.files import human, make_folder
from configs.schema import Data
from data import opencv, pictures
from data.samples import Split
from data.transforms import Pixels, Preprocessing

logger = logging.getLogger("reid")

_PAGE = 4096
_WORD = 8
_LINE = 64
_MEMORY = Path("/proc/meminfo")
_CONTAINER = Path("/sys/fs/cgroup")
_ACCOUNTS = (
    ("memory.max", "memory.current", "memory.stat", "inactive_file"),
    ("memory/memory.limit_in_bytes", "memory/memory.usage_in_bytes", "memory/memory.stat", "total_inactive_file"),
)
"""Where version 2 and version 1 of control groups say what a container may use, what it uses, and which of that are
files that the system forgets when it needs the room."""

Write = Callable[[int, Pixels], None]


class PictureCache:
    """Rows of pixels that are there or not.

    Args:
        buffer: of `nbytes(count, …)` bytes, shared with the processes that are forked from this one; zeros are empty.
        count: rows.
        height, width: of every picture.
        write: puts bytes at an offset of the buffer; raises `OSError` when there is no room. Storing through the
            mapping of a file would end the process instead.
        where: for the user.
    """

    def __init__(
        self, buffer: mmap.mmap, count: int, height: int, width: int, write: Write | None = None, where: str = "memory"
    ) -> None:
        self._shape = (height, width, 3)
        self._length, self._stride = height * width * 3, _stride(height, width)
        self._first = _first(count)
        self._where = where
        self._buffer = np.frombuffer(buffer, np.uint8)
        self._write = write or self._store
        self._sums = self._buffer[: count * _WORD].view(np.uint64)
        self._rows = self._buffer[self._first : self._first + count * self._stride].reshape(count, self._stride)
        self._trouble = np.frombuffer(mmap.mmap(-1, _WORD), np.int64)  # an errno that all processes see
        self._told = False

    def __len__(self) -> int:
        return len(self._sums)

    def filled(self) -> int:
        """How many rows have been written."""
        return int(np.count_nonzero(self._sums))

    def get(self, row: int) -> Pixels | None:
        """`(H, W, 3)`, not to be written to; None when it is not there, or not whole."""
        kept = int(self._sums[row])
        if not kept or kept != _checksum(self._rows[row]):
            return None
        return self._rows[row, : self._length].reshape(self._shape)

    def put(self, row: int, pixels: Pixels) -> None:
        """Keep a picture; when there is no room, do without (`tell` says so)."""
        if self._trouble[0]:
            return
        padded = np.zeros(self._stride, np.uint8)
        padded[: self._length] = pixels.reshape(-1)
        try:
            self._write(self._first + row * self._stride, padded)
            self._write(row * _WORD, np.array([_checksum(padded)], np.uint64).view(np.uint8))
        except OSError as error:
            self._trouble[0] = error.errno or errno.EIO

    def tell(self) -> None:
        """Say once that no more pictures can be kept, if that is so; for the process that the user hears."""
        if self._trouble[0] and not self._told:
            self._told = True
            logger.warning(
                "the cache of pictures in %s takes no more (%s); training goes on and decodes the other %d of %d each"
                " time: free some space or choose another data.cache_folder",
                *(self._where, os.strerror(int(self._trouble[0])), len(self) - self.filled(), len(self)),
            )

    def _store(self, offset: int, content: Pixels) -> None:
        self._buffer[offset : offset + len(content)] = content


def nbytes(count: int, height: int, width: int) -> int:
    """What a cache of `count` pictures takes, in memory or on disk."""
    return _first(count) + count * _stride(height, width)


def cache_in_memory(count: int, height: int, width: int, processes: int = 1) -> PictureCache:
    """An empty cache for this process and those that are forked from it; the memory is taken as it fills.

    Args:
        processes: of this machine that each have one.

    Raises:
        UserError: there is not as much memory.
    """
    size = nbytes(count, height, width)
    free = _free_memory()
    if free is not None and processes * size > free:
        raise UserError(
            f"data.cache=ram needs {human(processes * size)} of memory for {_times(count, processes)}, and"
            f" {human(free)} are free; set data.cache=disk or none"
        )
    logger.info("keeping %s in memory once they are decoded: up to %s", _times(count, processes), human(size))
    return PictureCache(mmap.mmap(-1, size), count, height, width)


def cache_on_disk(path: Path, count: int, height: int, width: int) -> PictureCache:
    """The cache in a file, made when it is not there; any number of processes may use it at once.

    Raises:
        UserError: the file cannot be written, is of another size, or does not fit on its disk.
    """
    size = nbytes(count, height, width)
    there = path.exists()
    make_folder(path.parent)
    _require_room(path, size)
    if not there:
        logger.info(
            "keeping %s in %s once they are decoded: up to %s; delete it whenever no run uses it%s",
            *(_times(count), path, human(size), _others(path)),
        )
    try:
        with path.open("ab+", buffering=0) as file:
            # Of the processes that find an empty file one gives it its size, in one step; zeros are an empty cache.
            fcntl.flock(file, fcntl.LOCK_EX)
            found = os.fstat(file.fileno()).st_size
            if found not in (0, size):
                raise UserError(f"the cache {path} has {found:,} bytes instead of {size:,}; delete it")
            os.truncate(file.fileno(), size)
        with path.open("r+b", buffering=0) as file:
            buffer = mmap.mmap(file.fileno(), size)
    except OSError as error:
        raise UserError(
            f"the cache {path} cannot be used: {error.strerror}; choose another data.cache_folder"
        ) from error
    cache = PictureCache(buffer, count, height, width, partial(_write_at, path), str(path.parent))
    if there:
        logger.info("of %s, %s are decoded in %s", _times(count), f"{cache.filled():,}", path)
    return cache


def open_cache(
    data: Data, splits: Sequence[Split], preprocessing: Preprocessing, processes: int = 1
) -> PictureCache | None:
    """What the configuration asks for, for the rows of `splits` one after the other; None: no cache.

    Args:
        processes: of this machine that ask for the same.
    """
    count, height, width = sum(map(len, splits)), preprocessing.height, preprocessing.width
    if data.cache == "ram":
        return cache_in_memory(count, height, width, processes)
    if data.cache == "disk":
        folder = data.cache_folder.expanduser().resolve()
        return cache_on_disk(folder / f"{cache_key(splits, preprocessing)}.pictures", count, height, width)
    return None


def cache_key(splits: Sequence[Split], preprocessing: Preprocessing) -> str:
    """A name that changes with anything that can change a pixel."""
    how = preprocessing.as_dict()
    versions = [PIL.__version__, features.version("libjpeg_turbo"), features.version("jpg")]
    if preprocessing.decoder == "opencv":
        versions += [opencv.version(), torch.__version__]
    facts = {
        "splits": [split.fingerprint(modified=True) for split in splits],
        "how": {name: value for name, value in how.items() if name not in ("mean", "std")},
        "versions": versions,
        "code": [hashlib.sha256(Path(str(module.__file__)).read_bytes()).hexdigest() for module in (pictures, opencv)],
    }
    digest = hashlib.sha256(json.dumps(facts).encode()).hexdigest()[:16]
    return f"{digest}-{preprocessing.height}x{preprocessing.width}"


def _stride(height: int, width: int) -> int:
    """Bytes from one row to the next, whole words of the checksum and lines of the processor's cache."""
    return -(-height * width * 3 // _LINE) * _LINE


def _first(count: int) -> int:
    """Where the first row begins, behind the checksums."""
    return -(-(count + 1) * _WORD // _PAGE) * _PAGE


def _checksum(row: Pixels) -> int:
    """Never that of bytes that are all missing; 0 counts as none."""
    return (int(np.add.reduce(row.view(np.uint64))) + 1) % (1 << 64)


def _write_at(path: Path, offset: int, content: Pixels) -> None:
    """Write into a file, which may not grow for lack of room: then `OSError`."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    try:
        left = content.data
        while left:
            written = os.pwrite(descriptor, left, offset)
            left, offset = left[written:], offset + written
    finally:
        os.close(descriptor)


def _require_room(path: Path, size: int) -> None:
    missing = size - (path.stat().st_blocks * 512 if path.exists() else 0)
    free = shutil.disk_usage(path.parent).free
    if missing > free:
        raise UserError(
            f"data.cache=disk needs {human(missing)} more in {path.parent}, and {human(free)} are free; free some"
            " space, choose another data.cache_folder or set data.cache=none"
        )


def _free_memory() -> int | None:
    """What the system and the container leave to new processes, in bytes; None where it does not say."""
    told = []
    if _MEMORY.is_file():
        lines = (line.split() for line in _MEMORY.read_text().splitlines())
        told += [int(words[1]) * 1024 for words in lines if words[0] == "MemAvailable:"]
    told += [left for account in _ACCOUNTS if (left := _left_in_container(*account)) is not None]
    return min(told, default=None)


def _left_in_container(limit: str, used: str, statistics: str, forgettable: str) -> int | None:
    """What a container may still take, in bytes; None where there is no such limit."""
    try:
        most, now = ((_CONTAINER / name).read_text().strip() for name in (limit, used))
        lines = [line.split() for line in (_CONTAINER / statistics).read_text().splitlines()]
    except OSError:
        return None
    if not most.isdecimal():  # "max"
        return None
    files = sum(int(words[1]) for words in lines if words[0] == forgettable)
    return max(0, int(most) - int(now) + files)


def _others(path: Path) -> str:
    """What earlier caches in the same folder take, for the user to decide about."""
    others = [other.stat().st_blocks * 512 for other in path.parent.glob("*.pictures") if other != path]
    return f" ({len(others)} other(s) there take {human(sum(others))})" if others else ""


def _times(count: int, processes: int = 1) -> str:
    return f"{count:,} pictures" + (f" in each of {processes} processes" if processes > 1 else "")
