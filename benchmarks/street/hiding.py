"""(c) The more of a query is hidden, the lower the scores: the same queries again and again, with more in the way."""

from __future__ import annotations

import tempfile
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np

from benchmarks.street.finding import Finding, percent
from benchmarks.street.trained import Judge
from common.progress import progress
from data.samples import Dataset, Split
from data.street.config import StreetConfig
from data.street.drawing.picture import draw
from data.street.layouts import QUERY, Place, layout_of
from data.street.world import World

SHARES = (0.0, 0.15, 0.3, 0.45, 0.6)
"""Of a person, to be hidden."""


def queries(config: StreetConfig) -> list[Place]:
    """Where the queries of a street lie."""
    return [place for place in layout_of(config.layout).places(World(config)) if place.split == QUERY]


def hidden(config: StreetConfig, share: float, folder: Path) -> float:
    """Draw the queries into `folder` with `share` of every person hidden; returns what is hidden on average."""
    world, found = World(config), []
    for place in progress(queries(config), title=f"queries {percent(share)} % hidden", unit="picture"):
        causes = world.causes(place.shot, occluded=share > 0)
        if causes.occluder is not None:
            causes = replace(causes, occluder=replace(causes.occluder, hidden=share))
        drawn = draw(causes, config.height, config.width)
        path = folder / place.path
        path.parent.mkdir(parents=True, exist_ok=True)
        drawn.picture.save(path, "JPEG", quality=causes.camera.quality)
        found.append(drawn.hidden)
    return float(np.mean(found))


def hiding(config: StreetConfig, dataset: Dataset, judge: Judge) -> Finding:
    """The queries of an occluded street under each of `SHARES`, against its whole gallery."""
    rows, scores = [], []
    with tempfile.TemporaryDirectory() as held:
        for share in SHARES:
            folder = Path(held) / f"{share}"
            found = hidden(config, share, folder)
            query = dataset.query
            moved = Split(folder, query.paths, query.pids, query.camids, query.clothes)
            result = judge(replace(dataset, query=moved))
            scores.append(result.mAP)
            rows.append((f"{percent(share)}", percent(found), percent(result.mAP), percent(result.cmc[1])))
    return Finding(
        "(c) mAP falls with every step of the share that is hidden (the same queries, one gallery).",
        ("asked to hide, %", "hidden, %", "mAP, %", "rank-1, %"),
        tuple(rows),
        all(after < before for before, after in pairwise(scores)),
    )
