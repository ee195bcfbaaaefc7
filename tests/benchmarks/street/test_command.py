"""`python3 -m benchmarks.street`: what it prints, writes and answers."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.street import __main__ as command
from benchmarks.street.finding import Finding, table


def finding(held: bool) -> Finding:
    return Finding("(x) Water is wet.", ("what", "%"), (("sea", "100.0"),), held, 2.0)


def test_a_finding_is_a_sentence_and_a_table() -> None:
    assert finding(True).told() == "**(x) Water is wet.** held, 2 s.\n\n| what | % |\n| --- | --- |\n| sea | 100.0 |"
    assert "**not held**" in finding(False).told()
    assert table(("a",), ()) == "| a |\n| --- |"


def test_all_claims_go_into_the_document_and_the_status(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "docs").mkdir()
    document = tmp_path / "docs" / "street.md"
    document.write_text(
        "# The street\n\n<!-- evidence: written by a command, begin -->\nold\n<!-- evidence: end -->\n\nend\n"
    )
    monkeypatch.setattr(command, "CLAIMS", {"a": lambda _: finding(True), "b": lambda _: finding(True)})
    before = document.read_text()
    assert command.main(["--size", "tiny"], tmp_path) == 0  # from which nothing can be told
    assert document.read_text() == before
    assert command.main(["--size", "small"], tmp_path) == 0
    text = document.read_text()
    assert text.startswith("# The street\n\n<!--")
    assert text.endswith("-->\n\nend\n")
    assert "old" not in text
    assert text.count("Water is wet") == 2
    assert "python3 -m benchmarks.street --size small" in text
    monkeypatch.setitem(command.CLAIMS, "b", lambda _: finding(False))
    assert command.main(["--size", "tiny", "--only", "b"], tmp_path) == 1
    assert document.read_text() == text
    assert "not held" in capsys.readouterr().out


def test_a_claim_that_needs_no_training_is_tried(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    status = command.main(["--size", "tiny", "--only", "a"], tmp_path)
    told = capsys.readouterr().out
    assert "| same-clothes |" in told
    assert status == int("**not held**" in told)
    assert (tmp_path / "datasets" / "ladders" / "clothes-tiny" / "street.json").is_file()
