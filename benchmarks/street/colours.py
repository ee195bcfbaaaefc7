"""(a) Colours find who wears the same clothes, and nobody who has changed them.

Each camera has its own colour response, so first every camera's colours are spread evenly over their range (each value
becomes its rank among all pictures of that camera). Then the pixels of torso, legs and feet, known from the part maps,
are counted in a soft 6×6×6 histogram each. No person's label is used.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from benchmarks.street.finding import Finding, percent
from data.pictures import open_picture
from data.samples import Dataset, Split
from data.street.drawing.picture import LABELS
from data.street.truth import PARTS
from engine.extraction import columns_of
from retrieval.columns import Features
from retrieval.study import Question, study

Array = NDArray[np.float32]

BINS = 6  # per colour channel
CLOTHED = ("torso", "legs", "feet")
PROTOCOLS = ("same-clothes", "cloth-changing")
STRONG, NEAR = 10.0, (0.5, 2.0)
"""Times chance, in mAP: at least, to be strong; between these, to be near chance."""
DRAWS = 20


def evenly_spread(pictures: Sequence[NDArray[np.uint8]]) -> list[Array]:
    """Each value of each channel as its rank among all pixels of `pictures`, in [0, 1]."""
    spread = [np.empty(picture.shape, dtype=np.float32) for picture in pictures]
    for channel in range(3):
        counts = np.zeros(256)
        for picture in pictures:
            counts += np.bincount(picture[..., channel].ravel(), minlength=256)
        rank = ((np.cumsum(counts) - counts / 2) / max(counts.sum(), 1)).astype(np.float32)
        for picture, out in zip(pictures, spread, strict=True):
            out[..., channel] = rank[picture[..., channel]]
    return spread


def soft_histogram(colours: Array) -> Array:
    """`(216,)`: roots of the shares of colours `(N, 3)` in [0, 1], each colour divided over its eight nearest bins."""
    place = np.clip(colours * BINS - 0.5, 0.0, BINS - 1.0)
    low = np.minimum(place.astype(np.int64), BINS - 2)
    beyond = place - low
    counts = np.zeros(BINS**3)
    for corner in itertools.product((0, 1), repeat=3):
        weight = np.prod(np.where(np.array(corner) == 1, beyond, 1.0 - beyond), axis=1)
        counts += np.bincount((low + corner) @ (BINS * BINS, BINS, 1), weight, minlength=BINS**3)
    roots: Array = np.sqrt(counts / max(counts.sum(), 1.0)).astype(np.float32)
    return roots


def parts_of(split: Split, row: int) -> NDArray[np.uint8]:
    """The part map beside a picture of the street."""
    path = Path(split.paths[row]).with_suffix(".png")
    with Image.open(split.root / PARTS / path) as parts:
        return np.asarray(parts)


def described(split: Split) -> Array:
    """`(N, 3·216)`: the clothes of every picture, one histogram a part."""
    described = np.empty((len(split), len(CLOTHED) * BINS**3), dtype=np.float32)
    labels = [LABELS.index(name) for name in CLOTHED]
    for camera in np.unique(split.camids):
        rows = np.flatnonzero(split.camids == camera).tolist()
        spread = evenly_spread([np.asarray(open_picture(split.file(row))) for row in rows])
        for row, colours in zip(rows, spread, strict=True):
            parts = parts_of(split, row)
            described[row] = np.concatenate([soft_histogram(colours[parts == label]) for label in labels])
    return described


def colours(dataset: Dataset) -> Finding:
    """How well colours alone do on a dataset that knows its outfits, against chance."""
    query, gallery = columns_of(dataset.query), columns_of(dataset.gallery)

    def judged(queries: Array, others: Array) -> dict[str, tuple[float, float]]:
        answer = study(Features(queries, query), Features(others, gallery), Question(PROTOCOLS))
        return {name: (answer.scores[name].mAP, answer.scores[name].cmc[1]) for name in PROTOCOLS}

    found = judged(described(dataset.query), described(dataset.gallery))
    generator = np.random.default_rng(0)

    def noise(rows: int) -> Array:
        return generator.standard_normal((rows, 16), dtype=np.float32)

    draws = [judged(noise(len(query)), noise(len(gallery))) for _ in range(DRAWS)]
    chance = {name: np.mean([draw[name] for draw in draws], axis=0).tolist() for name in PROTOCOLS}
    rows = []
    for name in PROTOCOLS:
        times = found[name][0] / chance[name][0]
        rows.append((name, *map(percent, (*found[name], *chance[name])), f"{times:.1f}"))
    same, other = (found[name][0] / chance[name][0] for name in PROTOCOLS)
    return Finding(
        f"(a) Colour histograms are strong on the same clothes (mAP at least {STRONG:g} times chance) and near chance"
        f" on other clothes ({NEAR[0]:g} to {NEAR[1]:g} times; below 1, because nobody's outfits resemble each other).",
        ("protocol", "mAP, %", "rank-1, %", "mAP by chance", "rank-1 by chance", "times"),
        tuple(rows),
        same >= STRONG and NEAR[0] <= other <= NEAR[1],
    )
