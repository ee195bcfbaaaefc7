"""HRNet (Sun et al., CVPR 2019, arXiv 1902.09212; Wang et al., TPAMI 2020, arXiv 1908.07919), for features and joints.

A picture is seen at a quarter of its size from beginning to end, beside branches of an eighth, a 16th and a 32nd.
Parameters carry the names of the published weights, so that the files load as they are: those of ImageNet
(HRNet-Image-Classification, and timm's copies) into `HRNet`, those of COCO's joints into `PoseHRNet`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from common.errors import UserError
from modeling.backbones.base import Backbone, initialise_convolutions
from modeling.backbones.hrnet_stages import Transition, stage
from modeling.backbones.resnet import Bottleneck, residual_layer

JOINTS = 17
"""Joints of a person in COCO: nose, eyes, ears, shoulders, elbows, wrists, hips, knees, ankles; left before right."""

_PLANES = (32, 64, 128, 256)
"""Inner depths of the bottlenecks that widen the four branches for classification, whatever the width."""


class HighResolutionTrunk(nn.Module):
    """The four stages, which all forms of HRNet share.

    Args:
        width: depth of the highest branch: 32 (HRNet-W32) or 48; each one below is twice as deep.
        emitted: how many branches, from the top, the last stage gives.

    Attributes:
        widths: the depths of the four branches.
    """

    def __init__(self, width: int, *, emitted: int) -> None:
        super().__init__()
        self.widths = tuple(width * 2**i for i in range(4))
        self.conv1 = nn.Conv2d(3, 64, 3, stride=2, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(64)
        self.conv2 = nn.Conv2d(64, 64, 3, stride=2, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(64)
        self.relu = nn.ReLU(inplace=True)
        self.layer1 = residual_layer(Bottleneck, 64, 64, 4)
        self.transition1 = Transition((256,), self.widths[:2])
        self.stage2 = stage(self.widths[:2], 1)
        self.transition2 = Transition(self.widths[:2], self.widths[:3])
        self.stage3 = stage(self.widths[:3], 4)
        self.transition3 = Transition(self.widths[:3], self.widths)
        self.stage4 = stage(self.widths, 3, emitted)

    def stem(self, images: Tensor) -> Tensor:
        """`(B, 3, H, W)` to `(B, 64, H/4, W/4)`."""
        maps: Tensor = self.relu(self.bn1(self.conv1(images)))
        maps = self.relu(self.bn2(self.conv2(maps)))
        return maps

    def branches(self, images: Tensor) -> list[Tensor]:
        """`(B, 3, H, W)` to the last stage's maps: `(B, widths[i], H/4/2^i, W/4/2^i)`, sizes rounded up."""
        maps: list[Tensor] = [self.layer1(self.stem(images))]
        maps = self.stage2(self.transition1(maps))
        maps = self.stage3(self.transition2(maps))
        maps = self.stage4(self.transition3(maps))
        return maps


class HRNet(HighResolutionTrunk, Backbone):
    """HRNet-W32-C or -W48-C up to the maps it classifies by: four resolutions, brought to the highest, in one map.

    The map is non-negative, 1920 channels deep (128, 256, 512, 1024 from the highest branch down) and a quarter of the
    picture high and wide. That is 16 times as many cells as ResNet gives with a last stride of 1, and takes memory
    accordingly. A method that wants the four maps as they are calls `pyramid`.

    Args:
        width: 32 or 48.
        last_stride: 1; there is no stride to change.

    Attributes:
        pyramid_widths: the depths of the four maps.
    """

    unused: ClassVar[tuple[str, ...]] = ("downsamp_modules", "final_layer", "classifier")

    def __init__(self, width: int, *, last_stride: int = 1) -> None:
        if last_stride != 1:
            raise UserError(
                f"model.last_stride={last_stride} means nothing to hrnet_w{width}, whose map is always a quarter of the"
                " picture; leave it at 1"
            )
        super().__init__(width, emitted=4)
        self.pyramid_widths = tuple(Bottleneck.expansion * planes for planes in _PLANES)
        self.channels = sum(self.pyramid_widths)
        self.stride = 4
        self.incre_modules = nn.ModuleList(
            residual_layer(Bottleneck, depth, planes, 1) for depth, planes in zip(self.widths, _PLANES, strict=True)
        )
        initialise_convolutions(self)

    def pyramid(self, images: Tensor) -> list[Tensor]:
        """`(B, 3, H, W)` to four maps of 128, 256, 512 and 1024 channels at 1/4, 1/8, 1/16 and 1/32 of the size."""
        return [widen(maps) for widen, maps in zip(self.incre_modules, self.branches(images), strict=True)]

    def forward(self, images: Tensor) -> Tensor:
        """`(B, 3, H, W)` to `(B, 1920, H/4, W/4)`."""
        first, *others = self.pyramid(images)
        size = first.shape[-2:]
        enlarged = (F.interpolate(maps, size=size, mode="bilinear", align_corners=True) for maps in others)
        return torch.cat((first, *enlarged), dim=1)


class PoseHRNet(HighResolutionTrunk):
    """HRNet that finds joints: a map for each of COCO's 17, high where the joint is.

    The values are what the regression to Gaussians of height 1 gave: about 0 to 1, not clamped.

    Args:
        width: 32 or 48.
    """

    def __init__(self, width: int) -> None:
        super().__init__(width, emitted=1)
        self.final_layer = nn.Conv2d(width, JOINTS, 1)
        initialise_convolutions(self)

    def forward(self, images: Tensor) -> Tensor:
        """`(B, 3, H, W)` to `(B, 17, H/4, W/4)`."""
        maps: Tensor = self.final_layer(self.branches(images)[0])
        return maps

    if TYPE_CHECKING:

        def __call__(self, images: Tensor) -> Tensor: ...
