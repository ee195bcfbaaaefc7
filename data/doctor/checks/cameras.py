"""Cameras: whether there is more than one, and whether people were seen by more than one."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from common.contracts import UNKNOWN
from data.doctor.case import GALLERY, QUERY, TITLES, TRAIN, Case
from data.doctor.findings import Finding, Item, Severity
from data.readers.checks import NO_CAMERA


def one_camera(case: Case) -> Iterator[Finding]:
    """Splits whose pictures all come from one camera, and cameras that are known of some pictures only.

    Nothing is said where the dataset is not judged by cameras, nor of splits that its protocol takes from one.
    """
    if case.dataset is not None and case.dataset.rule == NO_CAMERA:
        return
    found = {split: np.unique(case.rows.camids[case.rows_of(split)]) for split in (TRAIN, QUERY, GALLERY)}
    of_cameras = [
        split
        for split in found
        if TITLES[split] not in case.layout.one_camera and (split == TRAIN or case.layout.unit == "camera")
    ]
    single = [split for split in of_cameras if len(found[split]) == 1 and found[split][0] != UNKNOWN]
    if single:
        yield Finding(
            Severity.WARNING,
            "one-camera",
            f"all pictures of {' and '.join(TITLES[split] for split in single)} are from one camera",
            "pictures of a person from the query's own camera do not count, and nothing is learned about other cameras",
            "check that file names or the camid column tell the camera; if there is only one, leave camid empty "
            "(reader csv or folders), and every picture of the same person counts",
            tuple(Item((TITLES[split],), f"camera id {found[split][0]}") for split in single),
        )
    unknown = [split for split, cameras in found.items() if UNKNOWN in cameras]
    known = [split for split, cameras in found.items() if (cameras != UNKNOWN).any()]
    if unknown and known:
        rows = np.flatnonzero(case.rows.camids == UNKNOWN)
        yield Finding(
            Severity.WARNING,
            "camera-partly-unknown",
            f"pictures without a camera among others that have one: {len(rows):,} of {len(case.rows):,}",
            "an unknown camera equals no other, so a picture from the query's own camera counts as a find",
            "fill in the missing cameras, or leave all of them empty",
            tuple(case.item(int(row)) for row in rows),
        )


def one_camera_each(case: Case) -> Iterator[Finding]:
    """Training people whom one camera alone saw, where there are several cameras."""
    rows = case.rows_of(TRAIN)
    rows = rows[case.rows.camids[rows] != UNKNOWN]
    if len(np.unique(case.rows.camids[rows])) < 2:
        return
    seen = np.unique(np.stack([case.rows.pids[rows], case.rows.camids[rows]], axis=1), axis=0)
    pids, cameras = np.unique(seen[:, 0], return_counts=True)
    single = pids[cameras == 1]
    if not len(single):
        return
    yield Finding(
        Severity.WARNING if 2 * len(single) > len(pids) else Severity.NOTE,
        "one-camera-each",
        f"training people seen by one camera only: {len(single):,} of {len(pids):,}",
        "nothing about the change of cameras can be learned from them",
        "check that a person has the same number in every camera; otherwise nothing, if there are few",
        tuple(Item((f"person {pid}",)) for pid in single.tolist()),
    )
