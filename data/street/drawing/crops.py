"""A detector's box that ends early: the view moved or drawn closer until enough of somebody lies beyond its edge."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from data.street.causes.occluders import Occluder
from data.street.causes.stands import Stand
from data.street.drawing.paint import rasterise
from data.street.drawing.parts import Limb
from data.street.drawing.views import View

_CLOSEST = 6.0
"""How much larger a person may get at most in a box that ends below their head."""


def cropped(
    limbs: Sequence[Limb], view: View, stand: Stand, occluder: Occluder, height: int, width: int
) -> tuple[View, Stand]:
    """The view of a box that leaves `occluder.hidden` of somebody beyond its edge on `occluder.side`.

    A box that ends below becomes a picture of the same size, so that who is in it gets larger; its upper edge stays.
    One that ends at a side lies beside them.

    Returns:
        The view, and the stand whose part of the scene the box shows.
    """
    # Seen alone, with a sample a pixel: near enough to choose by, and the share is measured on the picture.
    alone = rasterise(limbs, view, height, width, samples=1)
    owned = alone.owner > 0
    x, y = view.centre
    if occluder.side == "below":
        closer = _closer(owned, alone.top, alone.left, occluder.hidden, height, width)
        middle = width / 2
        seen = replace(view, scale=view.scale * closer, centre=(middle + (x - middle) * closer, y * closer))
        rest = max(1.0 - stand.zoom, 0.0) * stand.drop
        zoom = stand.zoom / closer
        return seen, replace(stand, zoom=zoom, drop=rest / (1.0 - zoom))
    columns = owned.sum(axis=0)
    # Of a box that ends on the left, everything up to some column is beyond it.
    beyond = np.cumsum(columns if occluder.side == "left" else columns[::-1]) / owned.sum()
    edge = int(np.argmin(np.abs(beyond - occluder.hidden))) + 1
    if occluder.side == "left":
        return replace(view, centre=(x - (alone.left + edge), y)), stand
    return replace(view, centre=(x + width - (alone.left + len(columns) - edge), y)), stand


def _closer(owned: np.ndarray, top: int, left: int, hidden: float, height: int, width: int) -> float:
    """How much closer the box must be drawn so that `hidden` of the samples `owned` lie beyond it."""
    counts = np.pad(np.cumsum(np.cumsum(owned, axis=0), axis=1), ((1, 0), (1, 0)))

    def shown(closer: float) -> float:
        """The share in the box of `height / closer` by `width / closer` at the middle of the upper edge."""
        edges = (0.0, height / closer), (width / 2 - width / 2 / closer, width / 2 + width / 2 / closer)
        (upper, lower), (first, last) = (
            [min(max(round(edge - offset), 0), size) for edge in pair]
            for pair, offset, size in zip(edges, (top, left), owned.shape, strict=True)
        )
        within = counts[lower, last] - counts[upper, last] - counts[lower, first] + counts[upper, first]
        return float(within) / float(counts[-1, -1])

    low, high = 1.0, _CLOSEST
    for _ in range(12):
        middle = (low + high) / 2
        low, high = (middle, high) if shown(middle) > 1.0 - hidden else (low, middle)
    return (low + high) / 2
