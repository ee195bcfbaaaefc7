"""The compiled kernels, where Numba is there; everything has a plain form that gives the same result without it."""

from __future__ import annotations

import importlib
from functools import cache
from types import ModuleType


@cache
def kernels(name: str = "kernels") -> ModuleType | None:
    """A module of this room, or None when Numba is not installed or does not fit the installed NumPy."""
    try:
        return importlib.import_module(f"retrieval.{name}")
    except ImportError:
        return None
