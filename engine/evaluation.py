"""A network judged on a dataset over all processes, with the same numbers for any number of them."""

from __future__ import annotations

from collections.abc import Callable

from data.samples import Dataset, Split, require
from engine.extraction import Extraction, InMemory, columns_of, extract
from engine.gather import team
from modeling.methods.method import Embedder
from retrieval.columns import Features
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
