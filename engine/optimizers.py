"""From a method's recipes to torch optimisers. A new optimiser is a line in `OPTIMIZERS`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import nn

from common.errors import unknown_name
from configs.schema import Config, Optimizer
from modeling.methods.method import Recipe

Build = Callable[[list[dict[str, Any]], Optimizer], torch.optim.Optimizer]


def _sgd(groups: list[dict[str, Any]], config: Optimizer) -> torch.optim.Optimizer:
    # Fused SGD leaves its momentum uninitialised when the very first step is skipped for an overflow (torch 2.13).
    fused = config.momentum == 0
    return torch.optim.SGD(groups, momentum=config.momentum, nesterov=config.nesterov, fused=fused)


OPTIMIZERS: dict[str, Build] = {
    "adam": lambda groups, config: torch.optim.Adam(groups, fused=True),
    "adamw": lambda groups, config: torch.optim.AdamW(groups, fused=True),
    "sgd": _sgd,
}


def optimizer_builder(name: str) -> Build:
    """The constructor of an optimiser; an unknown name is an error that lists the known ones."""
    if name not in OPTIMIZERS:
        raise unknown_name("optimizer", name, OPTIMIZERS)
    return OPTIMIZERS[name]


def build_optimizers(
    recipes: Mapping[str, Recipe], config: Config, master: Callable[[nn.Parameter], nn.Parameter]
) -> dict[str, torch.optim.Optimizer]:
    """Every optimiser of a method by name; parameters that need no gradient are left out.

    Each group keeps its full rate as `base_lr`, which the schedule multiplies.

    Args:
        master: the tensor that is moved for a parameter (`Amp.master`).
    """
    return {name: _build(recipe, recipe.optimizer or config.optimizer, master) for name, recipe in recipes.items()}


def _build(recipe: Recipe, config: Optimizer, master: Callable[[nn.Parameter], nn.Parameter]) -> torch.optim.Optimizer:
    groups = []
    for group in recipe.groups:
        rate = config.backbone_lr or config.lr if group.pretrained else config.lr
        moved = [master(parameter) for parameter in group.parameters if parameter.requires_grad]
        groups.append({"params": moved, "lr": rate, "base_lr": rate, "weight_decay": config.weight_decay})
    return optimizer_builder(config.name)([group for group in groups if group["params"]], config)
