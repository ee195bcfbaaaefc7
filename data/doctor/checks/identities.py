"""People: those who are in both train and test, and those with a single picture."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

import numpy as np

from data.doctor.case import TRAIN, Case
from data.doctor.findings import Finding, Item, Severity


def overlap(case: Case) -> Iterator[Finding]:
    """People who are trained on and tested with, where equal numbers mean the same person."""
    if case.layout.own_numbers or case.dataset is None:
        return
    trained, tested = (Counter(case.rows.pids[case.parts == part].tolist()) for part in (0, 1))
    both = sorted(trained.keys() & tested.keys())
    if not both:
        return
    yield Finding(
        Severity.PROBLEM,
        "identity-overlap",
        f"test people who are in train too: {len(both):,} of {len(tested):,}",
        "the test people must be new to the model; scores come out far too high",
        "move each of these people to one side; if the same number means different people in train and test, "
        "number them differently",
        tuple(
            Item((f"person {pid}",), f"{trained[pid]:,} pictures in train, {tested[pid]:,} in query and gallery")
            for pid in both
        ),
    )


def alone(case: Case) -> Iterator[Finding]:
    """Training people with one picture."""
    pids, counts = np.unique(case.rows.pids[case.rows_of(TRAIN)], return_counts=True)
    single = pids[counts == 1]
    if not len(single):
        return
    yield Finding(
        Severity.WARNING if 2 * len(single) > len(pids) else Severity.NOTE,
        "single-picture",
        f"training people with one picture only: {len(single):,} of {len(pids):,}",
        "a triplet or contrastive loss has no positive for them; batches repeat the same picture instead",
        "add pictures of them, or leave them out of train",
        tuple(Item((f"person {pid}",)) for pid in single.tolist()),
    )
