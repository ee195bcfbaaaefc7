"""CAIL's ladder: from a network that only knows its own city to one that has adapted to another, part by part."""

from __future__ import annotations

from pathlib import Path

from benchmarks.ladders.ladder import Claim, Ladder, Measure, Row, Settings

RECIPE: Settings = {
    "optimizer.name": "sgd",
    "optimizer.lr": 0.05,
    "schedule.kind": "cosine",
    "schedule.by": "iteration",
    "schedule.warmup_epochs": 1,
}
"""The card's optimiser; the steps of its schedule make no sense in so few epochs."""

SOURCE_ONLY: Settings = {
    **RECIPE,
    "method": "baseline",
    "options.triplet.weight": 0,
    "options.identity.smoothing": 0,
    "batches.kind": "random",
    "batches.size": 16,
}
CAIL: Settings = {
    **RECIPE,
    "method": "cail",
    "batches.kind": "domains",
    "batches.size": 32,
    "options.diagnose_every": 20,
    "options.mix": False,
}
AGNOSTIC: Settings = {**CAIL, "options.neighbor_mode": 0, "options.agnostic.from_epoch": 4}
INTRA: Settings = {**CAIL, "options.intra.from_epoch": 4, "options.inter.weight": 0}
INTER: Settings = {**INTRA, "options.inter.weight": 0.5, "options.inter.from_epoch": 6}
FULL: Settings = {**INTER, "options.mix": True}

LADDER = Ladder(
    name="cail",
    question="What does each part of CAIL bring to a city without labels?",
    split="city2city",
    base=Path("configs/from_scratch.yml"),
    rows=(
        Row("source only", SOURCE_ONLY),
        Row("+ camera-agnostic neighbours", AGNOSTIC),
        Row("+ intra-camera neighbours", INTRA),
        Row("+ inter-camera neighbours", INTER),
        Row("+ mixup (CAIL)", FULL),
        Row("target supervised", SOURCE_ONLY, learns="target"),
    ),
    measures=(Measure("mAP"), Measure("rank-1", score="rank-1")),
    expected=(
        "Neighbours from other cameras bring most, neighbours within a camera something, and camera-agnostic ones "
        "least, because pictures of one camera resemble each other; mixup is behind early and ahead late. The ceiling "
        "knows the labels of the target."
    ),
    claims=(
        Claim("+ camera-agnostic neighbours", "source only", "mAP"),
        Claim("+ intra-camera neighbours", "+ camera-agnostic neighbours", "mAP"),
        Claim("+ inter-camera neighbours", "+ intra-camera neighbours", "mAP"),
        Claim("+ mixup (CAIL)", "source only", "mAP"),
        Claim("target supervised", "+ mixup (CAIL)", "mAP"),
    ),
)
