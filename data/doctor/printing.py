"""A report as text for a terminal."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator

from data.doctor.findings import Finding, Item, Report, Severity, SplitFacts

_WIDTH = 120
_SHOWN = 5
"""Items of a finding that a terminal shows, and names of an item; --json has all of them."""
_LONGEST = 200
"""Characters that a terminal shows of what is said about an item."""


def as_text(report: Report) -> str:
    """The table of splits, the findings from the worst on, and the verdict."""
    lines = [f"{report.dataset} (reader {report.reader}{_protocol(report)}) in {plain(report.place)}"]
    lines += [_facts(facts) for facts in report.splits]
    lines += [line for note in report.notes for line in _wrapped("  note: ", note)]
    for finding in report.findings:
        lines += ["", *_told(finding)]
    lines += ["", *(f"contact sheet: {plain(sheet)}" for sheet in report.sheets), _verdict(report)]
    return "\n".join(lines)


def plain(text: str) -> str:
    """The text with everything that a terminal would not print as it is (codes, line ends, broken bytes) escaped."""
    return "".join(one if one.isprintable() else one.encode("unicode_escape").decode() for one in text)


def _protocol(report: Report) -> str:
    return f", protocol {report.protocol}" if report.protocol else ""


def _facts(facts: SplitFacts) -> str:
    told = f"  {facts.title:<8}{facts.images:>8,} pictures"
    if facts.title != "folder":
        told += f" {facts.identities:>6,} people  {facts.cameras or 'unknown':>7} {facts.unit}s"
    if facts.outfits:
        told += f" {facts.outfits:>5,} outfits"
    sizes = (facts.smallest, facts.median, facts.largest)
    if facts.smallest == facts.largest and facts.smallest is not None:
        told += f"  all {_size(facts.smallest)}"
    elif facts.smallest is not None:
        told += "  " + ", ".join(
            f"{title} {_size(size)}" for title, size in zip(("smallest", "median", "largest"), sizes, strict=True)
        )
    return told


def _size(size: tuple[int, int] | None) -> str:
    return "" if size is None else f"{size[0]} x {size[1]}"


def _told(finding: Finding) -> Iterator[str]:
    yield from _wrapped(f"{finding.severity.value.upper()}: ", finding.what)
    for item in finding.items[:_SHOWN]:
        yield f"    {_names(item)}" + (f"  ({_shortened(item.about)})" if item.about else "")
    if len(finding.items) > _SHOWN:
        yield f"    ... and {len(finding.items) - _SHOWN:,} more (--json lists all)"
    yield from _wrapped("  why: ", finding.why)
    yield from _wrapped("  do:  ", finding.remedy)


def _names(item: Item) -> str:
    told = ", ".join(plain(name) for name in item.names[:_SHOWN])
    more = len(item.names) - _SHOWN
    return f"{told}, ... and {more:,} more" if more > 0 else told


def _shortened(text: str) -> str:
    return plain(text if len(text) <= _LONGEST else f"{text[:_LONGEST]} ...")


def _wrapped(beginning: str, text: str) -> list[str]:
    return textwrap.wrap(
        plain(text),
        _WIDTH,
        initial_indent=beginning,
        subsequent_indent=" " * len(beginning),
        break_long_words=False,
        break_on_hyphens=False,
    )


def _verdict(report: Report) -> str:
    counts = {severity.value: count for severity in Severity if (count := report.count(severity))}
    told = ", ".join(f"{count} {severity}{'' if count == 1 else 's'}" for severity, count in counts.items())
    told = f" ({told})" if told else ""
    looked = f"looked into {report.looked:,} files" if report.looked else "names and labels only, no picture was opened"
    return f"{'healthy' if report.healthy else 'NOT healthy'}{told}; {looked}, {report.seconds:.1f} s"
