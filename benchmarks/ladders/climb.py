"""All runs of a ladder, one after the other: what is done is not done again, what was begun goes on."""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timezone

from benchmarks.ladders.doors import Doors, RunFailed, State
from benchmarks.ladders.records import Record, Records
from benchmarks.ladders.runs import Plan, Run


@dataclass(frozen=True)
class Climb:
    """Does what is asked of a plan.

    Attributes:
        commit, machine: what is written down with each run.
    """

    plan: Plan
    records: Records
    doors: Doors
    commit: str
    machine: str

    def forget(self, runs: Sequence[Run]) -> None:
        """Begin anew: no record and no checkpoint of these runs, nor a record of what was judged after them."""
        for run in runs:
            self.records.forget(run)
            if run.row.trained_by is None:
                self.doors.forget(run)
                for row in self.plan.ladder.rows:
                    if row.trained_by == run.row.name:
                        self.records.forget(self.plan.run(row, run.seed))

    def go(self, runs: Sequence[Run]) -> None:
        """Do those of `runs` that are not done, a line each."""
        pending = [run for run in runs if self.records.answering(run) is None]
        done = len(runs) - len(pending)
        if done:
            print(f"{done} of {len(runs)} runs are done already")
        for number, run in enumerate(pending):
            print(f"[{done + number + 1}/{len(runs)}] {run.title}{self._again(run)} ...", end=" ", flush=True)
            started = time.perf_counter()
            try:
                record = self._do(run)
            except RunFailed as failure:
                print(f"failed\n{failure.tail}", file=sys.stderr, flush=True)
                raise
            except BaseException:
                print(flush=True)
                raise
            first = self.plan.ladder.measures[0]
            score = f"{first.name} {100 * record.scores[first.protocol][first.score]:.1f}"
            left = self._left(runs, pending[number + 1 :])
            print(f"{duration(time.perf_counter() - started)}, {score}{left}", flush=True)

    def _again(self, run: Run) -> str:
        """Why something that was done before has to be done again."""
        record = self.records.read(run)
        reason = None if record is None else record.why_stale(run)
        return f" (again: {reason})" if reason else ""

    def _do(self, run: Run) -> Record:
        """Train if need be, judge, and keep the record."""
        trainer = self.plan.trainer(run)
        trained = self._trained(trainer)
        started = time.perf_counter()
        scores = self.doors.judge(run)
        record = replace(
            self._blank(run),
            scores=scores,
            training=trained.training if trainer is run else None,
            judging=time.perf_counter() - started,
            commits=tuple(dict.fromkeys([*trained.commits, self.commit])),
        )
        self.records.keep(run, record)
        return record

    def _trained(self, run: Run) -> Record:
        """What is known of a training that is finished now."""
        known = self.records.read(run)
        if known is None or known.why_untrained(run):
            known = self._blank(run)
        standing = self.doors.standing(run)
        if standing.state is State.FINISHED:
            return replace(known, commits=(standing.commit,))
        # Of one that goes on, the seconds before count, too; nobody knows them when it was killed.
        before = known.training if standing.state is State.BEGUN else 0.0
        started = time.perf_counter()
        try:
            self.doors.train(run, restart=standing.state is State.OTHER)
        finally:
            seconds = None if before is None else before + time.perf_counter() - started
            known = replace(known, training=seconds, commits=(self.commit,))
            self.records.keep(run, known)
        return known

    def _blank(self, run: Run) -> Record:
        """A record of nothing yet."""
        assert run.pictures is not None
        return Record(
            row=run.row.name,
            seed=run.seed,
            settings=run.settings,
            pictures=dict(run.pictures.fingerprints),
            judged=run.judged,
            scores={},
            checkpoint=str(self.doors.checkpoint(run)),
            training=None,
            judging=None,
            commits=(self.commit,),
            machine=self.machine,
            finished=datetime.now(timezone.utc).isoformat(timespec="seconds"),
        )

    def _left(self, runs: Sequence[Run], pending: Sequence[Run]) -> str:
        """An estimate for the rest, from the runs that are done."""
        if not pending:
            return ""
        done = [record for run in runs if (record := self.records.answering(run)) is not None]
        training = [record.training for record in done if record.training is not None]
        judging = [record.judging for record in done if record.judging is not None]
        trainings = sum(run.row.trained_by is None for run in pending)
        if not judging or (trainings and not training):
            return ""
        left = len(pending) * statistics.mean(judging) + (trainings * statistics.mean(training) if trainings else 0)
        return f"; about {duration(left)} left"


def duration(seconds: float) -> str:
    """`41 s`, `12 min`, `3.5 h`."""
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"
