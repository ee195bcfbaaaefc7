"""The batch-hard triplet loss."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from common.contracts import UNKNOWN
from modeling.layers.precision import at_least_float32, without_autocast


class Hardest(NamedTuple):
    """For each of `B` anchors, the row of its hardest positive and negative.

    Attributes:
        positive: `(B,)` int64, the farthest row of the same identity, the anchor itself excepted.
        negative: `(B,)` int64, the nearest row of another identity.
        valid: `(B,)` bool; where it is False there is no such positive or negative, and the rows mean nothing.
    """

    positive: Tensor
    negative: Tensor
    valid: Tensor


class HardDistances(NamedTuple):
    """Distances `(B,)` from each anchor to its hardest positive and negative, and which anchors have both `(B,)`."""

    positive: Tensor
    negative: Tensor
    valid: Tensor


def hardest(distances: Tensor, labels: Tensor) -> Hardest:
    """Mine any distance matrix `(B, B)`, anchors along rows, with labels `(B,)`; −1 is neither anchor nor candidate."""
    known = labels != UNKNOWN
    pairs = known[:, None] & known[None, :]
    same = labels[:, None] == labels[None, :]
    positives = pairs & same & ~torch.eye(len(labels), dtype=torch.bool, device=labels.device)
    negatives = pairs & ~same
    return Hardest(
        positive=distances.masked_fill(~positives, -torch.inf).argmax(dim=1),
        negative=distances.masked_fill(~negatives, torch.inf).argmin(dim=1),
        valid=positives.any(dim=1) & negatives.any(dim=1),
    )


def hard_distances(features: Tensor, labels: Tensor) -> HardDistances:
    """Mine features `(B, D)` by Euclidean distance; the distances are differentiable, at least float32.

    The usual |x|² + |y|² − 2x·y loses near pairs of long vectors to rounding, the more so in TF32. Here all pairs
    are compared by their differences without a graph, and only the 2B chosen ones are computed again with one.
    """
    with without_autocast(features):
        features = at_least_float32(features)
        with torch.no_grad():
            distances = torch.cdist(features, features, compute_mode="donot_use_mm_for_euclid_dist")
        rows = hardest(distances, labels)
        return HardDistances(
            positive=_euclidean(features, features[rows.positive]),
            negative=_euclidean(features, features[rows.negative]),
            valid=rows.valid,
        )


def _euclidean(x: Tensor, y: Tensor) -> Tensor:
    """Row by row; the clamp keeps the gradient of the root finite where x = y."""
    return (x - y).square().sum(dim=1).clamp(min=1e-12).sqrt()


class TripletLoss(nn.Module):
    """The batch-hard loss of Hermans et al., "In Defense of the Triplet Loss" (arXiv 1703.07737, §2):

    L = mean_a [ m + max_{p≠a: y_p = y_a} ‖x_a − x_p‖ − min_{n: y_n ≠ y_a} ‖x_a − x_n‖ ]_+ ,

    or with the soft margin log(1 + exp(·)) in place of [m + ·]_+. Anchors without a positive or a negative are left
    out, of the mean too; a batch without any gives 0, with gradients of 0.

    Args:
        margin: m, a distance; None takes the soft margin.
        normalize: compare unit vectors x/‖x‖; their distances lie in [0, 2].
        cosine: compare by 1 − cos instead, which lies in [0, 2] too and is half the square of that.
    """

    def __init__(self, margin: float | None = 0.3, *, normalize: bool = False, cosine: bool = False) -> None:
        super().__init__()
        self.margin = margin
        self.normalize, self.cosine = normalize or cosine, cosine

    def forward(self, features: Tensor, labels: Tensor) -> Tensor:
        """The loss, a float32 scalar, of features x `(B, D)` and labels y `(B,)`; rows labelled −1 take no part."""
        with without_autocast(features):
            features = at_least_float32(features)
            if self.normalize:
                features = F.normalize(features)
            positive, negative, valid = hard_distances(features, labels)
            gap = (positive.square() - negative.square()) / 2 if self.cosine else positive - negative
            losses = F.softplus(gap) if self.margin is None else F.relu(self.margin + gap)
            return losses.where(valid, 0).sum() / valid.sum().clamp(min=1)

    if TYPE_CHECKING:

        def __call__(self, features: Tensor, labels: Tensor) -> Tensor: ...
