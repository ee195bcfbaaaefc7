"""The commands that leave one out are commands, and the target has no say in what is judged on it."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest

from common.command import exit_status
from configs.loader import load
from configs.schema import Config
from engine.leave_one_out import main, rounds
from engine.runs import Folders
from modeling.methods import options_of
from modeling.methods.baseline import BaselineOptions

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(autouse=True)
def _from_the_repository(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)


def printed(capsys: pytest.CaptureFixture[str], *arguments: object) -> list[tuple[list[str], list[str]]]:
    """Training and judging of each round, as words."""
    assert main([str(argument) for argument in arguments]) == 0
    lines = [line.split(" && ") for line in capsys.readouterr().out.splitlines()]
    return [(shlex.split(train), shlex.split(judge)) for train, judge in lines]


def trained(words: list[str]) -> Config:
    assert words[:2] == ["bash", "train.sh"]
    return load(Path(words[3]), words[4:], options_of)


def test_everybody_is_left_out_once() -> None:
    assert rounds(["a", "b", "c"]) == [(("b", "c"), "a"), (("a", "c"), "b"), (("a", "b"), "c")]


def test_the_commands_are_understood(capsys: pytest.CaptureFixture[str]) -> None:
    names = ["market", "cuhk", "msmt"]
    for (train, judge), target in zip(printed(capsys, *names, "--devices", "cpu"), names, strict=True):
        config = trained(train)
        assert (train[2], config.target) == ("cpu", target)
        assert sorted([*(name for name, _ in config.data.sources), target]) == sorted(names)
        assert config.train.evaluate_every == 0
        last = Folders.of(config).epoch(config.train.epochs)
        assert judge == ["python3", "eval.py", "cpu", str(last), "--dataset", target]
        assert isinstance(config.options, BaselineOptions)
        assert config.options.mix, "as the configuration has it"


def test_one_source_is_blended_with_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    for train, _ in printed(capsys, "market", "msmt"):
        config = trained(train)
        assert isinstance(config.options, BaselineOptions)
        assert not config.options.mix
    for train, _ in printed(capsys, "market", "msmt", "--configuration", "configs/duke2market.yml"):
        assert "options.mix=false" not in train, "this method blends source and target"


def test_held_out_people_choose_where_there_are_some(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "some.yml"
    file.write_text(f"output: {{checkpoints: {tmp_path / 'runs'}}}\ndata: {{validation: 0.1}}\n")
    for (train, judge), target in zip(
        printed(capsys, "market", "msmt", "--configuration", file), ("market", "msmt"), strict=True
    ):
        assert trained(train).train.evaluate_every > 0
        assert judge[3] == str(tmp_path / "runs" / f"without-{target}")


def test_the_document_shows_the_first_round(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["market", "duke", "cuhk", "msmt"]) == 0
    first = capsys.readouterr().out.splitlines()[0]
    document = (ROOT / "docs" / "protocols.md").read_text().replace(" \\\n      ", " ")
    assert f"    python3 -m engine.leave_one_out market duke cuhk msmt\n\n    {first}\n" in document


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["market"], "leave one out of market: name two datasets at least"),
        (["market", "duke", "market"], "'market' is named twice"),
        (["market", "msnt"], "unknown dataset 'msnt', did you mean 'msmt'?"),
        (["market", "msmt", "--configuration", "configs/generalise.yml"], "did you mean configs/generalize.yml?"),
    ],
)
def test_mistakes_are_one_sentence(arguments: list[str], sentence: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert exit_status(lambda: main(arguments)) == 1
    captured = capsys.readouterr()
    assert captured.out == "", "nothing for a shell to run"
    assert len(captured.err.splitlines()) == 1
    assert sentence in captured.err
