"""Every picture looked at, in one process or several, and the same looks in the same order."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from pathlib import Path

from common.workers import spread
from data.doctor.inspection import Look, inspect

_BATCH = 64
"""Pictures that a worker looks at before it answers."""

_WORTH_PROCESSES = 2000
"""Pictures below which one process is done before others would have started."""


def inspected(place: Path, files: Sequence[str], workers: int) -> Generator[Look, None, None]:
    """Look at every file below `place`, in order; never holds more than a few batches."""
    batches = ([str(place / file) for file in files[start : start + _BATCH]] for start in range(0, len(files), _BATCH))
    if workers == 1 or len(files) < _WORTH_PROCESSES:
        for batch in batches:
            yield from _inspect_some(batch)
    else:
        yield from spread(_inspect_some, batches, workers)


def _inspect_some(batch: list[str]) -> list[Look]:
    return [inspect(Path(file)) for file in batch]
