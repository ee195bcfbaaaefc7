"""Everything a run consists of, into a checkpoint and back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, cast

import ignite.distributed as idist
import torch
from ignite.engine import Engine
from ignite.handlers import EMAHandler
from torch import Tensor, nn
from torch.optim import Optimizer

from common.ranks import gather_rows
from engine.amp import Amp
from engine.checkpoint import Checkpoint
from modeling.methods.method import Embedder, Method

EMBEDDER = "embedder."


@dataclass
class RunState:
    """The live objects of a run.

    Attributes:
        averaged: keeps the moving average of the embedder's weights; those are evaluated and kept when it is there.
        card: what does not change while the run lasts.
        best: the best score so far.
        scores: the last evaluation with its epoch, ready for the card.
        lost: what the last checkpoint lacks, in words, because other processes were gone.
    """

    method: Method
    optimizers: Mapping[str, Optimizer]
    amp: Amp
    trainer: Engine
    card: dict[str, Any]
    averaged: EMAHandler | None = None
    best: float | None = None
    scores: dict[str, Any] = field(default_factory=dict)
    lost: str = ""

    def network(self) -> Embedder:
        """The embedder as a checkpoint would give it to `eval.py`: averaged if so configured, float32."""
        if self.averaged is not None:
            return cast(Embedder, self.averaged.ema_model)
        return self.amp.float32_copy(self.method.embedder)

    def unjudged(self) -> bool:
        """All epochs are done, but a signal came before the last evaluation ended."""
        state: Any = self.trainer.state
        return bool(state.iteration) and state.epoch == state.max_epochs

    def networks(self) -> list[nn.Module]:
        """Everything with running statistics."""
        return [self.method] if self.averaged is None else [self.method, self.averaged.ema_model]

    def capture(self, alone_at: int | None = None) -> Checkpoint:
        """A checkpoint of now; all processes must take part (each has random streams of its own).

        Args:
            alone_at: when the other processes are gone: the iteration that was finished last.
        """
        self.lost = self.method.left_alone() if alone_at is not None else ""
        full = self.amp.float32_state(self.method)
        rest = {name: value for name, value in full.items() if not name.startswith(EMBEDDER)}
        model = {name.removeprefix(EMBEDDER): value for name, value in full.items() if name.startswith(EMBEDDER)}
        if self.averaged is not None:
            rest, model = full, self.averaged.ema_model.state_dict()
        state: Any = self.trainer.state
        iteration = state.iteration if alone_at is None else alone_at
        training = {
            "method": rest,
            "optimizers": {name: optimizer.state_dict() for name, optimizer in self.optimizers.items()},
            "amp": self.amp.state_dict(),
            "iteration": iteration,
            "epoch_length": state.epoch_length,
            "best": self.best,
            "random": _random_streams(self.amp.device, alone_at is not None),
        }
        epoch = iteration // state.epoch_length
        finished = epoch >= state.max_epochs and getattr(state, "scores", None) is not None  # judged, too
        card = {**self.card, "epoch": epoch, "finished": finished, "world": idist.get_world_size()}
        return Checkpoint(model, training, {**card, "scores": self.scores})

    def restore(self, checkpoint: Checkpoint) -> None:
        """Put a checkpoint's state into the live objects (the trainer's position is left to the caller)."""
        training = checkpoint.training
        embedder = {EMBEDDER + name: value for name, value in checkpoint.model.items()}
        self.amp.load_float32_state(self.method, {**embedder, **training["method"]})
        if self.averaged is not None:
            self.averaged.ema_model.load_state_dict(checkpoint.model)
        for name, optimizer in self.optimizers.items():
            optimizer.load_state_dict(training["optimizers"][name])
        self.amp.load_state_dict(training["amp"])
        self.best, self.scores = training["best"], checkpoint.card["scores"]
        _restore_random_streams(training["random"], self.amp.device)


def _random_streams(device: torch.device, alone: bool) -> dict[str, Tensor]:
    """torch's generators of every process, one row each; only this one's when it is alone."""
    own = {"cpu": torch.get_rng_state()[None]}
    if device.type == "cuda":
        own["cuda"] = torch.cuda.get_rng_state(device)[None]
    return own if alone else {name: gather_rows(state.to(device)).cpu() for name, state in own.items()}


def _restore_random_streams(streams: Mapping[str, Tensor], device: torch.device) -> None:
    """Each process its own row; with another number of processes the streams start from the seed."""
    rank = idist.get_rank()
    if len(streams["cpu"]) != idist.get_world_size():
        return
    torch.set_rng_state(streams["cpu"][rank].clone())
    if device.type == "cuda" and "cuda" in streams:
        torch.cuda.set_rng_state(streams["cuda"][rank].clone(), device)
