"""Scorers of the global feature: the angle, or the distance, between two vectors."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray

from retrieval.columns import Features, Ints
from retrieval.scorers.scorer import Linear, rounding
from retrieval.streaming.exact import cosine, inner, squares
from retrieval.streaming.tiles import Tile


class Cosine(Linear):
    """The cosine of the angle between two vectors, in [−1, 1]; a zero vector is at right angles to everything."""

    name = "cosine"

    def prepare(self, tile: Tile) -> Tile:
        scale = torch.where(tile.squares > 0, tile.squares.rsqrt(), 0)
        return replace(tile, vector=tile.vector * scale[:, None], longest=1.0)

    def pairs(self, query: Features, gallery: Features, left: Ints, right: Ints, *, fast: bool) -> NDArray[np.float64]:
        return cosine(query.vectors, gallery.vectors, left, right, fast=fast)


class Euclidean(Linear):
    """Minus the squared distance between two vectors as they are, in (−∞, 0]: −‖q‖² + 2 q·g − ‖g‖² as one product."""

    name = "euclidean"

    def prepare(self, tile: Tile) -> Tile:
        squared = tile.squares[:, None]
        one = torch.ones_like(squared)
        if tile.role == "query":
            vector = torch.cat([2 * tile.vector, -squared, -one], dim=1)
        else:
            vector = torch.cat([tile.vector, one, squared], dim=1)
        return replace(tile, vector=vector, longest=float(squared.amax().sqrt()) if len(tile) else 0.0)

    def pairs(self, query: Features, gallery: Features, left: Ints, right: Ints, *, fast: bool) -> NDArray[np.float64]:
        products = inner(query.vectors, gallery.vectors, left, right, fast=fast)
        ours, theirs = squares(query.vectors, left, fast=fast), squares(gallery.vectors, right, fast=fast)
        scores: NDArray[np.float64] = np.minimum(2 * products - ours - theirs, 0)
        return scores

    def tolerance(self, query: Tile, gallery: Tile) -> float:
        return rounding(query.vector.shape[1]) * (query.longest + gallery.longest) ** 2
