"""What every reader checks before it hands a dataset out, and which protocol a dataset is judged by."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from common.contracts import UNKNOWN
from common.errors import UserError
from data.readers.listing import how_to_say
from data.samples import Counts, Dataset, Ints, Split

MARKET = "market"
NO_CAMERA = "no-camera"
CLOTH_CHANGING = "cloth-changing"


class Unfit(UserError):
    """A dataset that was read and cannot be judged; it is told along, for those who want to know why."""

    def __init__(self, sentence: str, dataset: Dataset) -> None:
        super().__init__(sentence)
        self.dataset = dataset


def checked(
    name: str,
    train: Split,
    query: Split,
    gallery: Split,
    published: dict[str, Counts] | None = None,
    notes: tuple[str, ...] = (),
    protocol: str = MARKET,
    unlabelled: Split | None = None,
    named: str | None = None,
) -> Dataset:
    """The dataset of three splits: without unknown people, with its protocol, and fit to be evaluated.

    The protocol is "market" (pictures of the same person by the same camera do not count), or "no-camera" where
    no camera is known. A split may be empty; queries without any positive are only noted while others have one.

    Args:
        protocol: "market", "no-camera" where papers judge by that although cameras are known, or "cloth-changing"
            (pictures of the same person in the same clothes do not count either); where no query has such a positive
            it is "market" all the same.
        unlabelled: training pictures of nobody knows whom.
        named: what papers on this dataset call that protocol, a name in `retrieval.protocols`; not where it had to be
            another one.

    Raises:
        UserError: there are no pictures at all.
        Unfit: there are queries but no gallery, no query has a positive, or a picture without a camera is its own
            positive.
    """
    (train, query, gallery), dropped = _without_unknown_people({"train": train, "query": query, "gallery": gallery})
    notes += dropped
    unlabelled = unlabelled if unlabelled is not None and len(unlabelled) else None
    if unlabelled is None and not len(train) + len(query) + len(gallery):
        told = f" ({'; '.join(notes)})" if notes else ""
        raise UserError(f"dataset '{name}': {train.root} holds no pictures of known people{told}. {how_to_say(name)}")
    meant = protocol
    if protocol == CLOTH_CHANGING and len(query) and not positives(query, gallery, other_clothes=True).any():
        protocol = MARKET
        notes += ("no query has a positive in other clothes from another camera: not protocol cloth-changing",)
    judged = (query, gallery) if len(query) or len(gallery) else (train, unlabelled or train)
    if protocol == MARKET and not any(split.cameras for split in judged):
        protocol = NO_CAMERA
        notes += ("no camera is known: protocol no-camera, every picture of the same person counts",)
    told = named if named is not None and protocol == meant else protocol
    dataset = Dataset(name, train, query, gallery, told, published or {}, notes, unlabelled, protocol)
    if len(query):
        asked, among = (query, gallery) if protocol != NO_CAMERA else (without_cameras(query), without_cameras(gallery))
        problem = _problem(name, asked, among, protocol == CLOTH_CHANGING)
        if problem:
            raise Unfit(problem, dataset)
        dataset = replace(dataset, notes=notes + _lonely(asked, among, protocol == CLOTH_CHANGING))
    return dataset


def _problem(name: str, query: Split, gallery: Split, other_clothes: bool) -> str:
    """Why queries and gallery cannot be judged; nothing when they can."""
    if not len(gallery):
        return (
            f"dataset '{name}': {query.root} has {len(query):,} query pictures but no gallery to search; "
            f"add the gallery pictures, or remove the query to train on it and evaluate elsewhere (data.target=NAME)"
        )
    both = _own_positives(query, gallery)
    if both:
        return (
            f"dataset '{name}': {len(both):,} pictures without a camera are both query and gallery and would find "
            f"themselves; first: {both[0]}. Keep each in one of the two"
        )
    if not positives(query, gallery, other_clothes).any():
        return (
            f"dataset '{name}': none of the {len(query):,} queries in {query.root} has a positive in the gallery: "
            f"{_why_none(query, gallery)}; first query: {query.paths[0]}"
        )
    return ""


def positives(query: Split, gallery: Split, other_clothes: bool = False) -> Ints:
    """`(Q,)` how many gallery pictures show the person of each query and are not junk.

    Junk is the same person seen by the same camera; a camera that is not known is the same as no other.

    Args:
        other_clothes: the same person in the same clothes is junk too, and so is one whose clothes are not known.
    """
    shown = gallery.clothes != UNKNOWN if other_clothes else np.ones(len(gallery), dtype=bool)

    def alike(*titles: str) -> Ints:
        """`(Q,)` how many of the shown pictures agree with each query in all these columns."""
        keys = np.zeros(len(query) + len(gallery), dtype=np.int64)
        for title in titles:
            column = np.concatenate([getattr(query, title), getattr(gallery, title)])
            values, places = np.unique(column, return_inverse=True)
            keys = keys * len(values) + places.reshape(-1)
        return _count(keys[len(query) :][shown], keys[: len(query)])

    known = query.camids != UNKNOWN
    found = alike("pids") - np.where(known, alike("pids", "camids"), 0)
    if not other_clothes:
        return found
    # What agrees in both camera and clothes was taken off twice.
    found += np.where(known, alike("pids", "camids", "clothes"), 0) - alike("pids", "clothes")
    return np.where(query.clothes == UNKNOWN, 0, found)


def _count(among: Ints, values: Ints) -> Ints:
    """`(N,)` how often each of `values` stands in `among`."""
    distinct, counts = np.unique(among, return_counts=True)
    if not len(distinct):
        return np.zeros(len(values), dtype=np.int64)
    place = np.minimum(np.searchsorted(distinct, values), len(distinct) - 1)
    return np.where(distinct[place] == values, counts[place], 0).astype(np.int64)


def _without_unknown_people(splits: dict[str, Split]) -> tuple[list[Split], tuple[str, ...]]:
    kept, dropped = [], []
    for title, split in splits.items():
        known = split.pids != UNKNOWN
        kept.append(split if known.all() else split.take(known))
        if not known.all():
            dropped.append(f"{title} {np.count_nonzero(~known):,}")
    return kept, (f"pictures with identity -1 are left out: {', '.join(dropped)}",) if dropped else ()


def without_cameras(split: Split) -> Split:
    """The same pictures, no camera of which is known."""
    return replace(split, camids=np.full_like(split.camids, UNKNOWN))


def _own_positives(query: Split, gallery: Split) -> list[str]:
    """With a known camera a picture that is in both is junk to itself; without one it would be found at rank 1."""
    without_camera = np.flatnonzero(query.camids == UNKNOWN).tolist()
    in_gallery = set(gallery.paths) if without_camera else set()
    return [path for path in (query.paths[row] for row in without_camera) if path in in_gallery]


def _lonely(query: Split, gallery: Split, other_clothes: bool) -> tuple[str, ...]:
    """A note of queries without a positive."""
    lonely = np.flatnonzero(positives(query, gallery, other_clothes) == 0)
    if not len(lonely):
        return ()
    another = " in another camera" if query.cameras else ""
    if other_clothes:
        another = " in other clothes from another camera"
    return (
        f"{len(lonely):,} of {len(query):,} queries have no positive{another}: "
        f"they are left out of the scores; first: {query.paths[int(lonely[0])]}",
    )


def _why_none(query: Split, gallery: Split) -> str:
    shared = np.intersect1d(query.pids, gallery.pids)
    if not len(shared):
        return "no identity is in both query and gallery (do both number people the same way?)"
    remedy = "leave the camera ids empty (reader csv or folders), so that nothing is junk"
    cameras = np.union1d(query.camids, gallery.camids)
    if len(cameras) == 1:
        return f"every picture has camera {cameras[0]}, and the same person in the same camera does not count; {remedy}"
    return (
        f"the {len(shared):,} identities that query and gallery share are there only in the same camera, which does "
        f"not count; give the gallery pictures of other cameras or {remedy}"
    )
