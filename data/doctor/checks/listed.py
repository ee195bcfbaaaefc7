"""Pictures that a dataset's own lists name and that are not there: all of them, where the reader names the first."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

from common.errors import UserError
from data.doctor.case import Case
from data.doctor.findings import Finding, Item, Severity
from data.readers import deepchange, partitions
from data.readers.named import TEST
from data.readers.pickled import read_plain

Named = dict[str, str]
"""The list that names it, by each picture's path below the dataset's folder."""


def missing(case: Case) -> Iterator[Finding]:
    """The pictures that lists name and that are not there, of a dataset that its reader refuses."""
    if case.dataset is not None or case.reader not in LISTS:
        return
    named = LISTS[case.reader](case.place, str(case.options.get("variant", "test")))
    there = {*case.files, *case.others}
    absent = sorted(path for path in named if path not in there)
    if absent:
        yield Finding(
            Severity.PROBLEM,
            "listed-but-missing",
            f"pictures that the lists name and that are not there: {len(absent):,} of {len(named):,}",
            "a part of the download is missing, or the lists are of another version",
            "unpack the archive again, and download it again if that stops with an error",
            tuple(Item((path,), f"named in {named[path]}") for path in absent),
        )


def _deepchange(place: Path, variant: str) -> Named:
    """A list for each folder; the first value of a line is the name of a file."""
    named = {}
    for folder in ("train-set", *(f"{variant}-set-{title}" for title in TEST)):
        for line in _lines(place / f"{folder}{deepchange.LIST}"):
            base = line.partition(",")[0].strip()
            if base:
                named[f"{folder}/{base}"] = f"{folder}{deepchange.LIST}"
    return named


def _partitions(place: Path, variant: str) -> Named:
    """The lists of one file, without the pictures that are not read; what is malformed is left to the reader."""
    try:
        told = read_plain(place / partitions.FILE)
    except UserError:
        return {}
    lists = [told.get(key) for key in (partitions.TRAIN.get(variant, ""), f"{variant}_im_names", f"{variant}_marks")]
    train, test, marks = (entry if isinstance(entry, list | tuple) else [] for entry in lists)
    names = [*train, *(name for name, mark in zip(test, marks, strict=False) if mark != partitions.FURTHER)]
    return {f"{partitions.FOLDER}/{name}": partitions.FILE for name in names if isinstance(name, str)}


def _lines(file: Path) -> list[str]:
    """The lines of a list; none when it cannot be read, which the reader tells."""
    if not file.is_file():  # a pipe would be waited for
        return []
    try:
        return file.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError):
        return []


LISTS: dict[str, Callable[[Path, str], Named]] = {"deepchange": _deepchange, "partitions": _partitions}
"""By reader; MSMT17's lists are looked at where its versions are told apart."""
