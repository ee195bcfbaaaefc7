"""CAL's and AIM's ladder: what helps to find people who have changed their clothes."""

from __future__ import annotations

from pathlib import Path

from benchmarks.ladders.ladder import Claim, Ladder, Measure, Row, Settings

GATE = 5
"""The epoch in which everything but telling people and clothes apart begins."""

IDENTITY: Settings = {
    "method": "cal",
    "model.pooling": "maxavg",
    "batches.size": 32,
    "batches.instances": 4,
    "options.adversarial.weight": 0,
}
CAL: Settings = {**IDENTITY, "options.adversarial.weight": 1, "options.adversarial.from_epoch": GATE}
AIM: Settings = {
    **CAL,
    "method": "aim",
    "options.causal.from_epoch": GATE,
    "options.transfer.from_epoch": GATE,
}

LADDER = Ladder(
    name="clothes",
    question="What helps to find people who have changed their clothes?",
    split="clothes",
    base=Path("configs/from_scratch.yml"),
    rows=(
        Row("identity loss only", IDENTITY),
        Row("+ clothes-adversarial loss (CAL)", CAL),
        Row("+ causal loss and transfer (AIM)", AIM),
        Row("AIM without transfer", {**AIM, "options.transfer.weight": 0}),
        Row("AIM, maps of other pictures", {**AIM, "options.shuffle_maps": True}),
    ),
    measures=(
        Measure("mAP, changed", "cloth-changing"),
        Measure("rank-1, changed", "cloth-changing", "rank-1"),
        Measure("mAP, same", "same-clothes"),
        Measure("mAP, standard", "standard"),
    ),
    expected=(
        "The adversarial loss helps where clothes have changed, AIM a little more, and neither costs much where they "
        "are the same. All rows are trained for as many epochs. If AIM does as well when its fusion looks where the "
        "clothes network looks on another picture, it is not the clothes that are taken away."
    ),
    claims=(
        Claim("+ clothes-adversarial loss (CAL)", "identity loss only", "mAP, changed"),
        Claim("+ causal loss and transfer (AIM)", "identity loss only", "mAP, changed"),
        Claim("+ causal loss and transfer (AIM)", "+ clothes-adversarial loss (CAL)", "mAP, changed"),
        Claim("+ causal loss and transfer (AIM)", "AIM, maps of other pictures", "mAP, changed"),
    ),
    sizes={"small": {"data.height": 96, "data.width": 48, "data.augment.pad": 4, "train.epochs": 12}},
)
