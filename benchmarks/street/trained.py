"""(b) A network trained in one city fails in the other, and (e) a supervised one does well, with room above and below.

Trainings go through `train.sh`, as those of the ladders do; one that is finished is not done again.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import torch

from benchmarks.street.finding import Finding, percent
from configs.loader import parse
from data.samples import Dataset
from engine.checkpoint import load_checkpoint
from engine.evaluation import evaluate_network
from engine.extraction import Extraction
from modeling.methods import build_embedder, options_of
from retrieval.ranking.results import Scores

Judge = Callable[[Dataset], Scores]
"""Scores of a network on query and gallery of a dataset, by the dataset's protocol."""

LOSS = 1 / 3
"""Of mAP, that a network has to lose at least in another city."""
WELL = 0.80
"""Rank-1 that supervised training has to reach."""


def judge_of(checkpoint: Path, device: torch.device, untrained: bool = False) -> Judge:
    """What the network of a checkpoint is judged by; `untrained`: the same network before its first step."""
    loaded = load_checkpoint(checkpoint)
    config = parse(loaded.card["config"], options_of)
    torch.manual_seed(config.seed)
    network = build_embedder(config)
    if not untrained:
        network.load_state_dict(loaded.model)
    how = Extraction.of(config, network.to(device), device)
    return lambda dataset: evaluate_network(network, dataset, how)


def cities(judges: dict[str, Judge], datasets: dict[str, Dataset]) -> Finding:
    """Each city's network in each city: rows are where it was trained."""
    scores = {
        (trained, seen): judge(dataset) for trained, judge in judges.items() for seen, dataset in datasets.items()
    }
    rows, held = [], True
    for trained in judges:
        home = scores[trained, trained].mAP
        for seen in datasets:
            if seen != trained:
                away = scores[trained, seen].mAP
                lost = 1 - away / home
                held &= lost >= LOSS
                rows.append((trained, seen, percent(home), percent(away), percent(lost)))
    return Finding(
        "(b) A network trained in one city loses at least a third of its mAP in the other, either way.",
        ("trained in", "then seen", "mAP at home, %", "mAP there, %", "lost, %"),
        tuple(rows),
        held,
    )


def supervised(judge: Judge, untrained: Judge, dataset: Dataset) -> Finding:
    """A trained network on the standard split, and the same network before training."""
    after, before = judge(dataset), untrained(dataset)
    rows = [
        (name, percent(scores.mAP), percent(scores.mINP), percent(scores.cmc[1]), percent(scores.cmc[5]))
        for name, scores in (("untrained", before), ("trained", after))
    ]
    return Finding(
        f"(e) Supervised training reaches rank-1 {percent(WELL)} % on the standard split and leaves room above.",
        ("ResNet-18", "mAP, %", "mINP, %", "rank-1, %", "rank-5, %"),
        tuple(rows),
        after.cmc[1] >= WELL and after.mAP < 0.98,
    )
