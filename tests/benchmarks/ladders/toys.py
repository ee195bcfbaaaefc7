"""A ladder of three rows, pictures that nobody drew, and doors that only count how often they are opened."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from benchmarks.ladders.doors import Doors, Standing, State
from benchmarks.ladders.ladder import Claim, Ladder, Measure, Row
from benchmarks.ladders.pictures import Pictures
from benchmarks.ladders.records import Scores
from benchmarks.ladders.runs import Plan, Run

LADDER = Ladder(
    name="toy",
    question="Does the toy row help?",
    split="standard",
    base=Path("configs/from_scratch.yml"),
    rows=(
        Row("plain", {"options.triplet.weight": 0}),
        Row("+ triplet"),
        Row("+ triplet, mirrored", trained_by="+ triplet", judged=("--flip",)),
    ),
    measures=(Measure("mAP"), Measure("rank-1", score="rank-1")),
    expected="It should.",
    claims=(Claim("+ triplet", "plain", "mAP"),),
)

STREET = Path("datasets/ladders/standard-tiny")
PICTURES = Pictures(STREET, STREET, {"street": "0123456789abcdef"}, {"source": "fedcba9876543210"})

PLAN = Plan(LADDER, "tiny", PICTURES)


class CountingDoors(Doors):
    """Trains and judges nothing; `opened` says what it was asked for, `standings` what is trained."""

    def __init__(self, home: Path) -> None:
        super().__init__(home, PLAN.base, home / "logs", "cpu")
        self.opened: list[str] = []
        self.commit = "first"  # of the code that trains
        self.standings: dict[str, Standing] = {}
        self.before: Callable[[str], None] = lambda what: None

    def standing(self, run: Run) -> Standing:
        return self.standings.get(run.trained_as, Standing(State.ABSENT))

    def train(self, run: Run, *, restart: bool) -> None:
        what = f"{'re' if restart else ''}train {run.key}"
        self.before(what)
        self.opened.append(what)
        self.standings[run.trained_as] = Standing(State.FINISHED, self.commit)

    def judge(self, run: Run) -> Scores:
        self.before(f"judge {run.key}")
        self.opened.append(f"judge {run.key}")
        triplet, rest = run.config.options.triplet.weight > 0, run.seed / 100  # type: ignore[attr-defined]
        scores = {"mAP": 0.3 + 0.2 * triplet + rest, "rank-1": 0.5 + 0.1 * bool(run.judged) + rest}
        return dict.fromkeys(run.protocols, scores)

    def forget(self, run: Run) -> None:
        self.standings.pop(run.trained_as, None)
