"""What must stay in float32 while the network around it runs in half precision, or must come out the same twice."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor


def at_least_float32(tensor: Tensor) -> Tensor:
    """float16 and bfloat16 become float32; float32 and float64 stay what they are."""
    return tensor.to(torch.promote_types(tensor.dtype, torch.float32))


def without_autocast(tensor: Tensor) -> torch.autocast:
    """A context in which autocast is off on the device of `tensor`."""
    return torch.autocast(tensor.device.type, enabled=False)


@contextmanager
def repeatable() -> Iterator[None]:
    """The same sums in the same order on every call and in every process, in float32, on GPUs too.

    Otherwise the fastest way for each shape is found by trying, and what is fastest differs from time to time.
    """
    with torch.backends.cudnn.flags(enabled=True, benchmark=False, deterministic=True, allow_tf32=False):
        yield
