"""Counts of masks, by loops, and that sets of people can be joined."""

from __future__ import annotations

import pytest
import torch

from modeling.parsing import MaskStatistics, Parsed


def masks_of(seed: int, pictures: int, parts: int = 3) -> torch.Tensor:
    masks = torch.randint(0, parts + 1, (pictures, 4, 2), generator=torch.Generator().manual_seed(seed))
    masks[0][masks[0] == 2] = 0
    return masks.to(torch.uint8)


def test_counts_are_those_of_loops() -> None:
    masks = masks_of(0, 5)
    found = MaskStatistics.of_masks(masks, 3)
    values = masks.tolist()
    flat = [cell for picture in values for row in picture for cell in row]
    assert found.foreground == pytest.approx(sum(cell > 0 for cell in flat) / 40)
    assert found.part_shares == pytest.approx([sum(cell == part for cell in flat) / 40 for part in (1, 2, 3)])
    seen = [sum(any(part in row for row in picture) for picture in values) / 5 for part in (1, 2, 3)]
    assert found.seen_shares == pytest.approx(seen)
    assert found.seen_shares[1] < 1
    assert (found.people, found.mean_labels, found.mean_iterations, found.fallbacks) == (0, 0, 0, 0)


def test_joined_is_counted_together() -> None:
    one, two = Parsed(masks_of(1, 3), 18, 6), Parsed(masks_of(2, 5), 11, 9, fallback=True)
    three = Parsed(masks_of(3, 2))  # by k-means: no labels to speak of
    found = MaskStatistics.of(one, 3) + MaskStatistics.of(two, 3) + MaskStatistics.of(three, 3)
    together = MaskStatistics.of_masks(torch.cat([one.masks, two.masks, three.masks]), 3)
    assert (found.part_shares, found.seen_shares) == (together.part_shares, together.seen_shares)
    assert (found.cells, found.pictures) == (80, 10)
    assert (found.people, found.fallbacks) == (3, 1)
    assert found.mean_labels == pytest.approx(14.5)
    assert found.mean_iterations == pytest.approx(7.5)
    with pytest.raises(ValueError):
        found + MaskStatistics.of_masks(masks_of(0, 2, 5), 5)


def test_one_line() -> None:
    masks = torch.zeros(2, 4, 1, dtype=torch.uint8)
    masks[0, :3, 0] = torch.tensor([1, 2, 2])
    line = "foreground 37.5%, parts 12.5/25.0 % of the cells, seen in 50.0/50.0 % of 2 pictures"
    assert str(MaskStatistics.of_masks(masks, 2)) == line
    told = ", 9.0 labels after 4.0 iterations, 1 of 1 people by fallback"
    assert str(MaskStatistics.of(Parsed(masks, 9, 4, True), 2)) == line + told
    assert str(MaskStatistics.of(Parsed(masks), 2)) == line + ", 0 of 1 people by fallback"
    assert str(MaskStatistics.of_masks(masks[:0], 2)).startswith("foreground 0.0%")
