"""Into Market-1501's folders and names, which most code for re-identification reads."""

from __future__ import annotations

from data.convert.plan import TITLES, Picture, Plan, filled, judged_cameras, left_out, named_cameras, numbered
from data.readers.market import FOLDERS
from data.samples import Dataset

MOST = 999_999_999, 999_998


def plan(dataset: Dataset) -> Plan:
    """`PID_cCAMERAs1_INDEX_00` with cameras from 1; the suffix is that of the picture.

    Raises:
        UserError: a number that a name cannot hold, or a file that is no picture by its name.
    """
    dataset, asking, others, notes = named_cameras(judged_cameras(dataset), MOST[1])
    pictures = []
    seen: dict[tuple[int, int], int] = {}
    for title in TITLES:
        split = dataset.splits[title]
        camids = filled(split.camids, asking if title == "query" else others)
        for row, (pid, camid, index, suffix) in enumerate(numbered(dataset.name, split, camids, MOST, seen)):
            name = f"{pid:04d}_c{camid + 1}s1_{index:06d}_00{suffix}"
            pictures.append(Picture(split, row, f"{FOLDERS[title]}/{name}"))
    return Plan(tuple(pictures), {}, (*left_out(dataset), *notes))
