"""CAL's and AIM's ladder: what helps to find people who have changed their clothes."""

from __future__ import annotations

from pathlib import Path

from benchmarks.ladders.ladder import Claim, Ladder, Measure, Row, Settings

GATE = 4
"""The epoch in which everything but telling people and clothes apart begins."""

IDENTITY: Settings = {
    "method": "cal",
    "model.pooling": "maxavg",
    "batches.size": 32,
    "batches.instances": 4,
    "options.adversarial.weight": 0,
}
PUBLISHED: Settings = {**IDENTITY, "options.adversarial.weight": 1, "options.adversarial.from_epoch": GATE}
CAL: Settings = {**PUBLISHED, "options.adversarial.epsilon": 0.5}
AIM: Settings = {
    **CAL,
    "method": "aim",
    "options.causal.from_epoch": GATE,
    "options.transfer.from_epoch": GATE,
}

_IDENTITY, _PUBLISHED, _CAL, _AIM = (
    "identity loss only",
    "+ clothes-adversarial loss, ε = 0.1",
    "+ clothes-adversarial loss, ε = 0.5 (CAL)",
    "+ causal loss and transfer (AIM)",
)
_OTHERS = "AIM, maps of other pictures"

MEASURES = (
    Measure("mAP, changed", "cloth-changing"),
    Measure("rank-1, changed", "cloth-changing", "rank-1"),
    Measure("mAP, same", "same-clothes"),
    Measure("mAP, standard", "standard"),
)

LADDER = Ladder(
    name="clothes",
    question="What helps to find people who have changed their clothes?",
    split="clothes",
    base=Path("configs/from_scratch.yml"),
    rows=(
        Row(_IDENTITY, IDENTITY),
        Row(_PUBLISHED, PUBLISHED),
        Row(_CAL, CAL),
        Row(_AIM, AIM),
        Row(_OTHERS, {**AIM, "options.shuffle_maps": True}),
    ),
    measures=MEASURES,
    expected=(
        "The adversarial loss helps where clothes have changed, AIM a little more, and neither costs much where they "
        "are the same. All rows are trained for as many epochs. If AIM does as well when its fusion looks where the "
        "clothes network looks on another picture, it is not the clothes that are taken away."
    ),
    claims=(
        Claim(_PUBLISHED, _IDENTITY, "mAP, changed"),
        Claim(_CAL, _IDENTITY, "mAP, changed"),
        Claim(_CAL, _IDENTITY, "mAP, same", or_equal=True),
        Claim(_CAL, _IDENTITY, "mAP, standard", or_equal=True),
        Claim(_AIM, _CAL, "mAP, changed", or_equal=True),
        Claim(_AIM, _IDENTITY, "mAP, same", or_equal=True),
        Claim(_AIM, _IDENTITY, "mAP, standard", or_equal=True),
        Claim(_AIM, _OTHERS, "mAP, changed"),
    ),
    sizes={"small": {"data.height": 64, "data.width": 32, "data.augment.pad": 3, "train.epochs": 10}},
)
