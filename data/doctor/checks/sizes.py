"""Pictures too small to show anybody, or of a shape that persons do not have."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from data.doctor.case import Case
from data.doctor.findings import Finding, Severity

LEAST_HEIGHT, LEAST_WIDTH = 32, 12
SLENDER = 6.0
"""Height over width above which a crop holds less than a person."""


def tiny(case: Case) -> Iterator[Finding]:
    """Pictures with too few pixels."""
    if case.looks is None:
        return
    heights, widths = case.looks.heights, case.looks.widths
    small = (heights > 0) & ((heights < LEAST_HEIGHT) | (widths < LEAST_WIDTH))
    yield from _told(
        case,
        small,
        Severity.WARNING,
        "tiny",
        f"pictures smaller than {LEAST_HEIGHT} x {LEAST_WIDTH} pixels",
        "enlarged to the size of the network they are a blur; nobody can be told from it",
        "take them from the original video, or remove them",
    )


def shape(case: Case) -> Iterator[Finding]:
    """Pictures that are wider than tall, or very slender."""
    if case.looks is None:
        return
    heights, widths = case.looks.heights, case.looks.widths
    wide = (widths > heights) & (heights > 0)
    frames = 2 * np.count_nonzero(wide) > len(case.looks)
    yield from _told(
        case,
        wide,
        Severity.WARNING if frames else Severity.NOTE,
        "wide",
        "pictures that are wider than tall",
        "they look like whole frames of a camera; this toolkit expects one person in each picture"
        if frames
        else "they are squeezed to the shape of a standing person; somebody sits or lies, or several are in the box",
        "cut people out with a detector first"
        if frames
        else "look at some of them; remove what shows no single person",
    )
    slender = heights > SLENDER * np.maximum(widths, 1)
    yield from _told(
        case,
        slender,
        Severity.NOTE,
        "slender",
        f"pictures more than {SLENDER:.0f} times as tall as wide",
        "they show a strip of a person and are stretched to several times their width",
        "look at some of them; remove what shows no person",
    )


def turned(case: Case) -> Iterator[Finding]:
    """Pictures that lie on their side for programs that ignore EXIF."""
    if case.looks is None:
        return
    yield from _told(
        case,
        case.looks.turned,
        Severity.NOTE,
        "turned",
        "pictures that are upright only by their EXIF orientation",
        "here they are turned; other programs may show or extract them lying on their side",
        "nothing; or save them upright (jpegtran, exiftran) before comparing with other programs",
    )


def _told(
    case: Case, mask: NDArray[np.bool_], severity: Severity, kind: str, what: str, why: str, remedy: str
) -> Iterator[Finding]:
    files = np.flatnonzero(mask).tolist()
    if files and case.looks is not None:
        sizes = (f"{case.looks.heights[file]} x {case.looks.widths[file]}" for file in files)
        counted = f"{what}: {len(files):,} of {len(case.files):,}"
        yield Finding(severity, kind, counted, why, remedy, case.items_of_files(files, sizes))
