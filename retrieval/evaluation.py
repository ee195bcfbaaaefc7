"""Exact evaluation in blocks of queries: scores, ranks and metrics without a Q×G matrix or a full sort."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from common.errors import UserError
from retrieval.columns import Features, Ints
from retrieval.protocols import Protocol
from retrieval.ranks import average_precision, inverse_negative_penalty, positive_ranks, trapezoid_precision
from retrieval.results import PerQuery, Scores, summarise
from retrieval.scorers import Scorer, prepared
from retrieval.tiles import Tile, cut, full_precision

__all__ = ["BLOCK", "PerQuery", "Scores", "evaluate", "share_of_blocks", "summarise"]

BLOCK = 256
_GALLERY_TILE = 16384
"""Gallery rows per product: with `BLOCK` queries its result is 16 MiB; larger ones pay for page faults."""


def evaluate(
    scorer: Scorer,
    query: Features,
    gallery: Features,
    protocol: Protocol,
    *,
    device: torch.device | str = "cpu",
    block: int = BLOCK,
    rows: Sequence[int] | Ints | None = None,
) -> PerQuery:
    """Rank the gallery for every query and judge the ranking.

    Queries are taken in blocks that start at multiples of `block`, and a block is always scored whole. So the
    results of a row do not depend on which other rows were asked for, bit by bit; several processes lose no time
    when they take whole blocks (`share_of_blocks`). Memory: one block of scores, and the gallery on `device`.

    Args:
        rows: the query rows to evaluate, in any order; all of them when None.

    Returns:
        One entry per row, sorted by row (`PerQuery.merge` puts processes together; `summarise` averages).

    Raises:
        UserError: query and gallery do not fit each other, or a feature or score is NaN (names the first row).
    """
    _check_shapes(query, gallery)
    wanted = np.arange(len(query)) if rows is None else np.unique(np.asarray(rows, dtype=np.int64))
    if wanted.size and (wanted[0] < 0 or wanted[-1] >= len(query)):
        raise ValueError(f"rows must lie in 0..{len(query) - 1}, got {wanted[0]}..{wanted[-1]}")
    place = torch.device(device)
    pieces = [np.empty((0, 6))]
    with full_precision(place):
        starts = range(0, len(gallery), _GALLERY_TILE)
        stops = (min(start + _GALLERY_TILE, len(gallery)) for start in starts)
        tiles = [
            prepared(scorer, cut(gallery, start, stop, place, "gallery"))
            for start, stop in zip(starts, stops, strict=True)
        ]
        for start in np.unique(wanted // block) * block:
            tile = prepared(scorer, cut(query, start, min(start + block, len(query)), place, "query"))
            scores = _score(scorer, tile, tiles)
            mine = wanted[(wanted >= start) & (wanted < start + block)]
            pieces.append(_judge(scores[mine - start], mine, query, gallery, protocol))
    return PerQuery.from_array(np.concatenate(pieces))


def share_of_blocks(queries: int, *, rank: int, world: int, block: int = BLOCK) -> Ints:
    """The query rows of process `rank` of `world`: every `world`-th block, so that nobody scores a block twice."""
    every = np.arange(queries, dtype=np.int64)
    mine: Ints = every[every // block % world == rank]
    return mine


def _check_shapes(query: Features, gallery: Features) -> None:
    for name in ("vectors", "parts", "visibility"):
        left, right = getattr(query, name), getattr(gallery, name)
        shapes = [None if array is None else array.shape[1:] for array in (left, right)]
        if shapes[0] != shapes[1]:
            raise UserError(
                f"the {name} of query and gallery do not fit: {shapes[0]} and {shapes[1]} numbers a row; "
                "extract both with the same checkpoint"
            )


def _score(scorer: Scorer, query: Tile, gallery: Iterable[Tile]) -> NDArray[np.float32]:
    """`(q, G)` scores of one block against the whole gallery, on the host."""
    pieces = [np.empty((len(query), 0), dtype=np.float32)]
    for tile in gallery:
        piece = scorer.scores(query, tile)
        if piece.shape != (len(query), len(tile)):
            raise ValueError(
                f"scorer '{scorer.name}' gave {tuple(piece.shape)} scores for {len(query)} query rows from "
                f"{query.start} and {len(tile)} gallery rows from {tile.start}"
            )
        pieces.append(piece.float().cpu().numpy())
    scores = np.concatenate(pieces, axis=1)
    # A maximum is NaN as soon as one of its values is.
    broken = np.isnan(scores.max(axis=1, initial=-np.inf))
    if broken.any():
        row = query.start + int(broken.argmax())
        raise UserError(f"scorer '{scorer.name}' gave NaN for query row {row}: its ranking means nothing")
    return scores


def _judge(
    scores: NDArray[np.float32], rows: Ints, query: Features, gallery: Features, protocol: Protocol
) -> NDArray[np.float64]:
    """`(n, 6)` in the form of `PerQuery.to_array` from the `(n, G)` scores of these query rows."""
    asked = query.columns.take(rows)
    kept = ~protocol.junk(asked, gallery.columns)
    good = protocol.good(asked, gallery.columns) & kept
    table = np.full((len(rows), 6), np.nan)
    for line, row in enumerate(rows):
        ranks = positive_ranks(scores[line], good[line], kept[line])
        if ranks.size:
            precision = average_precision(ranks), trapezoid_precision(ranks)
            table[line] = (row, *precision, inverse_negative_penalty(ranks), ranks[0], True)
        else:
            table[line, [0, 4, 5]] = (row, 0, False)
    return table
