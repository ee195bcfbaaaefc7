"""A training step of any method that can be repeated: what benchmarks of training measure."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from common.contracts import Batch
from configs.schema import Config
from engine.amp import Amp
from engine.devices import place
from engine.optimizers import build_optimizers
from engine.trainer import TrainingStep, create_trainer
from modeling.methods import build_method
from modeling.methods.method import Facts, Method, Stage


def training_step(
    config: Config,
    facts: Facts,
    batch: Callable[[], Batch],
    device: torch.device,
    opt_level: str = "O0",
    *,
    everything: bool = False,
) -> tuple[Method, Callable[[], None]]:
    """A method and its step: forward, losses, backward and all optimiser steps of what `batch` gives.

    Args:
        everything: with all terms at the weights of their last epochs; else as in the first epoch.
    """
    torch.manual_seed(0)
    method: Method = place(build_method(config, facts), device)
    half = torch.float16 if device.type == "cuda" and not torch.cuda.is_bf16_supported() else torch.bfloat16
    amp = Amp(opt_level, half, device)
    amp.initialize(method)
    process = TrainingStep(method, build_optimizers(method.optimizers(), config, amp.master), amp)
    trainer: Any = create_trainer(process)
    trainer.state.iteration = trainer.state.epoch_length = 1
    terms = method.terms()
    epoch = max(term.from_epoch for term in terms.values()) if everything else 1
    weights = {name: term.at(epoch) for name, term in terms.items()}
    trainer.state.stage = Stage(epoch, epoch, 1, weights, np.random.default_rng(0))

    def once() -> None:
        process(trainer, batch())
        if device.type == "cuda":
            torch.cuda.synchronize()

    return method, once
