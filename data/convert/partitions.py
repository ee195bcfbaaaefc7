"""Into CACE-Net's folder: `images/PPPPPPPP_CCCC_IIIIIIII.jpg`, and all the lists that its own converter writes."""

from __future__ import annotations

import pickle
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from common.contracts import UNKNOWN
from common.errors import UserError
from data.convert.multi_query import further_pictures
from data.convert.plan import Picture, Plan, filled, judged_cameras, left_out, named_cameras, numbered
from data.readers.partitions import FILE, FOLDER, FURTHER, GALLERY, QUERY, UNKNOWN_CAMERAS
from data.samples import Dataset, Ints, Split, Strings
from data.validation import hold_out

MOST = 99_999_999, 9_999
PROTOCOL = 2
SEED = 1
MOST_HELD_OUT = 100
SHARE = 5


def plan(dataset: Dataset) -> Plan:
    """Names with cameras as the dataset numbers them; the suffix is that of the picture, whose bytes stay.

    Of the training people 100 are `val`, or a fifth where that is fewer: one picture by each camera asks while it still
    finds another, the rest is searched.

    Raises:
        UserError: a number that a name cannot hold, or a file that is no picture by its name.
    """
    judged = judged_cameras(dataset)
    dataset, asking, others, notes = named_cameras(judged, MOST[1])
    train, query, gallery = dataset.train, dataset.query, dataset.gallery
    further = _as_queries(further_pictures(judged), judged.query.camids, query.camids)
    role, told = _roles(dataset)
    seen: dict[tuple[int, int], int] = {}
    pictures: list[Picture] = []
    unseen: list[str] = []

    def names(split: Split, unknown: Ints) -> list[str]:
        """The new name of each row; unknown cameras get the numbers given."""
        camids = filled(split.camids, unknown)
        named = []
        for row, (pid, camid, index, suffix) in enumerate(numbered(dataset.name, split, camids, MOST, seen)):
            named.append(f"{pid:08d}_{camid:04d}_{index:08d}{suffix}")
            pictures.append(Picture(split, row, f"{FOLDER}/{named[-1]}"))
            if split.camids[row] == UNKNOWN:
                unseen.append(named[-1])
        return named

    trainval = names(train, np.where(role == QUERY, asking, others))
    asked, more, searched = (
        sorted(names(split, np.full(len(split), number)))
        for split, number in ((query, asking), (further, asking), (gallery, others))
    )
    parts = {mark: np.flatnonzero(role == mark) for mark in (UNKNOWN, QUERY, GALLERY)}
    left, val_asked, val_searched = (sorted(trainval[row] for row in rows.tolist()) for rows in parts.values())
    lists: dict[str, object] = {
        "trainval_im_names": sorted(trainval),
        "trainval_ids2labels": _labels(train.pids),
        "train_im_names": left,
        "train_ids2labels": _labels(train.pids[parts[UNKNOWN]]),
        "val_im_names": [*val_asked, *val_searched],
        "val_marks": [QUERY] * len(val_asked) + [GALLERY] * len(val_searched),
        "test_im_names": [*asked, *more, *searched],
        "test_marks": [QUERY] * len(asked) + [FURTHER] * len(more) + [GALLERY] * len(searched),
    }
    if unseen:
        lists[UNKNOWN_CAMERAS] = sorted(unseen)
    if len(further):
        told += (f"{len(further):,} pictures of gt_bbox are marked {FURTHER} (multi-query)",)
    return Plan(tuple(pictures), {FILE: pickle.dumps(lists, PROTOCOL)}, (*left_out(dataset), *notes, *told))


def _labels(pids: Ints) -> dict[int, int]:
    return {pid: label for label, pid in enumerate(np.unique(pids).tolist())}


def _as_queries(further: Split, before: Ints, after: Ints) -> Split:
    """With cameras numbered as those of the queries, whom all of them share one with, are now."""
    old, new = np.unique(before), np.unique(after)
    return replace(further, camids=new[np.searchsorted(old, further.camids)])


def _nameless(split: Split) -> Split:
    """With paths that tell nothing but person, camera and order, so that a copy of a dataset is divided as it is."""
    seen: dict[tuple[int, int], int] = {}
    paths = []
    for pid, camid in zip(split.pids.tolist(), split.camids.tolist(), strict=True):
        seen[pid, camid] = seen.get((pid, camid), 0) + 1
        paths.append(f"{pid} {camid} {seen[pid, camid]}")
    return replace(split, paths=Strings(paths), clothes=np.full_like(split.clothes, UNKNOWN))


def _roles(dataset: Dataset) -> tuple[Ints, tuple[str, ...]]:
    """`(N,)` of each training picture the mark it has in the validation, −1 where its person is trained on; a note."""
    train = _nameless(dataset.train)
    role = np.full(len(train), UNKNOWN, dtype=np.int64)
    people = train.identities
    count = min(MOST_HELD_OUT, people // SHARE)
    if not people:
        return role, ()

    def pairs(asked: Ints, found: Ints) -> NDArray[np.bool_]:
        by, elsewhere = train.camids[asked], train.camids[found]
        return np.asarray(((by != elsewhere) | (by == UNKNOWN)) & (asked != found), dtype=bool)

    try:
        held_out = hold_out(replace(dataset, train=train), count / people, SEED, pairs)
    except UserError:
        return role, (f"nobody of the {people:,} training people is held out for val: too few can be searched for",)
    row_of = {path: row for row, path in enumerate(train.paths)}
    for mark, split in ((QUERY, held_out.query), (GALLERY, held_out.gallery)):
        role[[row_of[path] for path in split.paths]] = mark
    return role, (f"{count:,} of the {people:,} training people are held out for val (variant: val reads them)",)
