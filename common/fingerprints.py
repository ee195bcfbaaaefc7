"""One number for many tensors."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

import torch
from torch import Tensor


def digest_of(tensors: Mapping[str, Tensor], beside: str = "") -> str:
    """SHA-256 of names, types, shapes and every bit, whatever their order and device; and of a text beside them."""
    digest = hashlib.sha256(beside.encode())
    for name, value in sorted(tensors.items()):
        digest.update(f"\n{name}\t{value.dtype}\t{tuple(value.shape)}\n".encode())
        digest.update(value.detach().cpu().reshape(-1).contiguous().view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()
