"""Pictures in which nothing is to be seen, and grey ones among coloured ones."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from data.doctor.case import Case
from data.doctor.findings import Finding, Severity

_GREY = 6
"""Of 255: between the strongest and the weakest channel of any pixel of a small version; compression leaves some."""


def one_colour(case: Case) -> Iterator[Finding]:
    """Pictures of a single colour."""
    if case.looks is None:
        return
    files = np.flatnonzero(case.looks.decoded & ~case.looks.comparable).tolist()
    if files:
        colours = (case.looks.small[file].reshape(-1, 3).mean(axis=0).round().astype(int).tolist() for file in files)
        yield Finding(
            Severity.PROBLEM,
            "one-colour",
            f"pictures of a single colour: {len(files):,} of {len(case.files):,}",
            "nobody is in them: a frame that was not recorded, or a failed conversion; they are learned as people",
            "make them again, or remove them",
            case.items_of_files(files, (f"red, green, blue {red}, {green}, {blue}" for red, green, blue in colours)),
        )


def grey(case: Case) -> Iterator[Finding]:
    """Grey pictures, unless all are."""
    if case.looks is None:
        return
    shown = case.looks.comparable
    channels = case.looks.small
    saturation = (channels.max(axis=-1) - channels.min(axis=-1)).reshape(len(case.looks), -1).max(axis=1, initial=0)
    files = np.flatnonzero(shown & (saturation <= _GREY))
    if not len(files):
        return
    everything = len(files) == shown.sum()
    yield Finding(
        Severity.NOTE,
        "grey",
        "all pictures are grey"
        if everything
        else f"grey pictures among coloured ones: {len(files):,} of {len(case.files):,}",
        "models that were trained elsewhere rely on colour"
        if everything
        else "a model learns that grey looks like grey; expect them to be found less",
        "nothing, if they are infrared; the augmentation for grey pictures may help"
        if everything
        else "nothing, if a camera is infrared or sees at night; otherwise make them again",
        () if everything else case.items_of_files(files.tolist(), ("" for _ in files)),
    )
