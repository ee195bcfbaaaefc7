"""Parts by height alone: what stands in until the network has features worth parsing, and the simplest comparison."""

from __future__ import annotations

import torch
from torch import Tensor

from modeling.parsing.options import ParsingOptions, Rule
from modeling.parsing.parser import Parsed


def stripes(parts: int, height: int, width: int, rule: Rule | None = None) -> Tensor:
    """`(height, width)` uint8 with `parts` horizontal stripes, 1 at the top; there is no background.

    Args:
        rule: "structure" cuts where head, torso and legs of a standing person meet, at 1/6 and 2/3 of the height, and
            is of three parts; "mean" makes stripes of nearly equal height. None is "structure" for three parts.
    """
    rows = torch.arange(height)
    if rule is None:
        rule = "structure" if parts == 3 else "mean"
    numbers = (
        1 + rows * parts // height if rule == "mean" else 1 + (6 * rows >= height).int() + (3 * rows >= 2 * height)
    )
    return numbers.to(torch.uint8)[:, None].repeat(1, width)


class StripesParser:
    """The same stripes for everyone."""

    def __init__(self, options: ParsingOptions) -> None:
        self.parts, self.rule = options.parts, options.rule

    def __call__(self, maps: Tensor, seed: int) -> Parsed:
        pictures, _, height, width = maps.shape
        return Parsed(stripes(self.parts, height, width, self.rule).repeat(pictures, 1, 1))
