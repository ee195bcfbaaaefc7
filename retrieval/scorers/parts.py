"""Body parts compared where both pictures show them (HCGA's matching; ISP's when normalised)."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from common.errors import UserError
from retrieval.columns import Features, Ints
from retrieval.scorers.scorer import Scorer, rounding, unit
from retrieval.streaming.exact import cosine
from retrieval.streaming.tiles import Tile


class VisibleParts(Scorer):
    """½(1 + cos) of the global feature, plus that of every part weighted by its visibility in both pictures.

        s(q, g) = ½(1 + cos(q, g)) + Σ_p v_p(q) v_p(g) ½(1 + cos(q_p, g_p)),  divided by  1 + Σ_p v_p(q) v_p(g)

    Args:
        normalised: divide, so that a picture does not gain by showing more. HCGA as published does not.
    """

    def __init__(self, normalised: bool = True) -> None:
        self.normalised = normalised
        self.name = "visible-parts" if normalised else "visible-parts-sum"

    def prepare(self, tile: Tile) -> Tile:
        if tile.parts is None:
            raise UserError(f"the scorer '{self.name}' compares body parts and these features have none; use cosine")
        visibility = tile.parts.new_ones(tile.parts.shape[:2]) if tile.visibility is None else tile.visibility
        return replace(
            tile,
            vector=unit(tile.vector, tile.squares),
            parts=unit(tile.parts, tile.parts.double().square().sum(dim=2)),
            visibility=visibility,
            longest=1.0,
        )

    def scores(self, query: Tile, gallery: Tile) -> Tensor:
        assert query.parts is not None
        assert query.visibility is not None
        assert gallery.parts is not None
        assert gallery.visibility is not None
        total = (query.vector @ gallery.vector.T).add_(1)
        # Part by part: a weighted mean of cosines is as exact as they are, a product of concatenated parts is not.
        for part in range(query.parts.shape[1]):
            cosine = query.parts[:, part] @ gallery.parts[:, part].T
            weight = query.visibility[:, part, None] * gallery.visibility[None, :, part]
            total.addcmul_(cosine.add_(1), weight)
        if self.normalised:
            total /= (query.visibility @ gallery.visibility.T).add_(1)
        return total.div_(2)

    def pairs(self, query: Features, gallery: Features, left: Ints, right: Ints, *, fast: bool) -> NDArray[np.float64]:
        assert query.parts is not None
        assert gallery.parts is not None
        total = 1 + cosine(query.vectors, gallery.vectors, left, right, fast=fast)
        weights = np.ones(len(left))
        for part in range(query.parts.shape[1]):
            weight = np.ones(len(left))
            for side, rows in ((query, left), (gallery, right)):
                if side.visibility is not None:
                    weight *= side.visibility[rows, part]
            total += weight * (1 + cosine(query.parts[:, part], gallery.parts[:, part], left, right, fast=fast))
            weights += weight
        scores: NDArray[np.float64] = total / weights / 2 if self.normalised else total / 2
        return scores

    def tolerance(self, query: Tile, gallery: Tile) -> float:
        assert query.parts is not None
        count, width = query.parts.shape[1:]
        terms = 1 if self.normalised else 1 + count
        return terms * (rounding(max(width, query.vector.shape[1])) + torch.finfo(torch.float32).eps * (count + 2))
