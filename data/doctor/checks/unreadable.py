"""Files that are no pictures, or not whole ones."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from data.doctor.case import Case
from data.doctor.findings import Finding, Severity
from data.doctor.inspection import State

_STOPS = "training stops at the first of them, which may be hours after its start"


class _Kind(NamedTuple):
    severity: Severity
    kind: str
    what: str
    why: str
    remedy: str


_UNPACK = "unpack or download them again, or remove them"
_KINDS = {
    State.CLOSED: _Kind(
        Severity.PROBLEM,
        "unreadable",
        "files that cannot be opened",
        _STOPS,
        "make them readable (chmod a+r), or copy them again",
    ),
    State.EMPTY: _Kind(Severity.PROBLEM, "empty", "empty files", _STOPS, f"{_UNPACK}; was the disk full?"),
    State.NO_PICTURE: _Kind(
        Severity.PROBLEM, "no-picture", "files that are no pictures, whatever they are called", _STOPS, _UNPACK
    ),
    State.BROKEN: _Kind(Severity.PROBLEM, "broken", "pictures that end too early or are damaged", _STOPS, _UNPACK),
    State.HUGE: _Kind(
        Severity.PROBLEM,
        "huge",
        "files too large to be a crop of one person, which were not looked into",
        "beyond the limit of pixels training stops; below it, it waits for them in every epoch",
        "crop or shrink them",
    ),
    State.SHORT: _Kind(
        Severity.WARNING,
        "short",
        "JPEGs whose last bytes are missing",
        "they can still be decoded, but their lower part may be grey or garbage",
        "look at them; unpack or download them again",
    ),
}


def unreadable(case: Case) -> Iterator[Finding]:
    """One finding for each way in which files are not pictures."""
    if case.looks is None:
        return
    for state, (severity, kind, what, why, remedy) in _KINDS.items():
        files = np.flatnonzero(case.looks.states == state).tolist()
        if files:
            yield Finding(
                severity,
                kind,
                f"{what}: {len(files):,} of {len(case.files):,}",
                why,
                remedy,
                case.items_of_files(files, (case.looks.faults.get(file, "") for file in files)),
            )
