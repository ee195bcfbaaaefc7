"""k-reciprocal re-ranking (Zhong et al., "Re-ranking Person Re-identification with k-reciprocal Encoding", CVPR 2017).

Two pictures are close when each is among the other's nearest neighbours and these neighbourhoods agree: the Jaccard
distance of weighted k-reciprocal neighbour sets, mixed with the original distance. Query and gallery together are the
N rows whose neighbourhoods are compared. A row is in few sets and a set has few members, so everything is kept as
lists: memory grows with N·k, and neither an N×N nor a Q×G array ever exists.

    per_query = evaluate(rerank(Cosine(), query, gallery), query, gallery, protocol("market"))

Who is in a set does not depend on what computes. Weights are made from exact cosines and summed in one order, by
compiled loops (`retrieval.reranking.kernels`) and by the plain forms here; only the farthest distance, which each row's
distances are divided by, comes from float32 scores.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import torch
from torch import Tensor

from common.contracts import UNKNOWN
from common.errors import UserError
from retrieval.columns import Columns, Features, Ints
from retrieval.reranking.encoding import encode
from retrieval.reranking.sets import Sets, in_common, overlaps, plain_arrays, row_parts
from retrieval.scorers import Cosine, Scorer
from retrieval.scorers.scorer import UNIT
from retrieval.streaming import compiled
from retrieval.streaming.exact import Doubles
from retrieval.streaming.products import Product, product
from retrieval.streaming.stream import ALONE, Backend, Team, check_shapes
from retrieval.streaming.tiles import Tile, cut


def rerank(
    scorer: Scorer,
    query: Features,
    gallery: Features,
    *,
    k1: int = 20,
    k2: int = 6,
    lam: float = 0.3,
    device: torch.device | str = "cpu",
    backend: Backend | None = None,
    team: Team = ALONE,
    index: str = "exact",
) -> Reranked:
    """What ranks this gallery for these queries by k-reciprocal neighbours; the defaults are the paper's.

    Memory: the vectors twice while neighbours are searched, and some hundred bytes a row for its set.

    Args:
        scorer: the cosine; distances are d² = 2 − 2 cos, each row's divided by its largest.
        k1: neighbours that are looked at.
        k2: neighbours whose sets are averaged (query expansion); 1 leaves the sets as they are.
        lam: weight of the original distance, in [0, 1].
        index: how neighbours are searched.

    Raises:
        UserError: another scorer, an impossible k1, k2 or λ, query and gallery that do not fit each other, or NaN.
    """
    if not isinstance(scorer, Cosine):
        raise UserError(
            f"k-reciprocal re-ranking compares vectors by their angle, not by the scorer '{scorer.name}'; "
            "use the scorer 'cosine', or leave re-ranking out"
        )
    if not 0 <= lam <= 1:
        raise UserError(f"lam is {lam}: the weight of the original distance lies between 0 and 1 (the paper's is 0.3)")
    check_shapes(query, gallery)
    everyone = _together(query, gallery)
    host = Backend.on_host(device, backend, everyone, everyone)
    sets, farthest = encode(everyone, k1, k2, device, backend, host, team, index)
    return Reranked(scorer, sets, farthest[: len(query)], lam, host)


class Reranked(Scorer):
    """Minus the re-ranked distance, (1 − λ) Jaccard + λ original, of one query set and its gallery.

    The tiles' rows must be those of the two sets that it was made for.

    Args:
        sets: of all queries' rows and then of all gallery rows.
        farthest: `(Q,)` each query's largest original distance.
    """

    def __init__(self, base: Cosine, sets: Sets, farthest: Doubles, lam: float, backend: Backend) -> None:
        self.base, self.sets, self.farthest, self.lam, self.backend = base, sets, farthest, lam, backend
        self.name = f"{base.name}, k-reciprocal"

    def prepare(self, tile: Tile) -> Tile:
        prepared = self.base.prepare(tile)
        if tile.role == "query":
            return prepared
        packed = self._product(prepared.vector.device).pack(prepared.vector)
        lists = self.sets.take(_moved(tile.rows, len(self.farthest))).transposed(len(self.sets))
        return _Gallery(
            **{field.name: getattr(prepared, field.name) for field in fields(Tile)}, packed=packed, lists=lists
        )

    def scores(self, query: Tile, gallery: Tile) -> Tensor:
        assert isinstance(gallery, _Gallery)
        scores = self._product(query.vector.device).multiply(query.vector, gallery.packed)
        self._blend(scores, self.sets.take(query.rows), gallery.lists, self.farthest[query.rows])
        return scores

    def pairs(self, query: Features, gallery: Features, left: Ints, right: Ints, *, fast: bool) -> Doubles:
        if (len(query), len(query) + len(gallery)) != (len(self.farthest), len(self.sets)):
            raise ValueError(f"{len(query)} queries and {len(gallery)} gallery rows are not what was re-ranked")
        cosines = self.base.pairs(query, gallery, left, right, fast=fast)
        original = (2 - 2 * cosines) / self.farthest[left]
        shared = in_common(self.sets, left, right + len(self.farthest), fast)
        scores: Doubles = (self.lam - 1) * (1 - shared / (2 - shared)) - self.lam * original
        return scores

    def tolerance(self, query: Tile, gallery: Tile) -> float:
        slope = float((2 * self.lam / self.farthest[query.rows]).max(initial=0))
        return slope * self.base.tolerance(query, gallery) + 8 * UNIT * (1 + slope)

    def _blend(self, tile: Tensor, asked: Sets, lists: Sets, farthest: Doubles) -> None:
        """A tile of cosines becomes −(1 − λ) (1 − similarity) − λ (2 − 2 cos) / farthest, in place."""
        slopes = 2 * self.lam / farthest
        lines = np.stack([slopes, self.lam - 1 - slopes]).astype(np.float32)
        fast = self.backend.fast
        if tile.device.type == "cpu" and fast and (kernels := compiled.kernels("reranking")) is not None:
            kernels.blend(*plain_arrays(asked), *plain_arrays(lists), tile.numpy(), *lines, 1 - self.lam)
            return
        slope, offset = torch.from_numpy(lines[:, :, None]).to(tile.device)
        flat = torch.addcmul(offset, tile, slope, out=tile).view(-1)
        for rows, shared in overlaps(asked, lists, tile.shape[1], fast):
            gain = (1 - self.lam) * (shared.weights / (2 - shared.weights))
            cells = (shared.owners + rows.start) * tile.shape[1] + shared.members
            flat[torch.from_numpy(cells).to(tile.device)] += torch.from_numpy(gain.astype(np.float32)).to(tile.device)

    def _product(self, device: torch.device) -> Product:
        return product(self.backend.product if device.type == "cpu" else "torch")


@dataclass(frozen=True)
class _Gallery(Tile):
    """Gallery rows packed for the product, with the sets that each of the N rows is in."""

    packed: Any = None
    lists: Any = None


def _moved(rows: slice | Ints, by: int) -> slice | Ints:
    return slice(rows.start + by, rows.stop + by) if isinstance(rows, slice) else rows + by


def _together(query: Features, gallery: Features) -> Features:
    """The vectors of both, one below the other, without labels: nothing here may look at them."""
    vectors = np.empty((len(query) + len(gallery), query.vectors.shape[1]), dtype=np.float32)
    for role, side, first in (("query", query, 0), ("gallery", gallery, len(query))):
        bare = Features(side.vectors, side.columns)
        for rows in row_parts(len(side)):
            piece = cut(bare, rows, torch.device("cpu"), role).vector
            vectors[first + rows.start : first + rows.stop] = piece.numpy()
    return Features(vectors, Columns.of(np.full(len(vectors), UNKNOWN)))
