"""Splits whose labels are in the base names of their pictures, one folder a split: what most published sets share."""

from __future__ import annotations

import re
from collections.abc import Container, Mapping
from pathlib import Path

import numpy as np

from common.contracts import UNKNOWN
from data.readers.labels import outfits
from data.readers.listing import by_base_name, matched, numbers_in, pictures_in, split_of
from data.samples import Ints, Split

TEST = ("query", "gallery")


def read_names(
    root: Path, name: str, folders: Mapping[str, str], pattern: re.Pattern[str], form: str, below: Container[str] = ()
) -> tuple[dict[str, Split], tuple[str, ...]]:
    """The splits in these folders of `root`; a folder that is missing is an empty split.

    Args:
        folders: the folder of each split, by the split's title.
        pattern: matched at the start of each base name. Its group `pid` is a whole number; where it has them, `cam` is
            one, counted from 1 in the name and from 0 in the result, and `outfit` is what the person wears.
        form: what a name should look like, for the error.
        below: titles of the splits whose sub-folders are read too.

    Returns:
        The splits by title, and notes of the pictures that are not read. Outfits of query and gallery are numbered
        together, those of any other split by themselves.

    Raises:
        UserError: names that do not fit.
    """
    splits: dict[str, Split] = {}
    worn: dict[str, list[str]] = {}
    notes: tuple[str, ...] = ()
    for title, folder in folders.items():
        paths, skipped = pictures_in(root, folder, below=title in below)
        notes += skipped
        found = matched(root, name, paths, by_base_name(pattern), form)
        splits[title] = split_of(root, paths, numbers_in(found, "pid"), _cameras(found, pattern))
        if "outfit" in pattern.groupindex:
            worn[title] = [match["outfit"] for match in found]
    return dressed(splits, worn), notes


def has_several(folder: Path, parts: Mapping[str, str]) -> bool:
    """True when at least two of a layout's folders are there; one alone would be that of other layouts too."""
    return sum((folder / part).is_dir() for part in parts.values()) > 1


def dressed(splits: Mapping[str, Split], worn: Mapping[str, list[str]]) -> dict[str, Split]:
    """The splits with the outfits that are told, those of query and gallery numbered together."""
    clothed = dict(splits)
    for titles in (TEST, *((title,) for title in splits if title not in TEST)):
        told = [title for title in titles if title in worn]
        if not told:
            continue
        pids = np.concatenate([splits[title].pids for title in told])
        clothes = outfits(pids, [outfit for title in told for outfit in worn[title]])
        ends = np.cumsum([len(splits[title]) for title in told])
        for title, part in zip(told, np.split(clothes, ends[:-1]), strict=True):
            split = splits[title]
            clothed[title] = split_of(split.root, split.paths, split.pids, split.camids, part)
    return clothed


def _cameras(found: list[re.Match[str]], pattern: re.Pattern[str]) -> Ints:
    """`(N,)`: −1 for names that do not tell."""
    if "cam" not in pattern.groupindex:
        return np.full(len(found), UNKNOWN, dtype=np.int64)
    told = (UNKNOWN if match["cam"] is None else int(match["cam"]) - 1 for match in found)
    return np.fromiter(told, dtype=np.int64, count=len(found))
