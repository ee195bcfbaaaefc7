"""ResNet (He et al., CVPR 2016, arXiv 1512.03385) and ResNet-IBN-a (Pan et al., ECCV 2018, arXiv 1807.09441).

Parameters carry the names of the published weights (torchvision's, and those of the IBN-Net release), so that the
files load as they are. As in torchvision the stride of a bottleneck sits in its 3x3 convolution ("v1.5").
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar

import torch
from torch import Tensor, nn

from modeling.backbones.base import Backbone, initialise_convolutions


class IBN(nn.Module):
    """Instance normalisation of the first half of the channels, batch normalisation of the rest (IBN-a, fig. 3a).

    The instance half forgets the style of a picture (camera, light), the batch half keeps what tells people apart.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.sizes = (channels // 2, channels - channels // 2)
        self.IN = nn.InstanceNorm2d(self.sizes[0], affine=True)
        self.BN = nn.BatchNorm2d(self.sizes[1])

    def forward(self, maps: Tensor) -> Tensor:
        instance, batch = maps.split(self.sizes, dim=1)
        return torch.cat((self.IN(instance), self.BN(batch)), dim=1)


def _norm(channels: int, ibn: bool) -> nn.Module:
    return IBN(channels) if ibn else nn.BatchNorm2d(channels)


def _conv3x3(channels: int, out: int, stride: int = 1) -> nn.Conv2d:
    return nn.Conv2d(channels, out, 3, stride=stride, padding=1, bias=False)


class _Block(nn.Module, ABC):
    """A residual unit: `relu(branch(x) + shortcut(x))`; IBN, where there is one, follows the first convolution."""

    expansion: ClassVar[int]

    def __init__(self, channels: int, planes: int, stride: int) -> None:
        super().__init__()
        out = planes * self.expansion
        self.relu = nn.ReLU(inplace=True)
        self.downsample: nn.Module | None = None
        if stride != 1 or channels != out:
            shortcut = nn.Conv2d(channels, out, 1, stride=stride, bias=False)
            self.downsample = nn.Sequential(shortcut, nn.BatchNorm2d(out))

    @abstractmethod
    def branch(self, maps: Tensor) -> Tensor:
        """The convolutions that the shortcut goes around."""

    def forward(self, maps: Tensor) -> Tensor:
        shortcut = maps if self.downsample is None else self.downsample(maps)
        added: Tensor = self.relu(self.branch(maps) + shortcut)
        return added


class BasicBlock(_Block):
    """Two 3x3 convolutions (ResNet-18 and -34)."""

    expansion = 1

    def __init__(self, channels: int, planes: int, stride: int, ibn: bool) -> None:
        super().__init__(channels, planes, stride)
        self.conv1 = _conv3x3(channels, planes, stride)
        self.bn1 = _norm(planes, ibn)
        self.conv2 = _conv3x3(planes, planes)
        self.bn2 = nn.BatchNorm2d(planes)

    def branch(self, maps: Tensor) -> Tensor:
        maps = self.relu(self.bn1(self.conv1(maps)))
        out: Tensor = self.bn2(self.conv2(maps))
        return out


class Bottleneck(_Block):
    """1x1, 3x3, 1x1 convolutions, four times wider outside than inside (ResNet-50 and -101)."""

    expansion = 4

    def __init__(self, channels: int, planes: int, stride: int, ibn: bool) -> None:
        super().__init__(channels, planes, stride)
        self.conv1 = nn.Conv2d(channels, planes, 1, bias=False)
        self.bn1 = _norm(planes, ibn)
        self.conv2 = _conv3x3(planes, planes, stride)
        self.bn2 = nn.BatchNorm2d(planes)
        self.conv3 = nn.Conv2d(planes, planes * self.expansion, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(planes * self.expansion)

    def branch(self, maps: Tensor) -> Tensor:
        maps = self.relu(self.bn1(self.conv1(maps)))
        maps = self.relu(self.bn2(self.conv2(maps)))
        out: Tensor = self.bn3(self.conv3(maps))
        return out


_DEPTHS: dict[int, tuple[type[BasicBlock] | type[Bottleneck], tuple[int, int, int, int]]] = {
    18: (BasicBlock, (2, 2, 2, 2)),
    34: (BasicBlock, (3, 4, 6, 3)),
    50: (Bottleneck, (3, 4, 6, 3)),
    101: (Bottleneck, (3, 4, 23, 3)),
}


class ResNet(Backbone):
    """ResNet-18, -34, -50 or -101 up to the last feature map, which is non-negative (it ends in a ReLU).

    A method that wants earlier maps calls `stem`, `layer1`, … `layer4` one after the other.

    Args:
        depth: 18, 34, 50 or 101.
        last_stride: 1 or 2, of the first block of `layer4`: its 3x3 convolution and its shortcut. 1 doubles the
            height and width of the map and changes no parameter ("last stride trick", Sun et al., ECCV 2018).
        ibn: IBN-a in every block of `layer1` to `layer3`; `layer4` keeps plain batch normalisation.

    Attributes:
        widths: the depths of the maps of `layer1` to `layer4`.
    """

    def __init__(self, depth: int, *, last_stride: int, ibn: bool = False) -> None:
        super().__init__()
        block, (first, second, third, fourth) = _DEPTHS[depth]
        self.widths = tuple(planes * block.expansion for planes in (64, 128, 256, 512))
        self.channels = self.widths[-1]
        self.stride = 16 * last_stride

        self.conv1 = nn.Conv2d(3, 64, 7, stride=2, padding=3, bias=False)
        self.bn1 = nn.BatchNorm2d(64)
        self.relu = nn.ReLU(inplace=True)
        self.maxpool = nn.MaxPool2d(3, stride=2, padding=1)
        self.layer1 = residual_layer(block, 64, 64, first, stride=1, ibn=ibn)
        self.layer2 = residual_layer(block, 64 * block.expansion, 128, second, stride=2, ibn=ibn)
        self.layer3 = residual_layer(block, 128 * block.expansion, 256, third, stride=2, ibn=ibn)
        self.layer4 = residual_layer(block, 256 * block.expansion, 512, fourth, stride=last_stride, ibn=False)
        initialise_convolutions(self)

    def stem(self, images: Tensor) -> Tensor:
        """`(B, 3, H, W)` to `(B, 64, H/4, W/4)`."""
        maps: Tensor = self.maxpool(self.relu(self.bn1(self.conv1(images))))
        return maps

    def forward(self, images: Tensor) -> Tensor:
        """`(B, 3, H, W)` to `(B, channels, H/stride, W/stride)`."""
        maps: Tensor = self.layer4(self.layer3(self.layer2(self.layer1(self.stem(images)))))
        return maps


def residual_layer(
    block: type[BasicBlock] | type[Bottleneck],
    channels: int,
    planes: int,
    count: int,
    *,
    stride: int = 1,
    ibn: bool = False,
) -> nn.Sequential:
    """`count` blocks; only the first changes resolution and depth."""
    first = block(channels, planes, stride, ibn)
    rest = (block(planes * block.expansion, planes, 1, ibn) for _ in range(count - 1))
    return nn.Sequential(first, *rest)
