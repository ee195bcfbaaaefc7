"""Backbones by name. A new one is a file beside this one, a line in `BACKBONES` and, if published, one in `WEIGHTS`."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from common.errors import UserError, unknown_name
from modeling.backbones.base import Backbone
from modeling.backbones.hrnet import HRNet
from modeling.backbones.pretrained import ensure_downloaded, load_pretrained
from modeling.backbones.resnet import ResNet

__all__ = ["BACKBONES", "Backbone", "build_backbone", "ensure_downloaded"]

BACKBONES: dict[str, Callable[..., Backbone]] = {
    "resnet18": partial(ResNet, 18),
    "resnet34": partial(ResNet, 34),
    "resnet50": partial(ResNet, 50),
    "resnet101": partial(ResNet, 101),
    "resnet18_ibn_a": partial(ResNet, 18, ibn=True),
    "resnet34_ibn_a": partial(ResNet, 34, ibn=True),
    "resnet50_ibn_a": partial(ResNet, 50, ibn=True),
    "resnet101_ibn_a": partial(ResNet, 101, ibn=True),
    "hrnet_w32": partial(HRNet, 32),
    "hrnet_w48": partial(HRNet, 48),
}
"""Each is called with `last_stride=`."""


def build_backbone(name: str, *, last_stride: int, pretrained: str) -> Backbone:
    """The backbone `name` on the CPU, its weights loaded.

    Args:
        name: a key of `BACKBONES`.
        last_stride: 1 or 2; 1 doubles the height and width of the feature map. HRNet knows only 1.
        pretrained: "imagenet" (downloaded once, see `modeling/backbones/pretrained.py`), "none", or a file.

    Raises:
        UserError: unknown name or stride; weights that cannot be fetched, read, or do not belong to this backbone.
    """
    if name not in BACKBONES:
        raise unknown_name("backbone", name, BACKBONES)
    if last_stride not in (1, 2):
        raise UserError(f"model.last_stride must be 1 or 2, got {last_stride}")
    weights = ensure_downloaded(name, pretrained)  # before building: a missing file should not cost seconds
    backbone = BACKBONES[name](last_stride=last_stride)
    if weights is not None:
        load_pretrained(backbone, weights, unused=backbone.unused)
    return backbone
