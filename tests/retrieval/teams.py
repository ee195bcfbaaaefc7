"""Several processes played by threads of one, which add up what they count as processes do."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TypeVar

import numpy as np

from retrieval.columns import Ints
from retrieval.streaming.stream import Team

T = TypeVar("T")


def together(world: int, work: Callable[[Team], T]) -> list[T]:
    """What `work(team)` returns for each member of a team of `world`."""
    barrier = threading.Barrier(world, timeout=60)
    given: dict[int, Ints] = {}
    results: dict[int, T] = {}
    failures: list[BaseException] = []

    def member(rank: int) -> None:
        def total(counts: Ints) -> Ints:
            given[rank] = np.asarray(counts)
            barrier.wait()
            summed: Ints = np.sum([given[other] for other in range(world)], axis=0)
            barrier.wait()
            return summed

        try:
            results[rank] = work(Team(rank, world, total))
        except BaseException as error:
            failures.append(error)
            barrier.abort()

    threads = [threading.Thread(target=member, args=(rank,)) for rank in range(world)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failures:
        raise failures[0]
    return [results[rank] for rank in range(world)]
