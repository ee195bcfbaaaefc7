"""MSMT17: which of its two versions lies there, and whether lists and pictures belong together."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

from data.doctor.case import Case
from data.doctor.findings import Finding, Item, Severity
from data.doctor.layouts import msmt_folders
from data.readers.msmt import LISTS, TRAIN_LISTS, TREES

_VERSIONS = {folder: version.upper() for version, folders in TREES.items() for folder in folders}
_MOST_PART = 0.9


def versions(case: Case) -> Iterator[Finding]:
    """V2, whose scores compare with few papers, and a mixture of both versions."""
    if case.reader != "msmt":
        return
    there = msmt_folders(case.place)
    halves = [folder for folders in TREES.values() for folder in folders if folder in there]
    whole = [version.upper() for version, folders in TREES.items() if all(folder in there for folder in folders)]
    if not whole and len({_VERSIONS[folder] for folder in halves}) > 1:
        yield Finding(
            Severity.PROBLEM,
            "mixed-versions",
            "one half is of MSMT17 V1 and the other of V2: " + ", ".join(f"{f}/ ({_VERSIONS[f]})" for f in halves),
            "in V2 faces are masked; training on one and testing on the other measures something else",
            "unpack all of one version into an empty folder",
            tuple(Item((f"{_relative(case.place, there[folder])}/",), _VERSIONS[folder]) for folder in halves),
        )
    if whole == ["V2"]:
        yield Finding(
            Severity.WARNING,
            "version-2",
            "this is MSMT17 V2, in which faces are masked",
            "most papers used V1 and do not say so: their scores are several points higher and do not compare",
            "ask the authors of the dataset for V1, or say V2 beside every score",
        )


def lists(case: Case) -> Iterator[Finding]:
    """Lists that are not there, and pictures that a list names and that are not there."""
    if case.reader != "msmt":
        return
    there = msmt_folders(case.place)
    version = next((v for v, folders in TREES.items() if any(folder in there for folder in folders)), "v1")
    train, test = TREES[version]
    base = next(iter(there[folder] for folder in (train, test) if folder in there)).parent
    absent = [file for file in LISTS.values() if not (base / file).is_file()]
    if absent and test in there:
        yield Finding(
            Severity.PROBLEM,
            "missing-list",
            f"{' and '.join(absent)} {'is' if len(absent) == 1 else 'are'} missing",
            "without it nobody knows which test pictures are queries and which are the gallery",
            "copy it from the dataset's archive",
            tuple(Item((file,)) for file in absent),
        )
    below = {path for paths in (case.files, case.others) for path in paths}
    for folder, files in ((train, TRAIN_LISTS), (test, tuple(LISTS.values()))):
        yield from _absent(case, base, folder, files, below)


def _absent(case: Case, base: Path, folder: str, files: Sequence[str], below: set[str]) -> Iterator[Finding]:
    """The pictures that the lists of one folder name and that it does not have."""
    above = _relative(case.place, base)
    prefix = f"{folder}/" if above == "." else f"{above}/{folder}/"
    named = {prefix + path: file for file in files for path in _names(base / file)}
    missing = sorted(path for path in named if path not in below)
    if not missing:
        return
    people, without = (Counter(path.rpartition("/")[0] for path in paths) for paths in (named, missing))
    lost = [person for person, count in without.items() if count == people[person]]
    if len(missing) > _MOST_PART * len(named):
        why = f"lists and pictures do not belong together: lists of another version, or {folder}/ is not there"
        remedy = "take both from one archive (V1: train/ and test/, V2: mask_train_v2/ and mask_test_v2/)"
    else:
        why = "a part of the download is missing; scores on a smaller gallery are too high and compare with no paper"
        remedy = "unpack the archive again, and download it again if that stops with an error"
    yield Finding(
        Severity.PROBLEM,
        "listed-but-missing",
        f"pictures that the lists name and {folder}/ does not have: {len(missing):,} of {len(named):,}"
        + (f", among them all of {len(lost):,} people" if lost else ""),
        why,
        remedy,
        tuple(Item((path,), f"named in {named[path]}") for path in missing),
    )


def _names(file: Path) -> list[str]:
    """The pictures in a list; none when it cannot be read, which the reader tells."""
    if not file.is_file():  # a pipe would be waited for
        return []
    try:
        lines = file.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError):
        return []
    return [line.split()[0] for line in lines if line.strip()]


def _relative(place: Path, path: Path) -> str:
    return path.relative_to(place).as_posix()
