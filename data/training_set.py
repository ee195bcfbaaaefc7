"""What is trained on, as columns: identities renumbered 0..C−1, cameras and outfits of several sources kept apart."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from common.contracts import SOURCE, TARGET, UNKNOWN
from data.samples import Ints, Split


@dataclass(frozen=True)
class TrainingSet:
    """The rows a training run draws from.

    The loader ships only pixels and row numbers; labels are looked up here by row, so that a handler may replace
    them (pseudo-labels) without the loader's processes knowing.

    Attributes:
        splits: the source splits, then the unlabelled target ones; rows are counted through them in order.
        labels: `(N,)` 0..C−1, −1 in the target.
        camids, clothes: `(N,)` renumbered so that no two splits share a value; −1 unknown.
        domain: `(N,)` `SOURCE` or `TARGET`.
        num_classes: C.
    """

    splits: tuple[Split, ...]
    labels: Ints
    camids: Ints
    clothes: Ints
    domain: Ints
    num_classes: int

    @classmethod
    def of(cls, sources: Sequence[Split], targets: Sequence[Split] = ()) -> TrainingSet:
        """Join labelled sources and unlabelled targets (whose identities are dropped, so that none can leak)."""
        splits = (*sources, *targets)
        labels = _renumber([split.pids for split in sources])
        hidden = [np.full(len(split), UNKNOWN, dtype=np.int64) for split in targets]
        domain = [np.full(len(split), SOURCE if n < len(sources) else TARGET) for n, split in enumerate(splits)]
        return cls(
            splits,
            np.concatenate([labels, *hidden]),
            _renumber([split.camids for split in splits]),
            _renumber([split.clothes for split in splits]),
            np.concatenate(domain).astype(np.int64),
            int(labels.max(initial=UNKNOWN)) + 1,
        )

    def __len__(self) -> int:
        return len(self.labels)

    def file(self, row: int) -> Path:
        """The picture file of one row."""
        for split in self.splits:
            if row < len(split):
                return split.file(row)
            row -= len(split)
        raise IndexError(row)

    @property
    def num_clothes(self) -> int:
        """K, the number of outfits of the labelled people; those of the target come after them."""
        return int(self.clothes[self.domain == SOURCE].max(initial=UNKNOWN)) + 1

    def dataset(self) -> Ints:
        """`(N,)` which of the splits a row is of: 0, 1, …"""
        return np.repeat(np.arange(len(self.splits)), [len(split) for split in self.splits])

    def fingerprint(self) -> str:
        """16 hex digits that change with the pictures and identities of any split, and with the domain of a row.

        Of a single source it is the split's own.
        """
        if len(self.splits) == 1:
            return self.splits[0].fingerprint()
        splits = "".join(split.fingerprint() for split in self.splits)
        return hashlib.sha256(splits.encode() + self.domain.tobytes()).hexdigest()[:16]

    def hidden_labels(self) -> Ints:
        """`(N,)` whose pictures the target's are in truth: 0, 1, …; −1 where nobody knows, and in the source.

        They tell how well something was found without them. What learns must never see them.
        """
        domains = np.split(self.domain, np.cumsum([len(split) for split in self.splits])[:-1])
        pairs = zip(self.splits, domains, strict=True)
        return _renumber([np.where(domain == TARGET, split.pids, UNKNOWN) for split, domain in pairs])

    def label_map_hash(self) -> str:
        """16 hex digits of (row, label): equal on every rank and on resuming, or something is wrong."""
        return hashlib.sha256(self.labels.tobytes()).hexdigest()[:16]


def _renumber(columns: Sequence[Ints]) -> Ints:
    """0, 1, 2, … in sorted order over each column, counting on from one column to the next; −1 stays."""
    renumbered, offset = [], 0
    for column in columns:
        values, numbers = np.unique(column[column != UNKNOWN], return_inverse=True)
        fresh = np.full(len(column), UNKNOWN, dtype=np.int64)
        fresh[column != UNKNOWN] = numbers.reshape(-1) + offset
        renumbered.append(fresh)
        offset += len(values)
    return np.concatenate(renumbered)
