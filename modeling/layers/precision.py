"""What must stay in float32 while the network around it runs in half precision."""

from __future__ import annotations

import torch
from torch import Tensor


def at_least_float32(tensor: Tensor) -> Tensor:
    """float16 and bfloat16 become float32; float32 and float64 stay what they are."""
    return tensor.to(torch.promote_types(tensor.dtype, torch.float32))


def without_autocast(tensor: Tensor) -> torch.autocast:
    """A context in which autocast is off on the device of `tensor`."""
    return torch.autocast(tensor.device.type, enabled=False)
