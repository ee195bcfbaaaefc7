"""What a figure was measured on, in words."""

from __future__ import annotations

import os
import platform
from pathlib import Path

import torch

from engine.devices import Devices


def machine(devices: Devices) -> str:
    """`AMD EPYC, 2 cores`, or the GPUs' names."""
    if devices.gpus:
        names = [torch.cuda.get_device_name(gpu) for gpu in devices.gpus]
        return " + ".join(f"{names.count(name)} × {name}" for name in dict.fromkeys(names))
    count = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return f"{processor()}, {count} core{'s' if count > 1 else ''}"


def processor() -> str:
    """The name of the CPU, as well as the system knows it."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        return next(line.split(":")[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()
