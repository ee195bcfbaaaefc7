"""One row with one seed, resolved: its configuration, its name, and what would make it another run."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import yaml

from benchmarks.ladders.ladder import Ladder, Row
from benchmarks.ladders.pictures import Pictures
from benchmarks.ladders.sizes import ALWAYS, SIZES
from common.environment import ROOT
from common.errors import unknown_name
from configs.loader import load, plain
from configs.schema import Config
from engine.part_agreement import PROTOCOL, SCORES
from modeling.methods import method_class, options_of
from retrieval.protocols import protocol
from retrieval.ranking.results import METRICS

_NOT_COMPARED = re.compile(
    r"name|output\..*|data\.(source|root|target|target_root|workers)|test\.batch_size"
    r"|train\.(evaluate_every|checkpoint_every|keep|best|log_every|restart)"
)
"""Keys that change neither what is learned nor how it is judged; pictures are compared by their fingerprints."""


@dataclass(frozen=True)
class Run:
    """What is trained, or found trained, and judged.

    Attributes:
        trained_as: the name of the run whose checkpoint is judged; the doors know it by this name.
        overrides: `key=value` over the ladder's base.
        config: what they come to.
        pictures: None where they need not be there, because nothing is run.
        judge: as `Ladder.judge`.
        judged: arguments of the command that judges beside the checkpoint, the dataset and the protocols.
    """

    row: Row
    seed: int
    trained_as: str
    overrides: tuple[str, ...]
    config: Config
    pictures: Pictures | None
    protocols: tuple[str, ...]
    judged: tuple[str, ...]
    judge: Literal["eval", "parsing"] = "eval"

    @property
    def key(self) -> str:
        """In names of files."""
        return f"{self.row.key}-seed{self.seed}"

    @property
    def title(self) -> str:
        """For people."""
        return f"{self.row.name}, seed {self.seed}"

    @property
    def learned(self) -> str:
        """Fingerprint of the pictures that it is trained on."""
        assert self.pictures is not None
        both = method_class(self.config.method).adapts
        return self.pictures.training["both" if both else self.row.learns]

    @property
    def settings(self) -> dict[str, object]:
        """The keys that make it what it is, by their dotted names."""
        return _compared(self.config)

    def changed(self, settings: Mapping[str, object]) -> list[str]:
        """The keys by which it differs from a run of these settings.

        A key that was not there yet when that was run counts only when it is not at its default, which is how things
        were done before there was a key.
        """
        now = self.settings
        default = _compared(Config(method=self.config.method, options=options_of(self.config.method)()))
        before = {**{key: default.get(key) for key in now}, **settings}
        return sorted(key for key in {*before, *now} if key not in now or before[key] != now[key])


@dataclass(frozen=True)
class Plan:
    """A ladder at a size, on its pictures."""

    ladder: Ladder
    size: str
    pictures: Pictures | None = None

    @property
    def name(self) -> str:
        return f"{self.ladder.name}-{self.size}"

    def run(self, row: Row, seed: int) -> Run:
        """One of its runs; `UserError` when a setting is not one."""
        trainer = self.ladder.trainer(row)
        whose = self.ladder.shares or self.ladder.name
        trained_as = f"ladder-{whose}-{self.size}-{trainer.key}-seed{seed}"
        settings: dict[str, object] = {
            **ALWAYS,
            **SIZES[self.size],
            **self.ladder.sizes.get(self.size, {}),
            **trainer.settings,
            "seed": seed,
            "name": trained_as,
            **(self.pictures.settings(trainer.learns) if self.pictures else {}),
        }
        overrides = tuple(f"{key}={as_yaml(value)}" for key, value in settings.items())
        config = load(ROOT / self.ladder.base, overrides, options_of)
        how = (self.ladder.protocols, row.judged, self.ladder.judge)
        return Run(row, seed, trained_as, overrides, config, self.pictures, *how)

    def runs(self, rows: Iterable[Row], seeds: Iterable[int]) -> list[Run]:
        """Seed by seed, so that a whole table is there as early as possible."""
        chosen = list(rows)
        return [self.run(row, seed) for seed in seeds for row in chosen]

    def trainer(self, run: Run) -> Run:
        """The run that trains for `run`; often itself."""
        return run if run.row.trained_by is None else self.run(self.ladder.trainer(run.row), run.seed)

    def check(self) -> None:
        """Raise `UserError` for what is wrong in any row or measure, before anything is drawn or trained."""
        for measure in self.ladder.measures:
            known = _scores(self.ladder.judge, measure.protocol)
            if measure.score not in known:
                raise unknown_name("score", measure.score, known)
        for row in self.ladder.rows:
            self.run(row, 1)

    @property
    def base(self) -> Path:
        """The configuration file."""
        return ROOT / self.ladder.base


def _scores(judge: str, name: str) -> Collection[str]:
    """What a judge tells by the protocol of that name; `UserError` when it knows none."""
    if judge == "eval":
        protocol(name)
        return METRICS
    if name != PROTOCOL:
        raise unknown_name("protocol", name, [PROTOCOL])
    return SCORES


def as_yaml(value: object) -> str:
    """A value for the command line, as bare as it can be."""
    if isinstance(value, str) and yaml.safe_load(value) == value:
        return value
    return json.dumps(value)


def _compared(config: Config) -> dict[str, object]:
    tree = dict(_flat(plain(config)))
    return {key: value for key, value in tree.items() if not _NOT_COMPARED.fullmatch(key)}


def _flat(tree: Mapping[str, Any], prefix: str = "") -> Iterable[tuple[str, object]]:
    for key, value in tree.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value
