"""Cross-domain mixup: labelled pictures blended with unlabelled ones of another city, before the network sees them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch
from ignite.engine import Engine, Events

from common.contracts import Batch

SHARE = "mixed"
"""Name in `Batch.extras`: `(B,)` float32, the share λ of the labelled picture; the same in every row of a batch."""


class CrossDomainMixup:
    """Replaces the first half of every prepared batch by x̃_k = λ·x_s,k + (1 − λ)·x_t,k with λ ~ Beta(α, α).

    The k-th source picture is blended with the k-th target picture; the target half, labels and rows stay as they are.
    λ is drawn from the stage's generator, so all processes draw the same one and a resumed run goes on with it.

    Args:
        alpha: of the Beta distribution.
        from_epoch: the first epoch that mixes, when there are exemplars of the target to be told apart from.

    Example:
        >>> CrossDomainMixup(alpha=0.6, from_epoch=2).attach(trainer)   # after the batch and the stage are prepared
    """

    def __init__(self, alpha: float, from_epoch: int) -> None:
        self.alpha, self.from_epoch = alpha, from_epoch

    def attach(self, engine: Engine) -> None:
        engine.add_event_handler(Events.ITERATION_STARTED, self)

    def __call__(self, engine: Engine) -> None:
        state: Any = engine.state
        if state.stage.epoch >= self.from_epoch:
            state.batch = mixed(state.batch, float(state.stage.random.beta(self.alpha, self.alpha)))


def mixed(batch: Batch, share: float) -> Batch:
    """The batch with its first half blended: `share` of the source picture, the rest of its partner."""
    half = len(batch) // 2
    source, target = batch.images[:half], batch.images[half:]
    images = torch.cat([torch.lerp(target, source, share), target])
    shares = batch.images.new_full((len(batch),), share, dtype=torch.float32)
    return replace(batch, images=images, extras={**batch.extras, SHARE: shares})
