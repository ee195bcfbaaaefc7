"""What a ladder may be, and that each one there is can be climbed."""

from __future__ import annotations

from dataclasses import replace

import pytest

from benchmarks.ladders import LADDERS, ladder
from benchmarks.ladders.ladder import Claim, Ladder, Measure, Row
from benchmarks.ladders.runs import Plan, as_yaml
from benchmarks.ladders.sizes import SIZES
from common.errors import UserError
from data.street.splits import SIZES as DRAWN
from data.street.splits import SPLITS
from tests.benchmarks.ladders.toys import LADDER, PLAN


@pytest.mark.parametrize("name", LADDERS)
@pytest.mark.parametrize("size", SIZES)
def test_every_ladder_is_sound(name: str, size: str) -> None:
    found = ladder(name)
    assert found.name == name
    assert found.split in SPLITS
    assert found.question.endswith("?")
    assert found.expected
    plan = Plan(found, size)
    plan.check()
    runs = plan.runs(found.rows, [1, 2])
    assert len({run.key for run in runs}) == len(runs)
    what = [(str(run.settings), run.row.learns, run.judged) for run in runs]
    assert len(set(what)) == len(what), "two rows are the same run"
    for run in runs:
        assert (run.config.train.keep, run.config.train.evaluate_every) == (1, 0)
        assert run.config.name == run.trained_as
        assert run.config.seed == run.seed


def test_sizes_are_those_of_the_pictures() -> None:
    assert list(SIZES) == list(DRAWN)
    for size, settings in SIZES.items():
        assert (settings["data.height"], settings["data.width"]) == (DRAWN[size]["height"], DRAWN[size]["width"])


def test_an_unknown_name_is_told_the_closest() -> None:
    with pytest.raises(UserError, match="unknown ladder 'baslin', did you mean 'baseline'"):
        ladder("baslin")
    with pytest.raises(UserError, match="unknown row 'tripplet', did you mean 'triplet'"):
        LADDER.row("tripplet")


def test_rows_by_name_or_key_and_whom_they_need() -> None:
    plain, triplet, mirrored = LADDER.rows
    assert [row.key for row in LADDER.rows] == ["plain", "triplet", "triplet-mirrored"]
    assert LADDER.row("+ triplet") == LADDER.row("triplet") == triplet
    assert LADDER.chosen(["triplet-mirrored"]) == (triplet, mirrored)
    assert LADDER.chosen(["triplet", "plain"]) == (plain, triplet)
    assert PLAN.trainer(PLAN.run(mirrored, 2)) == PLAN.run(triplet, 2)
    assert PLAN.run(mirrored, 2).trained_as == PLAN.run(triplet, 2).trained_as == "ladder-toy-tiny-triplet-seed2"


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"rows": (Row("a"), Row("+ A"))}, "a name of its own"),
        ({"rows": (Row("+"),)}, "a name of its own"),
        ({"rows": (Row("a", trained_by="b"), Row("b"))}, "an earlier row"),
        ({"rows": (Row("a"), Row("b", trained_by="a"), Row("c", trained_by="b"))}, "an earlier row that trains"),
        ({"rows": (Row("b"), Row("a", {"seed": 3}, trained_by="b"))}, "no settings"),
        ({"rows": (), "claims": ()}, "needs rows"),
        ({"measures": (Measure("mAP"), Measure("mAP", score="mINP"))}, "names of their own"),
        ({"claims": (Claim("plain", "nothing", "mAP"),)}, "claims something"),
        ({"claims": (Claim("plain", "+ triplet", "mINP"),)}, "claims something"),
    ],
)
def test_a_contradiction_is_a_fault(changes: dict[str, tuple[object, ...]], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        replace(LADDER, **{"claims": (), **changes})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"rows": (Row("a", {"train.epoch": 2}),)}, "train.epoch: unknown key, did you mean 'epochs'"),
        ({"measures": (Measure("mAP", protocol="markt"),)}, "unknown protocol 'markt', did you mean 'market'"),
        ({"measures": (Measure("rank-1", score="rank1"),)}, "unknown score 'rank1', did you mean 'rank-1'"),
        ({"measures": (Measure("head", "parts", "head"),)}, "unknown protocol 'parts'"),
        ({"judge": "parsing"}, "unknown protocol 'market'.* known: parts"),
        ({"judge": "parsing", "measures": (Measure("heads", "parts", "heads"),)}, "'heads', did you mean 'head'"),
    ],
)
def test_what_is_misspelt_in_a_ladder_shows_at_once(changes: dict[str, tuple[object, ...]], words: str) -> None:
    misspelt: Ladder = replace(LADDER, **{"claims": (), **changes})  # type: ignore[arg-type]
    with pytest.raises(UserError, match=words):
        Plan(misspelt, "tiny").check()


def test_a_ladder_of_parts_says_so_of_every_run() -> None:
    parts: Ladder = replace(LADDER, judge="parsing", measures=(Measure("head", "parts", "head"),), claims=())
    Plan(parts, "tiny").check()
    run = Plan(parts, "tiny").run(LADDER.rows[0], 1)
    assert (run.judge, run.protocols) == ("parsing", ("parts",))
    assert PLAN.run(LADDER.rows[0], 1).judge == "eval"


def test_settings_of_a_row_go_over_those_of_a_size_over_those_of_the_base() -> None:
    row = Row("a", {"train.epochs": 5})
    sized = replace(LADDER, rows=(row, Row("b")), claims=(), sizes={"tiny": {"train.epochs": 3, "batches.size": 8}})
    assert Plan(sized, "tiny").run(row, 1).config.train.epochs == 5
    assert Plan(sized, "tiny").run(sized.rows[1], 1).config.train.epochs == 3
    assert Plan(sized, "tiny").run(row, 1).config.batches.size == 8
    assert Plan(sized, "small").run(sized.rows[1], 1).config.train.epochs == SIZES["small"]["train.epochs"]
    assert Plan(sized, "small").run(row, 1).config.optimizer.lr == 7e-4


@pytest.mark.parametrize(
    ("value", "told"),
    [("O1", "O1"), ("null", '"null"'), (None, "null"), (True, "true"), ((1, 2), "[1, 2]"), (0.5, "0.5"), ("1", '"1"')],
)
def test_values_on_the_command_line(value: object, told: str) -> None:
    assert as_yaml(value) == told


@pytest.mark.parametrize("asked", [one for one in LADDERS.values() if one.shares], ids=lambda one: one.name)
def test_shared_trainings_are_the_same(asked: Ladder) -> None:
    """A row that trains for another ladder too has the same settings there, so nobody trains over the other's run."""
    assert asked.shares is not None
    other = LADDERS[asked.shares]
    assert (other.split, other.base) == (asked.split, asked.base)
    for row in asked.rows:
        if row.trained_by is None:
            here, there = (Plan(one, "small").run(one.row(row.key), 3) for one in (asked, other))
            assert here.trained_as == there.trained_as
            assert here.config == there.config
