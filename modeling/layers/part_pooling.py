"""From a feature map and soft masks of body parts to one vector a part, and which parts are to be seen at all."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from modeling.layers.precision import at_least_float32, without_autocast

_RELEASED = 4
"""T, in every configuration that was released."""
_LEAST = 1e-6
"""Cells: a mask with less mass than this shows nothing, and its mean fades to 0 instead of growing without bound."""


def masked_means(maps: Tensor, masks: Tensor, *, by_area: bool) -> Tensor:
    """y_m = Σ_u M_m(u) x(u) / Σ_u M_m(u), or over h·w where not `by_area`: `(B, M, C)`, at least float32.

    By area a vector says how a part looks and not how much of it there is. A mask without mass gives 0, with gradients
    of 0 with respect to the map.

    Args:
        maps: x, `(B, C, h, w)`.
        masks: `(B, M, h, w)`, at least 0.
        by_area: False takes the mean over all cells, as HCGA and ISP do.
    """
    with without_autocast(maps):
        cells, weights = at_least_float32(maps).flatten(2), at_least_float32(masks).flatten(2)
        sums = weights @ cells.transpose(1, 2)
        if not by_area:
            return sums / cells.shape[2]
        return sums / weights.sum(dim=2, keepdim=True).clamp(min=_LEAST)


def guided_masks(probabilities: Tensor, *, training: bool) -> Tensor:
    """The masks of HCGA's released code, from probabilities P `(B, K, h, w)` of K classes, in the same shape:

    in training  M = P where P ≥ 1/T, else 0;     at test  M = ½ where P ≥ 1 − 1/T, else 0;     T = 4, whatever K is.
    """
    if training:
        return probabilities.where(probabilities >= 1 / _RELEASED, 0)
    return (probabilities >= 1 - 1 / _RELEASED).to(probabilities.dtype) / 2


def visible_parts(probabilities: Tensor, least: float) -> Tensor:
    """`(B, K − 1)` float32: 1 where a part is the likeliest class of any cell, and of a share ≥ `least` of all; else 0.

    Args:
        probabilities: `(B, K, h, w)`, or logits; class 0 is the background.
        least: 0 takes any part that is seen in a single cell.
    """
    classes, cells = probabilities.shape[1], probabilities[0, 0].numel()
    with torch.no_grad():
        counts = F.one_hot(probabilities.argmax(dim=1).flatten(1), classes).sum(dim=1)[:, 1:]
        return ((counts > 0) & (counts.double() / cells >= least)).float()
