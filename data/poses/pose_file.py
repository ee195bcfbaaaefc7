"""Maps of the joints of every picture of a dataset on disk: one memory-mapped array, filled once and resumably.

| file | content |
|---|---|
| `maps.npy` | `(N, 13 or 17, h, w)` float16 |
| `sums.npy` | `(N,)` uint64, a checksum of each row's maps; 0: not there yet |
| `manifest.json` | format, the pictures by row and the bytes of each, the size of pictures and maps, what made them |

A row counts when its checksum is there and fits, so a writer that is killed half-way through a row has not written it.
Nothing is unpickled.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from common.errors import UserError
from data.poses.heatmaps import grid
from data.poses.joints import JOINTS, MERGED
from data.samples import Ints, Split

FORMAT = 1
MAPS, SUMS, MANIFEST = "maps.npy", "sums.npy", "manifest.json"
COMMAND = "python3 -m engine.pose DEVICE --dataset NAME"

Maps = NDArray[np.float16]
_NUMPY = b"\x93NUMPY"


@dataclass(frozen=True)
class Contents:
    """What the rows of a pose file are of.

    Attributes:
        paths: of the pictures, from the dataset's root.
        bytes: how large each picture file was when its maps were made.
        channels: 13 or 17.
        height, width: of the pictures, as the network saw them, in pixels.
        made_by: plain values: the source, its network and a fingerprint of its weights or of its file.
    """

    paths: Sequence[str]
    bytes: Sequence[int]
    channels: int
    height: int
    width: int
    made_by: Mapping[str, Any]

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """`(N, channels, h, w)`."""
        return (len(self.paths), self.channels, *grid(self.height, self.width))

    @property
    def nbytes(self) -> int:
        """What the maps take on disk."""
        count, channels, rows, columns = self.shape
        return count * channels * rows * columns * 2

    def as_json(self) -> str:
        """The manifest; file names that are not UTF-8 come back as they were."""
        facts = {
            "format": FORMAT,
            "channels": self.channels,
            "height": self.height,
            "width": self.width,
            "made_by": dict(self.made_by),
            "bytes": list(self.bytes),
            "paths": list(self.paths),
        }
        return json.dumps(facts, allow_nan=False) + "\n"


class PoseFile:
    """The maps in a folder, opened for reading.

    Attributes:
        contents: what they are of.
        fingerprint: 16 hex digits that change with any of the maps and with what they are of.
    """

    def __init__(self, folder: Path) -> None:
        """Open a folder; `UserError` when it is missing, is something else, or its files do not fit each other."""
        self.folder = folder
        text = _manifest_text(folder)
        self.contents = _parsed(folder / MANIFEST, text)
        self._maps: Maps = open_array(folder / MAPS, np.dtype(np.float16), self.contents.shape)
        self._sums: NDArray[np.uint64] = open_array(folder / SUMS, np.dtype(np.uint64), self.contents.shape[:1])
        self._rows = {path: row for row, path in enumerate(self.contents.paths)}
        self.fingerprint = hashlib.sha256(text.encode() + self._sums.tobytes()).hexdigest()[:16]

    def __len__(self) -> int:
        return len(self.contents.paths)

    def has(self, split: Split) -> int:
        """How many of a split's pictures it is of."""
        return sum(path in self._rows for path in split.paths)

    def rows_of(self, split: Split) -> Ints:
        """`(N,)` the row of each picture of a split.

        Raises:
            UserError: a picture is not among them, has no maps yet, or is not the one that they were made of.
        """
        absent = [path for path in split.paths if path not in self._rows]
        if absent:
            raise UserError(
                f"{self.folder} has no maps of {len(absent):,} of {len(split):,} pictures in {split.root}, such as"
                f" {absent[0]}; run {COMMAND} for that dataset"
            )
        rows = np.fromiter((self._rows[path] for path in split.paths), np.int64, len(split))
        missing = np.flatnonzero(self._sums[rows] == 0)
        if len(missing):
            raise UserError(
                f"{self.folder} was left unfinished: {len(missing):,} of {len(split):,} pictures have no maps, such as"
                f" {split.paths[int(missing[0])]}; run {COMMAND} again, it goes on where it stopped"
            )
        for row, place in enumerate(rows.tolist()):
            if split.file(row).stat().st_size != self.contents.bytes[place]:
                raise UserError(
                    f"the picture {split.file(row)} is another one than when its maps in {self.folder} were made;"
                    f" delete that folder and run {COMMAND}"
                )
        return rows

    def read(self, rows: Ints) -> Maps:
        """`(B, channels, h, w)` of some rows; `UserError` names a picture whose maps are damaged."""
        maps: Maps = np.asarray(self._maps[rows])
        wrong = np.flatnonzero(checksums(maps) != self._sums[rows])
        if len(wrong):
            path = self.contents.paths[int(rows[wrong[0]])]
            raise UserError(
                f"{self.folder / MAPS}: the maps of {path} are damaged; run {COMMAND} again, it makes them anew"
            )
        return maps


def checksums(maps: Maps) -> NDArray[np.uint64]:
    """`(B,)` of each row's bits, never 0."""
    words = np.ascontiguousarray(maps).view(np.uint16).reshape(len(maps), -1)
    found: NDArray[np.uint64] = words.sum(axis=1, dtype=np.uint64) + np.uint64(1)
    return found


def manifest_of(folder: Path) -> Contents:
    """What a folder's maps are of, without opening them."""
    return _parsed(folder / MANIFEST, _manifest_text(folder))


def open_array(path: Path, dtype: np.dtype[Any], shape: tuple[int, ...], mode: Literal["r", "r+"] = "r") -> Any:
    """A memory-mapped array that must have this type and shape."""
    try:
        with path.open("rb") as file:
            if file.read(len(_NUMPY)) != _NUMPY:  # NumPy would advise to unpickle it
                raise ValueError("it is no .npy file")
        array = np.load(path, mmap_mode=mode, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise _damaged(path, f"it cannot be read as an array ({error})") from error
    if array.dtype != dtype or array.shape != shape:
        raise _damaged(path, f"it is {array.dtype} {array.shape} where the manifest says {dtype} {shape}")
    return array


def _manifest_text(folder: Path) -> str:
    path = folder / MANIFEST
    if not path.is_file():
        raise UserError(f"there are no maps of joints in {folder}; run {COMMAND}")
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise _damaged(path, str(error)) from error


def _parsed(path: Path, text: str) -> Contents:
    try:
        told = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise _damaged(path, f"it is not JSON ({error})") from error
    if not isinstance(told, dict) or "format" not in told:
        raise UserError(f"{path} is not the manifest of maps of joints; give another folder")
    if told["format"] != FORMAT:
        raise UserError(f"{path}: format {told['format']!r}, and this version reads {FORMAT}; make the maps again")
    kinds = {"channels": int, "height": int, "width": int, "made_by": dict, "bytes": list, "paths": list}
    wrong = next((name for name, kind in kinds.items() if type(told.get(name)) is not kind), None)
    if wrong is not None:
        raise _damaged(path, f"'{wrong}' is {told.get(wrong)!r}")
    if told["channels"] not in (MERGED, JOINTS) or min(told["height"], told["width"]) < 1:
        raise _damaged(path, f"it tells of {told['channels']} maps of {told['height']} x {told['width']} pictures")
    paths, sizes = told["paths"], told["bytes"]
    right = all(type(name) is str for name in paths) and all(type(size) is int for size in sizes)
    if not right or len(paths) != len(sizes) or len(set(paths)) != len(paths):
        raise _damaged(path, "its pictures are not all there, or twice")
    return Contents(paths, sizes, told["channels"], told["height"], told["width"], told["made_by"])


def _damaged(path: Path, why: str) -> UserError:
    return UserError(f"{path} is damaged: {why[:200]}; delete the folder and run {COMMAND}")
