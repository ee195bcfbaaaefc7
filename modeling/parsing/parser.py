"""What every way of finding body parts takes and gives back."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from common.errors import UserError


@dataclass(frozen=True)
class Parsed:
    """The parts of one person.

    Attributes:
        masks: `(N, h, w)` uint8 on the CPU: 0 background, 1 … P parts from head to foot.
        labels: how many different labels co-parsing had left when it stopped; 0 where it did not run.
        iterations: how many times its decoder looked at the pictures; 0 where it did not run.
        fallback: whether the way that was asked for found no parts, and another had to do.
    """

    masks: Tensor
    labels: int = 0
    iterations: int = 0
    fallback: bool = False


class Parser(Protocol):
    """Finds the parts in the feature maps of all pictures of one person."""

    def __call__(self, maps: Tensor, seed: int) -> Parsed:
        """Parts of N ≥ 1 pictures.

        Args:
            maps: `(N, C, h, w)` float32 on any device; not changed, and no gradient reaches them.
            seed: of everything random. Nothing is drawn from torch's global stream.

        Raises:
            UserError: the maps hold NaN or infinity.
        """


def finite(maps: Tensor) -> Tensor:
    """`maps`, detached; raises `UserError` where a number is NaN or infinite."""
    if not bool(torch.isfinite(maps).all()):
        raise UserError(
            "cannot look for body parts: the feature maps of a person hold NaN or infinity, where finite numbers are"
            " expected; the network has diverged, so go back to an earlier checkpoint or lower the learning rate"
        )
    return maps.detach()
