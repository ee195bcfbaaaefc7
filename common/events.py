"""The moments inside a training step that handlers may attach to, beside Ignite's own `Events`."""

from __future__ import annotations

from typing import Protocol

from ignite.engine import Engine, EventEnum


class ReIDEvents(EventEnum):
    """All but the last are fired once per update, that is several times per iteration for a method with several
    optimisers: `engine.state.update` is the update, `engine.state.batch` the prepared batch, `engine.state.stage` the
    stage.
    """

    LOSSES_COMPUTED = "losses_computed"  # before backward; the losses have their graph
    BACKWARD_COMPLETED = "backward_completed"  # gradients are there, nothing has moved yet
    OPTIMIZER_STEP_COMPLETED = "optimizer_step_completed"  # the update's parameters have moved
    REPORTED = "reported"  # a line was told; `engine.state.report` has its numbers by name


class Handler(Protocol):
    """One job, wired to an engine's events."""

    def attach(self, engine: Engine) -> None: ...
