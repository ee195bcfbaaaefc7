"""A network judged on a dataset over all processes, with the same numbers for any number of them."""

from __future__ import annotations

from collections.abc import Callable

import ignite.distributed as idist
import torch

from data.samples import Dataset, Split, require
from engine.extraction import Extraction, InMemory, columns_of, extract
from engine.gather import added_up
from modeling.methods.method import Embedder
from retrieval.columns import Features
from retrieval.evaluation import evaluate
from retrieval.protocols import protocol as protocol_of
from retrieval.results import Scores, summarise
from retrieval.scorers import Scorer
from retrieval.scorers import scorer as scorer_of
from retrieval.stream import Team


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
    return rank(query, gallery, dataset.protocol, scorer_of(embedder.scorer), how.device)


def rank(
    query: Features, gallery: Features, protocol: str, scorer: Scorer, device: torch.device, rerank: bool = False
) -> Scores:
    """Judge features; every process ranks against its share of the gallery and all get the scores.

    Args:
        rerank: only recorded; `scorer` must serve the re-ranked scores.
    """
    team = Team(idist.get_rank(), idist.get_world_size(), added_up)
    rule = protocol_of(protocol)
    found = evaluate(scorer, query, gallery, rule, device=device, team=team)
    return summarise(found, gallery=len(gallery), protocol=rule, scorer=scorer.name, rerank=rerank)
