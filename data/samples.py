"""Contract 1: a split is columns (path, pid, camid, clothes); a dataset is train, query, gallery and a protocol."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from common.contracts import UNKNOWN
from common.errors import UserError

Ints = NDArray[np.int64]

COLUMNS = ("pids", "camids", "clothes")


class Strings(Sequence[str]):
    """An immutable column of strings in two arrays: ten million paths cost their bytes and 8 bytes each.

    It is also safe to hand to forked workers: there are no per-item reference counts to copy pages for.
    """

    def __init__(self, items: Iterable[str]) -> None:
        # File names need not be UTF-8: "surrogateescape" carries such bytes through, as `os.scandir` does.
        encoded = [item.encode(errors="surrogateescape") for item in items]
        self._ends = np.cumsum([len(item) for item in encoded], dtype=np.int64)
        self._bytes = b"".join(encoded)

    def __len__(self) -> int:
        return len(self._ends)

    def __getitem__(self, index):  # type: ignore[no-untyped-def]  # str for an int, list[str] for a slice
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(self)))]
        if not -len(self) <= index < len(self):
            raise IndexError(index)
        index %= len(self)
        start = self._ends[index - 1] if index else 0
        return self._bytes[start : self._ends[index]].decode(errors="surrogateescape")

    def __iter__(self) -> Iterator[str]:
        start = 0
        for end in self._ends:
            yield self._bytes[start:end].decode(errors="surrogateescape")
            start = end


@dataclass(frozen=True)
class Sample:
    """One row of a split."""

    path: str
    pid: int
    camid: int = UNKNOWN
    clothes: int = UNKNOWN


@dataclass(frozen=True)
class Split:
    """One part of a dataset as columns of equal length.

    Attributes:
        root: the folder that `paths` are relative to.
        paths: picture files, relative to `root`, with forward slashes.
        pids, camids, clothes: `(N,)` int64 as the dataset names them; −1 unknown.
    """

    root: Path
    paths: Strings
    pids: Ints
    camids: Ints
    clothes: Ints

    @classmethod
    def of(cls, root: Path, samples: Iterable[Sample]) -> Split:
        """Columns from rows, in the order given (readers sort by path)."""
        rows = list(samples)

        def column(name: str) -> Ints:
            return np.fromiter((getattr(row, name) for row in rows), dtype=np.int64, count=len(rows))

        paths = Strings(row.path for row in rows)
        return cls(root, paths, column("pid"), column("camid"), column("clothes"))

    @classmethod
    def empty(cls, root: Path) -> Split:
        """Without pictures."""
        return cls.of(root, ())

    def __len__(self) -> int:
        return len(self.paths)

    def take(self, rows: Ints | NDArray[np.bool_]) -> Split:
        """The rows of these numbers, in their order, or those where a `(N,)` mask is true."""
        chosen = np.flatnonzero(rows) if rows.dtype == bool else rows
        paths = Strings(self.paths[row] for row in chosen.tolist())
        return Split(self.root, paths, self.pids[chosen], self.camids[chosen], self.clothes[chosen])

    def joined(self, other: Split) -> Split:
        """These rows and then those of a split of the same root."""
        columns = (np.concatenate([getattr(self, title), getattr(other, title)]) for title in COLUMNS)
        return Split(self.root, Strings([*self.paths, *other.paths]), *columns)

    def file(self, row: int) -> Path:
        """The picture file of one row."""
        path: str = self.paths[row]
        return self.root / path

    @property
    def identities(self) -> int:
        """How many known people there are."""
        return len(np.unique(self.pids[self.pids != UNKNOWN]))

    @property
    def cameras(self) -> int:
        """How many known cameras there are; 0 when the dataset does not tell."""
        return len(np.unique(self.camids[self.camids != UNKNOWN]))

    def fingerprint(self, modified: bool = False) -> str:
        """16 hex digits that change when a picture is added, removed, renamed, relabelled or of another size.

        Args:
            modified: also when a file was written again or replaced, and when it is another folder's: two datasets
                may agree in the names, sizes and times of all files. A copy of a dataset counts as another one.
        """
        digest = hashlib.sha256()
        if modified:
            digest.update(f"{self.root.resolve()}\n".encode(errors="surrogateescape"))
        for row, path in enumerate(self.paths):
            try:
                status = self.file(row).stat()
            except OSError as error:
                raise UserError(f"there is no picture {self.file(row)} any more; read the dataset again") from error
            content = f"{status.st_size}"
            if modified:  # the time of the last change to a file, unlike that of the last writing, cannot be set
                content += f" {status.st_mtime_ns} {status.st_ctime_ns} {status.st_ino}"
            line = f"{path}\t{content}\t{self.pids[row]}\t{self.camids[row]}\t{self.clothes[row]}\n"
            digest.update(line.encode(errors="surrogateescape"))
        return digest.hexdigest()[:16]


@dataclass(frozen=True)
class Counts:
    """The published numbers of pictures and identities of a split."""

    images: int
    identities: int | None = None


@dataclass(frozen=True)
class Dataset:
    """A dataset as a reader gives it.

    Attributes:
        name: what the user calls it (`market`).
        train, query, gallery: a split may be empty (a set to test on only), never unsorted, and has known people only.
        unlabelled: training pictures of which nobody says who is on them, for methods that adapt to them.
        protocol: the name in `retrieval.protocols` by which it is judged.
        rule: what that comes to: "market", "no-camera" or "cloth-changing".
        published: counts per split, where the authors gave them.
        notes: sentences the user must hear (which version was found, that cameras are unknown).
    """

    name: str
    train: Split
    query: Split
    gallery: Split
    protocol: str = "market"
    published: dict[str, Counts] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    unlabelled: Split | None = None
    rule: str = "market"

    @property
    def splits(self) -> dict[str, Split]:
        """By title; `unlabelled` only where there are such pictures."""
        named = {"train": self.train, "query": self.query, "gallery": self.gallery}
        return named if self.unlabelled is None else {**named, "unlabelled": self.unlabelled}

    @property
    def pictures_to_adapt_to(self) -> Split:
        """All training pictures, whether or not it is known who is on them."""
        return self.train if self.unlabelled is None else self.train.joined(self.unlabelled)

    def fingerprint(self) -> str:
        """One hash for all splits."""
        joined = "".join(split.fingerprint() for split in self.splits.values())
        return hashlib.sha256(joined.encode()).hexdigest()[:16]

    def summary(self) -> str:
        """A small table: pictures, identities and cameras of each split, and the notes."""
        rows = [f"{self.name} (protocol {self.protocol})"]
        for title, split in self.splits.items():
            cameras = str(split.cameras or "unknown")
            told = self.published.get(title)
            differs = "" if told is None or told.images == len(split) else f"   published: {told.images:,} images"
            rows.append(
                f"  {title:<10}{len(split):>8,} images {split.identities:>6,} identities  cameras: {cameras}{differs}"
            )
        return "\n".join(rows + [f"  note: {note}" for note in self.notes])


def require(dataset: Dataset, *titles: str) -> Dataset:
    """The dataset itself, or an error that names the first of its splits `titles` that is empty."""
    for title in titles:
        if not len(dataset.splits[title]):
            root = dataset.splits[title].root
            raise UserError(
                f"dataset '{dataset.name}' at {root} has no {title} pictures; check the folder or its names"
            )
    return dataset
