"""The benchmark of parsing, on a size that takes a second: what it prints, that both ways agree, what they hold."""

from __future__ import annotations

import json
import sys
from typing import Any

import pytest
import torch
from torch import Tensor

from benchmarks import parsing
from common.errors import UserError
from modeling.parsing.parser import Parsed, Parser

SMALL = ["--pictures", "12", "--each", "3", "--channels", "8", "--height", "6", "--width", "4", "--batch", "5"]


def told(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *more: str) -> Any:
    monkeypatch.setattr(sys, "argv", ["parsing.py", *SMALL, *more])
    assert parsing.main() == 0
    out = capsys.readouterr().out
    return json.loads(out) if "--json" in more else out


@pytest.mark.parametrize("by", parsing.WAYS)
def test_both_ways_agree_and_are_told(
    by: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    found = told(monkeypatch, capsys, "--by", by, "--json")
    assert (found["by"], found["difference"]) == (by, 0.0)
    assert list(found["rows"]) == ["person by person", "all maps first"]
    assert all(row["seconds"] > 0 and row["gpu_mb"] is None for row in found["rows"].values())
    assert "all maps first" in told(monkeypatch, capsys, "--by", by)


def case(monkeypatch: pytest.MonkeyPatch, parser: Parser) -> parsing.Case:
    """A small one with another parser."""
    monkeypatch.setattr(parsing, "build_parser", lambda _: parser)
    return parsing.Case(parsing._parser().parse_args(SMALL))


def test_every_person_is_parsed_from_the_same_maps(monkeypatch: pytest.MonkeyPatch) -> None:
    given: list[tuple[int, Tensor]] = []

    def parser(maps: Tensor, seed: int) -> Parsed:
        given.append((seed, maps.clone()))
        return Parsed(maps.argmax(1).to(torch.uint8), 0, 0, False)

    assert case(monkeypatch, parser).difference() == 0.0
    assert [seed for seed, _ in given] == [0, 1, 2, 3] * 2
    for (_, one), (_, other) in zip(given[:4], given[4:], strict=True):
        assert one.shape == (3, 8, 6, 4)
        torch.testing.assert_close(one, other, rtol=0, atol=0)
    maps = torch.cat([maps for _, maps in given[:4]]).flatten(1)
    assert len(torch.unique(maps, dim=0)) == 12


def test_what_differs_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[int] = []

    def parser(maps: Tensor, seed: int) -> Parsed:
        calls.append(seed)
        return Parsed(torch.full((len(maps), 6, 4), int(len(calls) > 7), dtype=torch.uint8), 0, 0, False)

    assert case(monkeypatch, parser).difference() == 0.25


def test_maps_of_all_take_more_memory(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """32 pictures of 1 MiB each, joined, beside 2 of one person."""
    sizes = ["--pictures", "32", "--each", "2", "--channels", "128", "--height", "64", "--width", "32"]
    rows = told(monkeypatch, capsys, *sizes, "--by", "stripes", "--json")["rows"]
    if rows["all maps first"]["mb"] is not None:
        assert rows["all maps first"]["mb"] > 50
        assert rows["person by person"]["mb"] < 16


def test_people_have_equally_many_pictures(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(UserError, match="give --pictures as a multiple of --each"):
        told(monkeypatch, capsys, "--pictures", "13")
