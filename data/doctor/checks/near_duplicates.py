"""Pictures that are nearly the same where they must not be: across train and test, and across people.

Frames of one person by one camera resemble each other, so those of the same person in the same part are not compared.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from common.contracts import UNKNOWN
from data.doctor.case import Case
from data.doctor.findings import Finding, Item, Severity
from data.doctor.looks import Looks
from data.doctor.near import near_pairs
from data.samples import Ints

_KINDS = {
    True: (
        "near-duplicate-across-train-test",
        "nearly the same picture in train and test (saved again, resized or brightened)",
        "the model is tested with pictures it has practically learned; scores come out too high",
        "look at them; if they are the same picture remove them from train (never from a published test set)",
    ),
    False: (
        "near-duplicate-across-identities",
        "nearly the same picture of people who are said to be different",
        "one of the labels is likely wrong, or one person has two numbers",
        "look at them; remove the copy with the wrong label, or give both people one number",
    ),
}


def near(case: Case) -> Iterator[Finding]:
    """Pairs that are nearly the same and do not have the same bytes."""
    if case.looks is None:
        return
    files = _one_of_each(case.looks)
    first = case.first_rows[files]
    pids, parts = case.rows.pids[first], case.parts[first]

    def wanted(one: Ints, other: Ints) -> NDArray[np.bool_]:
        known = (pids[one] != UNKNOWN) & (pids[other] != UNKNOWN)
        mask: NDArray[np.bool_] = known & ((pids[one] != pids[other]) | (parts[one] != parts[other]))
        return mask

    pairs = near_pairs(case.looks.small[files], wanted)
    for across, (kind, what, why, remedy) in _KINDS.items():
        chosen = [pair for pair in pairs if bool(parts[pair[0]] != parts[pair[1]]) == across]
        if not chosen:
            continue
        items = tuple(
            Item(
                (case.files[int(files[one])], case.files[int(files[other])]),
                f"{case.told(int(first[one]))} ~ {case.told(int(first[other]))}; {bits} of 128 bits differ, "
                f"correlation {correlation:.3f}",
            )
            for one, other, bits, correlation in chosen
        )
        yield Finding(
            Severity.WARNING,
            kind,
            f"{what}: {len(items):,} {'pair' if len(items) == 1 else 'pairs'}",
            why,
            remedy,
            items,
        )


def _one_of_each(looks: Looks) -> Ints:
    """The files to compare, one of each content, in order."""
    files = np.flatnonzero(looks.comparable)
    _, chosen = np.unique(looks.digests[files], axis=0, return_index=True)
    return np.sort(files[chosen])
