"""The training engine: one short process function; everything else is a handler.

An iteration, in order: `ITERATION_STARTED` (handlers prepare `engine.state.batch`), then for every update of the method
forward → `LOSSES_COMPUTED` → backward → `BACKWARD_COMPLETED` → optimiser step → `OPTIMIZER_STEP_COMPLETED`, then
`ITERATION_COMPLETED`. The engine's output is a dict of the detached losses and metrics.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import torch
from ignite.engine import Engine
from torch import Tensor
from torch.optim import Optimizer

from common.contracts import Batch
from common.errors import unknown_name
from common.events import ReIDEvents
from engine.amp import Amp
from engine.gradients import average_gradients
from modeling.methods.method import Method, Stage, Update


class TrainingStep:
    """Ignite's process function.

    Args:
        method: what is trained.
        optimizers: by the names its updates use.
        amp: the precision, already initialised for `method`.
        clip_norm: largest gradient norm of an optimiser, None for no limit.
        accumulate: batches per optimiser step; the last batches of an epoch step in any case.
    """

    def __init__(
        self,
        method: Method,
        optimizers: Mapping[str, Optimizer],
        amp: Amp,
        clip_norm: float | None = None,
        accumulate: int = 1,
    ) -> None:
        self.method, self.optimizers, self.amp = method, optimizers, amp
        self.clip_norm, self.accumulate = clip_norm, accumulate

    def __call__(self, engine: Engine, batch: Batch) -> dict[str, Tensor]:
        self.method.train()
        state: Any = engine.state
        window, stepping = self._window(state.iteration, state.epoch_length)
        output: dict[str, Tensor] = {}
        stepped = False
        for update in self._updates(batch, state.stage):
            if not update.losses:
                continue
            state.update = update
            engine.fire_event(ReIDEvents.LOSSES_COMPUTED)
            update = state.update  # a handler may have added metrics
            chosen = [self._optimizer(name) for name in update.optimizers]
            self._backward(update, chosen, window)
            engine.fire_event(ReIDEvents.BACKWARD_COMPLETED)
            if stepping:
                for optimizer in chosen:
                    average_gradients(parameters_of(optimizer))
                    self.amp.step(optimizer, self._clip)
                    optimizer.zero_grad(set_to_none=True)
                stepped = True
                engine.fire_event(ReIDEvents.OPTIMIZER_STEP_COMPLETED)
            output |= {name: value.detach() for name, value in {**update.losses, **update.metrics}.items()}
        if stepped:
            self.amp.update()
        return output

    def _updates(self, batch: Batch, stage: Stage) -> Iterator[Update]:
        """The method's updates, computed under autocast; backward and the optimisers stay outside of it."""
        updates = iter(self.method.training_step(batch, stage))
        while True:
            with self.amp.autocast():
                update = next(updates, None)
            if update is None:
                return
            yield update

    def _backward(self, update: Update, optimizers: list[Optimizer], window: int) -> None:
        total = torch.stack([loss.float() for loss in update.losses.values()]).sum() / window
        masters = {id(parameter) for one in optimizers for parameter in parameters_of(one)}
        reached = [p for p in self.method.parameters() if id(self.amp.master(p)) in masters]
        with self.amp.scale_loss(total, optimizers) as scaled:
            scaled.backward(inputs=reached)

    def is_step(self, engine: Engine, iteration: int) -> bool:
        """Whether the optimisers stepped in an iteration (an event filter)."""
        state: Any = engine.state
        return self._window(iteration, state.epoch_length)[1]

    def _optimizer(self, name: str) -> Optimizer:
        if name not in self.optimizers:
            raise unknown_name("optimizer in an update of the method", name, self.optimizers)
        return self.optimizers[name]

    def _clip(self, optimizer: Optimizer) -> None:
        if self.clip_norm is not None:
            torch.nn.utils.clip_grad_norm_(parameters_of(optimizer), self.clip_norm)

    def _window(self, iteration: int, epoch_length: int) -> tuple[int, bool]:
        """How many batches the current step is made of (fewer at the end of an epoch), and whether this is the last."""
        done = (iteration - 1) % epoch_length + 1
        rest = epoch_length % self.accumulate
        size = rest if done > epoch_length - rest else self.accumulate
        return size, done % self.accumulate == 0 or done == epoch_length


def parameters_of(optimizer: Optimizer) -> list[torch.nn.Parameter]:
    """Every parameter an optimiser moves."""
    return [parameter for group in optimizer.param_groups for parameter in group["params"]]


def create_trainer(step: TrainingStep) -> Engine:
    """An Ignite engine around `step`, with the events of `common.events`."""
    trainer = Engine(step)
    trainer.register_events(*ReIDEvents)
    return trainer
