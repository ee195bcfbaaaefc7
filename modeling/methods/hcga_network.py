"""HCGA's network: a map, the part of the body that each of its cells shows, and a vector per part."""

from __future__ import annotations

from typing import Literal, NamedTuple

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from common.contracts import Embedding
from common.errors import UserError
from configs.schema import Config, Model, Section
from modeling.backbones import build_backbone
from modeling.backbones.hrnet import HRNet
from modeling.backbones.resnet import ResNet
from modeling.layers.cbam import CBAM
from modeling.layers.neck import BNNeck
from modeling.layers.part_pooling import guided_masks, masked_means, visible_parts
from modeling.layers.precision import at_least_float32
from modeling.layers.spatial_attention import SpatialAttention
from modeling.methods.method import ParsingEmbedder
from modeling.network import Features
from modeling.parsing.options import ParsingOptions

Matching = Literal["visible", "visible-sum", "whole"]

SCORERS: dict[Matching, str] = {"visible": "visible-parts", "visible-sum": "visible-parts-sum", "whole": "cosine"}

CELL = 4
"""Pixels of the picture for each cell of the map, in height and width; sizes are rounded up."""


class NetworkOptions(Section):
    """The keys of `options:` that decide the network of `method: hcga`."""

    parsing: ParsingOptions = ParsingOptions()  # how masks to learn from are found; parts: P
    width: int = Field(256, ge=1)  # channels of the map that is parsed and pooled
    stages: int = Field(2, ge=1, le=4)  # of a ResNet, the last ones; 4 for small pictures
    global_from: Literal["head", "backbone"] = "head"  # the map whose mean is y_g; backbone is the release's IF_BIGG
    # As published: masks guided, area false, visible_from 0, matching visible-sum (Market, Duke: whole)
    masks: Literal["soft", "guided"] = "soft"  # guided: thresholds that differ in training and at test
    area: bool = True  # divide by the mass of the mask; false: by all cells, so that length tells size
    visible_from: float = Field(0.015, ge=0, le=1)  # share of the cells from which on a part is seen; 0: any cell
    matching: Matching = "visible"  # foreground and parts that both show, their mean or sum | whole: cosine of all


class Seen(NamedTuple):
    """What the network says of B pictures, in float32; `parts` are the vectors of all P one after the other.

    `logits` are `(B, P + 1, h, w)`.
    """

    logits: Tensor
    whole: Features
    foreground: Features
    parts: Features


class Merge(nn.Module):
    """Maps of several sizes, brought to one and concatenated, through a 1×1 convolution, BN and ReLU.

    Bilinear enlarging and a 1×1 convolution may change places, so each map goes through its columns of the convolution
    at its own size, which is a fraction of the work and of the memory.

    Args:
        widths: channels of the maps.
        out: channels of the result.
    """

    def __init__(self, widths: tuple[int, ...], out: int) -> None:
        super().__init__()
        self.widths = widths
        self.conv = nn.Conv2d(sum(widths), out, 1)
        self.norm = nn.BatchNorm2d(out)

    def forward(self, maps: list[Tensor], size: tuple[int, int]) -> Tensor:
        """`(B, widths[i], h_i, w_i)` to `(B, out, *size)`."""
        merged: Tensor | None = None
        bias = self.conv.bias  # once is enough: enlarging keeps a constant
        for one, weight in zip(maps, self.conv.weight.split(self.widths, dim=1), strict=True):
            part = enlarged(F.conv2d(one, weight, bias), size)
            merged, bias = (part, None) if merged is None else (merged + part, None)
        return F.relu(self.norm(merged))


class HcgaEmbedder(ParsingEmbedder):
    """X, a map a quarter of the picture high and wide; P = softmax of what it says of each cell; their products pooled.

        y_g = mean X,   y_f = mean of X by Σ_{p≥1} P_p,   y_p = mean of X by M_p,   z = BN(y)

    HRNet's four maps are merged, and its X weighed by `SpatialAttention`; of a ResNet the maps of the last stages, with
    CBAM on stage 3, which stage 4 goes on from, and on X. The three BNs are of y_g, of y_f and of all y_p in a row.

    For the test z_f and the z_p are compared where both pictures show the part, or all three z as one vector.

    Attributes:
        parts: P.
        channels: of z_g, z_f and the z_p in a row.
    """

    def __init__(self, config: Config, options: NetworkOptions) -> None:
        super().__init__()
        if config.model.pooling != "average":
            raise UserError(
                f"method hcga takes means over body parts; set model.pooling=average, not {config.model.pooling}"
            )
        self.options = options
        self.parts = options.parsing.parts
        self.scorer = SCORERS[options.matching]
        self.backbone, widths = _backbone(config.model, options.stages)
        self.stages = len(widths)
        self.stage_attention: CBAM | None = None
        self.attention: SpatialAttention | CBAM = SpatialAttention(options.width)
        if isinstance(self.backbone, ResNet):
            self.stage_attention, self.attention = CBAM(self.backbone.widths[2]), CBAM(options.width)
        self.merge = Merge(widths, options.width)
        self.parse = nn.Conv2d(options.width, self.parts + 1, 1)
        first = options.width if options.global_from == "head" else sum(widths)
        self.channels = (first, options.width, self.parts * options.width)
        self.necks = nn.ModuleList(BNNeck(channels) for channels in self.channels)

    def pyramid(self, images: Tensor) -> list[Tensor]:
        """The backbone's maps of several sizes, the largest first."""
        if isinstance(self.backbone, HRNet):
            return self.backbone.pyramid(images)
        network = self.backbone
        assert self.stage_attention is not None
        first = network.layer1(network.stem(images))
        second = network.layer2(first)
        third = self.stage_attention(network.layer3(second))
        return [first, second, third, network.layer4(third)][-self.stages :]

    def merged(self, pyramid: list[Tensor], size: tuple[int, int]) -> Tensor:
        """X."""
        return self.attention(self.merge(pyramid, size))

    def maps(self, images: Tensor) -> Tensor:
        return at_least_float32(self.merged(self.pyramid(images), grid_of(images)))

    def parsed(self, images: Tensor) -> Tensor:
        return self._logits(self.maps(images)).softmax(dim=1)

    def features(self, images: Tensor) -> Seen:
        """Of pictures `(B, 3, H, W)`."""
        pyramid, size = self.pyramid(images), grid_of(images)
        maps = self.merged(pyramid, size)
        logits = self._logits(maps)
        if self.options.global_from == "head":
            whole = at_least_float32(maps).mean(dim=(2, 3))
        else:
            whole = torch.cat([at_least_float32(enlarged(one, size)).mean(dim=(2, 3)) for one in pyramid], dim=1)
        pooled = self.pooled(maps, logits.softmax(dim=1))
        vectors = (whole, pooled[:, 0], pooled[:, 1:].flatten(1))
        return Seen(logits, *(Features(y, neck(y)) for y, neck in zip(vectors, self.necks, strict=True)))

    def pooled(self, maps: Tensor, probabilities: Tensor) -> Tensor:
        """`(B, 1 + P, width)`: y_f, then y_1 to y_P, of X `(B, width, h, w)` and P `(B, P + 1, h, w)`."""
        masks = probabilities
        if self.options.masks == "guided":
            masks = guided_masks(probabilities, training=self.training)
        foreground = probabilities[:, 1:].sum(dim=1, keepdim=True)  # of what is seen, whatever the masks
        return masked_means(maps, torch.cat((foreground, masks[:, 1:]), dim=1), by_area=self.options.area)

    def forward(self, images: Tensor, **extras: Tensor) -> Embedding:
        seen = self.features(images)
        if self.options.matching == "whole":
            return Embedding(torch.cat((seen.whole.neck, seen.foreground.neck, seen.parts.neck), dim=1))
        visibility = visible_parts(seen.logits, self.options.visible_from)
        return Embedding(seen.foreground.neck, seen.parts.neck.unflatten(1, (self.parts, -1)), visibility)

    def _logits(self, maps: Tensor) -> Tensor:
        logits: Tensor = self.parse(maps)
        return at_least_float32(logits)


def grid_of(images: Tensor) -> tuple[int, int]:
    """(h, w) of the map of pictures `(B, 3, H, W)`."""
    return grid(images.shape[2], images.shape[3])


def grid(height: int, width: int) -> tuple[int, int]:
    """(h, w) of the map of a picture of that size."""
    return -(-height // CELL), -(-width // CELL)


def enlarged(maps: Tensor, size: tuple[int, int]) -> Tensor:
    """`(B, C, h', w')` to `(B, C, *size)`, bilinearly, corner on corner; as it is where it has that size."""
    if maps.shape[2:] == size:
        return maps
    return F.interpolate(maps, size=size, mode="bilinear", align_corners=True)


def _backbone(config: Model, stages: int) -> tuple[HRNet | ResNet, tuple[int, ...]]:
    """The backbone, and the depths of the maps that are taken from it."""
    backbone = build_backbone(config.backbone, last_stride=config.last_stride, pretrained=config.pretrained)
    if isinstance(backbone, HRNet):
        return backbone, backbone.pyramid_widths
    if isinstance(backbone, ResNet):
        return backbone, backbone.widths[-stages:]
    raise UserError(
        f"method hcga merges maps of several sizes, which {config.backbone} does not give; set model.backbone to a"
        " ResNet or an HRNet"
    )
