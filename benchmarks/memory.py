"""The most memory that some work takes, by the operating system."""

from __future__ import annotations

import ctypes
import gc
import threading
from collections.abc import Callable
from pathlib import Path

MIB = 1 << 20


def most_memory(work: Callable[[], object], *, mapped: bool) -> float | None:
    """MiB that `work` takes at most on top of what the process has; None where the system does not say.

    Args:
        mapped: whether it reads mapped files, whose pages do not count.
    """
    gc.collect()
    try:
        ctypes.CDLL(None).malloc_trim(0)  # what is free but not given back would hide what is taken
        Path("/proc/self/clear_refs").write_text("5")
    except (OSError, AttributeError):
        return None
    if not mapped:
        before = _status("VmRSS")
        work()
        return max(0.0, _status("VmHWM") - before)
    samples, done = [_status("RssAnon")], threading.Event()

    def sample() -> None:
        while not done.wait(0.002):
            samples.append(_status("RssAnon"))

    sampler = threading.Thread(target=sample)
    sampler.start()
    try:
        work()
    finally:
        done.set()
        sampler.join()
    return max(samples) - samples[0]


def _status(name: str) -> float:
    """A line of what the system knows of this process, in MiB."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith(name)).split()[1]) / 1024
