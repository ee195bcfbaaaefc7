"""Galleries that are drawn at random from a larger one, the same everywhere."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from retrieval.columns import Columns, Ints


@dataclass(frozen=True)
class Draws:
    """One picture of each person and camera, several times; the results are the means.

    Attributes:
        count: how many galleries are drawn, at least 2.
        seed: of all of them.
        of: the protocol that judges by all that these are drawn from.
    """

    count: int
    seed: int
    of: str

    def __post_init__(self) -> None:
        if self.count < 2:
            raise ValueError(f"{self.count} draws: a spread needs two at least")

    def rows(self, pool: Columns, number: int) -> Ints:
        """`(g,)` ascending rows of `pool`: the gallery of draw `number`, from 0 on.

        A draw depends on the seed, on its number and on the order of the pool, which readers sort by path, and on
        nothing else. The numbers are PCG64's own, which no version of NumPy may change.
        """
        order = np.lexsort((np.arange(len(pool)), pool.camids, pool.pids))
        people, cameras = pool.pids[order], pool.camids[order]
        new = np.ones(len(pool), dtype=bool)
        new[1:] = (people[1:] != people[:-1]) | (cameras[1:] != cameras[:-1])
        starts = np.flatnonzero(new)
        counts = np.diff(np.append(starts, len(pool)))
        drawn = np.random.PCG64([self.seed, number]).random_raw(len(starts)) % counts.astype(np.uint64)
        rows: Ints = np.sort(order[starts + drawn.astype(np.int64)])
        return rows
