"""What belongs to a picture goes where its pixels went, whatever was done to them."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from configs.schema import Augment
from data.poses.heatmaps import heatmaps
from data.poses.joints import exchanged
from data.poses.moving import erased, moved, moved_joints, moved_poses
from data.transforms import ENLARGED, Augmentation, Draw, Geometry, Preprocessing

SIZE = HEIGHT, WIDTH = 64, 32
PAD = 7
PLAIN = Preprocessing(HEIGHT, WIDTH, (0.5, 0.5, 0.5), (0.5, 0.5, 0.5))


def draws(count: int, **keys: float) -> list[Geometry]:
    settings = {"flip": 0.5, "enlarge": 0.5, "pad": PAD, "erase": 0.0, **keys}
    augmentation = Augmentation(Augment.model_validate(settings), PLAIN)
    random = np.random.default_rng(3)
    return [augmentation.draw(random).geometry for _ in range(count)]


def augmented(pixels: np.ndarray, geometry: Geometry) -> np.ndarray:
    """What the loader makes of a picture."""
    augmentation = Augmentation(Augment(pad=PAD, enlarge=0.5), PLAIN)
    out = np.empty_like(pixels)
    augmentation.write(pixels, Draw(geometry, ()), out)
    return out


def tensor_of(geometries: list[Geometry]) -> Tensor:
    return torch.tensor(geometries)


def test_the_peak_is_where_the_dot_went() -> None:
    random = np.random.default_rng(0)
    seen = flipped = enlarged = 0
    for geometry in draws(300):
        x, y = random.uniform(2, WIDTH - 2), random.uniform(2, HEIGHT - 2)
        pixels = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
        pixels[int(y), int(x)] = 255
        x, y = int(x) + 0.5, int(y) + 0.5
        out = augmented(pixels, geometry)[:, :, 0].astype(float)
        if out.max() < 100:  # cut off, or half of it
            continue
        seen, flipped, enlarged = seen + 1, flipped + geometry.flip, enlarged + geometry.enlarge
        down, across = np.meshgrid(np.arange(HEIGHT) + 0.5, np.arange(WIDTH) + 0.5, indexing="ij")
        dot = np.array([(out * across).sum(), (out * down).sum()]) / out.sum()

        joints = torch.zeros(1, 17, 3)
        joints[0, 5] = torch.tensor([x, y, 1.0])
        told = tensor_of([geometry])
        side = 6 if geometry.flip else 5
        found = moved_joints(joints, told, SIZE, PAD)[0]
        assert found[:, 2].nonzero().flatten().tolist() == [side]
        assert np.abs(found[side, :2].numpy() - dot).max() < 0.6, geometry
        maps = moved_poses(heatmaps(joints, *SIZE), told, SIZE, PAD)[0]
        for drawn in (maps, heatmaps(found[None], *SIZE)[0]):
            assert drawn.flatten(1).amax(1).nonzero().flatten().tolist() == [side]
            peak = np.array(np.unravel_index(int(drawn[side].argmax()), drawn.shape[1:]))
            assert np.abs(peak - dot[::-1] / 4 + 0.5).max() <= 1, geometry
    assert min(seen, flipped, enlarged) > 50
    assert seen > 150


def test_maps_move_as_in_a_naive_loop() -> None:
    planes = torch.rand(40, 3, 16, 8, generator=torch.Generator().manual_seed(0))
    geometries = draws(40)
    found = moved(planes, tensor_of(geometries), SIZE, PAD)
    names = moved(planes, tensor_of(geometries), SIZE, PAD, mode="nearest")
    for number, geometry in enumerate(geometries):
        source = planes[number].numpy()
        for row in range(16):
            for column in range(8):
                y, x = (row + 0.5) * 4 + geometry.top - PAD, (column + 0.5) * 4 + geometry.left - PAD
                expected = nearest = np.zeros(3)
                if 0 <= y < HEIGHT and 0 <= x < WIDTH:
                    if geometry.enlarge:
                        y = (y + geometry.enlarge_top) * HEIGHT / round(HEIGHT * ENLARGED)
                        x = (x + geometry.enlarge_left) * WIDTH / round(WIDTH * ENLARGED)
                    if geometry.flip:
                        x = WIDTH - x
                    expected = bilinear(source, y / 4 - 0.5, x / 4 - 0.5)
                    nearest = None if min(y % 4, x % 4) < 1e-4 else source[:, int(y / 4), int(x / 4)]  # type: ignore[assignment]
                np.testing.assert_allclose(found[number, :, row, column], expected, atol=1e-5)
                if nearest is not None:  # on the edge of two cells either will do
                    np.testing.assert_array_equal(names[number, :, row, column], nearest)


def bilinear(plane: np.ndarray, row: float, column: float) -> np.ndarray:
    """Between the four cells around a place; beyond the middle of the outermost cells they go on."""
    row, column = float(np.clip(row, 0, 15)), float(np.clip(column, 0, 7))
    top, left = min(int(row), 14), min(int(column), 6)
    down, right = row - top, column - left
    upper = plane[:, top, left] * (1 - right) + plane[:, top, left + 1] * right
    lower = plane[:, top + 1, left] * (1 - right) + plane[:, top + 1, left + 1] * right
    found: np.ndarray = upper * (1 - down) + lower * down
    return found


@pytest.mark.parametrize("count", [13, 17])
def test_nothing_moves_when_nothing_was_done(count: int) -> None:
    planes = torch.rand(2, count, 16, 8)
    still = tensor_of([Geometry(0, PAD, PAD, 0, 0, 0, 0)] * 2)
    torch.testing.assert_close(moved_poses(planes, still, SIZE, PAD), planes)
    flipped = tensor_of([Geometry(1, PAD, PAD, 5, 5, 9, 9)] * 2)
    expected = planes.flip(3)
    torch.testing.assert_close(moved(planes, flipped, SIZE, PAD), expected)
    torch.testing.assert_close(moved_poses(planes, flipped, SIZE, PAD), expected[:, exchanged(count)])


def test_part_masks_keep_their_names_at_full_resolution() -> None:
    """A mask as large as the picture ends exactly where the pixels do."""
    random = np.random.default_rng(1)
    mask = random.integers(1, 9, (HEIGHT, WIDTH, 1), np.uint8).repeat(3, 2)
    for geometry in draws(40, enlarge=0.0):
        found = moved(
            torch.from_numpy(mask[None, :, :, :1]).permute(0, 3, 1, 2), tensor_of([geometry]), SIZE, PAD, "nearest"
        )
        np.testing.assert_array_equal(found[0, 0].numpy(), augmented(mask, geometry)[:, :, 0])
    geometry = Geometry(0, PAD, PAD, 0, 0, 0, 0, 1, 3, 2)  # on the edge of two pixels either will do
    whole = np.asarray(Image.fromarray(mask[:, :, 0]).resize((36, 72), Image.Resampling.NEAREST))[
        3 : 3 + 64, 2 : 2 + 32
    ]
    found = moved(
        torch.from_numpy(mask[None, :, :, :1]).permute(0, 3, 1, 2), tensor_of([geometry]), SIZE, PAD, "nearest"
    )
    assert (found[0, 0].numpy() == whole).mean() > 0.95


def test_what_was_erased_is_where_no_pixel_of_the_picture_is_left() -> None:
    """A grey picture with red erased over it: a cell is erased when the pixel at its middle is red."""
    grey = np.full((HEIGHT, WIDTH, 3), 90, np.uint8)
    augmentation = Augmentation(Augment(pad=PAD, erase=1.0, erase_fill=(255, 0, 0)), PLAIN)
    random, some = np.random.default_rng(5), 0
    for _ in range(40):
        draw = augmentation.draw(random)
        out = np.empty_like(grey)
        augmentation.write(grey, draw, out)
        for rows, columns in ((HEIGHT // 4, WIDTH // 4), (16, 32), (HEIGHT, WIDTH)):
            found = erased(tensor_of([draw.geometry]), SIZE, (rows, columns))[0]
            for row in range(rows):
                for column in range(columns):
                    pixel = out[int((row + 0.5) * HEIGHT / rows), int((column + 0.5) * WIDTH / columns)]
                    assert bool(found[row, column]) == (pixel[0] == 255), (draw.geometry, row, column)
            some += int(found.sum())
    assert some > 1000
    assert not erased(tensor_of(draws(3)), SIZE, (16, 8)).any()


@pytest.mark.parametrize("flip", [0, 1])
def test_no_cell_is_taken_twice_wherever_the_crop_begins(flip: int) -> None:
    """Half-way between two cells, too: a map of names moved by half a cell is still that map."""
    numbers = torch.arange(16.0)[:, None] * 100 + torch.arange(8.0) + 1
    for offset in range(2 * PAD + 1):
        geometry = tensor_of([Geometry(flip, offset, offset, 0, 0, 0, 0)])
        found = moved(numbers[None, None], geometry, SIZE, PAD, mode="nearest")[0, 0]
        shown = found[found > 0]
        assert len(shown.unique()) == len(shown), offset
        assert len(shown) >= 14 * 6
