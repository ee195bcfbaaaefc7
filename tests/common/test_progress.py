"""A bar on a terminal, nothing elsewhere, and the items pass through either way."""

from __future__ import annotations

import io
import sys

import pytest

from common.progress import progress, watched


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_silent_in_a_file(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    stderr = io.StringIO()
    monkeypatch.setattr(sys, "stderr", stderr)
    assert not watched()
    assert list(progress(range(5), title="reading")) == [0, 1, 2, 3, 4]
    assert stderr.getvalue() == capsys.readouterr().out == ""


def test_a_bar_on_a_terminal(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    stderr = Terminal()
    monkeypatch.setattr(sys, "stderr", stderr)
    assert watched()
    assert list(progress(iter("abc"), total=3, title="reading", unit="picture")) == ["a", "b", "c"]
    assert "reading" in stderr.getvalue()
    assert "/3" in stderr.getvalue()
    assert not stderr.getvalue().endswith("\n"), "the bar disappears"
    assert capsys.readouterr().out == ""


def test_items_are_taken_one_by_one() -> None:
    items = iter(range(10))
    bar = progress(items, title="reading")
    assert [next(bar), next(bar)] == [0, 1]
    assert next(items) == 2
