"""The scores of pairs of one person, before the gallery passes by."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch

from retrieval.columns import Features, Ints
from retrieval.protocols import Mask
from retrieval.ranking.acquaintances import Acquaintances
from retrieval.scorers import Scorer
from retrieval.streaming.exact import Doubles
from retrieval.streaming.stream import Backend, check_shapes
from retrieval.streaming.tiles import cut, full_precision
from retrieval.streaming.workers import share_out

_TOGETHER = 128
"""Gallery rows of one batch: few, which a cache holds, and since a tile computes pairs of different people in vain."""
_LARGEST = 1 << 18
"""Pairs of one tile, where a person has very many pictures."""


def known_scores(
    scorer: Scorer,
    query: Features,
    gallery: Features,
    pairs: Acquaintances,
    wanted: Mask,
    device: torch.device,
    backend: Backend,
) -> tuple[Doubles, Doubles]:
    """`(n,)` the scores of the wanted pairs, NaN for the others, and `(n,)` how far from the exact ones they may be.

    Compiled code is fast enough for the exact ones. Without it they are taken from tiles of a few people each.
    """
    check_shapes(query, gallery)
    scores = np.full(len(pairs), np.nan)
    margin = np.zeros(len(pairs))

    def work(batch: Ints) -> None:
        if backend.fast:
            with np.errstate(invalid="ignore", over="ignore"):  # NaN and inf are named when the tiles are cut
                scores[batch] = scorer.pairs(query, gallery, pairs.owners[batch], pairs.rows[batch], fast=True)
            return
        left, line = np.unique(pairs.owners[batch], return_inverse=True)
        right, column = np.unique(pairs.rows[batch], return_inverse=True)
        asked = scorer.prepare(cut(query, left, device, "query"))
        known = scorer.prepare(cut(gallery, right, device, "gallery"))
        scores[batch] = scorer.scores(asked, known).cpu().numpy()[line, column]
        margin[batch] = scorer.tolerance(asked, known)

    with full_precision(device):
        batches = _batches(pairs, wanted, _TOGETHER)
        share_out(lambda worker: next(batches, None), work, backend.threads)
    return scores, margin


def _batches(pairs: Acquaintances, wanted: Mask, together: int) -> Iterator[Ints]:
    """The wanted pairs, some people at a time."""
    listed = np.flatnonzero(wanted)
    people = pairs.query.pids[pairs.owners[listed]]
    order = np.argsort(people, kind="stable")
    persons, first = np.unique(people[order], return_index=True)
    pictures = np.sort(pairs.gallery.pids)
    known = np.searchsorted(pictures, persons, side="right") - np.searchsorted(pictures, persons, side="left")
    batch = np.cumsum(known) // together
    for part in np.split(listed[order], first[1:][np.diff(batch) > 0]):
        yield from (part[start : start + _LARGEST] for start in range(0, len(part), _LARGEST))
