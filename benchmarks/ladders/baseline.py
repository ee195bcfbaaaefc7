"""The baseline's ladder: its parts put on one after the other, down to the plain network they are put on."""

from __future__ import annotations

from pathlib import Path

from benchmarks.ladders.ladder import Claim, Ladder, Measure, Row, Settings

NO_TRIPLET: Settings = {"options.triplet.weight": 0}
NO_SMOOTHING: Settings = {"options.identity.smoothing": 0}
LAST_STRIDE_2: Settings = {"model.last_stride": 2}
NO_ERASING: Settings = {"data.augment.erase": 0}

LADDER = Ladder(
    name="baseline",
    question="Which of the baseline's parts carry its result?",
    split="standard",
    base=Path("configs/from_scratch.yml"),
    rows=(
        Row("identity loss only", {**NO_TRIPLET, **NO_SMOOTHING, **LAST_STRIDE_2, **NO_ERASING}),
        Row("+ triplet", {**NO_SMOOTHING, **LAST_STRIDE_2, **NO_ERASING}),
        Row("+ label smoothing", {**LAST_STRIDE_2, **NO_ERASING}),
        Row("+ last stride 1", {**NO_ERASING}),
        Row("+ random erasing (all)"),
    ),
    measures=(Measure("mAP"), Measure("mINP", score="mINP"), Measure("rank-1", score="rank-1")),
    expected=(
        "Each part helped on Market-1501 with pretrained weights and 120 epochs (Luo et al. 2019). In a short training "
        "from nothing on few people the triplet loss and the larger map should still help; erasing, which pays off in "
        "long trainings, and smoothing need not."
    ),
    claims=(
        Claim("+ triplet", "identity loss only", "mAP"),
        Claim("+ last stride 1", "+ label smoothing", "mAP"),
        Claim("+ random erasing (all)", "identity loss only", "mAP"),
    ),
)
