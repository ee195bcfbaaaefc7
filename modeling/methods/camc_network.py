"""The network of CAMC and what may be left out of it or added to it; `modeling/methods/camc.py` has the equations."""

from __future__ import annotations

from typing import Literal

import torch
from pydantic import Field, model_validator
from torch import Tensor, nn

from common.contracts import Embedding
from common.errors import UserError
from configs.schema import Config, Section, Term
from modeling.backbones import build_backbone
from modeling.layers.attention import tokens_of
from modeling.layers.co_attention import CoAttentionGate, Streams
from modeling.layers.mutual_attention import Direction, MutualCrossAttention
from modeling.layers.neck import BNNeck
from modeling.layers.precision import at_least_float32
from modeling.layers.shape_semantics import ShapeSemantics
from modeling.methods.baseline import IdentityTerm, TripletTerm
from modeling.methods.method import Embedder
from modeling.network import Features

Fusion = Literal["full", "gate", "attention", "concat", "appearance"]


class ShapeTerm(Term):
    """Cross entropy of a classifier on the shape half of z, so that the shape cannot be ignored; not published."""

    weight: float = Field(0.0, ge=0)


class FusedTripletTerm(TripletTerm):
    """Batch-hard triplet on v; not published."""

    weight: float = Field(0.0, ge=0)


class CamcOptions(Section):
    """Section `options:` of `method: camc`; what `fusion`, `embedding` and `direction` leave out is not built."""

    identity: IdentityTerm = IdentityTerm()
    fusion: Fusion = "full"  # gate, then attention | either | concat: neither | appearance: no joints at all
    embedding: Literal["attended", "tokens"] = "attended"  # tokens: joints without the block of self-attention
    direction: Direction = "both"  # one-way: only p_s (appearance) or only s_p (shape) is computed and kept
    test_streams: Literal["both", "appearance", "shape"] = "both"  # the half of z that is compared at test time
    # Not published:
    positions: bool = False  # the block of self-attention knows where tokens lie
    normalised: bool = False  # scores of layer-normalised tokens
    projected: bool = False  # scores of projected tokens
    shape: ShapeTerm = ShapeTerm()
    triplet: FusedTripletTerm = FusedTripletTerm()

    @model_validator(mode="after")
    def _together(self) -> CamcOptions:
        attends = self.fusion in ("full", "attention")
        if not attends and (self.direction != "both" or self.normalised or self.projected):
            raise ValueError(
                f"direction, normalised and projected are of mutual attention, and fusion={self.fusion} has none; leave"
                " them out, or take fusion full or attention"
            )
        if self.positions and self.embedding == "tokens":
            raise ValueError(
                "positions are told to the self-attention, which embedding=tokens leaves out; set one of them"
            )
        if self.fusion == "appearance" and (self.positions or self.embedding == "tokens"):
            raise ValueError(
                "embedding and positions are of the joints, and fusion=appearance has none; leave them out"
            )
        if self.test_streams != "both" and len(self.streams) == 1:
            raise ValueError(f"test_streams={self.test_streams} is one of two halves, and z has only one; leave it out")
        if self.shape.weight and "shape" not in self.streams:
            raise ValueError("shape.weight is of the shape half of z, which has none; leave it out")
        return self

    @property
    def streams(self) -> tuple[str, ...]:
        """What v is made of, in order; each has as many numbers as the backbone has channels."""
        if self.fusion == "appearance":
            return ("appearance",)
        return ("appearance", "shape") if self.direction == "both" else (self.direction,)


class CamcEmbedder(Embedder):
    """Appearance and shape, fused; z is compared.

    Attributes:
        inputs: nothing where `options.fusion` is appearance.
        channels: of v and z.
    """

    inputs: tuple[str, ...] = ("poses",)

    def __init__(self, config: Config) -> None:
        super().__init__()
        options, model = config.options, config.model
        assert isinstance(options, CamcOptions)
        if model.pooling != "average":
            raise UserError(f"method camc takes the mean of its tokens; set model.pooling=average, not {model.pooling}")
        self.backbone = build_backbone(model.backbone, last_stride=model.last_stride, pretrained=model.pretrained)
        width = self.backbone.channels
        self.streams, self.compared = options.streams, options.test_streams
        self.shape: ShapeSemantics | None = None
        self.gate: CoAttentionGate | None = None
        self.attention: MutualCrossAttention | None = None
        if options.fusion == "appearance":
            self.inputs = ()
        else:
            attended = options.embedding == "attended"
            joints = config.data.poses.channels
            self.shape = ShapeSemantics(joints, width, attended=attended, positions=options.positions)
        if options.fusion in ("full", "gate"):
            self.gate = CoAttentionGate(width)
        if options.fusion in ("full", "attention"):
            scored = {"normalised": options.normalised, "projected": options.projected}
            self.attention = MutualCrossAttention(width, options.direction, **scored)
        self.channels = width * len(self.streams)
        self.neck = BNNeck(self.channels)
        nn.init.normal_(self.neck.weight, mean=1.0, std=0.02)

    def features(self, images: Tensor, poses: Tensor | None = None) -> Features:
        """v and z `(B, channels)`, in float32, of pictures `(B, 3, H, W)` and heatmaps `(B, J, H', W')` of joints."""
        maps = self.backbone(images)
        seen = tokens_of(maps)
        if self.shape is None:
            return self.pooled((seen,))
        if poses is None:
            raise UserError("a network of method camc needs the joints of every picture beside it: poses=heatmaps")
        height, width = maps.shape[2:]
        return self.pooled(self.fused(Streams(seen, self.shape(poses, (height, width)))))

    def fused(self, streams: Streams) -> tuple[Tensor, ...]:
        """Tokens `(B, N, C)` of every stream, each aware of the other."""
        if self.gate is not None:
            streams = self.gate(streams)
        return streams if self.attention is None else self.attention(streams)

    def pooled(self, streams: tuple[Tensor, ...]) -> Features:
        """The mean over all tokens, and what the neck makes of it."""
        means = [at_least_float32(stream).mean(dim=1) for stream in streams]
        vector = torch.cat(means, dim=1)
        return Features(vector, self.neck(vector))

    def stream(self, vectors: Tensor, name: str) -> Tensor:
        """The part of v or z that is of one stream."""
        return vectors.chunk(len(self.streams), dim=1)[self.streams.index(name)]

    def forward(self, images: Tensor, poses: Tensor | None = None, **extras: Tensor) -> Embedding:
        neck = self.features(images, poses).neck
        return Embedding(neck if self.compared == "both" else self.stream(neck, self.compared))
