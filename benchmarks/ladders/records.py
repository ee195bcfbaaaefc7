"""What is kept of every run: one JSON file, which says whether the run has to be done again."""

from __future__ import annotations

import fcntl
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from benchmarks.ladders.runs import Run
from common.errors import UserError
from common.files import make_folder, write_text

UNKNOWN = "unknown"
"""The commit of code that is in no checkout."""

Scores = Mapping[str, Mapping[str, float]]
"""By protocol, as the command that judges prints them with `--json`."""


@dataclass(frozen=True)
class Record:
    """A run that was done, or one that was begun: then `scores` is empty.

    Attributes:
        settings, pictures, judged: what it was; see `Run` and `Pictures`.
        checkpoint: that was judged.
        training, judging: seconds; None for what it did not do, or nobody measured.
        commits: of the code that trained and of that which judged.
        finished: date and time (UTC).
    """

    row: str
    seed: int
    settings: Mapping[str, object]
    pictures: Mapping[str, str]
    judged: tuple[str, ...]
    scores: Scores
    checkpoint: str
    training: float | None
    judging: float | None
    commits: tuple[str, ...]
    machine: str
    finished: str

    @property
    def seconds(self) -> float:
        return (self.training or 0.0) + (self.judging or 0.0)

    def why_untrained(self, run: Run) -> str | None:
        """Why the training of this record is not the one of `run`; None when it is."""
        if changed := run.changed(self.settings):
            return f"{', '.join(changed)} changed"
        if run.pictures is not None and run.pictures.fingerprints != self.pictures:
            return "the pictures changed"
        return None

    def why_stale(self, run: Run) -> str | None:
        """Why this record does not answer for `run`; None when it does."""
        if reason := self.why_untrained(run):
            return reason
        if not self.scores:
            return "it was interrupted"
        if self.judged != run.judged:
            return "it is judged otherwise"
        missing = [name for name in run.protocols if name not in self.scores]
        return f"it was not judged by {', '.join(missing)}" if missing else None


class Records:
    """The records of a ladder at a size, in their folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def path(self, run: Run) -> Path:
        return self.folder / f"{run.key}.json"

    def read(self, run: Run) -> Record | None:
        """What is kept of the run, perhaps of other settings; None when there is nothing."""
        return self._read(self.path(run)) if self.path(run).exists() else None

    def answering(self, run: Run) -> Record | None:
        """The record that answers for the run."""
        record = self.read(run)
        return None if record is None or record.why_stale(run) else record

    def seeds(self) -> list[int]:
        """All seeds that anything is kept of."""
        return sorted({self._read(path).seed for path in self.folder.glob("*-seed*.json")})

    def keep(self, run: Run, record: Record) -> None:
        write_text(self.path(run), json.dumps(asdict(record), indent=2) + "\n")

    def forget(self, run: Run) -> None:
        self.path(run).unlink(missing_ok=True)

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the ladder for this process; `UserError` when another one climbs it."""
        with (make_folder(self.folder) / ".in-use").open("w", encoding="utf-8") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise UserError(
                    f"another process is running this ladder (it holds {file.name}); wait for it to end, or look at"
                    " what is done with --show"
                ) from None
            yield

    def _read(self, path: Path) -> Record:
        try:
            values = json.loads(path.read_text(encoding="utf-8"))
            return Record(**{**values, "judged": tuple(values["judged"]), "commits": tuple(values["commits"])})
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise UserError(f"{path} is no record of a run ({error}); remove it to have that run done again") from error
