"""Joints from a file of any estimator, or of the street: for each picture 17 times x, y and score, in COCO's order.

    keypoints = read_keypoints(split.root / "joints.json")
    joints = keypoints.of(split, height=256, width=128)      # (N, 17, 3), in pixels of the resized picture

Three forms are read: an object from a picture's path to its joints; the street's, which has that object under
"pictures"; and one object a line, each with "path" and "joints". Paths count from the dataset's root. x and y are in
pixels of the picture as it is on disk, from its top left corner. Its size is "size": [width, height] beside "joints",
or else what the picture's own header says.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from common.errors import UserError
from data.poses.joints import JOINTS
from data.poses.sizes import size_of
from data.samples import Split

Joints = NDArray[np.float32]

_FORM = f"{JOINTS} joints [x, y, score]"
_LARGEST = 1 << 20  # pixels along a side


@dataclass(frozen=True, eq=False)
class Keypoints:
    """The joints of every picture in a file.

    Attributes:
        joints: `(N, 17, 3)` float32 as written, scores brought to 0 … 1.
        sizes: `(N, 2)` int64 width and height of each picture; 0 where the file does not tell.
        rows: the row of a picture's path.
        fingerprint: 16 hex digits of the file's content.
    """

    file: Path
    joints: Joints
    sizes: NDArray[np.int64]
    rows: Mapping[str, int] = field(repr=False)
    fingerprint: str = ""

    def __len__(self) -> int:
        return len(self.joints)

    def require(self, split: Split) -> None:
        """Raise `UserError` when a picture has no joints; how many there are, and the first."""
        missing = [path for path in split.paths if path not in self.rows]
        if missing:
            raise UserError(
                f"{self.file} has no joints of {len(missing):,} of {len(split):,} pictures in {split.root}, such as"
                f" {missing[0]}; estimate those too, or give another file with data.poses.file"
            )

    def of(self, split: Split, height: int, width: int) -> Joints:
        """`(N, 17, 3)` the joints of a split's pictures in pixels of pictures of `height` and `width`.

        Raises:
            UserError: a picture has none, or its size is in neither the file nor the picture.
        """
        self.require(split)
        rows = np.fromiter((self.rows[path] for path in split.paths), np.int64, len(split))
        sizes = self.sizes[rows]
        for row in np.flatnonzero(sizes[:, 0] == 0).tolist():
            sizes[row] = size_of(split.file(row))
        joints = self.joints[rows]
        joints[:, :, :2] *= (np.array([width, height]) / sizes)[:, None].astype(np.float32)
        return joints


def read_keypoints(file: Path) -> Keypoints:
    """Read a file of joints in any of the three forms.

    Raises:
        UserError: there is none, it is no such file, or a picture has something else than 17 joints of 3 finite
            numbers; names the line and the picture.
    """
    try:
        content = file.read_bytes()
        text = content.decode("utf-8-sig")
    except FileNotFoundError:
        raise UserError(
            f"there is no file of joints {file}; give another one with data.poses.file (eval.py: --poses-from)"
        ) from None
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"the file of joints {file} cannot be read ({error}); write it anew") from error
    rows: dict[str, int] = {}
    joints: list[Joints] = []
    sizes: list[tuple[int, int]] = []
    for path, entry in _entries(file, text):
        found = _joints(entry)
        if isinstance(found, str):
            raise UserError(f"{file}, line {_line(text, path)}: picture {path} has {found}; write it anew")
        if path in rows:
            raise UserError(f"{file}, line {_line(text, path, last=True)}: picture {path} is there twice; remove one")
        rows[path] = len(joints)
        joints.append(found[0])
        sizes.append(found[1])
    if not joints:
        raise UserError(f'{file} has no joints of any picture; expected {{"path": {JOINTS} times [x, y, score], …}}')
    fingerprint = hashlib.sha256(content).hexdigest()[:16]
    return Keypoints(file, np.stack(joints), np.array(sizes, np.int64), rows, fingerprint)


def _entries(file: Path, text: str) -> Iterator[tuple[str, Any]]:
    """Path and joints of every picture, as written."""
    try:
        tree = json.loads(text, object_pairs_hook=_Pairs)
    except ValueError as error:  # RecursionError is no ValueError, but then the file is no such file by far
        if not (isinstance(error, json.JSONDecodeError) and error.msg == "Extra data"):
            raise _broken(file, error) from error
        yield from _lines(file, text)
        return
    except RecursionError as error:
        raise UserError(f"{file} is no file of joints: its brackets are too deep; write it anew") from error
    if isinstance(tree, _Pairs) and "path" in tree.names() and "joints" in tree.names():  # one line only
        yield from _lines(file, text)
        return
    if isinstance(tree, _Pairs) and "pictures" in tree.names():
        tree = dict(tree)["pictures"]
    if not isinstance(tree, _Pairs):
        raise UserError(f"{file} is no file of joints; expected an object from a picture's path to its {_FORM}")
    yield from tree


def _lines(file: Path, text: str) -> Iterator[tuple[str, Any]]:
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip():
            continue
        try:
            entry = dict(json.loads(line))
            path = entry["path"]
            if not isinstance(path, str) or "joints" not in entry:
                raise ValueError('expected {"path": …, "joints": …}')
        except (ValueError, TypeError, KeyError, RecursionError) as error:
            why = f"it lacks {error}" if isinstance(error, KeyError) else error
            raise UserError(f"{file}, line {number} is no picture with its joints ({why}); write it anew") from error
        yield path, _Pairs(entry.items())


class _Pairs(list[tuple[str, Any]]):
    """A JSON object that remembers a name that is there twice."""

    def names(self) -> set[str]:
        return {name for name, _ in self}


def _joints(entry: Any) -> tuple[Joints, tuple[int, int]] | str:
    """Joints and size of a picture, or what it has instead."""
    size: Any = (0, 0)
    if isinstance(entry, _Pairs):
        told = dict(entry)
        entry, size = told.get("joints"), told.get("size", size)
        whole = isinstance(size, (list, tuple)) and len(size) == 2 and all(type(side) is int for side in size)
        if not whole or ("size" in told and not all(0 < side < _LARGEST for side in size)):
            return f"the size {json.dumps(size)} where [width, height] is expected"
    if not isinstance(entry, list) or len(entry) != JOINTS:
        return f"{len(entry) if isinstance(entry, list) else 'no'} joints where {_FORM} are expected"
    numbers = [value for joint in entry if isinstance(joint, list) and len(joint) == 3 for value in joint]
    if len(numbers) != 3 * JOINTS or not all(type(value) in (int, float) for value in numbers):
        return f"joints that are not all three numbers where {_FORM} are expected"
    try:
        joints = np.array(numbers, np.float32).reshape(JOINTS, 3)
    except OverflowError:
        joints = np.full((JOINTS, 3), np.inf, np.float32)
    if not np.isfinite(joints).all():
        return f"a joint that is no finite number where {_FORM} are expected"
    joints[:, 2] = joints[:, 2].clip(0, 1)
    return joints, (size[0], size[1])


def _line(text: str, path: str, last: bool = False) -> int:
    """The line in which a picture's path is written, 1 when it is written in another way than expected."""
    for written in (json.dumps(path), json.dumps(path, ensure_ascii=False)):
        at = text.rfind(written) if last else text.find(written)
        if at >= 0:
            return text.count("\n", 0, at) + 1
    return 1


def _broken(file: Path, error: ValueError) -> UserError:
    line = f", line {error.lineno}" if isinstance(error, json.JSONDecodeError) else ""
    told = error.msg if isinstance(error, json.JSONDecodeError) else str(error)
    return UserError(f"{file}{line} is not JSON ({told}); it was cut short or changed, write it anew")
