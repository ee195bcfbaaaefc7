"""Recipes become optimisers with the rates of their groups."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from common.errors import UserError
from configs.schema import Optimizer
from engine.amp import Amp
from engine.optimizers import build_optimizers
from modeling.methods.method import ParameterGroup, Recipe
from tests.engine.toys import CPU, config_of


def parameter(frozen: bool = False) -> nn.Parameter:
    return nn.Parameter(torch.zeros(2), requires_grad=not frozen)


def itself(given: nn.Parameter) -> nn.Parameter:
    return given


def test_rates_decay_and_frozen_parameters() -> None:
    old, new, frozen = parameter(), parameter(), parameter(frozen=True)
    own = Optimizer(name="adam", lr=7.0, weight_decay=0.25)
    recipes = {
        "main": Recipe(
            [ParameterGroup([old, frozen], pretrained=True), ParameterGroup([new]), ParameterGroup([frozen])]
        ),
        "own": Recipe([ParameterGroup([parameter()], pretrained=True)], own),
    }
    config = config_of(optimizer={"lr": 2.0, "backbone_lr": 0.5, "weight_decay": 0.125, "momentum": 0.75})
    built = build_optimizers(recipes, config, itself)
    main, other = built["main"], built["own"]
    assert type(main) is torch.optim.SGD
    assert type(other) is torch.optim.Adam
    assert [group["params"] for group in main.param_groups] == [[old], [new]]
    assert [group["lr"] for group in main.param_groups] == [0.5, 2.0]
    assert [group["base_lr"] for group in main.param_groups] == [0.5, 2.0]
    assert [group["weight_decay"] for group in main.param_groups] == [0.125, 0.125]
    assert main.param_groups[0]["momentum"] == 0.75
    assert [(group["base_lr"], group["weight_decay"]) for group in other.param_groups] == [(7.0, 0.25)]


def test_backbone_rate_defaults_to_the_common_one() -> None:
    recipe = Recipe([ParameterGroup([parameter()], pretrained=True)])
    assert build_optimizers({"main": recipe}, config_of(), itself)["main"].param_groups[0]["lr"] == 0.1


@pytest.mark.parametrize(("name", "kind"), [("adam", torch.optim.Adam), ("adamw", torch.optim.AdamW)])
def test_kinds(name: str, kind: type) -> None:
    built = build_optimizers(
        {"x": Recipe([ParameterGroup([parameter()])])}, config_of(optimizer={"name": name}), itself
    )
    assert type(built["x"]) is kind


def test_unknown_name() -> None:
    with pytest.raises(UserError, match="unknown optimizer 'adan', did you mean 'adam'"):
        build_optimizers({"x": Recipe([ParameterGroup([parameter()])])}, config_of(optimizer={"name": "adan"}), itself)


@pytest.mark.parametrize("name", ["sgd", "adam", "adamw"])
def test_a_skipped_first_step_leaves_no_trace(name: str) -> None:
    """The first steps in float16 overflow as a rule, until the scale has come down."""

    def run(skipped: bool) -> torch.Tensor:
        # Freed memory full of 7s: what an uninitialised buffer would be made of.
        sevens = [torch.full((4096,), 7.0) for _ in range(64)]
        del sevens
        weight = nn.Parameter(torch.zeros(4096))
        config = config_of(optimizer={"name": name, "momentum": 0.9})
        optimizer = build_optimizers({"x": Recipe([ParameterGroup([weight])])}, config, itself)["x"]
        amp = Amp("O1", torch.float16, CPU, scale=True)
        for factor in [float("inf"), 1.0, 1.0] if skipped else [1.0, 1.0]:
            with amp.scale_loss((weight * factor).sum(), optimizer) as scaled:
                scaled.backward()
            amp.step(optimizer)
            amp.update()
            optimizer.zero_grad()
        return weight.detach()

    torch.testing.assert_close(run(skipped=True), run(skipped=False), rtol=0, atol=0)
