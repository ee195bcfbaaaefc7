"""The baseline: which losses there are, what they are made of, and what its centres do."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F

import modeling.backbones as backbones
from common.contracts import Batch
from common.errors import UserError
from configs.loader import parse
from configs.schema import Config
from modeling.handlers.cross_domain_mixup import SHARE
from modeling.handlers.source_mixup import PARTNER
from modeling.losses.triplet import TripletLoss
from modeling.methods import METHODS, build_embedder, build_method, method_class, options_of
from modeling.methods.baseline import Baseline
from modeling.methods.method import Stage, Update
from tests.engine.toys import facts_of

CLASSES = 3
CENTERS = {"center": {"weight": 0.0005}}


def config_of(options: dict[str, Any] | None = None, **model: Any) -> Config:
    network = {"backbone": "resnet18", "pretrained": "none", **model}
    return parse({"method": "baseline", "model": network, "options": options or {}}, options_of)


def column(values: list[int]) -> torch.Tensor:
    return torch.tensor(values)


def batch() -> Batch:
    images = torch.randn(6, 3, 64, 32, generator=torch.Generator().manual_seed(0))
    none = torch.zeros(6, dtype=torch.int64)
    return Batch(images, column([0, 0, 1, 1, 2, 2]), none, none, none, none, torch.zeros(6, 7, dtype=torch.int64))


def baseline(options: dict[str, Any] | None = None) -> Baseline:
    torch.manual_seed(0)
    one = batch()
    facts = facts_of(CLASSES, one)
    method = build_method(config_of(options), facts)
    assert isinstance(method, Baseline)
    return method


def stage(method: Baseline, epoch: int, weights: dict[str, float]) -> Stage:
    scheduled = {name: term.at(epoch) for name, term in method.terms().items()}
    return Stage(epoch, 10, 1, scheduled | weights, np.random.default_rng(0))


def updates(method: Baseline, **weights: float) -> list[Update]:
    return list(method.training_step(batch(), stage(method, 1, weights)))


def test_losses_as_configured() -> None:
    [update] = updates(baseline())
    assert list(update.losses) == ["identity", "triplet"]
    assert list(update.metrics) == ["accuracy"]
    assert update.optimizers == ("main",)


@pytest.mark.parametrize(
    ("weights", "losses"),
    [
        ({"identity": 0.0}, ["triplet"]),
        ({"triplet": 0.0}, ["identity"]),
        ({"identity": 0.0, "triplet": 0.0}, []),
        ({"center": 1.0}, ["identity", "triplet"]),  # there are no centres to weigh
    ],
)
def test_a_weight_of_zero_takes_a_loss_away(weights: dict[str, float], losses: list[str]) -> None:
    [update] = updates(baseline(), **weights)
    assert list(update.losses) == losses
    assert list(update.metrics) == (["accuracy"] if "identity" in losses else [])


@pytest.mark.parametrize(
    "options", [{}, {"triplet": {"margin": None}}, {"triplet": {"margin": 0.5, "normalize": True}}]
)
def test_losses_by_hand(options: dict[str, Any]) -> None:
    method = baseline({"identity": {"smoothing": 0.2}, **options, **CENTERS})
    assert method.centers is not None
    first, second = updates(method, identity=0.5, triplet=2.0, center=0.25)
    pooled, neck = method.embedder.features(batch().images)
    labels = batch().labels
    logits = neck @ method.classifier.weight.T
    identity = F.cross_entropy(logits, labels, label_smoothing=0.2)
    settings = {"margin": 0.3, **options.get("triplet", {})}
    triplet = TripletLoss(settings["margin"], normalize=settings.get("normalize", False))(pooled, labels)
    center = (pooled - method.centers.centers[labels]).square().sum(1).mean()
    torch.testing.assert_close(first.losses["identity"], 0.5 * identity)
    torch.testing.assert_close(first.losses["triplet"], 2.0 * triplet)
    torch.testing.assert_close(first.losses["center"], 0.25 * center)
    torch.testing.assert_close(second.losses["centers"], center)
    assert float(first.metrics["accuracy"]) == pytest.approx(float((logits.argmax(1) == labels).float().mean()))


def test_the_centres_have_an_update_of_their_own() -> None:
    method = baseline(CENTERS)
    first, second = updates(method)
    assert method.centers is not None
    assert (first.optimizers, second.optimizers) == (("main",), ("centers",))
    assert list(second.losses) == ["centers"]
    second.losses["centers"].backward()
    reached = {name for name, parameter in method.named_parameters() if parameter.grad is not None}
    assert reached == {"centers.centers"}


def test_no_update_of_the_centres_while_they_are_off() -> None:
    [update] = updates(baseline(CENTERS), center=0.0)
    assert list(update.losses) == ["identity", "triplet"]


def test_terms_follow_the_epochs() -> None:
    method = baseline({"triplet": {"weight": 0.5, "from_epoch": 3}})
    assert [stage(method, epoch, {}).weights["triplet"] for epoch in (2, 3)] == [0.0, 0.5]


def test_optimizers_hold_every_parameter_once() -> None:
    method = baseline(CENTERS)
    recipes = method.optimizers()
    assert list(recipes) == ["main", "centers"]
    backbone, new = recipes["main"].groups
    assert (backbone.pretrained, new.pretrained) == (True, False)
    assert {id(p) for p in backbone.parameters} == {id(p) for p in method.embedder.backbone.parameters()}
    held = [id(p) for recipe in recipes.values() for group in recipe.groups for p in group.parameters]
    assert len(held) == len(set(held))
    assert set(held) == {id(p) for p in method.parameters()}
    assert list(baseline().optimizers()) == ["main"]


def test_the_centres_move_at_a_steady_rate() -> None:
    recipe = baseline({"center": {"weight": 0.0005, "lr": 0.25}}).optimizers()["centers"]
    assert recipe.optimizer is not None
    assert recipe.schedule is not None
    settings = recipe.optimizer
    assert (settings.name, settings.lr, settings.momentum, settings.weight_decay) == ("sgd", 0.25, 0.0, 0.0)
    assert (recipe.schedule.kind, recipe.schedule.warmup_epochs) == ("constant", 0)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"triplets": {}}, "options.triplets: unknown key, did you mean 'triplet'"),
        ({"triplet": {"margin": -1}}, "options.triplet.margin"),
        ({"triplet": {"weight": -1}}, "options.triplet.weight"),
        ({"identity": {"smoothing": 1.0}}, "options.identity.smoothing"),
        ({"center": {"rate": 1}}, "options.center.rate: unknown key"),
    ],
)
def test_options_are_checked(options: dict[str, Any], said: str) -> None:
    with pytest.raises(UserError, match=said):
        config_of(options)


def test_unknown_method() -> None:
    for ask in (method_class, options_of):
        with pytest.raises(UserError, match="unknown method 'baselin', did you mean 'baseline'"):
            ask("baselin")


def test_every_method_is_found_by_its_name() -> None:
    assert all(method_class(name) is kind and options_of(name) is kind.Options for name, kind in METHODS.items())


def test_the_evaluation_network_is_built_without_pretrained_weights(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    asked: list[str] = []
    ensure = backbones.ensure_downloaded

    def spy(name: str, pretrained: str) -> Path | None:
        asked.append(pretrained)
        return ensure(name, "none")

    monkeypatch.setattr(backbones, "ensure_downloaded", spy)
    config = config_of(CENTERS, pretrained=str(tmp_path / "absent.pth"))
    embedder = build_embedder(config)
    assert asked == ["none"]
    Baseline.build_embedder(config)
    assert asked[1:] == [str(tmp_path / "absent.pth")]

    state = {name.removeprefix("embedder.") for name in baseline().state_dict() if name.startswith("embedder.")}
    assert set(embedder.state_dict()) == state
    assert not any("classifier" in name or "centers" in name for name in state)


@pytest.mark.parametrize("level", ["O1", "O2"])
def test_losses_are_float32_in_mixed_precision(level: str) -> None:
    from engine.amp import Amp

    method = baseline(CENTERS)
    amp = Amp(level, torch.bfloat16, torch.device("cpu"))
    amp.initialize(method)
    with amp.autocast():
        first, second = updates(method)
    for loss in [*first.losses.values(), *second.losses.values()]:
        assert loss.dtype == torch.float32
        assert loss.isfinite()


def test_a_blend_is_classified_as_both_people() -> None:
    """λ CE(z, y) + (1 − λ) CE(z, y'), sample by sample; one that is not blended counts as itself."""
    method = baseline({"triplet": {"weight": 0}, "identity": {"smoothing": 0}}).eval()
    partner, shares = column([3, 1, 5, 0, 2, 4]), torch.tensor([0.3, 1.0, 0.3, 0.3, 0.3, 0.3])
    one = replace(batch(), extras={SHARE: shares, PARTNER: partner})
    [update] = method.training_step(one, stage(method, 1, {}))
    logits = method.classifier(method.embedder.features(one.images).neck).detach()
    expected = 0.0
    for z, y, other, share in zip(logits, one.labels, one.labels[partner], shares.tolist(), strict=True):
        expected += float(-share * F.log_softmax(z, 0)[y] - (1 - share) * F.log_softmax(z, 0)[other]) / 6
    assert float(update.losses["identity"].detach()) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("name", ["triplet", "center"])
def test_blends_are_not_compared(name: str) -> None:
    weights: dict[str, Any] = {"triplet": {"weight": 0}, name: {"weight": 0.5}}
    with pytest.raises(UserError, match=f"mix makes pictures of two people, which {name} cannot compare"):
        config_of({"mix": True, **weights})


def test_blends_need_two_sources() -> None:
    with pytest.raises(UserError, match="options.mix blends pictures of different sources, and there is one"):
        baseline({"mix": True, "triplet": {"weight": 0}})
