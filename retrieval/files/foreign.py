"""Features that other tools have cached, read so that they can be evaluated with no model; nothing is ever unpickled.

| file | content |
|---|---|
| `NAME.mat` | MATLAB up to `-v7`; what `retrieval.files.matlab` writes is one |
| `NAME.npz` | NumPy arrays |
| `NAME.npy` beside `NAME.csv` | `(N, D)` numbers; N lines below a header with pid and maybe camid, clothes, path, row |

Arrays are found by the names in `NAMES`. A .mat or .npz file may hold query and gallery both, told apart by what
stands before the names (`PREFIXES`). Rows count from 0.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from common.contracts import UNKNOWN
from common.errors import UserError
from retrieval.columns import Columns, Features, Floats, Ints
from retrieval.files.feature_file import MANIFEST, read_features
from retrieval.files.matlab import require_scipy

NAMES = {
    "features": ("feat", "feats", "features", "embeddings", "vectors", "x", "f"),
    "pids": ("ids", "pids", "pid", "labels", "label", "y"),
    "camids": ("cam_ids", "camids", "cams", "camid", "cam"),
    "clothes": ("clothes", "clothes_ids", "cloth_ids"),
    "paths": ("img_path", "paths", "names"),
}
"""What is read → the arrays it may be in. The first three must be there."""

PREFIXES = {"query": ("query_", "q_", "q"), "gallery": ("gallery_", "g_", "g")}
"""Split → what may stand before its names in a file of both: `query_feat`, `q_pids`, `qf`."""

_BEGINS = {".mat": (b"",), ".npz": (b"PK\x03\x04", b"PK\x05\x06"), ".npy": (b"\x93NUMPY",)}
"""Kind of file → its first bytes; the oldest of the MAT formats has none of its own."""

_HDF5 = b"\x89HDF\r\n\x1a\n"
_NUMBER = re.compile(r"(-?[0-9]{1,18})(?:\.0*)?")

Array = NDArray[Any]
Found = dict[str, tuple[str, Array]]
"""What is read → where it was found, for errors, and the array."""


@dataclass(frozen=True, eq=False)
class Cache:
    """The features of one split, and N picture paths: empty strings where there are none."""

    features: Features
    paths: list[str]


def read_cache(path: Path, role: str = "") -> Cache:
    """Read one split from a file of another tool, or from a feature folder of ours.

    A float32 .npy file and a feature folder stay on disk (memory-mapped); everything else is loaded.

    Args:
        role: "query" or "gallery": which of the two, when the file holds both.

    Raises:
        UserError: names the file and the array, column or row that is missing, ambiguous, damaged or of another kind.
    """
    if role not in ("", *PREFIXES):
        raise ValueError(f"role must be query, gallery or empty, got {role!r}")
    if path.is_dir():
        file = read_features(path)
        return Cache(file.features, file.paths)
    found = _from_array_and_table(path) if _kind(path) == ".npy" else _from_arrays(path, role)
    vectors = _vectors(*found["features"])
    rows = len(vectors)
    labels = {field: _labels(field, *found[field], rows) for field in ("pids", "camids", "clothes") if field in found}
    paths = _texts(*found["paths"], rows) if "paths" in found else [""] * rows
    return Cache(Features(vectors, Columns.of(**labels)), paths)


def read_pair(path: Path) -> tuple[Cache, Cache]:
    """Query and gallery, from a file that holds both or a folder that holds a file or a feature folder for each.

    Raises:
        UserError: as `read_cache`; or there is no such pair, and it lists what was expected and what lies there.
    """
    if path.is_dir():
        query, gallery = (_inside(path, role) for role in PREFIXES)
        return read_cache(query, "query"), read_cache(gallery, "gallery")
    names = [] if _kind(path) == ".npy" else _listed(path)
    if not _of_two_splits(names):
        raise UserError(
            f"{path} does not hold both query and gallery: expected a .mat or .npz file with query_feat, query_ids, "
            "query_cam_ids, gallery_feat, gallery_ids, gallery_cam_ids, or a folder with a file for each; "
            f"found {_some(names) if names else 'one array'}"
        )
    return read_cache(path, "query"), read_cache(path, "gallery")


def _inside(folder: Path, role: str) -> Path:
    """The one thing in `folder` that holds the features of that split."""
    if (folder / role / MANIFEST).is_file():
        return folder / role  # beside which `eval.py --mat` leaves a copy
    there = [folder / f"{role}{suffix}" for suffix in _BEGINS if (folder / f"{role}{suffix}").is_file()]
    if len(there) > 1:
        raise UserError(f"{folder} holds the {role} more than once: {_some(p.name for p in there)}; keep one of them")
    if not there:
        near = [path.parent for path in (folder, *sorted(folder.iterdir())) if (path / MANIFEST).is_file()]
        near += [path.parent.parent for path in sorted(folder.glob(f"*/{role}/{MANIFEST}"))]
        raise UserError(
            f"{folder} holds no {role} features: expected {role}.mat, {role}.npz, {role}.npy beside {role}.csv, or a "
            f"feature folder {role} with its {MANIFEST}; found {_some(sorted(p.name for p in folder.iterdir()))}"
            + (f"; did you mean {near[0]}?" if near else "")
        )
    return there[0]


def _some(names: Iterable[str]) -> str:
    every = list(names)
    return (", ".join(every[:12]) or "nothing") + (f" and {len(every) - 12} more" if len(every) > 12 else "")


def _kind(path: Path) -> str:
    """The suffix of a file that begins as files of this suffix do."""
    try:
        with path.open("rb") as file:
            head = file.read(520)
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror}; give a file or folder of features") from error
    kind = path.suffix.lower()
    if kind not in _BEGINS:
        raise UserError(
            f"{path}: expected features in a .mat or .npz file, or in .npy beside .csv; convert it to .npz with "
            "numpy.savez (a pickle is never loaded)"
        )
    # MATLAB puts 512 bytes of its own before the signature; Octave and h5py put none.
    if _HDF5 in (head[:8], head[512:]):
        raise UserError(f"{path} is an HDF5 file (MATLAB v7.3), which is not read; save it with -v7 or convert to .npz")
    if not head or not head.startswith(_BEGINS[kind]):
        raise UserError(f"{path} is {'not a' if head else 'empty, not a'} {kind} file; copy it again or save it again")
    if kind == ".mat":
        require_scipy(f"reading {path}")
    return kind


@contextmanager
def _damage_named(where: str) -> Iterator[None]:
    """One sentence for what reading raises: on damaged bytes SciPy, NumPy and zipfile raise almost anything."""
    try:
        yield
    except Exception as error:
        # NumPy's further lines advise to unpickle.
        why = str(error).partition("\n")[0] or type(error).__name__
        raise UserError(
            f"{where} cannot be read ({why}); copy the file again, or save it again as plain arrays of numbers and "
            "text (Python objects are never loaded)"
        ) from error


def _listed(path: Path) -> list[str]:
    """The names of a file's arrays, one as often as it is there; no array is loaded."""
    with _damage_named(str(path)), path.open("rb") as file:
        if path.suffix.lower() == ".mat":
            from scipy.io import whosmat

            return [name for name, *_ in whosmat(file)]
        with np.load(file, allow_pickle=False) as arrays:
            return list(arrays.files)


def _array(path: Path, name: str) -> tuple[str, Array]:
    where = f"{path}, array '{name}'"
    with _damage_named(where), path.open("rb") as file:
        if path.suffix.lower() == ".mat":
            from scipy.io import loadmat

            array = loadmat(file, variable_names=[name])[name]
        else:
            with np.load(file, allow_pickle=False) as arrays:
                array = arrays[name]
    if not isinstance(array, np.ndarray):
        raise UserError(f"{where}: expected a full array, found {type(array).__name__}; save it as one (not sparse)")
    return where, array


def _of_two_splits(names: Sequence[str]) -> bool:
    prefixes = [prefix for split in PREFIXES.values() for prefix in split]
    return any(prefix + name in names for prefix in prefixes for name in NAMES["features"])


def _from_arrays(path: Path, role: str) -> Found:
    names = _listed(path)
    prefixes: Sequence[str] = ("",)
    if _of_two_splits(names):
        if not role:
            raise UserError(f"{path} holds both query and gallery ({_some(names)}); say which of the two to read")
        plain = [name for name in names if name in NAMES["features"]]
        if plain:
            raise UserError(f"{path}: {_some(plain)} stands beside features of query or gallery; remove one of the two")
        prefixes = PREFIXES[role]
    found = {}
    for field, spellings in NAMES.items():
        matches = [name for name in names if name in {prefix + name for prefix in prefixes for name in spellings}]
        if len(matches) > 1:
            raise UserError(f"{path}: each of {_some(matches)} could be the {field}; keep one and rename the others")
        if matches:
            found[field] = _array(path, matches[0])
        elif field in ("features", "pids", "camids"):
            raise UserError(
                f"{path} has no {field}: expected {' or '.join(prefixes[0] + name for name in spellings)}, found "
                f"{_some(names)}; rename that array or add one (a label that is not known is {UNKNOWN})"
            )
    return found


def _from_array_and_table(path: Path) -> Found:
    with _damage_named(str(path)):
        found: Found = {"features": (str(path), np.load(path, mmap_mode="r", allow_pickle=False))}
    table = path.with_suffix(".csv")
    try:
        with table.open(encoding="utf-8-sig", errors="surrogateescape", newline="") as file:
            reader = csv.reader(file, strict=True)
            lines = [(reader.line_num, [cell.strip() for cell in cells]) for cells in reader if cells]
    except (OSError, csv.Error) as error:
        raise UserError(f"{table}, the table of {path.name}, cannot be read ({error}); save it beside it") from error
    header = [title.lower() for title in lines.pop(0)[1]] if lines else []
    if "pid" not in header or len(set(header)) < len(header):
        raise UserError(
            f"{table}, line 1: expected the column pid and, where they are known, camid, clothes, path, row, each "
            f"once; found {_some(header)}; mend the header"
        )
    for row, (number, cells) in enumerate(lines):
        if len(cells) != len(header) or ("row" in header and cells[header.index("row")] != str(row)):
            raise UserError(
                f"{table}, line {number}: expected row {row} with {len(header)} values ({','.join(header)}), found "
                f"{','.join(cells)}; write the lines in the order of {path.name}"
            )
    for field, title in (("pids", "pid"), ("camids", "camid"), ("clothes", "clothes"), ("paths", "path")):
        if title in header:
            place, kind = header.index(title), object if title == "path" else np.int64
            values = [_cell(f"{table}, line {number}", title, cells[place]) for number, cells in lines]
            found[field] = (f"{table}, column '{title}'", np.array(values, dtype=kind))
    return found


def _cell(where: str, title: str, cell: str) -> int | str:
    if title == "path":
        return cell
    if not cell and title != "pid":
        return UNKNOWN
    # Only this: int() would also read "0_1", and pandas writes "7.0" into a column where some cells are empty.
    digits = _NUMBER.fullmatch(cell)
    if digits is None:
        raise UserError(
            f"{where}: {title} is '{cell}', expected a whole number ({UNKNOWN}: unknown); number the names yourself"
        )
    return int(digits[1])


def _vectors(where: str, array: Array) -> Floats:
    if array.ndim == 2 and not len(array):
        raise UserError(f"{where}: there are no pictures in it, shape {array.shape}; save the features of some")
    if array.ndim != 2 or array.dtype.kind not in "fiu" or not array.size:
        raise UserError(
            f"{where}: expected numbers of shape (N, D), one row a picture, found {array.dtype} of shape "
            f"{array.shape}; save the features of all pictures as one such array"
        )
    # What is too large becomes inf, and evaluation names its row.
    with np.errstate(over="ignore"):
        return array.astype(np.float32, copy=False)


def _in_a_row(where: str, array: Array, rows: int) -> Array:
    """`(rows,)` from that, or from the matrix of one row or one column that it is in MATLAB."""
    if array.shape not in ((rows,), (1, rows), (rows, 1)):
        raise UserError(
            f"{where}: expected {rows} values, one for each row of the features (N, D), found shape {array.shape}; "
            "save both of the same pictures"
        )
    return array.reshape(-1)


def _labels(field: str, where: str, array: Array, rows: int) -> Ints:
    if array.dtype.kind not in "fiu":
        raise UserError(f"{where}: expected whole numbers, found {array.dtype}; number the names yourself")
    values = _in_a_row(where, array, rows)
    if values.dtype.kind == "f":
        values = values.astype(np.float64)
        # Beyond 2^53 two numbers may have become one.
        good = (values == np.rint(values)) & (np.abs(values) <= 2**53)
    else:
        good = values <= np.iinfo(np.int64).max
    if field != "camids":
        # To the protocols -2 would be a person like any other, which nobody means by it.
        good &= values >= UNKNOWN
    if not good.all():
        row = int(good.argmin())
        raise UserError(
            f"{where}: row {row} is {values[row]}, expected a whole number ({UNKNOWN}: unknown); mend that row"
        )
    return values.astype(np.int64)


def _texts(where: str, array: Array, rows: int) -> list[str]:
    if not array.size:
        # In MATLAB a matrix of N empty names has no rows.
        return [""] * rows
    texts = [_text(value) for value in _in_a_row(where, array, rows).tolist()]
    if None in texts:
        raise UserError(f"{where}: row {texts.index(None)} is not a text; save the names of the pictures as text")
    return [text for text in texts if text is not None]


def _text(value: object) -> str | None:
    """A text without the blanks that MATLAB pads it with: from it, its bytes or a MATLAB cell; else None."""
    if isinstance(value, np.ndarray):
        value = value.item() if value.size == 1 else None if value.size else ""
    if isinstance(value, bytes):
        value = value.decode("utf-8", errors="surrogateescape")
    return value.rstrip(" ") if isinstance(value, str) else None
