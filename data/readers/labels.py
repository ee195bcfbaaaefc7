"""Names of people, cameras and outfits into numbers."""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np

from common.contracts import UNKNOWN
from data.samples import Ints

_NUMBER = re.compile(r"[0-9]{1,18}")
_UNKNOWN = ("", str(UNKNOWN))


def outfits(pids: Ints, values: Sequence[str]) -> Ints:
    """`(N,)` the distinct pairs of person and outfit numbered 0, 1, ... in sorted order; −1 where one is unknown.

    Outfits are named for each person: no two people share one.
    """
    worn, _ = numbers(values, "outfits")
    known = (worn != UNKNOWN) & (pids != UNKNOWN)
    clothes = np.full(len(pids), UNKNOWN, dtype=np.int64)
    _, places = np.unique(np.stack([pids[known], worn[known]], axis=1), axis=0, return_inverse=True)
    clothes[known] = places.reshape(-1)
    return clothes


def numbers(values: Sequence[str], title: str) -> tuple[Ints, tuple[str, ...]]:
    """A column of numbers from a column of strings.

    Whole numbers are kept as they are; anything else, or numbers of which two would become one (`1` and `01`),
    is numbered 0, 1, ... in sorted order. The empty string and `-1` are unknown.

    Args:
        values: `N` strings.
        title: what they are (`pid`), for the note.

    Returns:
        The `(N,)` labels, and a note when they were numbered.
    """
    distinct = sorted(set(values).difference(_UNKNOWN))
    table = dict.fromkeys(_UNKNOWN, UNKNOWN)
    notes: tuple[str, ...] = ()
    # int() would read "0_1" as 1, so the digits are checked first.
    whole = all(_NUMBER.fullmatch(value) for value in distinct)
    if whole and len({int(value) for value in distinct}) == len(distinct):
        table.update((value, int(value)) for value in distinct)
    else:
        table.update((value, number) for number, value in enumerate(distinct))
        notes = (
            f"{title}: {len(distinct):,} names that are not plain numbers, numbered in sorted order "
            f"from 0 ('{distinct[0]}') to {len(distinct) - 1} ('{distinct[-1]}')",
        )
    return np.fromiter((table[value] for value in values), dtype=np.int64, count=len(values)), notes
