"""What the doctor finds: one object a finding, with all that it is about, why it matters and what to do."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import Enum


class Severity(Enum):
    """How bad a finding is; a dataset is healthy when it has no problem."""

    PROBLEM = "problem"
    """Training fails, or its scores are wrong."""
    WARNING = "warning"
    """Scores may not mean what they seem to."""
    NOTE = "note"
    """Good to know."""


@dataclass(frozen=True)
class Item:
    """One thing that a finding is about.

    Attributes:
        names: files relative to the dataset's folder, or one identity, folder or file; several are the same thing to
            the finding (copies of each other).
        about: what is to be said of it.
    """

    names: tuple[str, ...]
    about: str = ""


@dataclass(frozen=True)
class Finding:
    """One thing that is to be said about a dataset.

    Attributes:
        kind: its stable name, for programs.
        what: a sentence with counts.
        why: a sentence on what it does to training or to scores.
        remedy: a sentence on what to do.
        items: all it is about, in a fixed order.
    """

    severity: Severity
    kind: str
    what: str
    why: str
    remedy: str
    items: tuple[Item, ...] = ()

    def as_dict(self) -> dict[str, object]:
        """For JSON."""
        return {
            "severity": self.severity.value,
            "kind": self.kind,
            "what": self.what,
            "why": self.why,
            "do": self.remedy,
            "items": [{"names": list(item.names), "about": item.about} for item in self.items],
        }


@dataclass(frozen=True)
class SplitFacts:
    """One line of the table at the top; counts and no judgement.

    Attributes:
        published: pictures and identities that the authors give, where they do.
        unit: what `cameras` counts: "camera", or what stands in its place ("tracklet").
        smallest, median, largest: height and width of pictures by area; None when none was looked into.
    """

    title: str
    images: int
    identities: int
    cameras: int
    outfits: int
    published: tuple[int, int | None] | None = None
    smallest: tuple[int, int] | None = None
    median: tuple[int, int] | None = None
    largest: tuple[int, int] | None = None
    unit: str = "camera"


@dataclass(frozen=True)
class Report:
    """What there is to tell of one dataset.

    Attributes:
        place: the folder that was looked at.
        looked: pictures that were opened; 0 with --quick.
        sheets: contact sheets that were drawn.
    """

    dataset: str
    reader: str
    place: str
    protocol: str
    splits: tuple[SplitFacts, ...]
    notes: tuple[str, ...]
    findings: tuple[Finding, ...]
    looked: int
    seconds: float
    sheets: tuple[str, ...] = field(default=())

    @property
    def healthy(self) -> bool:
        return not any(finding.severity is Severity.PROBLEM for finding in self.findings)

    def count(self, severity: Severity) -> int:
        """How many findings are that bad."""
        return sum(finding.severity is severity for finding in self.findings)

    def as_dict(self) -> dict[str, object]:
        """For JSON."""
        return {
            "dataset": self.dataset,
            "reader": self.reader,
            "folder": self.place,
            "protocol": self.protocol,
            "healthy": self.healthy,
            "counts": {severity.value: self.count(severity) for severity in Severity},
            "splits": [vars(facts) for facts in self.splits],
            "notes": list(self.notes),
            "findings": [finding.as_dict() for finding in self.findings],
            "looked_into": self.looked,
            "seconds": round(self.seconds, 3),
            "sheets": list(self.sheets),
        }


def by_severity(findings: Sequence[Finding]) -> tuple[Finding, ...]:
    """The worst first, otherwise in the order of the checks."""
    order = list(Severity)
    return tuple(sorted(findings, key=lambda finding: order.index(finding.severity)))
