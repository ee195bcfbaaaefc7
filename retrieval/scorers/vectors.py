"""Scorers of the global feature: the angle, or the distance, between two vectors."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray

from common.errors import UserError
from retrieval.columns import Features, Ints
from retrieval.scorers.scorer import Linear, rounding, unit
from retrieval.streaming.exact import cosine, distances
from retrieval.streaming.tiles import Tile

_LONGEST = 1e18
"""Of vectors whose distances are compared: their squares are far within float32."""


class Cosine(Linear):
    """The cosine of the angle between two vectors, in [−1, 1]; a zero vector is at right angles to everything."""

    name = "cosine"

    def prepare(self, tile: Tile) -> Tile:
        return replace(tile, vector=unit(tile.vector, tile.squares), longest=1.0)

    def pairs(self, query: Features, gallery: Features, left: Ints, right: Ints, *, fast: bool) -> NDArray[np.float64]:
        return cosine(query.vectors, gallery.vectors, left, right, fast=fast)


class Euclidean(Linear):
    """Minus the squared distance between two vectors as they are, in (−∞, 0]: −‖q‖² + 2 q·g − ‖g‖² as one product."""

    name = "euclidean"

    def prepare(self, tile: Tile) -> Tile:
        longest = float(tile.squares.amax().sqrt()) if len(tile) else 0.0
        if longest > _LONGEST:
            row = int(tile.squares.argmax())
            row = row + tile.rows.start if isinstance(tile.rows, slice) else int(tile.rows[row])
            raise UserError(
                f"{tile.role} features: row {row} has the length {longest:.1e}, too much for squared distances in "
                "float32; scale the features"
            )
        squared = tile.squares.float()[:, None]
        one = torch.ones_like(squared)
        if tile.role == "query":
            vector = torch.cat([2 * tile.vector, -squared, -one], dim=1)
        else:
            vector = torch.cat([tile.vector, one, squared], dim=1)
        return replace(tile, vector=vector, longest=longest)

    def pairs(self, query: Features, gallery: Features, left: Ints, right: Ints, *, fast: bool) -> NDArray[np.float64]:
        return -distances(query.vectors, gallery.vectors, left, right, fast=fast)

    def tolerance(self, query: Tile, gallery: Tile) -> float:
        return rounding(query.vector.shape[1]) * (query.longest + gallery.longest) ** 2
