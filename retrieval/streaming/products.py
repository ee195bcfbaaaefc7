"""The float32 matrix product, by whichever library is fastest on this machine.

Rankings do not depend on the choice: what float32 cannot tell apart, float64 decides (`retrieval.streaming.exact`).
"""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from functools import cache
from typing import Any

import torch
from torch import Tensor

from common.errors import unknown_name


class Product(ABC):
    """`left @ right.T` for many `left` and one `right`, which is brought into a suitable form once."""

    name: str

    @abstractmethod
    def pack(self, right: Tensor) -> Any:
        """`(g, K)` in the form that `multiply` wants; it may be the same memory."""

    @abstractmethod
    def multiply(self, left: Tensor, packed: Any) -> Tensor:
        """`(q, g)` float32 from `(q, K)`; new memory, which the caller may write to."""


class Torch(Product):
    """Whatever torch was built with: MKL or OpenBLAS on a CPU, cuBLAS on a GPU."""

    name = "torch"

    def pack(self, right: Tensor) -> Tensor:
        return right.T

    def multiply(self, left: Tensor, packed: Tensor) -> Tensor:
        return left @ packed


class NumPy(Product):
    """Whatever NumPy was built with, usually OpenBLAS."""

    name = "numpy"

    def pack(self, right: Tensor) -> Tensor:
        return right.T

    def multiply(self, left: Tensor, packed: Tensor) -> Tensor:
        return torch.from_numpy(left.numpy() @ packed.numpy())


class OneDNN(Product):
    """oneDNN with a packed right side: about twice MKL's speed on AMD processors.

    The operators are torch's own but not public, so `product` only offers them where they give the right result.
    """

    name = "onednn"

    def pack(self, right: Tensor) -> Tensor:
        packed: Tensor = torch.ops.mkldnn._reorder_linear_weight(right, None)
        return packed

    def multiply(self, left: Tensor, packed: Tensor) -> Tensor:
        scores: Tensor = torch.ops.mkldnn._linear_pointwise(left, packed, None, "none", [], "")
        return scores


_ALL: dict[str, type[Product]] = {kind.name: kind for kind in (OneDNN, Torch, NumPy)}


def product(name: str) -> Product:
    """The product of that name; raises `UserError` where there is none of that name or it does not work here."""
    if name not in _ALL:
        raise unknown_name("product", name, _ALL)
    kind = _ALL[name]()
    if not _works(name):
        raise unknown_name("product on this machine", name, available())
    return kind


@cache
def available() -> tuple[str, ...]:
    """The products that work on this machine."""
    return tuple(name for name in _ALL if _works(name))


@cache
def fastest(width: int = 1024) -> str:
    """The name of the product that takes the least of the processor on this machine, by a trial of some milliseconds.

    A product must do so clearly to be preferred to those before it in the list, since the machine may be busy.
    """
    generator = torch.Generator().manual_seed(0)
    left, right = (torch.randn(rows, width, generator=generator) for rows in (256, 1024))
    best, least = "", float("inf")
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # as tiles are computed
    try:
        for name in available():
            kind = product(name)
            packed = kind.pack(right)
            trials = []
            for _ in range(5):
                started = time.process_time()
                kind.multiply(left, packed)
                trials.append(time.process_time() - started)
            if min(trials) < 0.75 * least:
                best, least = name, min(trials)
    finally:
        torch.set_num_threads(threads)
    return best


@cache
def _works(name: str) -> bool:
    """Whether a product runs here and is right to float32 rounding."""
    generator = torch.Generator().manual_seed(0)
    left, right = (torch.randn(rows, 72, generator=generator) for rows in (5, 33))
    kind = _ALL[name]()
    try:
        found = kind.multiply(left, kind.pack(right))
    except (
        AttributeError,
        NotImplementedError,
        RuntimeError,
        TypeError,
    ):  # no such operator, or not for this processor
        return False
    return torch.allclose(found.double(), left.double() @ right.double().T, rtol=0, atol=1e-4)
