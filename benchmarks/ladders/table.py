"""The table of a ladder, for the terminal and for docs/benchmarks.md."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from benchmarks.ladders.climb import duration
from benchmarks.ladders.figures import Spread, Verdict
from benchmarks.ladders.ladder import Claim, Ladder, Measure, Row
from benchmarks.ladders.records import Record, Records
from benchmarks.ladders.runs import Plan
from common.errors import UserError
from data.street.splits import SPLITS

_MISSING = "–"


@dataclass(frozen=True)
class Results:
    """The runs of a ladder that are done, by row and seed.

    A row counts with the seeds that all rows have, once there is such a seed; before that, with those it has.
    """

    plan: Plan
    records: Mapping[str, Mapping[int, Record]]

    @classmethod
    def of(cls, plan: Plan, records: Records) -> Results:
        """What answers for the plan as it is now.

        Without pictures to compare with, only records of the same pictures as the latest one are taken.
        """
        found: dict[str, dict[int, Record]] = {row.name: {} for row in plan.ladder.rows}
        for run in plan.runs(plan.ladder.rows, records.seeds()):
            if (record := records.answering(run)) is not None:
                found[run.row.name][run.seed] = record
        every = [record for seeds in found.values() for record in seeds.values()]
        if plan.pictures is None and every:
            latest = max(every, key=lambda record: record.finished).pictures
            found = {
                row: {seed: record for seed, record in seeds.items() if record.pictures == latest}
                for row, seeds in found.items()
            }
        common = set.intersection(*(set(seeds) for seeds in found.values()))
        kept = {
            row: {seed: record for seed, record in seeds.items() if not common or seed in common}
            for row, seeds in found.items()
        }
        return cls(plan, kept)

    @property
    def complete(self) -> bool:
        """Whether there is a seed that every row was run with."""
        return bool(set.intersection(*(set(seeds) for seeds in self.records.values())))

    @property
    def every(self) -> list[Record]:
        return [record for seeds in self.records.values() for record in seeds.values()]

    @property
    def seeds(self) -> list[int]:
        return sorted({record.seed for record in self.every})

    def spread(self, row: str, measure: Measure) -> Spread | None:
        """In per cent; None when the row was not run."""
        records = self.records[row].values()
        if not records:
            return None
        try:
            return Spread.of([100 * record.scores[measure.protocol][measure.score] for record in records])
        except KeyError:
            raise UserError(
                f"row '{row}' was judged without the score '{measure.score}' by '{measure.protocol}'; have it done"
                " again with --fresh"
            ) from None

    def seconds(self, row: Row) -> Spread | None:
        """Of a training; None when nobody measured one."""
        measured = [record.training for record in self.records[row.name].values() if record.training is not None]
        return Spread.of(measured) if measured else None

    def verdicts(self) -> list[str]:
        """A line for each claim."""
        return [f"{claim}: {self._verdict(claim)}" for claim in self.plan.ladder.claims]

    def _verdict(self, claim: Claim) -> Verdict:
        measure = next(one for one in self.plan.ladder.measures if one.name == claim.measure)
        better, than = self.spread(claim.better, measure), self.spread(claim.than, measure)
        return Verdict.of(better, than, by=claim.by, or_equal=claim.or_equal)

    def cells(self) -> list[list[str]]:
        """The table with its head."""
        ladder = self.plan.ladder
        lines = [["row", *(f"{measure.name}, %" for measure in ladder.measures), "seeds", "s a training"]]
        for row in ladder.rows:
            spreads = [self.spread(row.name, measure) for measure in ladder.measures]
            shown = [_MISSING if spread is None else spread.text() for spread in spreads]
            seconds = self.seconds(row)
            count = len(self.records[row.name])
            lines.append([row.name, *shown, str(count), _MISSING if seconds is None else f"{seconds.mean:.0f}"])
        return lines

    def facts(self) -> list[str]:
        """What the figures are of: the split, the seeds, the time, the code, the machine."""
        split, size, every = self.plan.ladder.split, self.plan.size, self.every
        seeds = self.seeds
        listed = ", ".join(map(str, seeds))
        spread = "mean ± sample standard deviation" if len(seeds) > 1 else "n = 1, so no ± and no noise"
        taken = duration(sum(record.seconds for record in every))
        trained = sum(record.training is not None for record in every)
        return [
            f"The street's split '{split}' ({SPLITS[split].explanation}) at size {size}",
            f"training seed{'s' if len(seeds) > 1 else ''} {listed}: {spread}; the last checkpoint is judged",
            f"{trained} trainings, {taken} in all, {_one_of('machines', [record.machine for record in every])}",
            f"{_days(every)}, {_code(every)}",
        ]


def text(results: Results) -> str:
    """For the terminal."""
    ladder, cells = results.plan.ladder, results.cells()
    widths = [max(len(line[column]) for line in cells) for column in range(len(cells[0]))]
    lines = [f"{ladder.name}, {results.plan.size}: {ladder.question}", ""]
    for first, *rest in cells:
        padded = (f"{cell:>{width}}" for cell, width in zip(rest, widths[1:], strict=True))
        lines.append("   ".join([f"{first:<{widths[0]}}", *padded]))
    if results.every:
        lines += ["", *results.facts()]
    lines += ["", f"expected: {ladder.expected}", *(f"- {verdict}" for verdict in results.verdicts())]
    return "\n".join(lines)


def markdown(results: Results, command: Sequence[str]) -> str:
    """For docs/benchmarks.md."""
    ladder, (head, *lines) = results.plan.ladder, results.cells()
    table = [_line(head), "|---" * len(head) + "|", *(_line(line) for line in lines)]
    return "\n".join(
        [
            f"### {ladder.name}, {results.plan.size}",
            "",
            f"{ladder.question}",
            "",
            f"    {shlex.join(command)}",
            "",
            *table,
            "",
            f"{'; '.join(results.facts())}.",
            "",
            f"Expected: {ladder.expected}",
            *(["", *(f"- {verdict}" for verdict in results.verdicts())] if ladder.claims else []),
        ]
    )


def listing(ladders: Mapping[str, Ladder]) -> str:
    """What there is, with the rows as `--rows` takes them."""
    lines = []
    for ladder in ladders.values():
        lines += [f"{ladder.name}: {ladder.question} (split '{ladder.split}')"]
        width = max(len(row.key) for row in ladder.rows)
        for row in ladder.rows:
            settings = " ".join(f"{key}={value}" for key, value in row.settings.items()) or "the base as it is"
            how = settings if row.trained_by is None else f'"{row.trained_by}" judged with {shlex.join(row.judged)}'
            lines.append(f"  {row.key:<{width}}   {row.name}: {how}")
    return "\n".join(lines)


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"


def _one_of(kind: str, names: Sequence[str]) -> str:
    """The name, or that there are several and which."""
    different = list(dict.fromkeys(names))
    return different[0] if len(different) == 1 else f"several {kind} ({'; '.join(different)})"


def _code(records: Sequence[Record]) -> str:
    told = [commit.replace("-dirty", " + changes") for record in records for commit in record.commits]
    return f"{'' if len(set(told)) > 1 else 'commit '}{_one_of('commits', told)}"


def _days(records: Sequence[Record]) -> str:
    days = sorted({record.finished[:10] for record in records})
    return days[0] if len(days) == 1 else f"{days[0]} to {days[-1]}"
