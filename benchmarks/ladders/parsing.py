"""HCGA's masks beside the truth: whether body parts are where a parser without any annotation puts them."""

from __future__ import annotations

from pathlib import Path

from benchmarks.ladders.ladder import Claim, Ladder, Measure, Row, Settings
from engine.part_agreement import PROTOCOL

HCGA: Settings = {
    "method": "hcga",
    "batches.size": 32,
    "batches.instances": 4,
    "options.width": 128,
    "options.stages": 4,
    "options.parsing.first": 4,
    "options.parsing.every": 4,
}
"""A network without pretrained weights knows too little at first for its maps to be parsed; until epoch 4 the parts are
stripes. On such small pictures the last two stages of a ResNet are a few cells high, so all four are merged."""

SMALL: Settings = {"data.height": 96, "data.width": 48, "data.augment.pad": 4, "train.epochs": 12}

_STRIPES, _CO_PARSING = "stripes", "co-parsing"
_K_MEANS_THERE, _CO_PARSING_THERE = "k-means, of the same maps", "co-parsing, of the same maps"
_OWN = "its network's own parsing"

LADDER = Ladder(
    name="parsing",
    question="Does co-parsing find the body parts better than stripes and k-means do?",
    split="occlusion",
    base=Path("configs/from_scratch.yml"),
    rows=(
        Row(_STRIPES, {**HCGA, "options.parsing.by": "stripes"}, judged=("--by", "stripes")),
        Row(_K_MEANS_THERE, trained_by=_STRIPES, judged=("--by", "k-means")),
        Row(_CO_PARSING_THERE, trained_by=_STRIPES, judged=("--by", "co-parsing")),
        Row(_CO_PARSING, {**HCGA, "options.parsing.by": "co-parsing"}, judged=("--by", "co-parsing")),
        Row(_OWN, trained_by=_CO_PARSING, judged=("--by", "network")),
    ),
    measures=(
        Measure("mean IoU", PROTOCOL, "mean"),
        Measure("head", PROTOCOL, "head"),
        Measure("torso", PROTOCOL, "torso"),
        Measure("legs", PROTOCOL, "legs"),
    ),
    judge="parsing",
    expected=(
        "Intersection over union with the street's true parts in the training pictures. Stripes know no background and "
        "not where anybody stands, so what is found in feature maps should be nearer to the truth, co-parsing at least "
        "as near as k-means. The first three rows parse the maps of the same networks, which were trained on stripes; "
        "the last two those of networks that were trained on co-parsing's own masks, and what these networks then say "
        "of single pictures."
    ),
    claims=(
        Claim(_K_MEANS_THERE, _STRIPES, "mean IoU"),
        Claim(_CO_PARSING_THERE, _STRIPES, "mean IoU"),
        Claim(_CO_PARSING_THERE, _K_MEANS_THERE, "mean IoU", or_equal=True),
        Claim(_CO_PARSING, _STRIPES, "mean IoU"),
        Claim(_OWN, _STRIPES, "mean IoU"),
    ),
    shares="occlusion",
    sizes={"small": SMALL},
)
