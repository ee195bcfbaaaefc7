"""What is checked: a check is one function from a case to findings, and a line in `CHECKS`."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from data.doctor.case import Case
from data.doctor.checks import (
    cameras,
    colours,
    counts,
    duplicates,
    files,
    identities,
    listed,
    queries,
    sizes,
    unreadable,
)
from data.doctor.checks import msmt as msmt17
from data.doctor.checks import near_duplicates as near
from data.doctor.findings import Finding, by_severity

Check = Callable[[Case], Iterator[Finding]]

CHECKS: tuple[Check, ...] = (
    counts.refusal,
    counts.missing_splits,
    counts.published,
    msmt17.versions,
    msmt17.lists,
    listed.missing,
    identities.overlap,
    identities.alone,
    cameras.one_camera,
    cameras.one_camera_each,
    queries.without_positive,
    unreadable.unreadable,
    duplicates.exact,
    near.near,
    colours.one_colour,
    colours.grey,
    sizes.tiny,
    sizes.shape,
    sizes.turned,
    files.unread,
)
"""In the order in which findings of one severity are told. Those that need pixels find nothing with --quick."""


def examine(case: Case) -> tuple[Finding, ...]:
    """All findings, the worst first."""
    return by_severity([finding for check in CHECKS for finding in check(case)])
