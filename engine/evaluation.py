"""A network judged on a dataset over all processes, with the same numbers for any number of them."""

from __future__ import annotations

from collections.abc import Callable

import ignite.distributed as idist
import torch

from data.samples import Dataset, Split, require
from engine.extraction import Extraction, InMemory, columns_of, extract
from engine.gather import gather_rows
from modeling.methods.method import Embedder
from retrieval.columns import Features
from retrieval.evaluation import evaluate, share_of_blocks
from retrieval.protocols import protocol as protocol_of
from retrieval.results import PerQuery, Scores, summarise
from retrieval.scorers import Scorer
from retrieval.scorers import scorer as scorer_of


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
    """Judge features; every process ranks its share of the queries and all get the scores.

    Args:
        rerank: only recorded; `scorer` must serve the re-ranked scores.
    """
    mine = share_of_blocks(len(query), rank=idist.get_rank(), world=idist.get_world_size())
    part = evaluate(scorer, query, gallery, protocol_of(protocol), device=device, rows=mine)
    whole = PerQuery.from_array(gather_rows(torch.from_numpy(part.to_array()).to(device)).cpu().numpy())
    return summarise(whole, gallery=len(gallery), protocol=protocol, scorer=scorer.name, rerank=rerank)
