"""Features for MATLAB and Octave: a MAT v5 file with the fields that re-identification code has always used."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from common.errors import UserError
from common.files import write_atomically
from retrieval.columns import Features

LIMIT = 2**31 - 1
"""Bytes of one variable in a MAT v5 file that every reader takes."""


def require_scipy(what: str = "writing a .mat file") -> None:
    """Raise `UserError` when SciPy is not there; ask before long work whose end is a .mat file."""
    if importlib.util.find_spec("scipy") is None:
        raise UserError(f"{what} needs SciPy: {sys.executable} -m pip install scipy")


def write_mat(path: Path, features: Features, paths: Sequence[str]) -> None:
    """Write `feat (N, D)` float32, `ids (1, N)`, `cam_ids (1, N)` int64 and `img_path`, N rows padded with blanks.

    Identities and cameras are written as they are (cameras count from 0; −1 unknown).

    Raises:
        UserError: SciPy is not installed, or the features are too large for the format.
    """
    require_scipy()
    from scipy.io import savemat

    # Characters take two bytes in the file, and the widest path sets the width of all.
    largest = max(features.vectors.nbytes, 2 * len(paths) * max(map(len, paths), default=0))
    if largest > LIMIT:
        raise UserError(
            f"{path}: {largest / 2**30:.1f} GiB do not fit in a MAT v5 file, which ends at 2 GiB; "
            "use features.npy, which MATLAB reads with npy-matlab"
        )
    fields = {
        "feat": np.asarray(features.vectors, dtype=np.float32),
        "ids": features.columns.pids[None, :],
        "cam_ids": features.columns.camids[None, :],
        "img_path": np.array([_readable(path) for path in paths], dtype=np.str_),
    }
    write_atomically(path, lambda file: savemat(file, fields))


def _readable(path: str) -> str:
    """A file name that is not UTF-8 with a mark for each byte that is not, since MATLAB's characters cannot say it."""
    return path.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
