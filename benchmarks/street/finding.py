"""What came out: a claim about the street, the figures, and whether they bear it out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Finding:
    """One claim, tried.

    Attributes:
        claim: one sentence, with the bound that decides.
        header, rows: a table.
        held: whether the figures bear the claim out.
        seconds: how long it took to find out.
    """

    claim: str
    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    held: bool
    seconds: float = 0.0

    def told(self) -> str:
        """As Markdown."""
        verdict = "held" if self.held else "**not held**"
        return f"**{self.claim}** {verdict}, {self.seconds:.0f} s.\n\n{table(self.header, self.rows)}"


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def percent(share: float) -> str:
    return f"{100 * share:.1f}"
