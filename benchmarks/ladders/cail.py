"""CAIL's ladder: from a network that only knows its own city to one that has adapted to another, part by part."""

from __future__ import annotations

from pathlib import Path

from benchmarks.ladders.ladder import Claim, Ladder, Measure, Row, Settings

SOURCE_ONLY: Settings = {
    "method": "baseline",
    "options.triplet.weight": 0,
    "options.identity.smoothing": 0,
    "batches.kind": "random",
    "batches.size": 32,
}
"""CAIL's source half alone: the same loss on as many labelled pictures in as many steps."""

CAIL: Settings = {
    "method": "cail",
    "batches.kind": "domains",
    "batches.size": 64,
    "options.diagnose_every": 20,
    "options.mix": False,
}
STATISTICS: Settings = {**CAIL, "options.intra.weight": 0, "options.inter.weight": 0}
AGNOSTIC: Settings = {**CAIL, "options.neighbor_mode": 0, "options.agnostic.from_epoch": 5}
INTRA: Settings = {**CAIL, "options.intra.from_epoch": 5, "options.inter.weight": 0}
INTER: Settings = {**INTRA, "options.inter.weight": 0.5, "options.inter.from_epoch": 8}
FULL: Settings = {**INTER, "options.mix": True, "options.mix_from": 9}
"""A network without pretrained weights has to learn something before blends teach it anything: mixed from epoch 2 on it
is behind for as long as such trainings last."""

LADDER = Ladder(
    name="cail",
    question="What does each part of CAIL bring to a city without labels?",
    split="city2city",
    base=Path("configs/from_scratch.yml"),
    rows=(
        Row("source only", SOURCE_ONLY),
        Row("+ target in every batch", STATISTICS),
        Row("+ camera-agnostic neighbours", AGNOSTIC),
        Row("+ intra-camera neighbours", INTRA),
        Row("+ inter-camera neighbours", INTER),
        Row("+ mixup (CAIL)", FULL),
        Row("target supervised", SOURCE_ONLY, learns="target"),
    ),
    measures=(Measure("mAP"), Measure("rank-1", score="rank-1")),
    expected=(
        "Seeing the target in every batch helps without any loss on it, by the statistics of batch normalisation "
        "alone. Neighbours from other cameras bring most, neighbours within a camera something, and camera-agnostic "
        "ones least, because pictures of one camera resemble each other. Mixup, which is behind early and ahead late "
        "in trainings of 70 epochs, is not behind. The ceiling knows the labels of the target. When each part begins "
        "was chosen on this target, in single trainings."
    ),
    sizes={"small": {"data.height": 96, "data.width": 48, "data.augment.pad": 4, "train.epochs": 16}},
    claims=(
        Claim("+ target in every batch", "source only", "mAP"),
        Claim("+ camera-agnostic neighbours", "+ target in every batch", "mAP"),
        Claim("+ intra-camera neighbours", "+ camera-agnostic neighbours", "mAP"),
        Claim("+ inter-camera neighbours", "+ intra-camera neighbours", "mAP"),
        Claim("+ mixup (CAIL)", "+ inter-camera neighbours", "mAP", or_equal=True),
        Claim("+ mixup (CAIL)", "source only", "mAP", by=10),
        Claim("target supervised", "+ mixup (CAIL)", "mAP"),
    ),
)
