"""How many of the neighbours that training chose are really the same person: a diagnosis, from labels it never sees."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch
from ignite.engine import Engine
from torch import Tensor

from common.contracts import UNKNOWN
from common.events import ReIDEvents
from modeling.handlers.memory_write import FEATURES, ROWS
from modeling.losses.neighbourhood import NeighbourhoodLoss
from modeling.memory import ExemplarMemory


class NeighbourPrecision:
    """Adds `NAME right` to the metrics now and then: the share of neighbours with the sample's hidden identity.

    It looks at the features that the losses have just seen and the memory that they were compared with, and changes
    neither. Where no identities are known it does nothing.

    Args:
        terms: of the loss, whose neighbours are looked at.
        hidden: `(N,)` the true identity of every row of the memory; −1 unknown.
        every: iterations between two looks.

    Example:
        >>> NeighbourPrecision(memory, criterion, ("intra",), view.hidden_labels[first:], every=50).attach(trainer)
    """

    def __init__(
        self, memory: ExemplarMemory, loss: NeighbourhoodLoss, terms: Sequence[str], hidden: Tensor, every: int
    ) -> None:
        self.memory, self.loss, self.terms, self.hidden, self.every = memory, loss, terms, hidden, every

    def attach(self, engine: Engine) -> None:
        if bool((self.hidden != UNKNOWN).any()):
            engine.add_event_handler(ReIDEvents.LOSSES_COMPUTED, self)

    @torch.no_grad()
    def __call__(self, engine: Engine) -> None:
        state: Any = engine.state
        kept = state.update.kept
        if state.iteration % self.every or FEATURES not in kept:
            return
        rows = kept[ROWS]
        known = self.hidden != UNKNOWN
        comparison = self.memory.compare(kept[FEATURES], rows, self.memory.camids[rows])
        told = {}
        for term in self.terms:
            near = self.loss.neighbours(comparison, term) & known & known[rows][:, None]
            right = near & (self.hidden[rows][:, None] == self.hidden)
            told[f"{term} right"] = right.sum() / near.sum().clamp(min=1)
        state.update = replace(state.update, metrics={**state.update.metrics, **told})
