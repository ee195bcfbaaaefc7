"""Market-1501's `gt_bbox/`: further pictures of a query's person by its camera, to ask with several at once."""

from __future__ import annotations

import re

import numpy as np

from data.readers.listing import numbers_in, pictures_in, split_of
from data.readers.market import is_layout
from data.samples import Dataset, Split

FOLDER = "gt_bbox"

_NAME = re.compile(r"(?P<pid>[0-9]{1,9})_c(?P<cam>0*[1-9][0-9]{0,5})(?![0-9])")


def further_pictures(dataset: Dataset) -> Split:
    """The pictures in `gt_bbox/` that share person and camera with a query; none where there is no such folder."""
    root = dataset.query.root
    if not is_layout(root):
        return Split.empty(root)
    paths = [path for path in pictures_in(root, FOLDER)[0] if _NAME.match(path.rpartition("/")[2])]
    found = [match for path in paths if (match := _NAME.match(path.rpartition("/")[2]))]
    every = split_of(root, paths, numbers_in(found, "pid"), numbers_in(found, "cam") - 1)
    asked = set(zip(dataset.query.pids.tolist(), dataset.query.camids.tolist(), strict=True))
    shared = [pair in asked for pair in zip(every.pids.tolist(), every.camids.tolist(), strict=True)]
    return every.take(np.array(shared, dtype=bool))
