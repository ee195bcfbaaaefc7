"""Losses over outfits: which one is worn, features that do not tell, and one branch taught by another."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from common.contracts import UNKNOWN
from modeling.layers.precision import at_least_float32, without_autocast


class ClothesLoss(nn.Module):
    """Cross entropy of scaled cosines with the outfits of the training set (NormFace, Wang et al., ACM MM 2017):

    L = −1/B Σ_i log softmax(s·a_i)_{c_i}.

    Rows whose outfit is not known (−1) are left out, of the mean too.

    Args:
        scale: s.
    """

    def __init__(self, scale: float = 16.0) -> None:
        super().__init__()
        self.scale = scale

    def forward(self, cosines: Tensor, clothes: Tensor) -> Tensor:
        """The loss, a float32 scalar, of cosines a `(B, K)` and outfits c `(B,)` in 0..K−1 or −1."""
        with without_autocast(cosines):
            logits = self.scale * at_least_float32(cosines)
            total = F.cross_entropy(logits, clothes, ignore_index=UNKNOWN, reduction="sum")
            return total / (clothes != UNKNOWN).sum().clamp(min=1)

    if TYPE_CHECKING:

        def __call__(self, cosines: Tensor, clothes: Tensor) -> Tensor: ...


class ClothesAdversarialLoss(nn.Module):
    """The clothes-based adversarial loss of CAL (Gu et al., CVPR 2022, arXiv 2204.06890, eq. 5 and 6).

    For a sample with outfit c, let S⁺ be all outfits of its person, S⁻ those of others, and z = s·a. Then

    L = −mean_i Σ_{j ∈ S⁺} w_j log [ e^{z_j} / (e^{z_j} + Σ_{k ∈ S⁻} e^{z_k}) ],   w_j = (1−ε)·[j = c] + ε/|S⁺|.

    A feature may tell the person by any of the person's outfits alike, and is not asked to tell these apart. With one
    outfit it is `ClothesLoss`. Rows whose outfit is not known are left out, of the mean too.

    Args:
        epsilon: ε.
        scale: s.
    """

    def __init__(self, epsilon: float = 0.1, scale: float = 16.0) -> None:
        super().__init__()
        self.epsilon, self.scale = epsilon, scale

    def forward(self, cosines: Tensor, clothes: Tensor, worn: Tensor) -> Tensor:
        """The loss, a float32 scalar.

        Args:
            cosines: a, `(B, K)`, of features with every outfit of the training set.
            clothes: c, `(B,)` in 0..K−1 or −1.
            worn: S⁺, `(B, K)` bool, the outfits of each sample's person.
        """
        with without_autocast(cosines):
            logits = self.scale * at_least_float32(cosines)
            known = clothes != UNKNOWN
            others = ~worn & known[:, None]
            # Where everybody in the training set is this person there is nothing to be told from.
            alone = ~others.any(dim=1, keepdim=True)
            against = logits.masked_fill(~others, -torch.inf).masked_fill(alone, 0).logsumexp(dim=1, keepdim=True)
            # log [e^z / (e^z + e^n)] = −log(1 + e^{n − z})
            each = F.softplus(against - logits).masked_fill(alone, 0)
            count = worn.sum(dim=1, keepdim=True).clamp(min=1)
            weights = worn * (self.epsilon / count)
            weights[torch.arange(len(clothes)), clothes.clamp(min=0)] += 1 - self.epsilon
            losses = (weights * each).sum(dim=1)
            return losses.where(known, 0).sum() / known.sum().clamp(min=1)

    if TYPE_CHECKING:

        def __call__(self, cosines: Tensor, clothes: Tensor, worn: Tensor) -> Tensor: ...


class TransferLoss(nn.Module):
    """What one head says of outfits brought near to what another says (AIM, Yang et al., CVPR 2023):

    L = n · mean_i [ KL(P_i‖Q_i) + KL(Q_i‖P_i) ],   P = softmax(t·b), Q = softmax(t·a), Q without gradient.

    The published code adds up over the pictures of one GPU, 32 of them; here that number is said, so that the loss
    does not change with the batch.

    Args:
        pictures: n.
        scale: t; 1 takes the bare cosines, as published.
    """

    def __init__(self, pictures: float = 32.0, scale: float = 1.0) -> None:
        super().__init__()
        self.pictures, self.scale = pictures, scale

    def forward(self, cosines: Tensor, taught_by: Tensor) -> Tensor:
        """The loss, a float32 scalar, of cosines b `(B, K)` and a `(B, K)`."""
        with without_autocast(cosines):
            told = F.log_softmax(self.scale * at_least_float32(cosines), dim=1)
            truth = F.log_softmax(self.scale * at_least_float32(taught_by.detach()), dim=1)
            # KL(P‖Q) + KL(Q‖P) = Σ (P − Q)(log P − log Q)
            return self.pictures * ((told.exp() - truth.exp()) * (told - truth)).sum(dim=1).mean()

    if TYPE_CHECKING:

        def __call__(self, cosines: Tensor, taught_by: Tensor) -> Tensor: ...
