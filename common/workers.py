"""Work spread over processes of their own: the results in order, whatever is stopped or killed meanwhile.

    for picture in spread(draw_some, batches, workers=2, prepare=load_world, facts=(config,)):
        ...

Imports nothing but the standard library: a worker that had to import torch would take longer to start than to work.
"""

from __future__ import annotations

import os
import signal
import threading
import time
from collections import deque
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from contextlib import contextmanager
from itertools import islice
from multiprocessing import get_context
from typing import Any, TypeVar

Batch = TypeVar("Batch")
Result = TypeVar("Result")

_AHEAD = 4
"""Batches per worker that are handed out before their results are asked for."""


def spread(
    work: Callable[[Batch], list[Result]],
    batches: Iterator[Batch],
    workers: int,
    prepare: Callable[..., None] | None = None,
    facts: tuple[Any, ...] = (),
) -> Generator[Result, None, None]:
    """What `work` makes of every batch, one result after another in the order of the batches.

    Args:
        work: a function of a module, as are all that are sent to other processes.
        batches: asked for a few at a time.
        workers: processes; at least 1.
        prepare: called once in each worker with `facts`.
    """
    # Fresh processes, not forks: a fork of a process with threads (torch, a test run) may hang.
    pool = ProcessPoolExecutor(workers, get_context("spawn"), _start, (prepare, facts))
    ahead: deque[Future[list[Result]]] = deque()
    try:
        with _interrupts_wait():
            ahead.extend(pool.submit(work, batch) for batch in islice(batches, _AHEAD * workers))
        while ahead:
            done = ahead.popleft().result()
            ahead.extend(pool.submit(work, batch) for batch in islice(batches, 1))
            yield from done
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _start(prepare: Callable[..., None] | None, facts: tuple[Any, ...]) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the parent, which stops the workers
    threading.Thread(target=_end_with, args=(os.getppid(),), daemon=True).start()
    if prepare is not None:
        prepare(*facts)


def _end_with(parent: int) -> None:
    """End this process soon after `parent`, which may be killed without a chance to end it."""
    while os.getppid() == parent:
        time.sleep(1.0)
    os._exit(1)


@contextmanager
def _interrupts_wait() -> Iterator[None]:
    """While workers are started they inherit this, so that Ctrl-C never meets one half awake; it comes afterwards."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
