"""Tasks shared by a few threads of this process, each computing with one thread's arithmetic."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TypeVar

import torch

Task = TypeVar("Task")


def share_out(take: Callable[[int], Task | None], work: Callable[[Task], None], threads: int) -> None:
    """Do every task once, on this thread and `threads - 1` more; what one of them raises is raised here.

    Many threads on one product wait for each other; many products on one thread each do not, and what NumPy, torch and
    compiled loops compute leaves Python's lock free.

    Args:
        take: gives the worker of that number its next task, None when there is none left; never called by two at once.
    """
    taking = threading.Lock()
    failures: list[BaseException] = []

    def labour(worker: int) -> None:
        torch.set_num_threads(1)
        try:
            with torch.inference_mode():
                while not failures:
                    with taking:
                        task = take(worker)
                    if task is None:
                        return
                    work(task)
        except BaseException as error:
            failures.append(error)

    before = torch.get_num_threads()
    helpers = [threading.Thread(target=labour, args=(worker,), daemon=True) for worker in range(1, threads)]
    try:
        for helper in helpers:
            helper.start()
        labour(0)
        for helper in helpers:
            helper.join()
    finally:
        torch.set_num_threads(before)
    if failures:
        raise failures[0]
