"""CAMC's ladder: whether knowing where the joints are helps to find people who have changed their clothes."""

from __future__ import annotations

from pathlib import Path

from benchmarks.ladders.clothes import MEASURES
from benchmarks.ladders.ladder import Claim, Ladder, Row, Settings

CAMC: Settings = {
    "method": "camc",
    "batches.size": 32,
    "batches.instances": 4,
    "data.poses.source": "keypoints",
}

_APPEARANCE, _CONCATENATION, _FULL = "appearance only", "+ joints, concatenated", "+ alignment and attention (CAMC)"
_OTHERS, _NONE = "CAMC, tested with another picture's joints", "CAMC, tested without joints"

LADDER = Ladder(
    name="pose",
    question="Does knowing where the joints are help to find people who have changed their clothes?",
    split="clothes",
    base=Path("configs/from_scratch.yml"),
    rows=(
        Row(_APPEARANCE, {**CAMC, "options.fusion": "appearance"}),
        Row(_CONCATENATION, {**CAMC, "options.fusion": "concat"}),
        Row(_FULL, CAMC),
        Row(_OTHERS, trained_by=_FULL, judged=("--shuffle-poses",)),
        Row(_NONE, trained_by=_FULL, judged=("--poses", "zeros")),
    ),
    measures=MEASURES,
    expected=(
        "The joints are those that the street drew. They help where clothes have changed, more so when both streams "
        "are aligned and ask each other. With the joints of another picture, or none, the same network does worse: "
        "the shape is used."
    ),
    claims=(
        Claim(_CONCATENATION, _APPEARANCE, "mAP, changed"),
        Claim(_FULL, _CONCATENATION, "mAP, changed"),
        Claim(_FULL, _APPEARANCE, "mAP, changed"),
        Claim(_FULL, _OTHERS, "mAP, changed"),
        Claim(_FULL, _NONE, "mAP, changed"),
    ),
    sizes={"small": {"data.height": 96, "data.width": 48, "data.augment.pad": 4, "train.epochs": 10}},
)
