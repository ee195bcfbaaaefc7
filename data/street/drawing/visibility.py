"""How well each joint is seen: what the ray from the viewer to it meets on its way."""

from __future__ import annotations

import numpy as np

from data.street.causes.palette import Array
from data.street.causes.poses import COCO
from data.street.drawing.paint import Mask, Surface
from data.street.drawing.parts import Part

VISIBLE, BEHIND_ONESELF, HIDDEN = 1.0, 0.5, 0.0
"""How well a joint is seen: nothing before it; one's own body before it; behind something else, or outside."""

_LEG, _ARM = (Part.LEGS, Part.TORSO, Part.FEET), (Part.ARMS, Part.HANDS)
_THICK = {
    "nose": (0.026, 0.026, ()),
    "eye": (0.026, 0.026, ()),
    "ear": (0.03, 0.06, ()),
    "shoulder": (0.08, 0.115, ()),
    "elbow": (0.045, 0.06, _ARM),
    "wrist": (0.035, 0.05, _ARM),
    "hip": (0.095, 0.12, ()),
    "knee": (0.055, 0.08, _LEG),
    "ankle": (0.065, 0.08, _LEG),
}
"""Of each joint, in parts of the person's height: how far before it the surface of another limb may lie (straps,
glasses, hair); how far that of a limb that it lies in (half of head or trunk in its clothes, but not their far side);
and the parts that never hide it when it lies in them: sleeves, trousers, skirts and coats."""

_APART: Array = np.array([_THICK[name.rpartition("_")[2]][0] for name in COCO])
_WITHIN: Array = np.array([_THICK[name.rpartition("_")[2]][1] for name in COCO])
_WORN: Mask = np.array([[part in _THICK[name.rpartition("_")[2]][2] for name in COCO] for part in Part])


def scores(surface: Surface, projected: Array, tall: float, front: Mask | None) -> Array:
    """`VISIBLE`, `BEHIND_ONESELF` or `HIDDEN` for each of the 17 joints.

    Args:
        surface: the person as drawn.
        projected: `(17, 4)` their joints as `View.project` gives them, in pixels.
        tall: the person's height in metres.
        front: `(height, width)` samples that something else hides; None when nothing does.
    """
    samples = surface.samples
    x, y, near = (projected[:, :3].T * samples).astype(np.float64)
    lie = surface.solids.lie_to_all(x, y)
    before = (lie.depth + lie.thick - near) / (surface.view.scale * samples * tall)
    within = lie.depth - lie.thick <= near
    parts = np.array([limb.part for limb in surface.limbs])
    hides = np.where(within, (before > _WITHIN) & ~_WORN[parts], before > _APART)
    # What is carried is worn over everything, also where an arm reaches into it.
    hides |= (parts == Part.BAG)[:, None] & (before > 0.0)
    hides &= lie.facing > 0.0
    found = np.where(hides.any(axis=0), BEHIND_ONESELF, VISIBLE)
    rows, columns = np.floor(y).astype(np.int64), np.floor(x).astype(np.int64)
    outside = (rows < 0) | (columns < 0) | (rows >= surface.height) | (columns >= surface.width)
    found[outside] = HIDDEN
    if front is not None:
        inside = np.flatnonzero(~outside)
        found[inside[front[rows[inside], columns[inside]]]] = HIDDEN
    return found.astype(np.float32)
