"""Each query's best gallery pictures as a table, to look at or to work on elsewhere."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import numpy as np

from common.files import write_atomically
from retrieval.columns import Features, Ints
from retrieval.files.foreign import Cache
from retrieval.neighbours.search import neighbours
from retrieval.protocols import protocol as protocol_of
from retrieval.ranking.acquaintances import Acquaintances
from retrieval.study import Question, comparison

HEADER = ["query", "rank", "gallery", "score", "correct", "query_path", "gallery_path"]


def write_lists(path: Path, query: Cache, gallery: Cache, question: Question, count: int, device: str = "cpu") -> None:
    """Write a CSV of `count` lines per query, best first, as the question's first protocol has it.

    Its junk is left out; rows count from 0 in query and gallery; `correct` is 1 for a positive.
    """
    rule = protocol_of(question.protocols[0])
    asked = np.flatnonzero(rule.asked(query.features.columns))
    shown = np.flatnonzero(rule.shown(gallery.features.columns))
    left, right = _only(query.features, asked), _only(gallery.features, shown)
    pairs = Acquaintances.of(left.columns, right.columns)
    positive = pairs.positives(rule)
    scorer, compared, known = comparison(left, right, question, device=device)
    junk = pairs.owners[~positive], pairs.rows[~positive]
    found = neighbours(scorer, compared, known, count, device=device, leave_out=junk)
    correct = {*zip(pairs.owners[positive].tolist(), pairs.rows[positive].tolist(), strict=True)}
    text = io.StringIO()
    lines = csv.writer(text, lineterminator="\n")
    lines.writerow(HEADER)
    for line, (rows, scores) in enumerate(zip(found.rows.tolist(), found.scores.tolist(), strict=True)):
        row = int(asked[line])
        for rank, (item, score) in enumerate(zip(rows, scores, strict=True), start=1):
            if item >= 0:
                there = int(shown[item])
                hit = int((line, item) in correct)
                lines.writerow([row, rank, there, f"{score:.6g}", hit, query.paths[row], gallery.paths[there]])
    # File names on Linux are bytes: one that is not UTF-8 must come back as it was.
    write_atomically(path, lambda file: file.write(text.getvalue().encode("utf-8", "surrogateescape")))


def _only(features: Features, rows: Ints) -> Features:
    """Some rows; all of them stay where they are, which may be on disk."""
    return features if len(rows) == len(features) else features.take(rows)
