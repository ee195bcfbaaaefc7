"""What a sheet shows of pictures and their parts."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from engine.parsing_sheet import OPACITY, PAIRS, colours_of, names_of, overlaid, parsing_sheet


def test_parts_tint_a_grey_picture() -> None:
    pixels = np.full((8, 8, 3), (90, 120, 150), np.uint8)
    probabilities = torch.zeros(4, 2, 2)
    probabilities[0, 0] = 1  # above: background
    probabilities[1, 1, 0] = probabilities[3, 1, 1] = 1
    shown = overlaid(pixels, probabilities)
    assert (shown[0] == 120).all()
    red, blue = ((1 - OPACITY) * 120 + OPACITY * np.array(colour) for colour in ((255, 0, 0), (0, 0, 255)))
    assert shown[7, 0].tolist() == red.round().tolist()
    assert shown[7, 7].tolist() == blue.round().tolist()


def test_borders_are_smooth() -> None:
    """Between cells of 0.9 and 0.2 the border lies where both classes are as likely, not where cells meet."""
    probabilities = torch.tensor([[[0.1, 0.8]], [[0.9, 0.2]]])
    shown = overlaid(np.full((1, 40, 3), 100, np.uint8), probabilities)
    tinted = int((shown[0, :, 0] != 100).sum())
    assert tinted == 21  # halfway up from 0.2 to 0.9 would be 20


def test_every_part_has_a_colour_and_a_name() -> None:
    for parts in range(1, 9):
        assert len(np.unique(colours_of(parts), axis=0)) == parts + 1
        assert len(set(names_of(parts))) == parts
    assert tuple(names_of(3)) == ("head", "torso", "legs")
    assert names_of(5)[0] == "part 1"


@pytest.mark.parametrize("count", [1, PAIRS, PAIRS + 2])
def test_where_pictures_go(count: int) -> None:
    random = np.random.default_rng(0)
    pixels = random.integers(0, 255, (count, 32, 16, 3), np.uint8)
    parsed = torch.rand(count, 4, 8, 4).softmax(1)
    sheet = np.asarray(parsing_sheet(iter(zip(pixels, parsed, strict=True)), count, 32, 16))
    rows = -(-count // PAIRS)
    assert sheet.shape[0] == rows * 34 + 18
    assert sheet.shape[1] >= min(count, PAIRS) * 36 - 2
    for number in range(count):
        cell = sheet[34 * (number // PAIRS) :, 36 * (number % PAIRS) :]
        assert (cell[:32, :16] == pixels[number]).all()
        assert (cell[:32, 16:32] == overlaid(pixels[number], parsed[number])).all()
    legend = sheet[rows * 34 :].reshape(-1, 3)
    for colour in colours_of(3)[1:]:
        assert (legend == colour).all(1).sum() == 100
