"""What is asked for: keys that contradict each other, when masks are made, stripes, and names."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from pydantic import ValidationError

from common.errors import UserError
from modeling.parsing import PARSERS, ParsingOptions, build_parser
from modeling.parsing.co_parsing import CoParser
from modeling.parsing.stripes import stripes


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"parts": 5}, "rule=structure knows head, torso and legs, which is parts=3, not 5; set rule=mean"),
        ({"stop_at": 32}, "stop_at=32 is reached before anything is learned, since there are labels=32; set stop_at"),
        ({"stop_at": 3}, "stop_at=3 leaves fewer labels than the background and parts=3 need; set stop_at to 4"),
        ({"first": 7, "until": 6}, "until=6 is before first=7"),
        ({"weight": 1}, "Extra inputs are not permitted"),
        ({"parts": 9, "rule": "mean"}, "less than or equal to 8"),
    ],
)
def test_contradictions_are_refused(options: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ValidationError, match=sentence):
        ParsingOptions(**options)


def test_when_masks_are_made() -> None:
    assert [epoch for epoch in range(1, 8) if ParsingOptions(until=5).due(epoch)] == [2, 3, 4, 5]
    assert [epoch for epoch in range(1, 12) if ParsingOptions(first=3, every=4, until=11).due(epoch)] == [3, 7, 11]


def test_the_published_recipe_is_the_default() -> None:
    options = ParsingOptions()
    assert (options.labels, options.stop_at, options.iterations, options.lr, options.momentum) == (32, 18, 32, 0.1, 0.9)
    assert (options.pixel, options.image, options.diagonal, options.norm) == (2, 1, 1, "l1")
    assert (options.until, options.clustering_iterations, options.enhanced) == (101, 20, False)


def test_parsers_by_name() -> None:
    assert isinstance(build_parser(ParsingOptions()), CoParser)
    found = build_parser(ParsingOptions(by="stripes", parts=4, rule="mean"))(torch.zeros(2, 5, 8, 3), 0)
    assert found.masks.tolist() == [[[1 + row // 2] * 3 for row in range(8)]] * 2
    assert (found.labels, found.iterations, found.fallback) == (0, 0, False)
    equal = build_parser(ParsingOptions(by="stripes", rule="mean"))(torch.zeros(1, 5, 9, 1), 0).masks
    assert equal.flatten().tolist() == [1, 1, 1, 2, 2, 2, 3, 3, 3]
    assert set(PARSERS) == {"co-parsing", "k-means", "stripes"}
    with pytest.raises(UserError, match="unknown parser 'kmeans', did you mean 'k-means'"):
        build_parser(ParsingOptions.model_construct(by="kmeans"))  # type: ignore[arg-type]


def test_stripes() -> None:
    assert [(stripes(3, 64, 32) == part).sum().item() // 32 for part in (1, 2, 3)] == [11, 32, 21]
    assert stripes(3, 12, 1).flatten().tolist() == [1, 1, 2, 2, 2, 2, 2, 2, 3, 3, 3, 3]
    assert stripes(3, 12, 1, "mean").flatten().tolist() == [1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3]
    assert stripes(5, 7, 2).dtype == torch.uint8
    assert stripes(5, 7, 2)[:, 1].tolist() == [1, 1, 2, 3, 3, 4, 5]
