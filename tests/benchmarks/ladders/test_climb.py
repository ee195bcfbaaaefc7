"""What is done is not done again, what changed is, and nothing that was done is lost."""

from __future__ import annotations

import json
import time
from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks.ladders.climb import Climb, duration
from benchmarks.ladders.doors import RunFailed, Standing, State
from benchmarks.ladders.ladder import Claim, Ladder, Measure, Row
from benchmarks.ladders.pictures import Pictures
from benchmarks.ladders.records import Records
from benchmarks.ladders.runs import Plan
from benchmarks.ladders.table import Results, markdown, text
from common.errors import UserError
from tests.benchmarks.ladders.toys import LADDER, PICTURES, PLAN, CountingDoors

ONCE = [
    *("train plain-seed1", "judge plain-seed1", "train triplet-seed1", "judge triplet-seed1"),
    "judge triplet-mirrored-seed1",
]


@pytest.fixture
def doors(tmp_path: Path) -> CountingDoors:
    return CountingDoors(tmp_path)


def climb(doors: CountingDoors, plan: Plan = PLAN, commit: str = "first") -> Climb:
    return Climb(plan, Records(doors.home / "records"), doors, commit, "a machine")


def go(doors: CountingDoors, seeds: int = 1, plan: Plan = PLAN, commit: str = "first") -> list[str]:
    """Climb the ladder and say which doors were opened for that."""
    doors.opened.clear()
    climb(doors, plan, commit).go(plan.runs(plan.ladder.rows, range(1, seeds + 1)))
    return list(doors.opened)


def other(**changes: object) -> Plan:
    ladder: Ladder = replace(LADDER, **changes)  # type: ignore[arg-type]
    return Plan(ladder, "tiny", PICTURES)


def test_every_run_once_and_seed_by_seed(doors: CountingDoors, capsys: pytest.CaptureFixture[str]) -> None:
    assert go(doors, seeds=2) == ONCE + [word.replace("seed1", "seed2") for word in ONCE]
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "[1/6] plain, seed 1 ... 0 s, mAP 31.0; about 0 s left"
    assert lines[5] == "[6/6] + triplet, mirrored, seed 2 ... 0 s, mAP 52.0"
    assert go(doors, seeds=2) == []
    assert capsys.readouterr().out == "6 of 6 runs are done already\n"
    assert go(doors, seeds=3) == [word.replace("seed1", "seed3") for word in ONCE]
    assert capsys.readouterr().out.splitlines()[1].startswith("[7/9] plain, seed 3 ...")


def test_a_changed_setting_is_noticed(doors: CountingDoors, capsys: pytest.CaptureFixture[str]) -> None:
    go(doors)
    rows = (Row("plain", {"options.triplet.weight": 0, "optimizer.lr": 0.1}), *LADDER.rows[1:])
    changed = other(rows=rows)
    doors.standings["ladder-toy-tiny-plain-seed1"] = Standing(State.OTHER)
    capsys.readouterr()
    assert go(doors, plan=changed) == ["retrain plain-seed1", "judge plain-seed1"]
    assert "[3/3] plain, seed 1 (again: optimizer.lr changed) ..." in capsys.readouterr().out
    assert go(doors, plan=changed) == []


def test_a_changed_trainer_takes_what_is_judged_after_it_along(doors: CountingDoors) -> None:
    go(doors)
    changed = other(rows=(LADDER.rows[0], Row("+ triplet", {"optimizer.lr": 0.1}), LADDER.rows[2]))
    doors.standings["ladder-toy-tiny-triplet-seed1"] = Standing(State.OTHER)
    assert go(doors, plan=changed) == [
        *("retrain triplet-seed1", "judge triplet-seed1", "judge triplet-mirrored-seed1")
    ]


def test_other_pictures_are_noticed(doors: CountingDoors, capsys: pytest.CaptureFixture[str]) -> None:
    go(doors)
    doors.standings.clear()
    redrawn = replace(PICTURES, fingerprints={"street": "another"})
    assert go(doors, plan=replace(PLAN, pictures=redrawn)) == ONCE
    assert "(again: the pictures changed)" in capsys.readouterr().out


def test_what_only_judges_otherwise_trains_nothing(doors: CountingDoors) -> None:
    go(doors)
    rows = (*LADDER.rows[:2], replace(LADDER.rows[2], judged=("--rerank",)))
    assert go(doors, plan=other(rows=rows)) == ["judge triplet-mirrored-seed1"]
    more = other(rows=rows, measures=(*LADDER.measures, Measure("any camera", protocol="no-camera")))
    assert go(doors, plan=more) == [word for word in ONCE if word.startswith("judge")]
    fewer = other(rows=rows, measures=LADDER.measures[:1])
    assert go(doors, plan=fewer) == []


def test_parts_are_kept_and_shown_as_other_scores_are(
    doors: CountingDoors, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    go(doors)
    monkeypatch.setattr(doors, "judge", lambda run: {"parts": {"mean": 0.25 + run.seed / 100, "head": 0.5}})
    measures = (Measure("mean IoU", "parts", "mean"), Measure("head", "parts", "head"))
    parts = other(judge="parsing", measures=measures, claims=(Claim("+ triplet", "plain", "head"),))
    capsys.readouterr()
    assert go(doors, plan=parts) == []  # all are trained
    assert "plain, seed 1 (again: it was not judged by parts) ... 0 s, mean IoU 26.0" in capsys.readouterr().out
    assert go(doors, plan=parts, seeds=2) == ["train plain-seed2", "train triplet-seed2"]
    lines = markdown(Results.of(parts, Records(doors.home / "records")), ["x"]).splitlines()
    assert "| row | mean IoU, % | head, % | seeds | s a training |" in lines
    assert "| plain | 26.5 ± 0.7 | 50.0 ± 0.0 | 2 | 0 |" in lines


def test_where_it_lies_and_what_loads_it_change_nothing(doors: CountingDoors) -> None:
    go(doors)
    elsewhere = Path("elsewhere")
    moved = replace(PLAN, pictures=replace(PICTURES, source=elsewhere, target=elsewhere))
    sized = replace(moved, ladder=replace(LADDER, sizes={"tiny": {"data.workers": 3, "train.log_every": 7}}))
    assert go(doors, plan=sized) == []


def test_a_key_that_is_new_counts_only_when_it_is_set() -> None:
    run = PLAN.run(LADDER.rows[0], 1)
    before = dict(run.settings)
    del before["train.accumulate"], before["options.triplet.weight"]
    assert run.changed(before) == ["options.triplet.weight"]  # 0 here, 1 by default
    assert run.changed({**run.settings, "train.gone": None}) == ["train.gone"]
    assert run.changed(json.loads(json.dumps(run.settings))) == []


def test_rows_that_judge_bring_their_trainer_back(doors: CountingDoors) -> None:
    """The checkpoint was removed, the record of its own row is still good."""
    go(doors)
    records = Records(doors.home / "records")
    doors.standings.clear()
    run = PLAN.run(LADDER.rows[2], 1)
    records.forget(run)
    assert go(doors) == ["train triplet-seed1", "judge triplet-mirrored-seed1"]
    assert go(doors) == []


def test_a_failure_keeps_what_is_done(doors: CountingDoors, capsys: pytest.CaptureFixture[str]) -> None:
    def fail(what: str) -> None:
        if what == "train triplet-seed1":
            raise RunFailed("the training failed", "its last words")

    doors.before = fail
    with pytest.raises(UserError, match="the training failed"):
        go(doors)
    assert doors.opened == ONCE[:2]
    assert capsys.readouterr().err == "failed\nits last words\n"
    doors.before = lambda what: None
    assert go(doors) == ONCE[2:]


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The time in seconds, which stands still unless a test moves it."""
    now = [0.0]
    monkeypatch.setattr(time, "perf_counter", lambda: now[0])
    return now


def test_an_interrupted_training_goes_on_and_its_seconds_add_up(
    doors: CountingDoors, clock: list[float], capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupt(what: str) -> None:
        clock[0] += 10
        if what == "train plain-seed1":
            doors.standings["ladder-toy-tiny-plain-seed1"] = Standing(State.BEGUN)
            raise KeyboardInterrupt

    doors.before = interrupt
    with pytest.raises(KeyboardInterrupt):
        go(doors)
    records, run = Records(doors.home / "records"), PLAN.run(LADDER.rows[0], 1)
    assert records.answering(run) is None
    assert not Results.of(PLAN, records).complete

    def take(what: str) -> None:
        clock[0] += 5

    doors.before = take
    assert go(doors, commit="second") == ONCE
    assert "plain, seed 1 (again: it was interrupted) ..." in capsys.readouterr().out
    record = records.answering(run)
    assert record is not None
    assert (record.training, record.judging, record.commits) == (15, 5, ("second",))
    # A killed one leaves a checkpoint and no record: nobody knows how long it took.
    records.forget(run)
    doors.standings["ladder-toy-tiny-plain-seed1"] = Standing(State.BEGUN)
    assert go(doors) == ONCE[:2]
    record = records.answering(run)
    assert record is not None
    assert (record.training, record.judging) == (None, 5)


def test_interrupted_between_training_and_judging(doors: CountingDoors, clock: list[float]) -> None:
    def interrupt(what: str) -> None:
        clock[0] += 10
        if what == "judge plain-seed1":
            raise KeyboardInterrupt

    doors.before = interrupt
    with pytest.raises(KeyboardInterrupt):
        go(doors)
    doors.before = lambda what: None
    assert go(doors, commit="second") == ONCE[1:]
    record = Records(doors.home / "records").read(PLAN.run(LADDER.rows[0], 1))
    assert record is not None
    assert (record.training, record.commits) == (10, ("first", "second"))


def test_fresh_forgets_what_is_asked_for_and_what_hangs_on_it(doors: CountingDoors) -> None:
    go(doors, seeds=2)
    climb(doors).forget(PLAN.runs(LADDER.chosen(["triplet"]), [1]))
    assert go(doors, seeds=2) == ONCE[2:]


def test_several_commits_are_told(doors: CountingDoors) -> None:
    doors.commit = "first-dirty"
    go(doors, commit="first-dirty")
    records = Records(doors.home / "records")
    assert ", commit first + changes\n" in text(Results.of(PLAN, records))
    doors.standings.clear()
    doors.commit = "second"
    records.forget(PLAN.run(LADDER.rows[0], 1))
    go(doors, commit="second")
    assert "several commits (second; first + changes)" in text(Results.of(PLAN, records))


def test_a_damaged_record_is_named(doors: CountingDoors) -> None:
    go(doors)
    (doors.home / "records" / "plain-seed1.json").write_text("{")
    with pytest.raises(UserError, match="plain-seed1.json is no record.*remove it"):
        go(doors)


def test_two_climb_one_after_the_other(tmp_path: Path) -> None:
    with (
        Records(tmp_path).locked(),
        pytest.raises(UserError, match="another process is running this ladder"),
        Records(tmp_path).locked(),
    ):
        pass
    with Records(tmp_path).locked():
        pass


def test_the_table(doors: CountingDoors) -> None:
    go(doors, seeds=3)
    results = Results.of(PLAN, Records(doors.home / "records"))
    assert results.complete
    assert results.seeds == [1, 2, 3]
    lines = markdown(results, ["python3", "-m", "x"]).splitlines()
    assert "| row | mAP, % | rank-1, % | seeds | s a training |" in lines
    assert "| plain | 32.0 ± 1.0 | 52.0 ± 1.0 | 3 | 0 |" in lines
    assert "| + triplet, mirrored | 52.0 ± 1.0 | 62.0 ± 1.0 | 3 | – |" in lines
    assert '- "+ triplet" above "plain" in mAP: held (52.0 − 32.0 = +20.0, noise 2.3)' in lines
    assert "    python3 -m x" in lines
    facts = next(line for line in lines if "a machine" in line)
    assert "seeds 1, 2, 3: mean ± sample standard deviation" in facts
    assert "6 trainings" in facts
    assert "commit first" in facts


def test_rows_count_with_the_seeds_that_all_have(doors: CountingDoors) -> None:
    climb(doors).go(PLAN.runs(LADDER.rows[:1], [1, 2]))
    records = Records(doors.home / "records")
    partial = Results.of(PLAN, records)
    assert not partial.complete
    assert [line[3] for line in partial.cells()[1:]] == ["2", "0", "0"]
    assert "cannot be told (not run yet)" in text(partial)
    climb(doors).go(PLAN.runs(LADDER.rows[1:], [1]))
    whole = Results.of(PLAN, records)
    assert whole.complete
    assert whole.seeds == [1]
    assert "n = 1, so no ±" in text(whole)
    assert "one seed does not tell the noise" in text(whole)


def test_rows_that_share_no_seed_are_no_table(doors: CountingDoors) -> None:
    climb(doors).go([PLAN.run(row, seed) for seed, row in enumerate(LADDER.rows, 1)])
    assert not Results.of(PLAN, Records(doors.home / "records")).complete


def test_shown_without_pictures_are_the_latest_ones(doors: CountingDoors) -> None:
    go(doors, seeds=2)
    records = Records(doors.home / "records")
    run = PLAN.run(LADDER.rows[0], 2)
    record = records.read(run)
    assert record is not None
    unlike: Pictures = replace(PICTURES, fingerprints={"street": "older"})
    records.keep(run, replace(record, pictures=unlike.fingerprints, finished="2000-01-01T00:00:00+00:00"))
    assert Results.of(Plan(LADDER, "tiny"), records).seeds == [1]


def test_durations() -> None:
    assert [duration(seconds) for seconds in (0.4, 41.2, 119, 150, 7100, 7300)] == [
        *("0 s", "41 s", "119 s", "2 min", "118 min", "2.0 h")
    ]
