"""Names of one's own: pictures in `root/{train,query,gallery}` whose names a regular expression takes apart.

`pattern: '(?P<pid>\\d+)_c(?P<cam>\\d+)'` in configs/datasets.yml, in single quotes, reads `7_c2_whatever.jpg`. It is
matched at the start of base names only: no folder above a picture can be mistaken for a label, and what follows the
match is free.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import numpy as np

from common.errors import UserError, did_you_mean
from data.readers.checks import checked
from data.readers.labels import numbers
from data.readers.listing import by_base_name, matched, pictures_in, require_layout, split_of
from data.readers.named import dressed, has_several
from data.samples import Dataset, Split

FOLDERS = {"train": "train", "query": "query", "gallery": "gallery"}
EXPECTED = "train/, query/ and gallery/"
GROUPS = ("pid", "cam", "clothes")
EXAMPLE = r"pattern: '(?P<pid>\d+)_c(?P<cam>\d+)'"


def read(root: Path, name: str, *, pattern: str | None = None) -> Dataset:
    """Read the folders with all their sub-folders; one that is missing is an empty split.

    People and cameras that are not whole numbers are numbered in sorted order, the same way in all splits. Clothes
    are named for each person: no two people share an outfit.

    Args:
        pattern: a regular expression with the group `pid` and, where names tell them, `cam` and `clothes`; matched at
            the start of base names only. What it needs of time is its author's affair.

    Raises:
        UserError: there is no pattern, it is malformed or has other groups, the folders are not there (naming the one
            that would work, one level up or down) or a file name does not fit.
    """
    expression = _compiled(name, pattern)
    require_layout(root, name, FOLDERS.values(), EXPECTED, lambda folder: has_several(folder, FOLDERS))
    match = _with_person(expression)
    paths = {title: pictures_in(root, folder, below=True)[0] for title, folder in FOLDERS.items()}
    told: dict[str, list[str]] = {group: [] for group in GROUPS}
    for title in FOLDERS:
        found = matched(root, name, paths[title], match, f"names that fit '{pattern}'")
        for group in GROUPS:
            there = group in expression.groupindex
            told[group] += [(fit[group] or "") if there else "" for fit in found]
    pids, people = numbers(told["pid"], "people")
    camids, cameras = numbers(told["cam"], "cameras")
    splits: dict[str, Split] = {}
    worn: dict[str, list[str]] = {}
    ends = np.cumsum([len(paths[title]) for title in FOLDERS])
    for title, end in zip(FOLDERS, ends.tolist(), strict=True):
        rows = slice(end - len(paths[title]), end)
        splits[title] = split_of(root, paths[title], pids[rows], camids[rows])
        worn[title] = told["clothes"][rows]
    splits = dressed(splits, worn)
    return checked(name, splits["train"], splits["query"], splits["gallery"], notes=people + cameras)


def _with_person(expression: re.Pattern[str]) -> Callable[[str], re.Match[str] | None]:
    """A match of base names that tells the person; an optional group may have matched nothing."""
    match = by_base_name(expression)

    def fit(path: str) -> re.Match[str] | None:
        found = match(path)
        return found if found is not None and found["pid"] else None

    return fit


def _compiled(name: str, pattern: str | None) -> re.Pattern[str]:
    if pattern is None:
        raise UserError(f"dataset '{name}': reader pattern needs a pattern in configs/datasets.yml, such as {EXAMPLE}")
    try:
        expression = re.compile(pattern)
    except (re.error, OverflowError, RecursionError) as error:
        raise UserError(
            f"dataset '{name}': pattern '{pattern}' is not a regular expression: {error}; write it as in {EXAMPLE}"
        ) from None
    other = next((group for group in expression.groupindex if group not in GROUPS), None)
    if other is not None:
        hint = did_you_mean(other, GROUPS) or ";"
        raise UserError(f"dataset '{name}': pattern '{pattern}' has a group '{other}'{hint} known: {', '.join(GROUPS)}")
    if "pid" not in expression.groupindex:
        raise UserError(
            f"dataset '{name}': pattern '{pattern}' has no group pid, which tells the person; write it as in {EXAMPLE}"
        )
    return expression
