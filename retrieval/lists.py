"""Each query's best gallery pictures as a table, to look at or to work on elsewhere."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from common.files import write_atomically
from retrieval.columns import Features, Ints
from retrieval.neighbours.search import neighbours
from retrieval.protocols import Mask
from retrieval.protocols import protocol as protocol_of
from retrieval.ranking.acquaintances import Acquaintances
from retrieval.scorers import Scorer
from retrieval.streaming.exact import Doubles
from retrieval.streaming.tiles import Tile
from retrieval.study import Answer

HEADER = ["query", "rank", "gallery", "score", "correct", "query_path", "gallery_path"]


def write_lists(
    path: Path,
    answer: Answer,
    query_paths: Sequence[str],
    gallery_paths: Sequence[str],
    count: int,
    device: str = "cpu",
) -> None:
    """Write a CSV of up to `count` lines per query, best first: the ranking that was judged, by its first protocol.

    Its junk is left out; rows count from 0 in query and gallery; `correct` is 1 for a positive. The score is what was
    ranked by: a cosine, minus a squared distance, minus a re-ranked distance.

    Raises:
        UserError: that protocol draws galleries.
    """
    rule = protocol_of(next(iter(answer.scores)))
    rule.require_one_gallery("the best pictures of each query")
    compared = answer.compared[rule.name]
    query, gallery = compared.query, compared.gallery
    queries, items = compared.rows or (np.arange(len(query)), np.arange(len(gallery)))
    pairs = Acquaintances.of(query.columns, gallery.columns)
    positive = pairs.positives(rule)
    junk = pairs.owners[~positive], pairs.rows[~positive]
    shown = _Shown(compared.scorer, rule.shown(gallery.columns))
    found = neighbours(shown, query, gallery, count, device=device, backend=answer.backend, leave_out=junk)
    correct = {*zip(pairs.owners[positive].tolist(), pairs.rows[positive].tolist(), strict=True)}
    text = io.StringIO()
    lines = csv.writer(text, lineterminator="\n")
    lines.writerow(HEADER)
    for row in np.flatnonzero(rule.asked(query.columns)).tolist():
        listed = zip(found.rows[row].tolist(), found.scores[row].tolist(), strict=True)
        for rank, (place, score) in enumerate(listed, start=1):
            if place >= 0:
                hit, asked, item = int((row, place) in correct), int(queries[row]), int(items[place])
                lines.writerow([asked, rank, item, f"{score:.6g}", hit, query_paths[asked], gallery_paths[item]])
    # File names on Linux are bytes: one that is not UTF-8 must come back as it was.
    write_atomically(path, lambda file: file.write(text.getvalue().encode("utf-8", "surrogateescape")))


class _Shown(Scorer):
    """Another scorer, for which some gallery rows are not there: −∞ is in no list."""

    def __init__(self, base: Scorer, shown: Mask) -> None:
        self.base, self.shown = base, shown
        self.name = base.name

    def prepare(self, tile: Tile) -> Tile:
        return self.base.prepare(tile)

    def scores(self, query: Tile, gallery: Tile) -> Tensor:
        scores = self.base.scores(query, gallery)
        scores[:, torch.from_numpy(~self.shown[gallery.rows]).to(scores.device)] = -torch.inf
        return scores

    def pairs(self, query: Features, gallery: Features, left: Ints, right: Ints, *, fast: bool) -> Doubles:
        scores = self.base.pairs(query, gallery, left, right, fast=fast)
        scores[~self.shown[right]] = -np.inf
        return scores

    def tolerance(self, query: Tile, gallery: Tile) -> float:
        return self.base.tolerance(query, gallery)
