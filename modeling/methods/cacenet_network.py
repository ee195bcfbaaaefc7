"""CACE-Net's network: a vector of a picture, and beside it the vector of a picture given another."""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from common.contracts import Embedding
from configs.schema import Config, Section
from modeling.backbones import build_backbone
from modeling.layers.ghost import batch_norm_in_chunks
from modeling.layers.non_local import with_non_local
from modeling.layers.pair_graph import PairGraph, Pairs, Projected, Propagation
from modeling.layers.pooling import build_pooling
from modeling.layers.precision import at_least_float32
from modeling.methods.method import PairEmbedder


class NetworkOptions(Section):
    """The keys of `options:` that decide the network of `method: cacenet`."""

    width: int = Field(768, ge=1)  # numbers in the feature
    non_local: bool = True  # blocks in stages 2 to 4 of the ResNet
    propagation: Propagation = "laplacian"  # of the pair graph; adjacency sends means, not differences
    cross_only: bool = False  # true: the pair graph has no edges within a picture
    shared_norm: bool = False  # true: features of pairs move the statistics by which the test normalises; published


class MapFeatures(NamedTuple):
    """Feature maps `(B, C, h, w)`, and the feature `(B, width)` of each picture alone."""

    maps: Tensor
    feature: Tensor


class ConditionalEmbedder(PairEmbedder):
    """Pooling, a linear map and batch normalisation make a vector of a map: of a picture's own, or of what the pair
    graph makes of it beside another picture.

    For the test a picture is embedded alone, as the unit vector of its feature; added to that of its mirror image it
    points where the mean of both does, as published. A scorer of pairs sets `with_maps` and goes on from the maps:

        projected = embedder.projected(maps)                                    # once per picture
        i_given_j, j_given_i = embedder.conditional(maps[i], projected.take(i), maps[j], projected.take(j))

    Features given another picture have batch statistics of their own: what the graph adds moves them away from those
    of pictures alone. Scale and shift are shared.
    """

    flip = True

    def __init__(self, config: Config, options: NetworkOptions) -> None:
        super().__init__()
        model = config.model
        backbone = build_backbone(model.backbone, last_stride=model.last_stride, pretrained=model.pretrained)
        self.backbone = with_non_local(backbone) if options.non_local else backbone
        self.graph = PairGraph(backbone.channels, propagation=options.propagation, cross_only=options.cross_only)
        self.pooling = build_pooling(model.pooling, backbone.channels)
        self.reduce = nn.Linear(self.pooling.channels, options.width, bias=False)
        nn.init.kaiming_normal_(self.reduce.weight, mode="fan_out")
        self.neck = nn.BatchNorm1d(options.width)
        # A layer of its own, so that what treats all BatchNorm layers alike finds its statistics too.
        self.pair_statistics = None if options.shared_norm else nn.BatchNorm1d(options.width, affine=False)
        self.channels = options.width

    def features(self, images: Tensor) -> MapFeatures:
        """Of pictures `(B, 3, H, W)`, each alone."""
        maps = self.backbone(images)
        return MapFeatures(maps, self.neck(self._reduced(maps)))

    def forward(self, images: Tensor, **extras: Tensor) -> Embedding:
        maps, feature = self.features(images)
        return Embedding(F.normalize(feature), maps=maps if self.with_maps else None)

    def projected(self, maps: Tensor) -> Projected:
        """What `conditional` needs of pictures `(B, C, h, w)` beside their maps: `(B, N, c)` twice."""
        return self.graph.project(maps)

    def conditional(
        self, maps_i: Tensor, projected_i: tuple[Tensor, ...], maps_j: Tensor, projected_j: tuple[Tensor, ...]
    ) -> tuple[Tensor, Tensor]:
        """The features `(P, width)` of i given j and of j given i, for P pairs, in evaluation."""
        statistics = self.neck if self.pair_statistics is None else self.pair_statistics
        reduced = self._reduced_pairs(maps_i, Projected(*projected_i), maps_j, Projected(*projected_j))
        i_given_j, j_given_i = (
            F.batch_norm(
                one,
                statistics.running_mean,
                statistics.running_var,
                self.neck.weight,
                self.neck.bias,
                eps=self.neck.eps,
            )
            for one in reduced
        )
        return i_given_j, j_given_i

    def all_conditional(self, maps: Tensor, pairs: Pairs, chunk: int, recompute: bool) -> Tensor:
        """The features of all ordered pairs in each group, in training: `(G, R, width)`, in the order of `pairs`.

        Args:
            maps: `(G · pairs.size, C, h, w)`, group after group; pictures of different groups make no pair.
            chunk: pairs whose maps are there at once.
            recompute: compute a chunk again for its gradient rather than keep its maps.
        """
        groups = len(maps) // pairs.size
        offsets = pairs.size * torch.arange(groups, device=maps.device)[:, None]
        first, second = ((offsets + one).flatten() for one in (pairs.first, pairs.second))
        y, g = self.projected(maps)

        def of(i: Tensor, j: Tensor, maps: Tensor, y: Tensor, g: Tensor) -> tuple[Tensor, Tensor]:
            return self._reduced_pairs(maps[i], Projected(y[i], g[i]), maps[j], Projected(y[j], g[j]))

        found = []
        for i, j in zip(first.split(chunk), second.split(chunk), strict=True):
            inputs = (i, j, maps, y, g)
            both = checkpoint(of, *inputs, use_reentrant=False, preserve_rng_state=False) if recompute else of(*inputs)
            found.append(torch.stack(both))
        ways = torch.cat(found, dim=1).unflatten(1, (groups, -1))  # (2, G, P, width)
        rows = ways.transpose(0, 1).flatten(1, 2)[:, pairs.kept]
        return self._normalised_pairs(rows.flatten(0, 1), len(pairs.kept)).view(groups, len(pairs.kept), -1)

    def _reduced(self, maps: Tensor) -> Tensor:
        """`(B, C, h, w)` to `(B, width)`, before normalisation."""
        return at_least_float32(self.reduce(self.pooling(maps)))

    def _reduced_pairs(
        self, maps_i: Tensor, projected_i: Projected, maps_j: Tensor, projected_j: Projected
    ) -> tuple[Tensor, Tensor]:
        sent_i, sent_j = self.graph(projected_i, projected_j)
        i_given_j, j_given_i = (
            self._reduced(self.graph.added(maps, sent)) for maps, sent in ((maps_i, sent_i), (maps_j, sent_j))
        )
        return i_given_j, j_given_i

    def _normalised_pairs(self, rows: Tensor, group: int) -> Tensor:
        """By the statistics of each `group` rows in turn."""
        if self.pair_statistics is not None:
            return batch_norm_in_chunks(rows, group, self.neck, self.pair_statistics)
        with torch.no_grad():  # published: once for i given j and once for j given i, which are the same rows
            batch_norm_in_chunks(rows, group, self.neck, self.neck)
        return batch_norm_in_chunks(rows, group, self.neck, self.neck)
