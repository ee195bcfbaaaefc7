"""Limbs as solids in a picture: which points of it each covers, how near its front and back are there, and its lie."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from data.street.causes.palette import Array
from data.street.drawing.parts import Limb
from data.street.drawing.views import View

_STEPS = 48
"""Places along a limb at which its half-widths are tabled; an even number."""

LAST = _STEPS - 1
"""The step of the tables that is the limb's end."""

_ZERO, _ONE, _LAST = np.float32(0.0), np.float32(1.0), np.float32(LAST)

_STUB = 0.03
"""Samples below which a limb is seen end on, or is a ball: then any direction will do for its bone."""


class Lie(NamedTuple):
    """How points of the picture lie to a limb.

    Attributes:
        along: how far along the bone, in steps of the tables: 0 at its start, `LAST` at its end.
        aside, over: two parts of the unit normal: across the limb, and along it on its caps.
        facing: the square of the normal's third part; the limb covers the points where it is above 0.
        depth: samples towards the viewer that its middle lies there.
        thick: how far its front lies before that, and its back behind.
    """

    along: Array
    aside: Array
    over: Array
    facing: Array
    depth: Array
    thick: Array


class _Bone(NamedTuple):
    """Numbers of one limb; or `(L, 1)` arrays of those of all.

    Attributes:
        x, y: sample where it starts.
        run, fall: unit vector from there to its end, right and down.
        paces: steps of the tables per sample along it.
        near, slope: depth of its start, and how much more it has per step.
    """

    x: float | Array
    y: float | Array
    run: float | Array
    fall: float | Array
    paces: float | Array
    near: float | Array
    slope: float | Array


class _Tables(NamedTuple):
    """Of one limb, by step; or of all, limb by limb.

    Attributes:
        narrow: 1 over its half-width across.
        bulge: its half-width towards the viewer.
        capped: 1 over the length in steps of the cap at the nearer end.
    """

    narrow: Array
    bulge: Array
    capped: Array


def _lie(bone: _Bone, tables: _Tables, columns: Array, rows: Array, first: NDArray[np.int64] | None = None) -> Lie:
    """How points lie to a bone.

    Args:
        columns, rows: coordinates of the points in samples.
        first: `(L, 1)` where the tables of each bone begin, when they are many.
    """
    right, down = columns - bone.x, rows - bone.y
    along = right * (bone.run * bone.paces) + down * (bone.fall * bone.paces)
    aside = right * bone.fall - down * bone.run
    inside = np.maximum(along, _ZERO)
    np.minimum(inside, _LAST, out=inside)
    step = inside.astype(np.intp)
    if first is not None:
        step += first
    aside *= tables.narrow.take(step)
    over = along - inside
    over *= tables.capped.take(step)
    facing = aside * aside
    np.subtract(_ONE, facing, out=facing)
    facing -= over * over
    thick = np.maximum(facing, _ZERO)
    np.sqrt(thick, out=thick)
    thick *= tables.bulge.take(step)
    inside *= bone.slope
    inside += bone.near
    return Lie(along, aside, over, facing, inside, thick)


@dataclass(frozen=True)
class Solids:
    """All limbs of somebody as a view sees them, in samples of the picture.

    Attributes:
        boxes: `(L, 4)` left, top, right and bottom sample that each may touch, the last two not included.
        run, fall: `(L,)` unit vectors of the bones in the picture, right and down.
        lengths: `(L,)` their lengths in metres.
        near: `(L,)` depth of their starts.
        flat, lean: `(L,)` how far along its bone a point is for each step along it in the picture and for each sample
            that it is nearer than the start.
    """

    boxes: NDArray[np.int64]
    run: Array
    fall: Array
    lengths: Array
    near: Array
    flat: Array
    lean: Array
    _numbers: Array
    _tables: _Tables

    @classmethod
    def of(cls, limbs: Sequence[Limb], view: View, samples: int) -> Solids:
        """The limbs as `view` sees them, `samples` to a pixel along each side."""
        points = np.array([limb.start for limb in limbs] + [limb.end for limb in limbs], dtype=np.float64)
        flat = view.project(points).astype(np.float64) * samples
        start, end = flat[: len(limbs)], flat[len(limbs) :]
        across = end[:, :2] - start[:, :2]
        stub = np.hypot(across[:, 0], across[:, 1]) < _STUB
        across[stub] = _STUB, 0.0
        reach = np.hypot(across[:, 0], across[:, 1])
        rise = end[:, 2] - start[:, 2]

        wide, deep = (_tables([getattr(limb, name) for limb in limbs]) ** 2 for name in ("wide", "deep"))
        turned = np.cos(view.heading + np.array([limb.yaw for limb in limbs]))[:, None] ** 2
        radius = np.sqrt(wide * turned + deep * (1.0 - turned))
        radius *= start[:, 3:] + (end[:, 3:] - start[:, 3:]) * np.linspace(0.0, 1.0, _STEPS)
        bulge = np.sqrt(wide * (1.0 - turned) + deep * turned) * (view.scale * samples)
        # A cap is as long as its flattened ball looks from there: the rim of one that leans is seen as an ellipse.
        leaning = _leaning(start, end, view, samples)
        caps = np.array([limb.caps for limb in limbs]) * radius[:, :: _STEPS - 1]
        caps = np.sqrt(caps**2 * (1.0 - leaning) + bulge[:, :: _STEPS - 1] ** 2 * leaning)

        run, fall = across.T / reach
        lengthwise, sideways = caps.max(axis=1), radius.max(axis=1)
        margin = np.column_stack(
            [np.hypot(lengthwise * run, sideways * fall), np.hypot(lengthwise * fall, sideways * run)]
        )
        low = np.floor(np.minimum(start[:, :2], end[:, :2]) - margin)
        high = np.ceil(np.maximum(start[:, :2], end[:, :2]) + margin)
        paces = LAST / reach
        numbers = np.column_stack(  # as `_Bone` has them
            [start[:, :2], run, fall, paces, start[:, 2], rise / LAST]
        )
        squares = reach**2 + rise**2
        capped = np.repeat(1.0 / (caps * paces[:, None]), _STEPS // 2, axis=1)
        return cls(
            np.concatenate([low, high], axis=1).astype(np.int64),
            run.astype(np.float32),
            fall.astype(np.float32),
            np.linalg.norm(points[len(limbs) :] - points[: len(limbs)], axis=1).astype(np.float32),
            start[:, 2].astype(np.float32),
            (reach**2 / squares / LAST).astype(np.float32),
            (rise / squares).astype(np.float32),
            numbers,
            _Tables(*(table.astype(np.float32) for table in (1.0 / radius, bulge, capped))),
        )

    def lie(self, limb: int, columns: Array, rows: Array) -> Lie:
        """How points of the picture, at coordinates in samples, lie to one limb."""
        bone = _Bone(*self._numbers[limb].tolist())
        return _lie(bone, _Tables(*(table[limb] for table in self._tables)), columns, rows)

    def lie_to_all(self, columns: Array, rows: Array) -> Lie:
        """How `(k,)` points lie to every limb, as `(L, k)` arrays."""
        firsts = np.arange(len(self.boxes))[:, None] * _STEPS
        return _lie(_Bone(*self._numbers.T[:, :, None]), self._tables, columns, rows, firsts)


def _leaning(start: Array, end: Array, view: View, samples: int) -> Array:
    """`(L, 2)`: the squared sine of the angle between each bone and the plane across the line of sight to each end."""
    middle, metre = np.array(view.centre) * samples, view.scale * samples
    # From the camera, in metres: right and down as the picture lies, and towards the viewer.
    first, last = (
        np.column_stack([(flat[:, :2] - middle) / flat[:, 3:], flat[:, 2] / metre - view.distance])
        for flat in (start, end)
    )
    bone = last - first
    sights = np.stack([first, last], axis=1)
    along = (sights @ bone[:, :, None])[..., 0] ** 2
    squares = (bone**2).sum(axis=1)[:, None] * (sights**2).sum(axis=2)
    found: Array = along / np.maximum(squares, 1e-12)
    return found


def _tables(half_widths: Sequence[tuple[float, ...]]) -> Array:
    """`(L, steps)` half-widths between those given at even distances."""
    found = np.empty((len(half_widths), _STEPS))
    for count in {len(widths) for widths in half_widths}:
        rows = [row for row, widths in enumerate(half_widths) if len(widths) == count]
        found[rows] = np.array([half_widths[row] for row in rows]) @ _hats(count)
    return found


@lru_cache(maxsize=32)
def _hats(count: int) -> Array:
    """`(count, steps)`: how much each of `count` half-widths has to say at each step between them."""
    steps, knots = np.linspace(0.0, 1.0, _STEPS), np.linspace(0.0, 1.0, count)
    return np.array([np.interp(steps, knots, row) for row in np.eye(count)])
