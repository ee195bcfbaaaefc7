"""HCGA: its network, picture by picture, who learns from what, and what is compared."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from ignite.engine import Events
from pydantic import ValidationError
from torch import Tensor, nn

from common.contracts import Batch, Embedding
from common.errors import UserError
from configs.loader import load, parse
from configs.schema import Config
from engine.amp import Amp
from engine.schedule import factor
from modeling.backbones import BACKBONES
from modeling.backbones.base import Backbone
from modeling.backbones.resnet import BasicBlock, ResNet, residual_layer
from modeling.handlers.part_masks import MASKS
from modeling.layers.cbam import CBAM
from modeling.layers.spatial_attention import SpatialAttention
from modeling.methods import build_embedder, build_method, options_of
from modeling.methods.hcga import Hcga, HcgaOptions, ParsingTerm
from modeling.methods.hcga_network import HcgaEmbedder, Merge, grid
from modeling.methods.method import Facts, ParsingEmbedder, Stage, Update
from modeling.parsing import ParsingOptions
from retrieval.columns import Columns, Features
from retrieval.scorers import scorer
from retrieval.streaming.tiles import cut
from tests.conftest import Toy
from tests.doors import ROOT
from tests.engine.toys import CPU, config_of, facts_of, trainer_of

PEOPLE, PICTURES, PARTS, WIDTH = 3, 6, 3, 8
EVERY_LOSS = {
    "identity",
    "foreground identity",
    "part identity",
    "triplet",
    "foreground triplet",
    "part triplet",
    "parsing",
    "center",
}


class Narrow(ResNet):
    """A ResNet of a few thousand weights."""

    def __init__(self, *, last_stride: int) -> None:
        Backbone.__init__(self)
        self.widths = (8, 8, 12, 16)
        self.channels, self.stride = 16, 16 * last_stride
        self.conv1 = nn.Conv2d(3, 8, 3, stride=2, padding=1, bias=False)
        self.bn1, self.relu, self.maxpool = nn.BatchNorm2d(8), nn.ReLU(), nn.MaxPool2d(3, stride=2, padding=1)
        self.layer1 = residual_layer(BasicBlock, 8, 8, 1)
        self.layer2 = residual_layer(BasicBlock, 8, 8, 1, stride=2)
        self.layer3 = residual_layer(BasicBlock, 8, 12, 1, stride=2)
        self.layer4 = residual_layer(BasicBlock, 12, 16, 1, stride=last_stride)


@pytest.fixture(autouse=True)
def _small_networks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(BACKBONES, "toy", lambda **_: Toy())
    monkeypatch.setitem(BACKBONES, "narrow", lambda **how: Narrow(**how))


def configured(options: dict[str, Any] | None = None, backbone: str = "narrow", **sections: Any) -> Config:
    model = {"backbone": backbone, "pretrained": "none", **sections.pop("model", {})}
    data = {"height": 64, "width": 32, **sections.pop("data", {})}
    small = {"width": WIDTH} if backbone == "narrow" else {}
    options = small | (options or {})
    return parse({"method": "hcga", "model": model, "data": data, "options": options, **sections}, options_of)


def batch(people: int = PEOPLE, pictures: int = PICTURES, parts: int = PARTS) -> Batch:
    random = torch.Generator().manual_seed(1)
    images = torch.randn(pictures, 3, 64, 32, generator=random)
    masks = torch.randint(-1, parts + 1, (pictures, 16, 8), generator=random)
    none = torch.zeros(pictures, dtype=torch.int64)
    labels = torch.arange(pictures) // (pictures // people)
    geometry = torch.zeros(pictures, 10, dtype=torch.int64)
    return Batch(images, labels, none, none, torch.arange(pictures), none, geometry, {MASKS: masks})


def hcga(options: dict[str, Any] | None = None, seed: int = 0, people: int = PEOPLE, **sections: Any) -> Hcga:
    torch.manual_seed(seed)
    method = build_method(configured(options, **sections), facts_of(people, batch())).train()
    assert isinstance(method, Hcga)
    for parameter in (*method.embedder.parse.parameters(), *method.classifiers.parameters()):
        parameter.data.mul_(20)  # a decided network: every part is somewhere, and no gradient is tiny
    return method


def network(options: dict[str, Any] | None = None, **sections: Any) -> HcgaEmbedder:
    return hcga(options, **sections).embedder


def settled(method: Hcga) -> Hcga:
    """In evaluation, where running statistics are those of `batch()`."""
    for module in method.modules():
        if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
            module.momentum = 1.0
    method.train().embedder.features(batch().images.to(method.embedder.parse.weight.dtype))
    return method.eval()


def stage(method: Hcga, **weights: float) -> Stage:
    scheduled = {name: term.at(1) for name, term in method.terms().items()}
    named = {name.replace("_", " "): weight for name, weight in weights.items()}
    return Stage(1, 10, 1, scheduled | named, np.random.default_rng(0))


def update(method: Hcga, seen: Batch | None = None, **weights: float) -> Update:
    return next(iter(method.training_step(seen or batch(), stage(method, **weights))))


def numbers(*parts: nn.Module | None) -> int:
    return sum(one.numel() for part in parts if part is not None for one in part.parameters())


# What the network is.


@pytest.fixture(scope="module")
def published() -> Hcga:
    """The network of the recipes for 702 people and 8 pictures."""
    column = torch.zeros(8, dtype=torch.int64)
    columns = Facts(702, column, column, column, column, first_target=8, dataset=column)
    method = build_method(configured(backbone="hrnet_w32", data={"height": 256, "width": 128}), columns)
    assert isinstance(method, Hcga)
    return method.eval()


def test_published_sizes(published: Hcga) -> None:
    """32.4 million with 702 people, less 0.13 of the release that are never used."""
    method, seen = published, published.embedder
    assert numbers(method) / 1e6 == pytest.approx(32.4 - 0.13, abs=0.05)
    stages = {name: numbers(part) / 1e6 for name, part in seen.backbone.named_children()}
    assert stages["stage3"] == pytest.approx(6.8, abs=0.05)
    assert stages["stage4"] == pytest.approx(21.2, abs=0.05)
    assert numbers(seen.merge) == 1920 * 256 + 256 + 2 * 256
    assert numbers(seen.attention) == 9 * 256 + 2 + 1 + 2
    assert numbers(seen.parse) == 256 * 4 + 4
    assert numbers(seen.necks) == 2 * (256 + 256 + 768)
    assert numbers(method.classifiers) == 702 * (256 + 256 + 768)
    assert len(method.centers) == 0
    frozen = [name for name, one in method.named_parameters() if not one.requires_grad]
    assert frozen == [f"embedder.necks.{i}.bias" for i in range(3)]
    assert (method.masks.shape, method.masks.dtype) == ((8, 64, 32), torch.uint8)


def test_shapes_of_a_published_picture(published: Hcga) -> None:
    seen = published.embedder
    assert isinstance(seen.attention, SpatialAttention)
    assert seen.stage_attention is None
    images = torch.randn(1, 3, 256, 128)
    with torch.inference_mode():
        pyramid = seen.pyramid(images)
        assert [tuple(one.shape[1:]) for one in pyramid] == [(128, 64, 32), (256, 32, 16), (512, 16, 8), (1024, 8, 4)]
        maps = seen.merged(pyramid, (64, 32))
        logits = seen.parse(maps)
        assert maps.shape == (1, 256, 64, 32)
        assert logits.shape == (1, 4, 64, 32)
        assert seen.pooled(maps, logits.softmax(1)).shape == (1, 4, 256)


@pytest.mark.parametrize("backbone", ["resnet18", "resnet50", "resnet18_ibn_a"])
@pytest.mark.parametrize("size", [(96, 48), (90, 43)])
def test_any_resnet_and_any_size(backbone: str, size: tuple[int, int]) -> None:
    torch.manual_seed(0)
    seen = build_embedder(configured(backbone=backbone, data={"height": size[0], "width": size[1]})).eval()
    assert isinstance(seen, HcgaEmbedder)
    cells = grid(*size)
    assert cells == (math.ceil(size[0] / 4), math.ceil(size[1] / 4))
    images = torch.randn(2, 3, *size)
    with torch.inference_mode():
        found = seen(images)
        assert seen.maps(images).shape == (2, 256, *cells)
        assert seen.parsed(images).shape == (2, 4, *cells)
    assert (found.vector.shape, found.parts.shape, found.visibility.shape) == ((2, 256), (2, 3, 256), (2, 3))
    assert isinstance(seen.attention, CBAM)
    assert seen.merge.widths == {True: (256, 512), False: (1024, 2048)}[backbone.startswith("resnet18")]


def test_merging_is_enlarging_concatenation_and_a_convolution() -> None:
    torch.manual_seed(0)
    merge = Merge((3, 4, 2), 5).double()
    maps = [
        torch.randn(2, c, *size, dtype=torch.float64)
        for c, size in zip((3, 4, 2), ((6, 4), (3, 2), (2, 1)), strict=True)
    ]
    for one in maps:
        one.requires_grad_()
    large = [F.interpolate(one, size=(6, 4), mode="bilinear", align_corners=True) for one in maps]
    expected = merge.norm(merge.conv(torch.cat(large, dim=1))).clamp(min=0)
    towards = torch.randn_like(expected)
    found = []
    for value in (merge(maps, (6, 4)), expected):
        wanted = [*maps, merge.conv.weight, merge.norm.weight, merge.norm.bias]
        found.append([value, *torch.autograd.grad(value, wanted, towards)])
    for mine, other in zip(*found, strict=True):
        torch.testing.assert_close(mine, other, rtol=1e-6, atol=1e-9)
    bias = merge.eval().conv.bias
    assert bias is not None
    bias.data += 1
    moved = merge.norm(merge.conv(torch.cat(large, dim=1))).clamp(min=0)
    torch.testing.assert_close(merge(maps, (6, 4)), moved)


@pytest.mark.parametrize(
    "options", [{}, {"masks": "guided", "area": False}, {"area": False, "global_from": "backbone"}, {"masks": "guided"}]
)
@pytest.mark.parametrize("training", [True, False])
def test_all_vectors_by_hand(options: dict[str, Any], training: bool) -> None:
    seen = settled(hcga(options).double()).train(training).embedder
    images = batch().images.double()
    backbone = seen.backbone
    assert isinstance(backbone, ResNet)
    assert seen.stage_attention is not None
    with torch.no_grad():
        stem = backbone.maxpool(backbone.relu(backbone.bn1(backbone.conv1(images))))
        third = seen.stage_attention(backbone.layer3(backbone.layer2(backbone.layer1(stem))))
        fourth = backbone.layer4(third)
        large = [F.interpolate(one, size=(16, 8), mode="bilinear", align_corners=True) for one in (third, fourth)]
        concatenated = torch.cat(large, dim=1)
        x = seen.attention(seen.merge.norm(seen.merge.conv(concatenated)).clamp(min=0))
        logits = seen.parse(x)
        p = logits.exp() / logits.exp().sum(1, keepdim=True)
        if "masks" not in options:
            masks = [p[:, k] for k in range(4)]
        elif training:
            masks = [p[:, k] * (p[:, k] >= 0.25) for k in range(4)]
        else:
            masks = [0.5 * (p[:, k] >= 0.75) for k in range(4)]

        def pooled(mask: Tensor) -> Tensor:
            total, mass = (x * mask[:, None]).sum((2, 3)), mask.sum((1, 2))[:, None]
            mass = mass if options.get("area", True) else torch.full_like(mass, 16 * 8)
            return torch.where(mass > 0, total / mass, 0)

        y_g = (x if "global_from" not in options else concatenated).mean((2, 3))
        y_f = pooled(p[:, 1] + p[:, 2] + p[:, 3])
        y_part = torch.cat([pooled(masks[k]) for k in (1, 2, 3)], dim=1)
        found = seen.features(images)
        assert y_g.shape[1] == seen.channels[0] == (28 if "global_from" in options else 8)
        torch.testing.assert_close(seen.maps(images), x)
        torch.testing.assert_close(seen.parsed(images), p)
        torch.testing.assert_close(found.logits, logits)
        for y, one, neck in zip((y_g, y_f, y_part), found[1:], seen.necks, strict=True):
            assert isinstance(neck, nn.BatchNorm1d)
            torch.testing.assert_close(one.pooled, y)
            if training:
                z = (y - y.mean(0)) / (y.var(0, unbiased=False) + neck.eps).sqrt()
                torch.testing.assert_close(one.neck, z)
            else:
                torch.testing.assert_close(one.neck, neck(y))


def test_stage_four_goes_on_from_what_stage_three_attends_to() -> None:
    seen = network().eval()
    assert seen.stage_attention is not None
    images = batch().images
    before = [one.clone() for one in seen.pyramid(images)]
    seen.stage_attention.cells.weight.data.neg_()
    after = seen.pyramid(images)
    assert not any(torch.equal(one, other) for one, other in zip(before, after, strict=True))
    assert seen.maps(images).shape == (PICTURES, WIDTH, 16, 8)


@pytest.mark.parametrize("parts", [1, 5])
def test_any_number_of_parts(parts: int) -> None:
    method = hcga({"parsing": {"parts": parts, "rule": "mean"}})
    found = update(method, batch(parts=parts))
    assert all(loss.isfinite() for loss in found.losses.values())
    seen = method.eval().embedder
    embedding = seen(batch().images)
    assert seen.parts == parts
    assert embedding.parts.shape == (PICTURES, parts, WIDTH)
    assert embedding.visibility.shape == (PICTURES, parts)
    assert seen.parsed(batch().images).shape == (PICTURES, parts + 1, 16, 8)
    assert method.masks.unique().tolist() == list(range(1, parts + 1))


def test_before_anything_is_parsed_masks_are_stripes() -> None:
    method = hcga()
    assert method.masks.shape == (PICTURES, 16, 8)
    assert method.masks[:, :, 0].tolist() == PICTURES * [3 * [1] + 8 * [2] + 5 * [3]]
    assert (method.masks == method.masks[:, :, :1]).all()
    assert method.masks_epoch.item() == 0
    assert {"masks", "masks_epoch"} < method.state_dict().keys()
    assert not any("masks" in name for name in method.embedder.state_dict())


@pytest.mark.parametrize(
    ("sections", "sentence"),
    [
        ({"backbone": "toy"}, "merges maps of several sizes, which toy does not give; set model.backbone"),
        ({"model": {"pooling": "gem"}}, "set model.pooling=average, not gem"),
    ],
)
def test_networks_that_cannot_be(sections: dict[str, Any], sentence: str) -> None:
    with pytest.raises(UserError, match=sentence):
        build_embedder(configured(**sections))


@pytest.mark.parametrize(
    "options", [{"width": 0}, {"visible_from": 2}, {"matching": "parts"}, {"mask": "soft"}, {"parsing": {"parts": 5}}]
)
def test_options_that_are_none(options: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        HcgaOptions.model_validate(options)


# What is compared.


def test_parts_and_who_shows_them() -> None:
    seen, images = settled(hcga()).embedder, batch().images
    with torch.no_grad():
        found, embedding = seen.features(images), seen(images)
    assert torch.equal(embedding.vector, found.foreground.neck)
    for part in range(PARTS):
        assert torch.equal(embedding.parts[:, part], found.parts.neck[:, part * WIDTH : (part + 1) * WIDTH])
    counts = torch.stack([(found.logits.argmax(1) == p).sum((1, 2)) for p in (1, 2, 3)], dim=1)
    share = counts / (16 * 8)
    assert torch.equal(embedding.visibility, ((counts > 0) & (share >= 0.015)).float())
    for least in (0.0, float(share.flatten().sort().values[9])):
        expected = ((counts > 0) & (share >= least)).float()
        assert torch.equal(settled(hcga({"visible_from": least})).embedder(images).visibility, expected)
    assert 0 < expected.mean() < 1
    nothing = seen.parse.bias
    assert nothing is not None
    nothing.data[2] = -1e4
    assert not seen(images).visibility[:, 1].any()
    assert seen(images).parts.isfinite().all(), "a part without mass"


@pytest.mark.parametrize(
    ("matching", "name"),
    [("visible", "visible-parts"), ("visible-sum", "visible-parts-sum"), ("whole", "cosine")],
)
def test_the_scorer_is_that_of_the_matching(matching: str, name: str) -> None:
    seen = network({"matching": matching}).eval()
    assert seen.scorer == name
    assert isinstance(seen, ParsingEmbedder)
    embedding = seen(batch().images)
    found = seen.features(batch().images)
    if matching == "whole":
        assert list(embedding.fields()) == ["vector"]
        z = [found.whole.neck, found.foreground.neck, found.parts.neck]
        assert torch.equal(embedding.vector, torch.cat(z, dim=1))
    else:
        assert list(embedding.fields()) == ["vector", "parts", "visibility"]
    assert seen.state_dict().keys() == network().state_dict().keys()
    assert Hcga.free_options == {"matching", "visible_from"}


@pytest.mark.parametrize("matching", ["visible", "visible-sum"])
def test_two_pictures_are_compared_by_the_published_sum(matching: str) -> None:
    seen = settled(hcga({"matching": matching, "visible_from": 0.2})).embedder
    with torch.no_grad():
        embedding: Embedding = seen(batch().images)
    assert embedding.parts is not None
    assert embedding.visibility is not None
    assert 0 < embedding.visibility.mean() < 1
    features = Features(
        embedding.vector.numpy(), Columns.of(range(PICTURES)), embedding.parts.numpy(), embedding.visibility.numpy()
    )
    kind = scorer(seen.scorer)
    scores = kind.scores(*(kind.prepare(cut(features, slice(0, PICTURES), CPU, role)) for role in ("query", "gallery")))

    def cosine(one: Tensor, other: Tensor) -> float:
        return float((one.double() * other.double()).sum() / one.double().norm() / other.double().norm())

    for q in range(PICTURES):
        for g in range(PICTURES):
            total, shown = 0.5 * (1 + cosine(embedding.vector[q], embedding.vector[g])), 1.0
            for p in range(PARTS):
                both = float(embedding.visibility[q, p] * embedding.visibility[g, p])
                total += both * 0.5 * (1 + cosine(embedding.parts[q, p], embedding.parts[g, p]))
                shown += both
            expected = total / shown if matching == "visible" else total
            assert scores[q, g].item() == pytest.approx(expected, abs=1e-5)


# What it learns.


def by_hand(method: Hcga, seen: Batch) -> dict[str, Tensor]:
    """Every loss, unweighted, row by row."""
    found, labels = method.embedder.features(seen.images), seen.labels.tolist()

    def smoothed(z: Tensor, classifier: Any) -> Tensor:
        total = torch.zeros((), dtype=z.dtype)
        for row, label in zip(z @ classifier.weight.T, labels, strict=True):
            logs = row - row.exp().sum().log()
            total = total - 0.9 * logs[label] - 0.1 / PEOPLE * logs.sum()
        return total / len(labels)

    def apart(one: Tensor, other: Tensor) -> Tensor:
        distance: Tensor = (one - other).square().sum().sqrt()
        return distance

    def mined(y: Tensor) -> Tensor:
        losses = []
        for a, own in enumerate(labels):
            far = max(apart(y[a], y[i]) for i in range(len(y)) if i != a and labels[i] == own)
            near = min(apart(y[a], y[i]) for i in range(len(y)) if labels[i] != own)
            losses.append((0.3 + far - near).clamp(min=0))
        return torch.stack(losses).mean()

    masks, cells = seen.extras[MASKS], []
    for b, y, x in torch.cartesian_prod(*map(torch.arange, masks.shape)).tolist():
        if masks[b, y, x] != -1:
            scores = found.logits[b, :, y, x]
            cells.append(scores.exp().sum().log() - scores[int(masks[b, y, x])])
    losses = {"parsing": torch.stack(cells).mean()}
    pull = torch.zeros((), dtype=found.logits.dtype)
    for branch, name in (("whole", ""), ("foreground", "foreground "), ("parts", "part ")):
        y, z = getattr(found, branch)
        losses[f"{name}identity"] = smoothed(z, method.classifiers[branch])
        losses[f"{name}triplet"] = mined(y)
        if branch in method.centers:
            centers = method.centers[branch].get_parameter("centers")
            pull = (
                pull + torch.stack([(row - centers[i]).square().sum() for row, i in zip(y, labels, strict=True)]).mean()
            )
    if len(method.centers):
        losses["center"] = pull
    return losses


@pytest.mark.parametrize("options", [{}, {"masks": "guided", "area": False, "global_from": "backbone"}])
def test_every_loss_by_hand_in_value_and_gradient(options: dict[str, Any]) -> None:
    method = hcga({**options, "center": {"weight": 5e-4}}).double()
    seen = batch()
    seen = seen.with_images(seen.images.double())
    weights = {"identity": 0.5, "part_identity": 2.0, "triplet": 0.25, "part_triplet": 3.0, "parsing": 0.3}
    found = update(method, seen, **weights).losses
    expected = by_hand(method, seen)
    assert found.keys() == expected.keys() == EVERY_LOSS == method.terms().keys()
    scheduled = stage(method, **weights).weights
    assert (scheduled["foreground identity"], scheduled["center"]) == (1, 5e-4)
    for name, loss in found.items():
        gradients = []
        for one in (loss, scheduled[name] * expected[name]):
            method.zero_grad()
            one.backward(retain_graph=True)
            gradients.append({key: p.grad for key, p in method.named_parameters() if p.grad is not None})
        torch.testing.assert_close(loss, scheduled[name] * expected[name], rtol=1e-6, atol=1e-9)
        assert loss > 0, name
        for key in gradients[0].keys() | gradients[1].keys():
            zero = torch.zeros_like(method.get_parameter(key))
            mine, other = (one.get(key, zero) for one in gradients)
            torch.testing.assert_close(mine, other, rtol=1e-5, atol=1e-8, msg=f"{name}: {key}")


def test_who_learns_from_what() -> None:
    method = hcga({"center": {"weight": 5e-4}})
    common = {"embedder.backbone", "embedder.merge", "embedder.attention", "embedder.stage_attention"}
    parsed = {*common, "embedder.parse"}
    expected = {
        "identity": {*common, "embedder.necks.0", "classifiers.whole"},
        "foreground identity": {*parsed, "embedder.necks.1", "classifiers.foreground"},
        "part identity": {*parsed, "embedder.necks.2", "classifiers.parts"},
        "triplet": common,
        "foreground triplet": parsed,
        "part triplet": parsed,
        "parsing": parsed,
        "center": {*parsed, "centers.whole", "centers.foreground", "centers.parts"},
    }
    parts = set().union(*expected.values())
    for name, loss in update(method).losses.items():
        method.zero_grad()
        loss.backward(retain_graph=True)
        moved = {key for key, one in method.named_parameters() if one.grad is not None and one.grad.any()}
        assert {part for part in parts if any(key.startswith(part + ".") for key in moved)} == expected[name], name


@pytest.mark.parametrize("name", sorted(EVERY_LOSS))
def test_a_weight_of_zero_removes_a_loss(name: str) -> None:
    method = hcga({"center": {"weight": 5e-4}})
    assert update(method).losses.keys() == EVERY_LOSS
    assert update(method, None, **{name.replace(" ", "_"): 0.0}).losses.keys() == EVERY_LOSS - {name}
    key = {"parsing": "parsing_loss"}.get(name, name.replace(" ", "_"))
    without = hcga({"center": {"weight": 5e-4}, key: {"weight": 0}})
    assert update(without).losses.keys() == EVERY_LOSS - {name}
    for updated in without.training_step(batch(), stage(without)):
        torch.stack(list(updated.losses.values())).sum().backward()
    # What is not used is not built, but for a neck, which the test may use.
    unused = {key for key, one in without.named_parameters() if one.requires_grad and one.grad is None}
    identities = [f"{branch}identity" for branch in ("", "foreground ", "part ")]
    assert unused == ({f"embedder.necks.{identities.index(name)}.weight"} if name in identities else set())


def test_what_learns_by_default() -> None:
    method = hcga()
    weights = {name: term.at(1) for name, term in method.terms().items()}
    assert weights == {**dict.fromkeys(EVERY_LOSS, 1.0), "parsing": 0.1, "center": 0.0}
    [only] = method.training_step(batch(), stage(method))
    assert only.optimizers == ("main",)
    assert only.losses.keys() == EVERY_LOSS - {"center"}
    assert only.metrics.keys() == {"accuracy", "foreground accuracy", "part accuracy", "parsing accuracy"}
    assert list(method.optimizers()) == ["main"]
    masks = batch().extras[MASKS]
    found = method.embedder.features(batch().images).logits.argmax(1)
    right = [f == m for f, m in zip(found.flatten().tolist(), masks.flatten().tolist(), strict=True) if m != -1]
    assert only.metrics["parsing accuracy"].item() == pytest.approx(sum(right) / len(right))


@pytest.mark.parametrize("options", [{}, {"center": {"weight": 5e-4, "lr": 0.25}}])
def test_every_parameter_learns_and_has_its_rate(options: dict[str, Any]) -> None:
    method = hcga(options)
    torch.stack(list(update(method).losses.values())).sum().backward()
    for name, parameter in method.named_parameters():
        frozen = name in [f"embedder.necks.{i}.bias" for i in range(3)]
        assert (parameter.grad is None) == frozen, name
        assert parameter.grad is None or parameter.grad.isfinite().all(), name
    recipes = method.optimizers()
    held = [id(one) for recipe in recipes.values() for group in recipe.groups for one in group.parameters]
    assert len(held) == len(set(held))
    assert set(held) == {id(parameter) for parameter in method.parameters()}
    pretrained = {id(one) for group in recipes["main"].groups if group.pretrained for one in group.parameters}
    assert pretrained == {id(one) for one in method.embedder.backbone.parameters()}
    if options:
        recipe = recipes["centers"]
        assert recipe.optimizer is not None
        assert recipe.schedule is not None
        assert (recipe.optimizer.name, recipe.optimizer.lr, recipe.optimizer.weight_decay) == ("sgd", 0.25, 0)
        assert recipe.schedule.kind == "constant"
        assert {id(one) for one in recipe.groups[0].parameters} == {id(one) for one in method.centers.parameters()}


def test_centres_follow_at_their_own_rate_whatever_their_weight() -> None:
    method = hcga({"center": {"weight": 5e-4, "lr": 0.25}})
    before = {name: one.detach().clone() for name, one in method.named_parameters()}
    labels, found = batch().labels, method.embedder.features(batch().images)
    trainer, _ = trainer_of(method, config=config_of(optimizer={"lr": 1e-3}))
    trainer.run([batch()], max_epochs=1)
    for branch in ("whole", "foreground", "parts"):
        y, old = getattr(found, branch).pooled, before[f"centers.{branch}.centers"]
        for person in range(PEOPLE):
            pull = sum(2 * (old[person] - row) for row, own in zip(y, labels.tolist(), strict=True) if own == person)
            moved = old[person] - 0.25 * pull / PICTURES
            torch.testing.assert_close(
                method.centers[branch].get_parameter("centers")[person], moved, rtol=1e-4, atol=1e-5
            )
    assert not torch.equal(method.embedder.parse.weight, before["embedder.parse.weight"])
    assert not any(neck.get_parameter("bias").any() for neck in method.embedder.necks)


def test_masks_beside_the_pictures() -> None:
    method, seen = hcga(), batch()
    with pytest.raises(UserError, match="there are none beside the pictures; give Batch.extras\\['part_masks'\\]"):
        update(method, replace(seen, extras={}))
    with pytest.raises(UserError, match="is \\(6, 8, 8\\), and the network's map asks for \\(6, 16, 8\\)"):
        update(method, replace(seen, extras={MASKS: seen.extras[MASKS][:, :8]}))
    assert "parsing" not in update(hcga({"parsing_loss": {"weight": 0}}), replace(seen, extras={})).losses
    unknown = replace(seen, extras={MASKS: torch.full((PICTURES, 16, 8), -1)})
    loss = update(method, unknown).losses["parsing"]
    loss.backward()
    assert loss == 0
    assert method.embedder.parse.weight.grad is not None
    assert not method.embedder.parse.weight.grad.any()


def test_people_and_parts_are_learned_by_heart() -> None:
    people = 4
    seen = batch(people=people, pictures=16)
    halves = torch.ones(16, 16, 8, dtype=torch.int64)
    halves[:, 8:] = 3
    halves[::2] = 4 - halves[::2]  # every other picture is upside down, so position alone does not tell
    images = 0.3 * seen.images + (halves == 1).float().repeat_interleave(4, 1).repeat_interleave(4, 2)[:, None]
    seen = replace(seen, images=images, extras={MASKS: halves})
    method = hcga({"parsing_loss": {"weight": 1.0}}, people=people)
    trainer, _ = trainer_of(method, config=config_of(optimizer={"name": "adam", "lr": 5e-3}))
    outputs: list[dict[str, float]] = []
    trainer.add_event_handler(
        Events.ITERATION_COMPLETED,
        lambda engine: outputs.append({name: float(value) for name, value in engine.state.output.items()}),
    )
    trainer.run([seen] * 60, max_epochs=1)
    assert outputs[-1]["parsing accuracy"] > 0.9 > outputs[0]["parsing accuracy"]
    for name in ("accuracy", "foreground accuracy", "part accuracy"):
        assert outputs[-1][name] > 0.9 > outputs[0][name], name


@pytest.mark.parametrize("level", ["O0", "O1", "O2"])
@pytest.mark.parametrize("options", [{}, {"masks": "guided", "area": False, "center": {"weight": 5e-4}}])
def test_half_precision_leaves_losses_in_float32(level: str, options: dict[str, Any]) -> None:
    method = hcga(options)
    trainer, _ = trainer_of(method, Amp(level, torch.bfloat16, CPU), config_of(optimizer={"lr": 1e-3}))
    found: list[dict[str, Tensor]] = []
    trainer.add_event_handler(Events.ITERATION_COMPLETED, lambda engine: found.append(dict(engine.state.output)))
    trainer.run([batch()] * 2, max_epochs=1)
    for output in found:
        for name in EVERY_LOSS & output.keys():
            assert output[name].isfinite()
            assert output[name].dtype == torch.float32
    assert all(parameter.isfinite().all() for parameter in method.parameters())


def test_half_precision_is_near() -> None:
    method, images = hcga(), batch().images
    with torch.autocast("cpu", torch.bfloat16):
        half = method.embedder.features(images)
        assert method.embedder.maps(images).dtype == method.embedder.parsed(images).dtype == torch.float32
    full = method.embedder.features(images)
    for one, other in zip(half[1:], full[1:], strict=True):
        assert one.pooled.dtype == one.neck.dtype == torch.float32
        torch.testing.assert_close(one.pooled, other.pooled, rtol=0.1, atol=0.1)


# The configurations.


def recipe(name: str) -> tuple[Config, HcgaOptions]:
    config = load(ROOT / "configs" / f"{name}.yml", [], options_of)
    assert isinstance(config.options, HcgaOptions)
    return config, config.options


PUBLISHED: dict[str, tuple[str, str, float, float, float, float, str, float, str]] = {
    # source, target, λ, pixel, image, diagonal, norm, centres, matching
    "hcga_occluded_duke": ("occluded-duke", "occluded-duke", 0.1, 2, 1, 1, "l1", 0, "visible"),
    "hcga_resnet50": ("occluded-duke", "occluded-duke", 0.1, 2, 1, 1, "l1", 0, "visible"),
    "hcga_occluded_reid": ("market", "occluded-reid", 0.3, 2, 1.5, 0, "l1", 0, "visible"),
    "hcga_duke": ("duke", "duke", 0.3, 2, 1, 0, "l2", 5e-4, "whole"),
    "hcga_market": ("market", "market", 0.1, 1, 1, 1, "l2", 5e-4, "whole"),
}


@pytest.mark.parametrize("name", PUBLISHED)
def test_published_recipe(name: str) -> None:
    config, options = recipe(name)
    parsing, terms = options.parsing, options
    found = (
        config.data.source,
        config.target,
        terms.parsing_loss.weight,
        parsing.pixel,
        parsing.image,
        parsing.diagonal,
        parsing.norm,
        terms.center.weight,
        options.matching,
    )
    assert found == PUBLISHED[name]
    assert terms.center.lr == 0.5
    assert (parsing.by, parsing.parts, parsing.rule, parsing.every, parsing.until) == (
        "co-parsing",
        3,
        "structure",
        1,
        101,
    )
    assert (parsing.labels, parsing.stop_at, parsing.iterations, parsing.lr) == (32, 18, 32, 0.1)
    assert (options.width, options.masks, options.area, options.visible_from) == (256, "soft", True, 0.015)
    assert (options.global_from, parsing.first, parsing.pairs) == ("head", 2, "random")
    for term in (*options.identities.values(), *options.triplets.values()):
        assert term.weight == 1
    assert {term.smoothing for term in options.identities.values()} == {0.1}
    assert {(term.margin, term.normalize) for term in options.triplets.values()} == {(0.3, False)}
    augment = config.data.augment
    assert (config.data.height, config.data.width) == (256, 128)
    assert (augment.flip, augment.pad, augment.jitter, augment.erase, augment.erase_fill) == (0.5, 10, 0, 0.5, None)
    assert (augment.erase_area, augment.erase_aspect) == ((0.02, 0.4), (0.3, 3.3))
    assert (config.batches.kind, config.batches.size, config.batches.instances) == ("identity", 64, 4)
    assert (config.optimizer.name, config.optimizer.lr, config.optimizer.weight_decay) == ("adam", 3.5e-4, 5e-4)
    assert config.optimizer.backbone_lr is None
    backbone = "resnet50" if name == "hcga_resnet50" else "hrnet_w32"
    assert (config.model.backbone, config.model.last_stride, config.model.pretrained) == (backbone, 1, "imagenet")
    assert (config.train.epochs, config.train.opt_level, config.train.fp16) == (120, "O0", False)
    assert not HcgaEmbedder.flip


@pytest.mark.parametrize(
    ("epoch", "rate"),
    [(0, 3.5e-6), (1, 3.815e-5), (9, 3.1535e-4), (10, 3.5e-4), (38, 3.5e-4), (39, 3.5e-5), (68, 3.5e-5), (69, 3.5e-6)],
)
def test_published_rates(epoch: int, rate: float) -> None:
    """After so many epochs. The release begins with the rate of (1, 3.815e-5), and drops it in its epochs 40 and 70."""
    config, _ = recipe("hcga")
    assert config.schedule.by == "epoch"
    assert config.optimizer.lr * factor(config.schedule, epoch, 120) == pytest.approx(rate, rel=1e-6)


def test_all_published_switches_are_there() -> None:
    """What the headers of the recipes say to set."""
    overrides = [
        "options.masks=guided",
        "options.area=false",
        "options.visible_from=0",
        "options.matching=visible-sum",
        "options.foreground_triplet.weight=0",
        "options.part_triplet.weight=0",
        "options.parsing.pairs=listed",
        "options.parsing.first=1",
    ]
    path = ROOT / "configs" / "hcga.yml"
    said = path.read_text().replace("\n# ", " ")
    assert all(override in said for override in overrides)
    assert load(path, overrides, options_of).options != load(path, [], options_of).options


def test_the_street_begins_with_stripes() -> None:
    config, options = recipe("street_hcga")
    assert (config.method, config.data.source, config.train.opt_level) == ("hcga", "street-occlusion", "O1")
    assert (config.model.backbone, config.model.pretrained) == ("resnet18", "none")
    assert (config.data.height, config.data.width, config.data.augment.pad) == (96, 48, 4)
    assert (config.batches.size, config.batches.instances, config.train.epochs) == (32, 4, 16)
    assert options == HcgaOptions(
        width=128, stages=4, parsing=ParsingOptions(first=4, every=4), parsing_loss=ParsingTerm(weight=1.0)
    )


@pytest.mark.parametrize("stages", [1, 2, 3, 4])
def test_as_many_stages_of_a_resnet_as_are_asked_for(stages: int) -> None:
    """The last ones, the earliest first, and stage 4 goes on from what CBAM made of stage 3."""
    config = load(ROOT / "configs" / "street_hcga.yml", [f"options.stages={stages}", "options.width=8"], options_of)
    network = build_embedder(config)
    assert isinstance(network, HcgaEmbedder)
    assert isinstance(network.backbone, ResNet)
    assert network.stage_attention is not None
    network.eval()
    images = torch.randn(2, 3, 32, 16)
    backbone = network.backbone
    first = backbone.layer1(backbone.stem(images))
    second = backbone.layer2(first)
    third = network.stage_attention(backbone.layer3(second))
    expected = [first, second, third, backbone.layer4(third)][4 - stages :]
    for one, other in zip(network.pyramid(images), expected, strict=True):
        assert torch.equal(one, other)
    assert network.merge.conv.in_channels == sum((64, 128, 256, 512)[4 - stages :])
    assert network.maps(images).shape == (2, 8, 8, 4)
