"""Every cell of a feature map looks at every other, inside a ResNet."""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING

import torch.nn.functional as F
from torch import Tensor, nn

from common.errors import UserError
from modeling.backbones.base import Backbone
from modeling.backbones.resnet import ResNet

STAGES = ("layer2", "layer3", "layer4")


class NonLocal(nn.Module):
    """The embedded-Gaussian non-local block (Wang et al., CVPR 2018, arXiv 1711.07971, eq. 4 and 6) on `(B, C, h, w)`:

    x'_p = x_p + W Σ_q softmax_q( θ(x_p)ᵀ φ(x_q) ) g(x_q),

    where θ, φ and g are linear maps to C/16 numbers. W begins with zeros, and so the block as the identity.

    Args:
        channels: C, a multiple of 16.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        inner = channels // 16
        self.theta = nn.Conv2d(channels, inner, 1)
        self.phi = nn.Conv2d(channels, inner, 1)
        self.g = nn.Conv2d(channels, inner, 1)
        self.out = nn.Conv2d(inner, channels, 1)
        nn.init.zeros_(self.out.weight)
        assert self.out.bias is not None
        nn.init.zeros_(self.out.bias)

    def forward(self, maps: Tensor) -> Tensor:
        """`(B, C, h, w)` to the same shape."""
        query, key, value = (layer(maps).flatten(2).transpose(1, 2) for layer in (self.theta, self.phi, self.g))
        # No 1/√d: with it the released weights would look elsewhere.
        seen = F.scaled_dot_product_attention(query, key, value, scale=1.0)
        added: Tensor = maps + self.out(seen.transpose(1, 2).unflatten(2, maps.shape[2:]))
        return added

    if TYPE_CHECKING:

        def __call__(self, maps: Tensor) -> Tensor: ...


def with_non_local(backbone: Backbone) -> Backbone:
    """Put a block after the second-to-last residual unit of stages 2, 3 and 4 of a ResNet, in place.

    All that was there keeps its name (`layer2.3.conv1.weight` stays that), and the blocks are `layer2.non_local` and so
    on, so published weights are loaded before.

    Raises:
        UserError: the backbone is no ResNet.
    """
    if not isinstance(backbone, ResNet):
        raise UserError("options.non_local puts blocks into a ResNet; set model.backbone to one, or non_local to false")
    for stage in STAGES:
        units = list(getattr(backbone, stage).named_children())
        block = NonLocal(_width(units[-1][1]))
        setattr(backbone, stage, nn.Sequential(OrderedDict([*units[:-1], ("non_local", block), units[-1]])))
    return backbone


def non_local_blocks(backbone: Backbone) -> list[NonLocal]:
    """Those that a backbone has; they are new where the rest is pretrained."""
    return [module for module in backbone.modules() if isinstance(module, NonLocal)]


def _width(unit: nn.Module) -> int:
    """The channels that a residual unit takes and gives."""
    convolution = next(module for module in unit.modules() if isinstance(module, nn.Conv2d))
    return convolution.in_channels
