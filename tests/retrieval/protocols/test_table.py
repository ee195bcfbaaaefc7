"""The document is what its command prints, and the commands that leave one out are commands."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest

from common.command import exit_status
from configs.loader import load
from modeling.methods import options_of
from retrieval.protocols import PROTOCOLS
from retrieval.protocols.__main__ import main
from retrieval.protocols.leave_one_out import LeaveOneOut

ROOT = Path(__file__).resolve().parents[3]


def test_the_document_is_what_the_command_prints(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 0
    printed = capsys.readouterr().out
    assert printed == (ROOT / "docs" / "protocols.md").read_text(), "python3 -m retrieval.protocols > docs/protocols.md"
    for name, rule in PROTOCOLS.items():
        assert f"\n| `{name}` | {', '.join(rule.datasets)} |" in printed
        assert f"\n- `{name}`: " in printed


def test_everybody_is_left_out_once() -> None:
    assert LeaveOneOut(("a", "b", "c")).rounds() == [(("b", "c"), "a"), (("a", "c"), "b"), (("a", "b"), "c")]


def test_the_commands_are_understood(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--leave-one-out", "market", "cuhk", "msmt", "--devices", "cpu"]) == 0
    lines = [shlex.split(line) for line in capsys.readouterr().out.splitlines()]
    assert len(lines) == 6
    for train, judge, target in zip(lines[::2], lines[1::2], ("market", "cuhk", "msmt"), strict=True):
        assert train[:3] == ["bash", "train.sh", "cpu"]
        config = load(ROOT / train[3], train[4:], options_of)
        assert config.target == target
        assert sorted([*(name for name, _ in config.data.sources), target]) == ["cuhk", "market", "msmt"]
        assert config.train.evaluate_every == 0
        assert judge == ["python3", "eval.py", "cpu", f"checkpoints/{config.name}", "--dataset", target]


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--leave-one-out", "market"], "leave one out of market: name two datasets at least"),
        (["--leave-one-out", "market", "duke", "market"], "'market' is named twice"),
        (["--devices", "0"], "--devices is for the commands that --leave-one-out prints: give that too"),
    ],
)
def test_mistakes_are_one_sentence(arguments: list[str], sentence: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert exit_status(lambda: main(arguments)) == 1
    captured = capsys.readouterr()
    assert captured.out == ""
    assert len(captured.err.splitlines()) == 1
    assert sentence in captured.err
