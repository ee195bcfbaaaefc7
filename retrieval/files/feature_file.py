"""Features on disk: one folder per (checkpoint, dataset, split), memory-mappable, checked when read, no pickle.

| file | content |
|---|---|
| `features.npy` | `(N, D)` float32 |
| `parts.npy`, `visibility.npy` | `(N, P, D')` and `(N, P)` float32, where the system has them |
| `index.csv` | row, path, pid, camid, clothes |
| `manifest.json` | what the features are of, and what made them |
"""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from common.errors import UserError
from retrieval.columns import Columns, Features, Floats

FORMAT = 2
MANIFEST = "manifest.json"
INDEX = "index.csv"
HEADER = ["row", "path", "pid", "camid", "clothes"]
ARRAYS = {"vectors": "features.npy", "parts": "parts.npy", "visibility": "visibility.npy"}
"""Field of `Features` → its file."""

CALLER_KEYS = {
    "dataset": "dataset",
    "split": "split of the dataset",
    "fingerprint": "dataset content (fingerprint)",
    "checkpoint": "checkpoint",
    "preprocessing": "preprocessing",
    "scorer": "scorer",
    "flip": "flip setting",
}
"""What a manifest must be given, and what each is called in a sentence.

`checkpoint` is the SHA-256 of what decides the features, its weights and configuration, and not of the file, whose card
may gain a threshold (`engine.card.identity_of`). In format 1 it was that of the file.
"""


@dataclass(frozen=True, eq=False)
class FeatureFile:
    """A feature folder, opened.

    Attributes:
        features: memory-mapped vectors (parts, visibility) and the columns.
        paths: N picture paths as the dataset names them.
        manifest: `CALLER_KEYS` and `format`, `rows`, `dim`, `created_by`.
    """

    folder: Path
    features: Features
    paths: list[str]
    manifest: dict[str, Any]


def read_features(folder: Path) -> FeatureFile:
    """Open a feature folder; its arrays stay on disk.

    Raises:
        UserError: it is missing, is not a feature folder, or its files are damaged or do not fit each other.
    """
    manifest = _read_manifest(folder)
    rows = manifest["rows"]
    paths, columns = _read_index(folder / INDEX, rows)
    vectors = _read_array(folder / ARRAYS["vectors"], rows)
    if vectors.ndim != 2 or vectors.shape[1] != manifest["dim"]:
        raise _damaged(
            folder / ARRAYS["vectors"], f"shape {vectors.shape} where the manifest says ({rows}, {manifest['dim']})"
        )
    extras = {
        name: _read_array(folder / ARRAYS[name], rows)
        for name in ("parts", "visibility")
        if (folder / ARRAYS[name]).exists()
    }
    try:
        features = Features(vectors, columns, **extras)
    except ValueError as error:
        raise _damaged(folder, str(error)) from error
    return FeatureFile(folder, features, paths, manifest)


def stale(folder: Path, expected: Mapping[str, Any]) -> str | None:
    """Why the features in `folder` cannot be used for what is expected, as a sentence; None when they can.

    Args:
        expected: some or all of `CALLER_KEYS` with the values of now.
    """
    if not folder.exists():
        return f"there are no features in {folder} yet"
    try:
        manifest = read_features(folder).manifest
    except UserError as error:
        return str(error)
    now = json.loads(json.dumps(dict(expected)))
    changed = [key for key in now if manifest.get(key) != now[key]]
    if not changed:
        return None
    differences = "; ".join(
        f"another {CALLER_KEYS.get(key, key)} ({_short(manifest.get(key))}, now {_short(now[key])})" for key in changed
    )
    return f"the features in {folder} were made with {differences}"


def _short(value: object) -> str:
    text = json.dumps(value)
    return text if len(text) <= 60 else f"{text[:40]}…{text[-15:]}"


def _damaged(path: Path, why: str) -> UserError:
    return UserError(f"{path} is damaged: {why}; delete the feature folder and extract the features again")


def _read_manifest(folder: Path) -> dict[str, Any]:
    path = folder / MANIFEST
    if not folder.is_dir():
        raise UserError(f"there is no feature folder {folder}; extract the features first")
    if not path.is_file():
        raise UserError(f"{folder} is not a feature folder: it has no {MANIFEST}; give another folder")
    try:
        manifest = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise _damaged(path, f"it cannot be read as JSON ({error})") from error
    if not isinstance(manifest, dict) or "format" not in manifest:
        raise UserError(f"{path} is not the manifest of a feature folder; give another folder")
    if manifest["format"] != FORMAT:
        raise UserError(
            f"{path}: format {manifest['format']!r}, but this version reads format {FORMAT}; extract the features again"
        )
    missing = [key for key in (*CALLER_KEYS, "rows", "dim") if key not in manifest]
    if missing:
        raise _damaged(path, f"it lacks {', '.join(missing)}")
    for key in ("rows", "dim"):
        if type(manifest[key]) is not int or manifest[key] < 0:
            raise _damaged(path, f"{key} is {manifest[key]!r} where a number is expected")
    return manifest


def _read_array(path: Path, rows: int) -> Floats:
    if path.is_file():
        with path.open("rb") as file:
            if file.read(6) != b"\x93NUMPY":  # NumPy would advise to unpickle it
                raise _damaged(path, "it is no .npy file")
    try:
        array = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise _damaged(path, f"it cannot be read as an array ({error})") from error
    if not isinstance(array, np.ndarray) or array.dtype != np.float32:
        raise _damaged(path, "it is not one float32 array")
    if array.ndim == 0 or len(array) != rows:
        raise _damaged(path, f"shape {array.shape} where the manifest says {rows} rows")
    return array


def _read_index(path: Path, rows: int) -> tuple[list[str], Columns]:
    paths: list[str] = []
    labels = np.empty((rows, 3), dtype=np.int64)
    try:
        with path.open(encoding="utf-8", errors="surrogateescape", newline="") as file:
            lines = csv.reader(file)
            if next(lines, None) != HEADER:
                raise _damaged(path, f"the first line is not {','.join(HEADER)}")
            for row, fields in enumerate(lines):
                if row >= rows:
                    raise _damaged(path, f"it has more rows than the {rows} of the manifest")
                if len(fields) != len(HEADER) or fields[0] != str(row):
                    raise _damaged(path, f"line {lines.line_num} is not row {row} with {len(HEADER)} fields")
                paths.append(fields[1])
                labels[row] = [int(field) for field in fields[2:]]
    except (OSError, ValueError, OverflowError, csv.Error) as error:
        raise _damaged(path, str(error)) from error
    if len(paths) != rows:
        raise _damaged(path, f"it has {len(paths)} rows where the manifest says {rows}")
    pids, camids, clothes = np.ascontiguousarray(labels.T)
    return paths, Columns(pids, camids, clothes)
