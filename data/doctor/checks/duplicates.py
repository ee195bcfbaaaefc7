"""Files with the same bytes, told apart by where the copies lie."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from common.contracts import UNKNOWN
from data.doctor.case import GALLERY, QUERY, Case, rows_mask
from data.doctor.findings import Finding, Item, Severity
from data.doctor.looks import Looks
from data.readers.checks import NO_CAMERA
from data.samples import Ints

PARTS, PEOPLE, ASKED, WITHIN = "across-train-test", "across-identities", "query-in-gallery", "within-split"
FOUND = "query-finds-itself"


class _Kind(NamedTuple):
    severity: Severity
    what: str
    why: str
    remedy: str


_KINDS = {
    PARTS: _Kind(
        Severity.PROBLEM,
        "the same picture in train and test",
        "the model is tested with pictures it has learned by heart; scores come out too high",
        "remove them from train (never from a published test set)",
    ),
    PEOPLE: _Kind(
        Severity.PROBLEM,
        "the same picture of people who are said to be different",
        "one of the labels is wrong: training tells a picture from itself, and evaluation counts a find as a mistake",
        "find out who it is and remove the other copies; or give both people one number if they are one person",
    ),
    FOUND: _Kind(
        Severity.PROBLEM,
        "the same picture as a query and, under another camera or none, in the gallery",
        "the query finds itself at rank 1; scores come out too high",
        "keep each picture in one of the two",
    ),
    WITHIN: _Kind(
        Severity.WARNING,
        "the same picture several times in a split",
        "in the gallery one find counts several times; in train they weigh more than others",
        "keep one of each",
    ),
    ASKED: _Kind(
        Severity.NOTE,
        "the same picture in query and gallery, under the same camera",
        "the protocol leaves them out of the ranking, so the query does not find itself",
        "nothing; judging by protocol no-camera would count them",
    ),
}  # fmt: skip


def exact(case: Case) -> Iterator[Finding]:
    """Groups of copies by the worst that they do; pictures of one colour are told elsewhere."""
    if case.looks is None:
        return
    groups: dict[str, list[Item]] = defaultdict(list)
    worst_first = list(_KINDS)
    for rows in _groups(case, case.looks):
        kinds = _kinds(case, rows)
        if kinds:
            groups[min(kinds, key=worst_first.index)].append(_item(case, rows))
    for kind, (severity, what, why, remedy) in _KINDS.items():
        if kind in groups:
            items = tuple(groups[kind])
            yield Finding(severity, f"duplicate-{kind}", f"{what}: {_counted(items)}", why, remedy, items)


def _groups(case: Case, looks: Looks) -> Iterator[Ints]:
    """The rows of each content that has more than one row, in the order of files."""
    rows = np.flatnonzero(rows_mask(case, looks.comparable))
    contents = np.unique(looks.digests, axis=0, return_inverse=True)[1].reshape(-1)[case.rows.files[rows]]
    order = np.lexsort((rows, contents))
    ends = np.flatnonzero(np.diff(contents[order])) + 1
    found = [group for group in np.split(rows[order], ends) if len(group) > 1]
    yield from sorted(found, key=lambda group: int(case.rows.files[group].min()))


def _kinds(case: Case, rows: Ints) -> set[str]:
    """Everything that copies at these rows do."""
    kinds = set()
    parts, pids, splits = case.parts[rows], case.rows.pids[rows], case.rows.splits[rows]
    if {0, 1} <= set(parts.tolist()):
        kinds.add(PARTS)
    if any(len(np.unique(pids[parts == part])) > 1 for part in (0, 1)):
        kinds.add(PEOPLE)
    asked, shown = rows[splits == QUERY], rows[splits == GALLERY]
    if len(asked) and len(shown):
        cameras, others = case.rows.camids[asked], case.rows.camids[shown]
        pairs = np.equal.outer(case.rows.pids[asked], case.rows.pids[shown])
        by_camera = case.dataset is None or case.dataset.rule != NO_CAMERA
        junk = np.equal.outer(cameras, others) & (by_camera & (cameras != UNKNOWN))[:, None]
        copied = np.not_equal.outer(case.rows.files[asked], case.rows.files[shown])
        if (pairs & ~junk).any():
            kinds.add(FOUND)
        elif (pairs & copied).any():  # one file in both is how the reader divides folders
            kinds.add(ASKED)
    if any(len(np.unique(case.rows.files[rows[splits == split]])) > 1 for split in np.unique(splits)):
        kinds.add(WITHIN)
    return kinds


def _item(case: Case, rows: Ints) -> Item:
    """The copies' names, each once, and in the same order where each of them lies."""
    names, told = [], []
    for row in rows[np.argsort(case.rows.files[rows], kind="stable")].tolist():
        names.append(case.files[int(case.rows.files[row])])
        told.append(case.told(row))
    return Item(tuple(dict.fromkeys(names)), " = ".join(told))


def _counted(items: tuple[Item, ...]) -> str:
    count = sum(len(item.names) for item in items)
    pictures = "1 picture" if len(items) == 1 else f"{len(items):,} pictures"
    return f"{pictures} in {count:,} {'file' if count == 1 else 'files'}"
