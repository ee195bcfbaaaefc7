"""The compiled kernels, where Numba is there; each has a plain twin with the same result, which runs where it is not.

They are compiled when first called and kept on disk after that (`NUMBA_CACHE_DIR`), and they let go of Python's lock,
so that several threads run them at once.
"""

from __future__ import annotations

import importlib
from functools import cache
from types import ModuleType


@cache
def kernels(room: str) -> ModuleType | None:
    """`retrieval.ROOM.kernels`, or None where Numba is not, does not fit NumPy, or has nowhere to keep its code."""
    try:
        importlib.import_module("numba")
    except ImportError:
        return None
    try:
        return importlib.import_module(f"retrieval.{room}.kernels")
    except RuntimeError as error:
        if "cannot cache" in str(error):  # neither the code's folder nor the user's own may be written to
            return None
        raise
