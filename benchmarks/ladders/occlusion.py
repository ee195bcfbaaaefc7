"""HCGA's ladder: what matching the parts that both pictures show is worth when queries are partly hidden."""

from __future__ import annotations

from pathlib import Path

from benchmarks.ladders.ladder import Claim, Ladder, Measure, Row, Settings
from benchmarks.ladders.parsing import HCGA, SMALL

GLOBAL: Settings = {"method": "baseline", "batches.size": 32, "batches.instances": 4}
"""One feature of the whole picture, from the same backbone, by the losses that HCGA's global branch has. It is another
method because HCGA's own features are of parts by definition: with its other losses at 0 its parts would be chance."""

_GLOBAL, _STRIPES, _K_MEANS, _CO_PARSING = "global only", "stripes", "k-means", "co-parsing"
_WHOLE, _SUMS = "co-parsing, matched whole", "co-parsing, sums not normalised"

LADDER = Ladder(
    name="occlusion",
    question="Does matching the parts that both pictures show find people who are partly hidden?",
    split="occlusion",
    base=Path("configs/from_scratch.yml"),
    rows=(
        Row(_GLOBAL, GLOBAL),
        Row(_STRIPES, {**HCGA, "options.parsing.by": "stripes"}),
        Row(_K_MEANS, {**HCGA, "options.parsing.by": "k-means"}),
        Row(_CO_PARSING, {**HCGA, "options.parsing.by": "co-parsing"}),
        Row(_WHOLE, trained_by=_CO_PARSING, judged=("--set", "options.matching=whole")),
        Row(_SUMS, trained_by=_CO_PARSING, judged=("--set", "options.matching=visible-sum")),
    ),
    measures=(Measure("mAP"), Measure("rank-1", score="rank-1")),
    expected=(
        "Something is in the way in every query and in no gallery picture. Features of parts should find more than one "
        "feature of everything, and more so the nearer the parts are to the true ones. The rows of HCGA compare the "
        "parts that both pictures show; the same networks with all vectors side by side, hidden parts too, should find "
        "less. Published scores are sums over the parts that both show, which favours gallery pictures that show more."
    ),
    claims=(
        Claim(_STRIPES, _GLOBAL, "mAP"),
        Claim(_K_MEANS, _STRIPES, "mAP"),
        Claim(_CO_PARSING, _K_MEANS, "mAP", or_equal=True),
        Claim(_CO_PARSING, _GLOBAL, "mAP"),
        Claim(_CO_PARSING, _WHOLE, "mAP"),
        Claim(_CO_PARSING, _SUMS, "mAP", or_equal=True),
    ),
    sizes={"small": SMALL},
)
