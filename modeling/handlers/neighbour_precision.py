"""How many of the neighbours that training chose are really the same person: a diagnosis, from labels it never sees."""

from __future__ import annotations

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
        hidden: `(N,)` the true identity of every row of the memory; −1 unknown.
        camids: `(N,)` their cameras.
        every: iterations between two looks.

    Example:
        >>> hidden, camids = view.hidden_labels[first:], view.facts.camids[first:]
        >>> NeighbourPrecision(memory, criterion, hidden, camids, every=50).attach(trainer)
    """

    def __init__(
        self, memory: ExemplarMemory, loss: NeighbourhoodLoss, hidden: Tensor, camids: Tensor, every: int
    ) -> None:
        self.memory, self.loss, self.hidden, self.camids, self.every = memory, loss, hidden, camids, every

    def attach(self, engine: Engine) -> None:
        if bool((self.hidden != UNKNOWN).any()):
            engine.add_event_handler(ReIDEvents.LOSSES_COMPUTED, self)

    @torch.no_grad()
    def __call__(self, engine: Engine) -> None:
        state: Any = engine.state
        kept = state.update.kept
        if state.iteration % self.every or FEATURES not in kept:
            return
        comparison = self.memory.compare(kept[FEATURES], kept[ROWS], self.camids[kept[ROWS]])
        who, first = self.hidden[comparison.rows][:, None], comparison.first
        those = self.hidden[first : first + len(comparison.filled)]
        told = {}
        for term in self.loss.kinds:
            near = self.loss.neighbours(comparison, term) & (those != UNKNOWN) & (who != UNKNOWN)
            right, count = comparison.team.total(torch.stack([(near & (who == those)).sum(), near.sum()]))
            told[f"{term} right"] = right / count.clamp(min=1)
        state.update = replace(state.update, metrics={**state.update.metrics, **told})
