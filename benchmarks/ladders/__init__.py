"""A method's ablation as trainings that were run: one file a ladder, and `LADDERS` names them.

    python3 -m benchmarks.ladders baseline --seeds 3 --size small

`ladder.py` is what a ladder is made of, `baseline.py` the shortest example.
"""

from __future__ import annotations

from benchmarks.ladders import baseline, cacenet, cail, clothes, occlusion, parsing, pose
from benchmarks.ladders.ladder import Ladder
from common.errors import unknown_name

LADDERS: dict[str, Ladder] = {
    "baseline": baseline.LADDER,
    "cacenet": cacenet.LADDER,
    "cail": cail.LADDER,
    "clothes": clothes.LADDER,
    "occlusion": occlusion.LADDER,
    "parsing": parsing.LADDER,
    "pose": pose.LADDER,
}


def ladder(name: str) -> Ladder:
    """The ladder of that name; raises `UserError` with the closest name otherwise."""
    if name not in LADDERS:
        raise unknown_name("ladder", name, LADDERS)
    return LADDERS[name]
