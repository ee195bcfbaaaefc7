"""Classification of mixed pictures: each has, next to the source identities, a class of its own for its target half.

A mixed picture is λ·source + (1−λ)·target. The target picture has no identity in the classifier, so its row in the
exemplar memory stands in for the weight of one (CAIL, Luo et al., ECCV 2020).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from common.contracts import UNKNOWN
from modeling.layers.precision import at_least_float32, without_autocast


class Negatives(NamedTuple):
    """Memory rows `(b, K)` int64 for each sample, and which of them exist `(b, K)` bool: the others mean nothing."""

    rows: Tensor
    valid: Tensor


class VirtualClassLoss(nn.Module):
    """Cross entropy of a mixed picture towards its source identity and its virtual class:

    L = mean_k [ −λ · log softmax(z_k)_{y_k} − (1−λ) · log softmax(z_k)_C ],   z_k = [ W h_k ; ⟨h_k, a_k⟩ · ‖W_{y_k}‖ ],

    where the agent a_k, a unit vector, is given the length of the weight that it competes with. Gradients reach h, and
    W through the C logits of the identities; agents and lengths are constants. With λ = 1 the virtual class is still in
    the softmax, as one more identity that the picture is not.

    A pair whose agent is not there yet counts as a picture of the source: plain cross entropy over the C identities.
    Rows labelled −1 are left out, of the mean too; a batch without labels gives 0, with gradients of 0.

    Negative prototypes (Luo et al., "Learning to Adapt Across Dual Discrepancy"): further target rows n, other people
    than the agent for all that is known, which join the softmax of their sample as logits ⟨h_k, n⟩ · ‖W_{y_k}‖ and are
    never the class to be found.
    """

    def forward(
        self,
        features: Tensor,
        labels: Tensor,
        weight: Tensor,
        source_share: Tensor,
        agents: Tensor,
        agent_filled: Tensor,
        memory: Tensor | None = None,
        negatives: Negatives | None = None,
    ) -> Tensor:
        """The loss, a float32 scalar.

        Args:
            features: h, `(b, D)` neck features of the mixed pictures, not normalised.
            labels: y, `(b,)` in 0..C−1 or −1.
            weight: W, `(C, D)`.
            source_share: λ, one for all or `(b,)`.
            agents: a, `(b, D)` memory rows of the target halves.
            agent_filled: `(b,)` bool, whether the row was ever written.
            memory: `(N, D)`, the rows that `negatives` name.
            negatives: which rows n take part, from `choose_negatives`; None for none.
        """
        with without_autocast(features):
            features, weight = at_least_float32(features), at_least_float32(weight)
            source_share = source_share.to(features.dtype)
            known = labels != UNKNOWN
            labels = labels.where(known, 0)
            lengths = weight.detach()[labels].norm(dim=1)
            virtual = agent_logits(features, agents, lengths)[:, None]
            there = agent_filled[:, None]
            if negatives is not None:
                assert memory is not None, "negatives are rows of a memory"
                # All N products and then K of them: gathering b·K rows instead moves far more than it saves.
                products = features @ memory.detach().to(features.dtype).T
                virtual = torch.cat((virtual, products.gather(1, negatives.rows) * lengths[:, None]), dim=1)
                there = torch.cat((there, there & negatives.valid), dim=1)

            logits = torch.cat((features @ weight.T, virtual.masked_fill(~there, -torch.inf)), dim=1)
            surprise = -F.log_softmax(logits, dim=1)
            to_source = surprise.gather(1, labels[:, None]).squeeze(1)
            to_virtual = surprise[:, len(weight)]
            # Without an agent the mixture is infinite or not a number, and `where` lets no gradient into it.
            losses = (source_share * to_source + (1 - source_share) * to_virtual).where(agent_filled, to_source)
            return losses.where(known, 0).sum() / known.sum().clamp(min=1)

    if TYPE_CHECKING:

        def __call__(
            self,
            features: Tensor,
            labels: Tensor,
            weight: Tensor,
            source_share: Tensor,
            agents: Tensor,
            agent_filled: Tensor,
            memory: Tensor | None = None,
            negatives: Negatives | None = None,
        ) -> Tensor: ...


def agent_logits(features: Tensor, agents: Tensor, lengths: Tensor) -> Tensor:
    """⟨h_k, a_k⟩ · length_k `(b,)` of features `(b, D)`, agents `(b, D)`, which are constants, and lengths `(b,)`."""
    return (features * agents.detach().to(features.dtype)).sum(dim=1) * lengths


@torch.no_grad()
def choose_negatives(excluded: Tensor, filled: Tensor, count: int, random: np.random.Generator) -> Negatives:
    """Draw for each sample `count` different memory rows, uniformly from those that are filled and not excluded.

    K is `count`, or N where the memory is smaller; a sample with fewer rows to choose from gets all of them.

    Args:
        excluded: `(b, N)` bool: the sample's own row and its neighbours.
        filled: `(N,)` bool.
        random: decides, together with the kind of device, what is drawn.
    """
    # Drawn where it is needed: b·N numbers are more than one wants to carry to a GPU in every step.
    generator = torch.Generator(excluded.device).manual_seed(int(random.integers(2**63)))
    keys = torch.rand(excluded.shape, generator=generator, device=excluded.device)
    keys = keys.masked_fill(excluded | ~filled, -1)
    drawn, rows = keys.topk(min(count, keys.shape[1]), dim=1)
    return Negatives(rows, drawn >= 0)


class Moments(NamedTuple):
    """Running mean and variance `(D,)` of one domain in the neck."""

    mean: Tensor
    variance: Tensor

    @classmethod
    def of(cls, layer: nn.Module | None) -> Moments:
        """Those of a layer that keeps them."""
        assert isinstance(layer, _BatchNorm)
        assert layer.running_mean is not None
        assert layer.running_var is not None
        return cls(layer.running_mean, layer.running_var)


def align_agents(
    agents: Tensor, norms: Tensor, scale: Tensor, target: Moments, source: Moments, eps: float = 1e-5
) -> Tensor:
    """Agents as the neck would have given them had it taken their pictures for source pictures: unit rows `(b, D)`.

    A target feature is h = γ(x − μ_t)/σ_t. With h = ν·a and the statistics of the source instead it becomes
    γ(x − μ_s)/σ_s = ν·a · σ_t/σ_s + γ(μ_t − μ_s)/σ_s,   σ = √(variance + eps).

    Args:
        agents: a, `(b, D)` unit rows of the memory.
        norms: ν, `(b,)` lengths of the features they were.
        scale: γ, `(D,)`, of the neck, whose shift is 0.
        eps: the neck's.
    """
    with torch.no_grad(), without_autocast(agents):
        source_deviation = (source.variance + eps).sqrt()
        stretch = (target.variance + eps).sqrt() / source_deviation
        shift = scale * (target.mean - source.mean) / source_deviation
        return F.normalize(norms[:, None] * at_least_float32(agents) * stretch + shift)
