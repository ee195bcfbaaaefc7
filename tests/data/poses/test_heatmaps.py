"""Maps of joints are those of the formula written out in loops."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from data.poses.heatmaps import grid, heatmaps
from data.poses.joints import exchanged, merged, mirrored


def joints_of(count: int, height: int, width: int, seed: int = 0) -> Tensor:
    """Random joints, some outside of the picture."""
    random = torch.Generator().manual_seed(seed)
    places = torch.rand(count, 17, 3, generator=random)
    return torch.stack(
        ((1.4 * places[..., 0] - 0.2) * width, (1.4 * places[..., 1] - 0.2) * height, places[..., 2]), dim=2
    )


@pytest.mark.parametrize(("height", "width", "sigma"), [(256, 128, 2.0), (32, 16, 0.25), (66, 30, 17 / 32)])
def test_maps_are_gaussians(height: int, width: int, sigma: float) -> None:
    joints = joints_of(2, height, width)
    maps = heatmaps(joints, height, width)
    rows, columns = grid(height, width)
    assert maps.shape == (2, 17, rows, columns)
    expected = torch.zeros_like(maps)
    for picture in range(2):
        for joint, (x, y, score) in enumerate(joints[picture].tolist()):
            for row in range(rows):
                for column in range(columns):
                    down = row + 0.5 - y * rows / height
                    across = column + 0.5 - x * columns / width
                    expected[picture, joint, row, column] = score * math.exp(-(down**2 + across**2) / (2 * sigma**2))
    torch.testing.assert_close(maps, expected, rtol=1e-4, atol=1e-6)


def test_a_joint_in_the_middle_of_a_cell_is_as_high_as_its_score() -> None:
    joints = torch.zeros(1, 17, 3)
    joints[0, 0] = torch.tensor([10.0, 22.0, 0.5])
    maps = heatmaps(joints, 64, 32)
    assert maps[0, 0].max() == 0.5
    assert maps[0, 0, 5, 2] == 0.5
    assert not maps[0, 1:].any(), "a score of 0 is no joint"


def test_the_face_is_the_largest_of_five() -> None:
    maps = torch.randn(2, 17, 4, 3)
    one = merged(maps)
    assert one.shape == (2, 13, 4, 3)
    for row in range(4):
        for column in range(3):
            assert one[1, 0, row, column] == max(maps[1, joint, row, column] for joint in range(5))
    assert torch.equal(one[:, 1:], maps[:, 5:])


@pytest.mark.parametrize("count", [13, 17])
def test_mirrored_maps_are_those_of_the_mirrored_joints(count: int) -> None:
    joints = joints_of(3, 64, 32)
    other = joints.clone()
    for left in range(1, 17, 2):  # COCO: nose, then pairs of left and right
        other[:, left], other[:, left + 1] = joints[:, left + 1], joints[:, left]
    other[..., 0] = 32 - other[..., 0]
    maps, turned = heatmaps(joints, 64, 32), heatmaps(other, 64, 32)
    if count == 13:
        maps, turned = merged(maps), merged(turned)
    torch.testing.assert_close(mirrored(maps), turned)
    assert torch.equal(mirrored(mirrored(maps)), maps)


def test_what_changes_sides() -> None:
    assert exchanged(13) == [0, 2, 1, 4, 3, 6, 5, 8, 7, 10, 9, 12, 11]
    assert exchanged(17)[:5] == [0, 2, 1, 4, 3]
    with pytest.raises(ValueError, match="expected 13 or 17"):
        exchanged(14)
