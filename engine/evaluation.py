"""A network judged on datasets over all processes, with the same numbers for any number of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from data.samples import Dataset, Ints, Split, require
from data.validation import Mask, hold_out
from engine.extraction import Extraction, InMemory, columns_of, extract
from engine.gather import team
from modeling.methods.method import Embedder
from retrieval.columns import Features
from retrieval.protocols import protocol as protocol_of
from retrieval.ranking.results import Scores
from retrieval.study import Question, study


def evaluate_network(
    embedder: Embedder, dataset: Dataset, how: Extraction, stop: Callable[[], bool] | None = None
) -> Scores:
    """Extract query and gallery into memory and rank them (periodic evaluation during training)."""
    require(dataset, "query", "gallery")

    def features(split: Split, title: str) -> Features:
        sink = InMemory(columns_of(split))
        extract(embedder, split, sink, how, f"{dataset.name} {title}", stop)
        return sink.features()

    query, gallery = features(dataset.query, "query"), features(dataset.gallery, "gallery")
    question = Question([dataset.protocol], embedder.scorer)
    return study(query, gallery, question, device=how.device, team=team()).scores[dataset.protocol]


def validation_of(dataset: Dataset, share: float, seed: int) -> Dataset:
    """The dataset with a share of its training identities as query and gallery.

    They are judged by the dataset's own protocol, or where that is a general one under the name that papers give it on
    this dataset's test set, by that general one: what makes the test set special (tracklets in the place of cameras,
    queries that are all occluded) is not so of training pictures, and the score must not carry its name.

    Raises:
        UserError: see `data.validation.hold_out`.
    """
    rule, columns = protocol_of(dataset.protocol), columns_of(dataset.train)
    while rule.same_as is not None:
        rule = protocol_of(rule.same_as)

    def pairs(query: Ints, gallery: Ints) -> Mask:
        asked, shown = columns.take(query), columns.take(gallery)
        return rule.good(asked, shown) & rule.asked(asked) & rule.shown(shown)

    return hold_out(replace(dataset, protocol=rule.name), share, seed, pairs)


def mean_of(scores: Sequence[Scores]) -> Scores:
    """Several datasets count alike, whatever their sizes; of one it is that one."""
    if len(scores) == 1:
        return scores[0]
    first = scores[0]
    return replace(
        first,
        mAP=float(np.mean([each.mAP for each in scores])),
        mAP_trap=float(np.mean([each.mAP_trap for each in scores])),
        mINP=float(np.mean([each.mINP for each in scores])),
        cmc={rank: float(np.mean([each.cmc[rank] for each in scores])) for rank in first.cmc},
        queries=sum(each.queries for each in scores),
        valid_queries=sum(each.valid_queries for each in scores),
        gallery=sum(each.gallery for each in scores),
        protocol=" + ".join(dict.fromkeys(each.protocol for each in scores)),
    )
