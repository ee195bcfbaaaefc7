"""What a ladder is: rows that differ in a few settings, what is measured on them, and what is expected of it.

A new one is a file beside this one that ends in `LADDER = Ladder(...)`, and a line in `LADDERS`. Everything else (the
pictures, the seeds, going on after an interruption, statistics, the table in docs/benchmarks.md) is the same for all.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from common.errors import unknown_name

Settings = Mapping[str, object]
"""Configuration keys as on the command line of `train.sh` (`"train.epochs"`), and their values."""


@dataclass(frozen=True)
class Row:
    """One line of the table.

    Attributes:
        name: as shown; `key`, the same in letters, digits and hyphens, stands in the names of files.
        settings: over those of the ladder's base.
        trained_by: the name of an earlier row whose checkpoints this row judges; None: it trains its own.
        judged: further arguments of the command that judges, such as `("--rerank",)` of `eval.py`.
        learns: whose labels it trains with: those of the "source", or of the "target", which is a ceiling.
    """

    name: str
    settings: Settings = field(default_factory=dict)
    trained_by: str | None = None
    judged: tuple[str, ...] = ()
    learns: Literal["source", "target"] = "source"

    @property
    def key(self) -> str:
        return "-".join(re.findall(r"[a-z0-9]+", self.name.lower()))


@dataclass(frozen=True)
class Measure:
    """One column of the table, in per cent.

    Attributes:
        name: as shown.
        protocol: a name in `retrieval.protocols.PROTOCOLS`, or that of the ladder's `judge`.
        score: a key of what the command that judges prints with `--json`, in [0, 1].
    """

    name: str
    protocol: str = "market"
    score: str = "mAP"


@dataclass(frozen=True)
class Claim:
    """That row `better` is above row `than` in measure `measure` by more than the noise (`figures.py`).

    Attributes:
        by: and by at least so many points.
        or_equal: or not below it by more than the noise.
    """

    better: str
    than: str
    measure: str
    by: float = 0.0
    or_equal: bool = False

    def __str__(self) -> str:
        how = "not below" if self.or_equal else f"{self.by:g} above" if self.by else "above"
        return f'"{self.better}" {how} "{self.than}" in {self.measure}'


@dataclass(frozen=True)
class Ladder:
    """A table to be.

    Attributes:
        name: as in `LADDERS`.
        question: the one sentence that the table answers.
        split: a name in `data.street.splits.SPLITS`: the pictures.
        base: a configuration file, counted from the repository.
        rows: in the order of the table.
        measures: the first one is shown while it runs.
        expected: what should come out, before anything is run.
        claims: the same for a machine; the table says of each whether it held.
        sizes: settings of this ladder at a size ("small"), over those of all ladders (`sizes.py`).
        judge: what is judged: how well people are found ("eval", `eval.py`), or how well the body parts that are found
            in the training pictures agree with the true ones ("parsing", `python3 -m engine.parsing`).
        shares: a ladder, on the same split, with the rows that train here: whichever is climbed first trains for both.

    Raises:
        ValueError: it contradicts itself.
    """

    name: str
    question: str
    split: str
    base: Path
    rows: tuple[Row, ...]
    measures: tuple[Measure, ...]
    expected: str
    claims: tuple[Claim, ...] = ()
    sizes: Mapping[str, Settings] = field(default_factory=dict)
    judge: Literal["eval", "parsing"] = "eval"
    shares: str | None = None

    def __post_init__(self) -> None:
        earlier: dict[str, Row] = {}
        for row in self.rows:
            if not row.key or row.key in {other.key for other in earlier.values()}:
                raise ValueError(f"ladder '{self.name}': the row '{row.name}' needs a name of its own")
            if row.trained_by is not None:
                trainer = earlier.get(row.trained_by)
                if trainer is None or trainer.trained_by is not None:
                    raise ValueError(f"ladder '{self.name}': '{row.name}' is judged after an earlier row that trains")
                if row.settings:
                    raise ValueError(f"ladder '{self.name}': '{row.name}' trains nothing, so it has no settings")
            earlier[row.name] = row
        measures = [measure.name for measure in self.measures]
        if not self.rows or not measures or len(set(measures)) < len(measures):
            raise ValueError(f"ladder '{self.name}' needs rows, and measures with names of their own")
        for claim in self.claims:
            if not {claim.better, claim.than} <= set(earlier) or claim.measure not in measures:
                raise ValueError(f"ladder '{self.name}' claims something of what it does not have: {claim}")

    @property
    def protocols(self) -> tuple[str, ...]:
        """By which is to be judged."""
        return tuple(dict.fromkeys(measure.protocol for measure in self.measures))

    def row(self, name: str) -> Row:
        """By its name or key; `UserError` with the closest one otherwise."""
        for row in self.rows:
            if name in (row.name, row.key):
                return row
        raise unknown_name("row", name, [row.key for row in self.rows])

    def trainer(self, row: Row) -> Row:
        """The row whose checkpoints `row` judges; often itself."""
        return row if row.trained_by is None else self.row(row.trained_by)

    def chosen(self, names: Iterable[str]) -> tuple[Row, ...]:
        """The rows of these names and those that train for them, in the order of the table."""
        named = [self.row(name) for name in names]
        needed = {row.name for row in named} | {self.trainer(row).name for row in named}
        return tuple(row for row in self.rows if row.name in needed)
