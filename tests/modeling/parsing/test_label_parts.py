"""From labels to parts, against the rule written out in loops."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from modeling.parsing.label_parts import border_rows, label_parts
from modeling.parsing.options import Rule


def naive(volume: Tensor, parts: int, rule: Rule) -> Tensor | None:
    """Label by label and cell by cell, for maps of 64 rows and 32 columns."""
    pictures, height, width = volume.shape
    assert (height, width) == (64, 32)
    rows: dict[int, list[int]] = {}
    in_rows: dict[int, int] = {}
    in_columns: dict[int, int] = {}
    for picture in volume.tolist():
        for y, line in enumerate(picture):
            for x, label in enumerate(line):
                rows.setdefault(label, []).append(y)
                in_rows[label] = in_rows.get(label, 0) + (y in (0, 3, 60, 63))
                in_columns[label] = in_columns.get(label, 0) + (x in (0, 31))
    background = {label for label in rows if in_rows[label] > pictures * 32 / 2}
    background |= {label for label in rows if in_columns[label] > pictures * 64 / 3}
    mean = {label: sum(rows[label]) / len(rows[label]) for label in rows if label not in background}
    if len(mean) < parts or max(mean.values()) == min(mean.values()):
        return None
    least = min(mean.values())
    segment = (max(mean.values()) - least) / 3
    part = dict.fromkeys(background, 0)
    if rule == "structure":
        for label, row in mean.items():
            part[label] = 1 if row < least + segment / 2 else 2 if row < least + 2 * segment else 3
    else:
        ordered = sorted(mean, key=lambda label: (mean[label], label))
        for place, label in enumerate(ordered):
            part[label] = 1 + math.floor(place * parts / len(ordered))
    cells = [[[part[cell] for cell in line] for line in picture] for picture in volume.tolist()]
    return torch.tensor(cells, dtype=torch.uint8)


def labelled(seed: int, pictures: int, labels: int, edge: bool) -> Tensor:
    """Blobs of labels: the nearest of random points, with noise; label 0 may fill a frame of random width."""
    random = torch.Generator().manual_seed(seed)
    points = torch.rand(labels, 2, generator=random) * torch.tensor([64.0, 32.0])
    places = torch.stack(torch.meshgrid(torch.arange(64.0), torch.arange(32.0), indexing="ij"), -1)
    noisy = places.repeat(pictures, 1, 1, 1) + 3 * torch.randn(pictures, 64, 32, 2, generator=random)
    volume: Tensor = (noisy[..., None, :] - points).norm(dim=-1).argmin(-1)
    if edge:
        wide = int(torch.randint(0, 6, (1,), generator=random))
        volume[:, :wide] = volume[:, 64 - wide :] = 0
        volume[:, :, :wide] = 0
    return volume


@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 1 << 20),
    pictures=st.integers(1, 3),
    labels=st.integers(1, 12),
    edge=st.booleans(),
    choice=st.sampled_from([(3, "structure"), (3, "mean"), (5, "mean"), (2, "mean")]),
)
def test_is_the_rule_in_loops(seed: int, pictures: int, labels: int, edge: bool, choice: tuple[int, Rule]) -> None:
    volume = labelled(seed, pictures, labels, edge)
    found, expected = label_parts(volume, *choice), naive(volume, *choice)
    if expected is None:
        assert found is None
    else:
        assert found is not None
        assert found.dtype == torch.uint8
        assert torch.equal(found, expected)


def test_rows_at_the_border() -> None:
    assert border_rows(64) == [0, 3, 60, 63]
    assert border_rows(24) == [0, 1, 22, 23]
    assert border_rows(96) == [0, 5, 90, 95]
    assert border_rows(8) == [0, 0, 7, 7]


def test_a_label_on_a_cut_is_of_the_lower_part() -> None:
    """Mean rows 10, 15, 30 and 40: the cuts are at 10 + 30/6 and 10 + 2·30/3."""
    volume = torch.zeros(1, 64, 32, dtype=torch.int64)
    for label, row in enumerate((10, 15, 30, 40), start=1):
        volume[0, row, 8:20] = label
    masks = label_parts(volume, 3, "structure")
    assert masks is not None
    assert [int(masks[0, row, 8]) for row in (10, 15, 30, 40)] == [1, 2, 3, 3]
    assert not masks[0, 0].any()


@pytest.mark.parametrize(("cells", "background"), [(32, False), (33, True)])
def test_background_in_rows_begins_above_the_threshold(cells: int, background: bool) -> None:
    """N·32/2 cells in the border rows are still body."""
    volume = torch.arange(64)[:, None].expand(64, 32).repeat(2, 1, 1) // 8 + 1  # rows of 1 … 8
    volume[:, [0, 3, 60, 63]] = 9  # certainly background
    border = volume[:, [0, 3, 60, 63]].flatten()
    border[50 : 50 + cells] = 4
    volume[:, [0, 3, 60, 63]] = border.view(2, 4, 32)
    masks = label_parts(volume, 3, "structure")
    assert masks is not None
    assert bool((masks[volume == 4] == 0).all()) is background
    assert (masks[volume == 9] == 0).all()
    assert (masks[volume == 5] > 0).all()


@pytest.mark.parametrize(("cells", "background"), [(42, False), (43, True)])
def test_background_in_columns_begins_above_the_threshold(cells: int, background: bool) -> None:
    """N·64/3 cells in the outer columns, here 42⅔."""
    volume = torch.arange(64)[:, None].expand(64, 32).repeat(2, 1, 1) // 8 + 1
    volume[:, :, [0, 31]] = 9
    outer = volume[:, :, [0, 31]].flatten()
    outer[[place for place in range(256) if 5 <= place // 2 % 64 < 60][:cells]] = 4
    volume[:, :, [0, 31]] = outer.view(2, 64, 2)
    masks = label_parts(volume, 3, "structure")
    assert masks is not None
    assert bool((masks[volume == 4] == 0).all()) is background


def test_labels_that_tell_no_parts_apart() -> None:
    volume = torch.zeros(2, 64, 32, dtype=torch.int64)
    assert label_parts(volume, 3, "structure") is None  # all background
    volume[:, 10:20, 10:20] = 1
    volume[:, 40:50, 10:20] = 2
    assert label_parts(volume, 3, "mean") is None  # two labels for three parts
    two = label_parts(volume, 2, "mean")
    assert two is not None
    assert (two[:, 15, 15] == 1).all()
    assert (two[:, 45, 15] == 2).all()
    beside = torch.zeros(1, 64, 32, dtype=torch.int64)
    for label in (1, 2, 3):
        beside[:, 20:40, 7 * label : 7 * label + 4] = label
    assert label_parts(beside, 3, "structure") is None  # no label is above another
    one = label_parts(beside, 1, "mean")
    assert one is not None
    assert torch.equal(one > 0, beside > 0)


@pytest.mark.parametrize("height", [1, 5, 24, 96])
def test_other_sizes(height: int) -> None:
    """A frame of background around three bands, where there is room for them."""
    width = height // 2 + 1
    volume = torch.zeros(2, height, width, dtype=torch.int64)
    for label, (start, end) in enumerate([(1 / 8, 1 / 4), (1 / 4, 5 / 8), (5 / 8, 7 / 8)], 1):
        volume[:, round(height * start) : round(height * end), 2:-2] = label
    masks = label_parts(volume, 3, "structure")
    if height < 24:
        assert masks is None
    else:
        assert masks is not None
        assert torch.equal(masks.long(), volume)
