"""People held out of a dataset's training pictures, so that checkpoints and options are chosen without the test set.

    held_out = hold_out(market, share=0.1, seed=1, pairs=pairs)
    held_out.train                     # without these people
    held_out.query, held_out.gallery   # only these people

Who is held out and which pictures are queries depends on the seed, the identities and the file names, and on nothing
else: not on the order of the rows, not on the machine. A larger share holds out the same people and more.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from common.errors import UserError
from data.samples import Dataset, Ints, Split

Mask = NDArray[np.bool_]
Pairs = Callable[[Ints, Ints], Mask]
"""From n rows of the training split, and n more, whether each of the first finds the other, `(n,)`: a protocol."""

SUFFIX = "-validation"
FEWEST = 2


def hold_out(dataset: Dataset, share: float, seed: int, pairs: Pairs) -> Dataset:
    """The dataset that is left to train on, with the people who are not as its query and gallery.

    Of each of these people, one picture per camera and outfit is a query as long as every query of that person still
    finds another picture; all other pictures are the gallery.

    Args:
        share: of the training identities, rounded to whole people.
        pairs: asked about pictures of one person only, those that the dataset's protocol counts.

    Raises:
        UserError: too few people, or none of those held out can be searched for.
    """
    train = dataset.train
    people = np.unique(train.pids)
    count = _count(dataset.name, len(people), share)
    ranked = sorted(people.tolist(), key=lambda pid: _draw(seed, str(pid)))
    order = np.argsort(train.pids, kind="stable")
    each = dict(zip(people.tolist(), np.split(order, np.searchsorted(train.pids[order], people[1:])), strict=True))
    rows_of = {pid: each[pid] for pid in ranked[:count]}
    queries = {pid: _queries(train, rows, seed, pairs) for pid, rows in rows_of.items()}

    query = np.sort(np.concatenate(list(queries.values())))
    if not len(query):
        raise UserError(_nobody_to_find(dataset, share, max(map(len, rows_of.values()))))
    held_out = np.sort(np.concatenate(list(rows_of.values())))
    left = np.setdiff1d(np.arange(len(train)), held_out)
    notes = [f"query and gallery are {count:,} of the {len(people):,} people of {dataset.name} to train on"]
    lonely = sum(not len(rows) for rows in queries.values())
    if lonely:
        notes.append(f"{lonely:,} of these people have no second picture that counts, and are in the gallery only")
    return Dataset(
        dataset.name + SUFFIX,
        train.take(left),
        train.take(query),
        train.take(np.setdiff1d(held_out, query)),
        dataset.protocol,
        notes=tuple(notes),
        rule=dataset.rule,
    )


def _count(name: str, people: int, share: float) -> int:
    """How many people are held out."""
    count = math.floor(share * people + 0.5)
    if people <= FEWEST:
        raise UserError(
            f"data.validation={share:g} needs more than {FEWEST} people to train on, and dataset '{name}' has {people};"
            " set it to 0"
        )
    if count < FEWEST:
        least = math.ceil(1000 * FEWEST / people) / 1000
        raise UserError(
            f"data.validation={share:g} holds out {count} of the {people:,} people of dataset '{name}', and at least"
            f" {FEWEST} are needed to tell apart; raise it to {least:g} or more, or set it to 0"
        )
    if count == people:
        raise UserError(
            f"data.validation={share:g} holds out all {people:,} people of dataset '{name}' and leaves nobody to train"
            " on; lower it"
        )
    return count


def _queries(train: Split, rows: Ints, seed: int, pairs: Pairs) -> Ints:
    """Which of one person's rows are queries."""
    rows = np.array(sorted(rows.tolist(), key=lambda row: (_draw(seed, train.paths[row]), train.paths[row])))
    sight = np.stack([train.camids[rows], train.clothes[rows]], axis=1)
    first = np.sort(np.unique(sight, axis=0, return_index=True)[1])
    asked, found = np.meshgrid(rows[first], rows, indexing="ij")
    finds = pairs(asked.reshape(-1), found.reshape(-1)).reshape(asked.shape)
    left = finds.sum(1)  # gallery pictures that each candidate finds
    chosen: list[int] = []
    for candidate, place in enumerate(first.tolist()):
        after = left - finds[:, place]
        if (after[[*chosen, candidate]] > 0).all():
            left = after
            chosen.append(candidate)
    return rows[first[chosen]]


def _nobody_to_find(dataset: Dataset, share: float, most: int) -> str:
    why = "all of them have one picture only"
    if most > 1:
        why = f"protocol {dataset.protocol} counts no picture of any of them when another is the query"
    return (
        f"data.validation={share:g} holds people of dataset '{dataset.name}' out who cannot be searched for: {why};"
        " raise it to hold out more people, or set it to 0"
    )


def _draw(seed: int, text: str) -> str:
    """A random text for a text."""
    return hashlib.sha256(f"{seed}\t{text}".encode(errors="surrogateescape")).hexdigest()
