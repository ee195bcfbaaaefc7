"""CAMC: what its network is made of, who learns from what, and that the joints matter."""

from __future__ import annotations

import copy
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from ignite.engine import Events
from pydantic import ValidationError
from torch import Tensor, nn

from common.contracts import Batch
from common.errors import UserError
from configs.loader import load, parse
from configs.schema import Config
from engine.amp import Amp
from engine.checkpoint import load_checkpoint
from engine.schedule import factor
from modeling.backbones import BACKBONES
from modeling.layers.co_attention import Streams
from modeling.losses.triplet import TripletLoss
from modeling.methods import build_embedder, build_method, options_of
from modeling.methods.camc import Camc
from modeling.methods.camc_network import CamcEmbedder, CamcOptions
from modeling.methods.method import Facts, Stage, Update
from tests.conftest import Toy
from tests.doors import ROOT, Doors
from tests.engine.toys import CPU, config_of, facts_of, trainer_of

PEOPLE, PICTURES = 3, 6
ROWS: list[dict[str, Any]] = [
    {},
    {"fusion": "gate"},
    {"fusion": "attention"},
    {"fusion": "concat"},
    {"fusion": "concat", "embedding": "tokens"},
    {"fusion": "appearance"},
    {"direction": "appearance"},
    {"direction": "shape"},
    {"positions": True, "normalised": True, "projected": True},
    {"shape": {"weight": 0.5}, "triplet": {"weight": 1.0}},
]
"""The ablations: every part that can be left out, and every part that can be added."""


def title(options: dict[str, Any]) -> str:
    return ",".join(f"{key}={value}" if isinstance(value, str) else key for key, value in options.items()) or "full"


@pytest.fixture(autouse=True)
def _small_networks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(BACKBONES, "toy", lambda **_: Toy())


def configured(options: dict[str, Any] | None = None, backbone: str = "toy", **sections: Any) -> Config:
    model = {"backbone": backbone, "pretrained": "none", **sections.pop("model", {})}
    return parse({"method": "camc", "model": model, "options": options or {}, **sections}, options_of)


def batch(people: int = PEOPLE, pictures: int = PICTURES, height: int = 48) -> Batch:
    random = torch.Generator().manual_seed(1)
    images = torch.randn(pictures, 3, height, height // 2, generator=random)
    poses = torch.rand(pictures, 13, height // 4, height // 8, generator=random)
    none = torch.zeros(pictures, dtype=torch.int64)
    labels = torch.arange(pictures) // (pictures // people)
    geometry = torch.zeros(pictures, 10, dtype=torch.int64)
    return Batch(images, labels, none, none, torch.arange(pictures), none, geometry, {"poses": poses})


def camc(options: dict[str, Any] | None = None, seed: int = 0, people: int = PEOPLE) -> Camc:
    torch.manual_seed(seed)
    method = build_method(configured(options), facts_of(people, batch())).train()
    assert isinstance(method, Camc)
    return method


def stage(method: Camc, **weights: float) -> Stage:
    scheduled = {name: term.at(1) for name, term in method.terms().items()}
    return Stage(1, 10, 1, scheduled | weights, np.random.default_rng(0))


def update(method: Camc, seen: Batch | None = None, **weights: float) -> Update:
    [only] = method.training_step(seen or batch(), stage(method, **weights))
    return only


def millions(*parts: nn.Module | None) -> float:
    return sum(one.numel() for part in parts if part is not None for one in part.parameters()) / 1e6


# What the network is.


def test_published_sizes() -> None:
    with torch.device("meta"):
        column = torch.zeros(8, dtype=torch.int64)
        columns = Facts(632, column, column, column, column, first_target=8, dataset=column)
        method = build_method(configured(backbone="resnet50"), columns)
    assert isinstance(method, Camc)
    network = method.embedder
    assert network.shape is not None
    assert millions(network.backbone) == pytest.approx(23.508, abs=5e-4)
    assert millions(network.shape.embed) == pytest.approx(0.428, abs=5e-4)
    assert millions(network.shape.block) == pytest.approx(29.374, abs=5e-4)
    assert millions(network.gate) == pytest.approx(8.394, abs=5e-4)
    assert millions(network.attention) == pytest.approx(0.008, abs=5e-4)
    assert millions(network.neck) == pytest.approx(0.008, abs=5e-4)
    assert millions(method.classifier) == pytest.approx(2.589, abs=5e-4)
    assert millions(method) == pytest.approx(64.31, abs=5e-3)
    assert [name for name, one in method.named_parameters() if not one.requires_grad] == ["embedder.neck.bias"]


@pytest.mark.parametrize(
    ("height", "width", "stride", "heatmaps"),
    [
        (256, 128, 1, (64, 32)),
        (384, 192, 1, (96, 48)),
        (96, 48, 1, (24, 12)),
        (96, 48, 2, (24, 12)),
        (90, 43, 1, (23, 11)),
        (96, 48, 1, (64, 32)),
    ],
)
def test_any_size_of_picture(height: int, width: int, stride: int, heatmaps: tuple[int, int]) -> None:
    torch.manual_seed(0)
    network = build_embedder(configured(backbone="resnet18", model={"last_stride": stride})).eval()
    with torch.inference_mode():
        found = network(torch.randn(1, 3, height, width), poses=torch.rand(1, 13, *heatmaps)).vector
    assert found.shape == (1, 1024)
    assert found.dtype == torch.float32
    assert found.isfinite().all()


def test_channels_of_the_joints() -> None:
    for face, joints in (("merged", 13), ("apart", 17)):
        network = build_embedder(configured(data={"poses": {"face": face}}))
        assert isinstance(network, CamcEmbedder)
        assert network.shape is not None
        assert network.shape.embed.in_channels == joints


def test_v_is_the_mean_of_both_streams_and_z_its_batch_norm() -> None:
    method, seen = camc().double(), batch()
    network = method.embedder
    assert network.shape is not None
    assert network.gate is not None
    assert network.attention is not None
    images, poses = seen.images.double(), seen.extras["poses"].double()
    with torch.no_grad():
        maps = network.backbone(images)
        cells = [maps[:, :, y, x] for y in range(maps.shape[2]) for x in range(maps.shape[3])]
        pair = Streams(torch.stack(cells, dim=1), network.shape(poses, (6, 3)))
        p_s, s_p = network.attention(network.gate(pair))
        v = torch.stack([torch.cat([sum(p), sum(s)]) / 18 for p, s in zip(p_s, s_p, strict=True)])
        z = (v - v.mean(0)) / (v.var(0, unbiased=False) + network.neck.eps).sqrt() * network.neck.weight
        found = network.features(images, poses)
    torch.testing.assert_close(found.pooled, v)
    torch.testing.assert_close(found.neck, z)


def test_the_rows_of_the_ablation() -> None:
    given = Streams(torch.randn(2, 18, 32), torch.randn(2, 18, 32))

    def fused(**options: Any) -> tuple[Tensor, ...]:
        torch.manual_seed(0)
        method = camc(options).embedder
        for part, like in ((method.gate, full.gate), (method.attention, full.attention)):
            if part is not None and like is not None:
                part.load_state_dict({k: v for k, v in like.state_dict().items() if k in part.state_dict()})
        return method.fused(given)

    full = camc().embedder
    assert full.gate is not None
    assert full.attention is not None
    gated = full.gate(given)
    expected = {
        "full": full.attention(gated),
        "gate": gated,
        "attention": full.attention(given),
        "concat": given,
    }
    for fusion, streams in expected.items():
        for one, other in zip(fused(fusion=fusion), streams, strict=True):
            torch.testing.assert_close(one, other)
    for direction, which in (("appearance", 0), ("shape", 1)):
        [alone] = fused(direction=direction)
        torch.testing.assert_close(alone, expected["full"][which])


def test_what_is_left_out_is_not_built() -> None:
    sizes = {title(options): millions(camc(options).embedder) for options in ROWS}
    order = ["appearance", "concat,embedding=tokens", "concat", "attention", "gate"]
    grown = [sizes[f"fusion={name}"] for name in order] + [sizes["full"], sizes["positions,normalised,projected"]]
    assert grown == sorted(set(grown))
    assert sizes["shape,triplet"] == sizes["full"]
    added = {"positions": 32, "normalised": 2 * 2 * 32, "projected": 2 * 32 * 32}
    for name, count in added.items():
        assert millions(camc({name: True}).embedder) - sizes["full"] == pytest.approx(count / 1e6), name
    raw = camc({"embedding": "tokens"}).embedder
    assert raw.shape is not None
    assert raw.shape.block is None
    assert raw.gate is not None


def test_appearance_alone_needs_no_joints() -> None:
    with_joints, without = camc().embedder, camc({"fusion": "appearance"}).embedder
    assert with_joints.inputs == CamcEmbedder.inputs == ("poses",)
    assert without.inputs == copy.deepcopy(without).inputs == ()
    seen = batch()
    poses = seen.extras["poses"]
    bare = without(seen.images).vector
    assert bare.shape == (PICTURES, 32)
    assert torch.equal(bare, without(seen.images, poses=poses).vector)
    assert "identity" in update(camc({"fusion": "appearance"}), replace(seen, extras={})).losses
    with pytest.raises(UserError, match="needs the joints of every picture beside it: poses=heatmaps"):
        with_joints(seen.images)


@pytest.mark.parametrize("options", ROWS, ids=title)
def test_joints_reach_the_embedding(options: dict[str, Any]) -> None:
    network, seen = camc(options).embedder.eval(), batch()
    poses = seen.extras["poses"]
    plain = network(seen.images, poses=poses).vector
    for other in (poses.roll(1, 0), torch.zeros_like(poses), poses.flip(3)):
        assert torch.equal(plain, network(seen.images, poses=other).vector) == (options == {"fusion": "appearance"})
    assert not torch.equal(plain, network(seen.images.flip(3), poses=poses).vector)


def test_order_of_tokens_does_not_matter() -> None:
    network = camc().embedder.eval()
    given, order = Streams(torch.randn(2, 18, 32), torch.randn(2, 18, 32)), torch.randperm(18)
    moved = Streams(given.appearance[:, order], given.shape[:, order])
    plain = network.pooled(network.fused(given)).neck
    torch.testing.assert_close(network.pooled(network.fused(moved)).neck, plain)
    apart = Streams(given.appearance, given.shape[:, order])
    assert not torch.allclose(network.pooled(network.fused(apart)).neck, plain, atol=1e-3), "they belong together"


def test_halves_at_test_time() -> None:
    seen = batch()

    def compared(streams: str) -> Tensor:
        network = camc({"test_streams": streams}).embedder.eval()
        vector: Tensor = network(seen.images, poses=seen.extras["poses"]).vector
        return vector

    whole = compared("both")
    assert torch.equal(compared("appearance"), whole[:, :32])
    assert torch.equal(compared("shape"), whole[:, 32:])
    assert camc({"test_streams": "shape"}).state_dict().keys() == camc().state_dict().keys()
    assert "test_streams" in Camc.free_options
    losses = [update(camc({"test_streams": streams})).losses["identity"] for streams in ("both", "shape")]
    assert torch.equal(*losses), "nothing learned depends on it"


def test_how_the_neck_and_the_classifier_begin() -> None:
    torch.manual_seed(0)
    network = build_embedder(configured(backbone="resnet18"))
    assert isinstance(network, CamcEmbedder)
    assert network.neck.weight.mean().item() == pytest.approx(1, abs=0.003)
    assert network.neck.weight.std().item() == pytest.approx(0.02, rel=0.1)
    assert camc(people=500).classifier.weight.std().item() == pytest.approx(0.001, rel=0.05)
    assert camc().classifier.bias is None


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"fusion": "gate", "direction": "shape"}, "fusion=gate has none"),
        ({"fusion": "concat", "normalised": True}, "fusion=concat has none"),
        ({"fusion": "appearance", "projected": True}, "fusion=appearance has none"),
        ({"embedding": "tokens", "positions": True}, "which embedding=tokens leaves out"),
        ({"fusion": "appearance", "positions": True}, "are of the joints, and fusion=appearance has none"),
        ({"fusion": "appearance", "embedding": "tokens"}, "are of the joints, and fusion=appearance has none"),
        ({"fusion": "appearance", "test_streams": "shape"}, "z has only one"),
        ({"direction": "shape", "test_streams": "shape"}, "z has only one"),
        ({"fusion": "appearance", "shape": {"weight": 1.0}}, "shape half of z, which has none"),
        ({"direction": "appearance", "shape": {"weight": 1.0}}, "shape half of z, which has none"),
    ],
)
def test_options_that_do_not_go_together(options: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ValidationError, match=sentence):
        CamcOptions.model_validate(options)


def test_tokens_are_pooled_by_their_mean() -> None:
    with pytest.raises(UserError, match="set model.pooling=average, not gem"):
        build_embedder(configured(model={"pooling": "gem"}))


# What it learns.


def test_as_published_there_is_one_loss() -> None:
    only = update(method := camc())
    assert list(only.losses) == ["identity"]
    assert list(only.metrics) == ["accuracy"]
    assert only.optimizers == ("main",)
    assert method.shape_classifier is None
    assert method.terms()["identity"].at(1) == 1
    assert [method.terms()[name].weight for name in ("shape", "triplet")] == [0, 0]


def test_losses_by_hand() -> None:
    method = camc({"shape": {"weight": 0.5}, "triplet": {"weight": 2.0, "margin": None}})
    found, seen = update(method), batch()
    v, z = method.embedder.features(seen.images, seen.extras["poses"])

    def smoothed(logits: Tensor) -> float:
        logs = logits.detach().log_softmax(1)
        total = 0.0
        for row, label in zip(logs, seen.labels.tolist(), strict=True):
            total -= sum(float(row[c]) * (0.9 * (c == label) + 0.1 / PEOPLE) for c in range(PEOPLE))
        return total / PICTURES

    assert method.shape_classifier is not None
    expected = {
        "identity": smoothed(z @ method.classifier.weight.T),
        "shape": 0.5 * smoothed(z[:, 32:] @ method.shape_classifier.weight.T),
        "triplet": 2 * TripletLoss(None)(v, seen.labels).item(),
    }
    assert {name: loss.item() for name, loss in found.losses.items()} == pytest.approx(expected, rel=1e-5)
    assert set(found.metrics) == {"accuracy", "shape accuracy"}
    assert list(update(method, shape=0.0, triplet=0.0).losses) == ["identity"]


@pytest.mark.parametrize("options", ROWS, ids=title)
def test_every_parameter_learns_and_has_its_rate(options: dict[str, Any]) -> None:
    method = camc(options)
    torch.stack(list(update(method).losses.values())).sum().backward()
    for name, parameter in method.named_parameters():
        if name == "embedder.neck.bias":
            assert parameter.grad is None
        else:
            assert parameter.grad is not None, name
            assert parameter.grad.isfinite().all(), name
            assert parameter.grad.any(), name
    [(name, recipe)] = method.optimizers().items()
    assert name == "main"
    held = [id(parameter) for group in recipe.groups for parameter in group.parameters]
    assert len(held) == len(set(held))
    assert set(held) == {id(parameter) for parameter in method.parameters()}
    pretrained = {id(p) for group in recipe.groups if group.pretrained for p in group.parameters}
    assert pretrained == {id(p) for p in method.embedder.backbone.parameters()}
    assert recipe.optimizer is None
    assert recipe.schedule is None


def test_the_shift_of_the_neck_stays_zero() -> None:
    method = camc()
    weight = method.embedder.neck.weight.detach().clone()
    trainer, _ = trainer_of(method, config=config_of(optimizer={"name": "adam", "lr": 0.01, "weight_decay": 0.1}))
    trainer.run([batch()] * 3, max_epochs=1)
    assert not method.embedder.neck.bias.any()
    assert not torch.equal(method.embedder.neck.weight, weight)


def test_sixteen_people_are_learned_by_heart() -> None:
    """To 0.05 above the least that smoothed labels allow, in less than 200 steps."""
    seen = batch(people=16, pictures=64)
    method = camc(people=16)
    trainer, _ = trainer_of(method, config=config_of(optimizer={"name": "adam", "lr": 2e-3}))
    found: list[float] = []

    def judge(engine: Any) -> None:
        found.append(float(engine.state.output["identity"]))
        if found[-1] < floor + 0.05:
            engine.terminate()

    right = 0.9 + 0.1 / 16
    floor = -right * math.log(right) - 15 * 0.1 / 16 * math.log(0.1 / 16)
    trainer.add_event_handler(Events.ITERATION_COMPLETED, judge)
    trainer.run([seen] * 200, max_epochs=1)
    assert found[0] == pytest.approx(math.log(16), abs=0.05)
    assert len(found) < 200
    assert floor < found[-1] < floor + 0.05


def test_people_can_be_learned_from_joints_alone() -> None:
    """All pictures are one grey picture, so what tells people apart is how they stand."""
    seen = batch(people=8, pictures=32)
    seen = seen.with_images(torch.zeros_like(seen.images))
    accuracy = {}
    for fusion in ("full", "appearance"):
        method = camc({"fusion": fusion}, people=8)
        trainer, _ = trainer_of(method, config=config_of(optimizer={"name": "adam", "lr": 2e-3}))
        trainer.run([seen] * 60, max_epochs=1)
        accuracy[fusion] = float(update(method, seen).metrics["accuracy"])
    assert accuracy["full"] > 0.9
    assert accuracy["appearance"] == pytest.approx(1 / 8)


@pytest.mark.parametrize("level", ["O0", "O1", "O2"])
@pytest.mark.parametrize("options", [{}, {"fusion": "concat"}, ROWS[-2], ROWS[-1]], ids=title)
def test_half_precision_leaves_losses_in_float32(level: str, options: dict[str, Any]) -> None:
    method = camc(options)
    trainer, _ = trainer_of(method, Amp(level, torch.bfloat16, CPU), config_of(optimizer={"lr": 1e-3}))
    found: list[dict[str, Tensor]] = []
    trainer.add_event_handler(Events.ITERATION_COMPLETED, lambda engine: found.append(dict(engine.state.output)))
    trainer.run([batch()] * 3, max_epochs=1)
    for output in found:
        for name in method.terms():
            if name in output:
                assert output[name].isfinite()
                assert output[name].dtype == torch.float32
    assert all(parameter.isfinite().all() for parameter in method.parameters())


@pytest.mark.parametrize("fusion", ["full", "concat", "appearance"])
def test_half_precision_is_near(fusion: str) -> None:
    method, seen = camc({"fusion": fusion}), batch()
    with torch.autocast("cpu", torch.bfloat16):
        half = method.embedder.features(seen.images, seen.extras["poses"])
    full = method.embedder.features(seen.images, seen.extras["poses"])
    assert half.pooled.dtype == half.neck.dtype == torch.float32
    torch.testing.assert_close(half.pooled, full.pooled, rtol=0.05, atol=0.02)


# The configurations.


@pytest.mark.parametrize(
    ("epoch", "rate"),
    [(0, 3e-5), (1, 5.7e-5), (5, 1.65e-4), (9, 2.73e-4), (10, 3e-4), (39, 3e-4), (40, 3e-5), (79, 3e-5), (80, 3e-6)],
)
def test_published_rates(epoch: int, rate: float) -> None:
    config = load(ROOT / "configs" / "camc.yml", [], options_of)
    assert config.train.epochs == 150
    assert config.schedule.by == "epoch"
    assert config.optimizer.backbone_lr is None
    assert config.optimizer.lr * factor(config.schedule, epoch, 150) == pytest.approx(rate, rel=1e-9)


@pytest.mark.parametrize("name", ["camc", "camc_celeb", "camc_ltcc", "camc_prcc"])
def test_published_recipe(name: str) -> None:
    config = load(ROOT / "configs" / f"{name}.yml", [], options_of)
    assert config.options == CamcOptions()
    assert config.data.source == {"camc": "market"}.get(name, name.removeprefix("camc_"))
    augment, poses = config.data.augment, config.data.poses
    assert (config.data.height, config.data.width) == (256, 128)
    assert (augment.jitter, augment.flip, augment.enlarge, augment.pad, augment.pad_fill) == (0.1, 0.5, 0, 10, 0)
    assert (augment.erase, augment.erase_area, augment.erase_aspect) == (0.5, (0.02, 0.4), (0.3, 3.33))
    assert augment.erase_fill is None
    assert (poses.source, poses.input, poses.face, poses.channels) == ("hrnet", "augmented", "merged", 13)
    assert (config.batches.size, config.batches.instances) == (64, 4)
    assert (config.optimizer.name, config.optimizer.weight_decay) == ("adam", 5e-4)
    assert (config.model.backbone, config.model.last_stride, config.model.pretrained) == ("resnet50", 1, "imagenet")
    assert config.train.opt_level == "O0"
    assert config.test.flip is None
    assert not CamcEmbedder.flip


def test_the_street_needs_no_pose_network() -> None:
    config = load(ROOT / "configs" / "street_camc.yml", [], options_of)
    assert (config.method, config.data.source, config.data.poses.source) == ("camc", "street-clothes", "keypoints")
    assert (config.model.backbone, config.data.height, config.data.width) == ("resnet18", 96, 48)


def test_a_run_without_joints(tiny: Path, doors: Doors, tmp_path: Path) -> None:
    outcome = doors.train("cpu", tiny, "method=camc", "options.fusion=appearance", "train.epochs=1")
    assert outcome.status == 0, outcome.said
    run = tmp_path / "checkpoints" / "tiny"
    checkpoint = load_checkpoint(run / "epoch_0001.pt")
    assert not any("classifier" in name for name in checkpoint.model)
    assert set(checkpoint.training["optimizers"]) == {"main"}
    judged = doors.evaluate("cpu", run / "epoch_0001.pt")
    assert judged.status == 0, judged.said
