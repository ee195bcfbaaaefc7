"""What HRNet is built of: branches of several resolutions side by side that exchange what they see.

Every module is a list under the names of the published weights, which is why so many are `nn.ModuleList`s.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from modeling.backbones.resnet import BasicBlock, residual_layer


class Transition(nn.ModuleList):
    """From the branches of one stage to those of the next, which has new ones of half the resolution of the lowest.

    Args:
        before: depths of the branches there are.
        after: depths of the branches wanted, at least as many; those that keep their depth pass through.
    """

    def __init__(self, before: Sequence[int], after: Sequence[int]) -> None:
        super().__init__()
        for i, depth in enumerate(after):
            if i >= len(before):
                self.append(nn.Sequential(_rectified(before[-1], depth, stride=2)))
            else:
                self.append(nn.Identity() if before[i] == depth else _rectified(before[i], depth, stride=1))

    def forward(self, maps: Sequence[Tensor]) -> list[Tensor]:
        return [layer(maps[min(i, len(maps) - 1)]) for i, layer in enumerate(self)]


class Fusion(nn.ModuleList):
    """What one branch takes from all: each map brought to its depth and size, their sum rectified.

    From below comes a 1x1 convolution, enlarged to the nearest cell; from above a chain of 3x3 convolutions of stride
    2, rectified but for the last.

    Args:
        widths: depths of all branches, from the highest resolution down.
        target: the branch that takes.
    """

    def __init__(self, widths: Sequence[int], target: int) -> None:
        super().__init__(_path(widths, source, target) for source in range(len(widths)))
        self.target = target

    def forward(self, maps: Sequence[Tensor]) -> Tensor:
        """Of `(B, widths[i], h_i, w_i)` each, to `(B, widths[target], h_target, w_target)`."""
        size = maps[self.target].shape[-2:]
        brought = []
        for source, layer in enumerate(self):
            term = layer(maps[source])
            # To a size and not by a factor: halves of odd sizes are rounded up.
            brought.append(F.interpolate(term, size=size, mode="nearest") if source > self.target else term)
        total = brought[0]
        for term in brought[1:]:
            total = total + term
        return torch.relu_(total)


class HighResolutionModule(nn.Module):
    """Four basic blocks on every branch, then an exchange.

    Args:
        widths: depths of the branches, from the highest resolution down.
        emitted: how many of the branches, from the top, there are afterwards.
    """

    def __init__(self, widths: Sequence[int], emitted: int) -> None:
        super().__init__()
        self.branches = nn.ModuleList(residual_layer(BasicBlock, width, width, 4) for width in widths)
        self.fuse_layers = nn.ModuleList(Fusion(widths, target) for target in range(emitted))

    def forward(self, maps: Sequence[Tensor]) -> list[Tensor]:
        maps = [branch(one) for branch, one in zip(self.branches, maps, strict=True)]
        return [fusion(maps) for fusion in self.fuse_layers]


def stage(widths: Sequence[int], count: int, emitted: int | None = None) -> nn.Sequential:
    """`count` modules one after the other; only the last leaves out what is below `emitted`, where that is given."""
    full = len(widths)
    last = full if emitted is None else emitted
    return nn.Sequential(*(HighResolutionModule(widths, last if i == count - 1 else full) for i in range(count)))


def _path(widths: Sequence[int], source: int, target: int) -> nn.Module:
    """What a map goes through from one branch to another."""
    if source == target:
        return nn.Identity()
    if source > target:
        return nn.Sequential(nn.Conv2d(widths[source], widths[target], 1, bias=False), nn.BatchNorm2d(widths[target]))
    steps = [_rectified(widths[source], widths[source], stride=2) for _ in range(target - source - 1)]
    return nn.Sequential(*steps, nn.Sequential(*_normalised(widths[source], widths[target], stride=2)))


def _normalised(channels: int, out: int, stride: int) -> tuple[nn.Module, nn.Module]:
    return nn.Conv2d(channels, out, 3, stride=stride, padding=1, bias=False), nn.BatchNorm2d(out)


def _rectified(channels: int, out: int, stride: int) -> nn.Sequential:
    return nn.Sequential(*_normalised(channels, out, stride), nn.ReLU(inplace=True))
