"""Maps and points moved along with a picture that was augmented: flipped, enlarged, padded and cropped as its pixels.

What `data.transforms.Augmentation.write` did to a picture stands in its `Geometry`. Erasing hides pixels and moves
nothing, so it does nothing to what is moved; `erased` tells where.

    maps = moved(maps, raw.geometry, size=(256, 128), pad=config.data.augment.pad)
"""

from __future__ import annotations

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from data.poses.joints import exchanged
from data.transforms import ENLARGED, Geometry


def moved(
    planes: Tensor,
    geometry: Tensor,
    size: tuple[int, int],
    pad: int,
    mode: Literal["bilinear", "nearest"] = "bilinear",
) -> Tensor:
    """Maps of pictures as they were, moved to where their pixels went; 0 where no pixel of the picture is.

    Left and right stay the same channels: whose channels have sides exchanges those of the flipped (`moved_poses`).

    Args:
        planes: `(B, C, h, w)` of whole pictures, of any resolution.
        geometry: `(B, 10)` int64, `Geometry`, on the device of `planes`.
        size: height and width of the pictures in pixels.
        pad: `data.augment.pad`.
        mode: "nearest" for maps whose values are names (part labels).
    """
    height, width = size
    rows, columns = planes.shape[2:]
    along = _Along(geometry, size, pad)
    # Half-way between two cells always to the same side; to the even one, as usual, would take every second twice.
    aside = _TIE if mode == "nearest" else 0.0
    y = _middles(rows, height, planes) + aside * height / rows
    x = _middles(columns, width, planes) + aside * width / columns
    down, down_seen = along.backwards(y, vertical=True)
    across, across_seen = along.backwards(x, vertical=False)
    # From pixels to −1 … 1 between the outer edges of the first and the last cell.
    down, across = 2 * down / height - 1, 2 * across / width - 1
    places = torch.stack(
        (across[:, None, :].expand(-1, rows, -1), down[:, :, None].expand(-1, -1, columns)),
        dim=3,
    )
    sampled = F.grid_sample(planes.float(), places, mode=mode, padding_mode="border", align_corners=False)
    seen = down_seen[:, None, :, None] & across_seen[:, None, None, :]
    return sampled * seen


def erased(geometry: Tensor, size: tuple[int, int], cells: tuple[int, int]) -> Tensor:
    """`(B, h, w)` bool, the cells of the augmented pictures whose middle was erased.

    Args:
        geometry: `(B, 10)` int64, `Geometry`.
        size: height and width of the pictures in pixels.
        cells: h and w.
    """

    def within(start: str, extent: str, count: int, length: int) -> Tensor:
        at, begin = _middles(count, length, geometry), geometry[:, _COLUMN[start], None]
        return (at >= begin) & (at < begin + geometry[:, _COLUMN[extent], None])

    down = within("erase_top", "erase_height", cells[0], size[0])
    across = within("erase_left", "erase_width", cells[1], size[1])
    return down[:, :, None] & across[:, None, :]


def moved_poses(maps: Tensor, geometry: Tensor, size: tuple[int, int], pad: int) -> Tensor:
    """`moved` for maps of joints `(B, 13 or 17, h, w)`: in flipped pictures left and right change places."""
    flipped = geometry[:, _COLUMN["flip"]].bool()[:, None, None, None]
    exchanging = torch.where(flipped, maps[:, exchanged(maps.shape[1])], maps)
    return moved(exchanging, geometry, size, pad)


def moved_joints(joints: Tensor, geometry: Tensor, size: tuple[int, int], pad: int) -> Tensor:
    """Joints `(B, 17, 3)` of pictures as they were, exactly where they are in the augmented ones, perhaps outside.

    Args:
        joints: x, y and score; x and y in pixels from the top left corner of the picture.
        geometry, size, pad: as for `moved`.
    """
    along = _Along(geometry, size, pad)
    flipped = geometry[:, _COLUMN["flip"]].bool()[:, None, None]
    x, y, score = torch.where(flipped, joints[:, exchanged(joints.shape[1])], joints).unbind(2)
    return torch.stack((along.forwards(x, vertical=False), along.forwards(y, vertical=True), score), dim=2)


_TIE = 1e-3
"""Of a cell."""
_COLUMN = {name: column for column, name in enumerate(Geometry._fields)}


class _Along:
    """Where places of each picture go, and where they come from; `(B, 1)` of everything."""

    def __init__(self, geometry: Tensor, size: tuple[int, int], pad: int) -> None:
        column = {name: geometry[:, place, None].float() for name, place in _COLUMN.items()}
        self._size = size
        self._flip, self._enlarge = column["flip"].bool(), column["enlarge"].bool()
        self._offset = (column["top"] - pad, column["left"] - pad)
        self._cut = (column["enlarge_top"], column["enlarge_left"])

    def forwards(self, at: Tensor, vertical: bool) -> Tensor:
        """`(B, n)` rows or columns of the picture as it was, in pixels, to those of the augmented one."""
        length, cut, offset = self._of(vertical)
        if not vertical:
            at = torch.where(self._flip, length - at, at)
        at = torch.where(self._enlarge, at * (round(length * ENLARGED) / length) - cut, at)
        return at - offset

    def backwards(self, at: Tensor, vertical: bool) -> tuple[Tensor, Tensor]:
        """`(n,)` rows or columns of the augmented picture to `(B, n)` of the one as it was, and whether it shows there.

        The border is laid around what was cut out of the enlarged picture, so what lies beyond the cut is not seen.
        """
        length, cut, offset = self._of(vertical)
        at = at + offset
        seen = (at >= 0) & (at < length)
        at = torch.where(self._enlarge, (at + cut) * (length / round(length * ENLARGED)), at)
        return (at if vertical else torch.where(self._flip, length - at, at)), seen

    def _of(self, vertical: bool) -> tuple[int, Tensor, Tensor]:
        side = 0 if vertical else 1
        return self._size[side], self._cut[side], self._offset[side]


def _middles(cells: int, length: int, like: Tensor) -> Tensor:
    """`(cells,)` the middle of each cell in pixels."""
    return (torch.arange(cells, device=like.device) + 0.5) * (length / cells)
