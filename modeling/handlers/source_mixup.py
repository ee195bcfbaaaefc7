"""Mixup between source domains: labelled pictures of one dataset blended with labelled ones of another."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch
from ignite.engine import Engine, Events
from torch import Tensor

from common.contracts import Batch
from modeling.handlers.cross_domain_mixup import SHARE

PARTNER = "partner"
"""Name in `Batch.extras`: `(B,)` int64, the place in the batch of the picture that each one is blended with."""


class SourceMixup:
    """Replaces every picture of a prepared batch by x̃_k = λ·x_k + (1 − λ)·x_π(k) with λ ~ Beta(α, α).

    π(k) is drawn from the pictures of the batch that are of another dataset than k; where there is none, k stays as it
    is. Labels and rows stay too: a loss takes those of k for a share `extras["mixed"]` and those of `extras["partner"]`
    for the rest. What is drawn comes from the stage's generator, so a resumed run goes on with it.

    Args:
        dataset: `(N,)` int64, the dataset that each row of the training set is of (`Facts.dataset`).
        alpha: of the Beta distribution.
        from_epoch: the first epoch that mixes.

    Example:
        >>> SourceMixup(view.facts.dataset, alpha=0.6, from_epoch=1).attach(trainer)   # after batch and stage are there
    """

    def __init__(self, dataset: Tensor, alpha: float, from_epoch: int) -> None:
        self.dataset, self.alpha, self.from_epoch = dataset, alpha, from_epoch

    def attach(self, engine: Engine) -> None:
        engine.add_event_handler(Events.ITERATION_STARTED, self)

    def __call__(self, engine: Engine) -> None:
        state: Any = engine.state
        if state.stage.epoch < self.from_epoch:
            return
        batch: Batch = state.batch
        share = float(state.stage.random.beta(self.alpha, self.alpha))
        keys = torch.from_numpy(state.stage.random.random((len(batch), len(batch)), dtype="float32"))
        state.batch = blended(batch, share, partners(self.dataset[batch.index], keys.to(batch.images.device)))


def partners(dataset: Tensor, keys: Tensor) -> Tensor:
    """`(B,)` for each row the row of another dataset with the greatest key, itself where all are of one.

    Args:
        dataset: `(B,)` int64.
        keys: `(B, B)`, uniform in [0, 1).
    """
    keys = keys.masked_fill(dataset[:, None] == dataset, -1)
    best, place = keys.max(dim=1)
    return place.where(best >= 0, torch.arange(len(dataset), device=dataset.device))


def blended(batch: Batch, share: float, partner: Tensor) -> Batch:
    """The batch with `share` of every picture and the rest of its partner; a picture that is its own stays whole."""
    images = torch.lerp(batch.images[partner], batch.images, share)
    alone = partner == torch.arange(len(batch), device=partner.device)
    shares = images.new_full((len(batch),), share, dtype=torch.float32).masked_fill(alone, 1.0)
    return replace(batch, images=images, extras={**batch.extras, SHARE: shares, PARTNER: partner})
