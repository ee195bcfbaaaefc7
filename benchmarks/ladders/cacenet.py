"""CACE-Net's ladder: what comparing pictures pair by pair teaches the feature of a single one."""

from __future__ import annotations

from pathlib import Path

from benchmarks.ladders.ladder import Claim, Ladder, Measure, Row, Settings

BASELINE: Settings = {
    "method": "cacenet",
    "model.pooling": "gem",
    "batches.instances": 4,
    "options.width": 256,
    "options.group": 16,
    "options.non_local": False,
    "options.mix.weight": 0,
    "options.pair_triplet.weight": 0,
}
NON_LOCAL: Settings = {**BASELINE, "options.non_local": True}
MIX: Settings = {**NON_LOCAL, "options.mix.weight": 2}
FULL: Settings = {**MIX, "options.pair_triplet.weight": 1}

_BASELINE, _NON_LOCAL, _MIX, _FULL = (
    "identity and triplet loss",
    "+ non-local blocks",
    "+ pair graph, mix loss",
    "+ pair triplet (all)",
)
_CONDITIONAL = "all, pictures given each other"
CHOSEN = "20,0.5,1"
"""K,LAMBDA,HARDEST: the best of 27 on a quarter of the training people, held out of another training of that row."""

LADDER = Ladder(
    name="cacenet",
    question="Does comparing pictures pair by pair teach a network small differences?",
    split="detail",
    base=Path("configs/from_scratch.yml"),
    rows=(
        Row(_BASELINE, BASELINE),
        Row(_NON_LOCAL, NON_LOCAL),
        Row(_MIX, MIX),
        Row(_FULL, FULL),
        Row(_CONDITIONAL, trained_by=_FULL, judged=("--conditional", CHOSEN)),
    ),
    measures=(Measure("mAP"), Measure("rank-1", score="rank-1")),
    expected=(
        "All rows but the last are judged by the feature of a picture alone, and learning in pairs should make that "
        "better, each part of it a little. Comparing the first places given each other should add to it."
    ),
    claims=(
        Claim(_MIX, _NON_LOCAL, "mAP"),
        Claim(_FULL, _MIX, "mAP", or_equal=True),
        Claim(_FULL, _NON_LOCAL, "mAP"),
        Claim(_FULL, _BASELINE, "mAP"),
        Claim(_FULL, _BASELINE, "rank-1"),
        Claim(_CONDITIONAL, _FULL, "mAP"),
    ),
    sizes={"small": {"data.height": 96, "data.width": 48, "data.augment.pad": 4, "train.epochs": 20}},
)
