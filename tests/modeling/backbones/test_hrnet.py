"""HRNet against its published names and against a forward pass written from those names alone."""

from __future__ import annotations

import logging
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

import pytest
import torch
from torch import Tensor

from common.errors import UserError
from configs.schema import Model
from modeling.backbones import BACKBONES, build_backbone, pretrained
from modeling.backbones.hrnet import HRNet, PoseHRNet
from modeling.backbones.hrnet_stages import Fusion, Transition
from modeling.backbones.pretrained import LoadReport, load_pretrained
from modeling.network import GlobalEmbedder
from tests.modeling.backbones.hrnet_published import (
    PublishedForward,
    Shapes,
    classifier,
    features,
    nearest,
    pose,
    random_state,
)

Form = TypeVar("Form", HRNet, PoseHRNet)


@cache
def on_meta(kind: type[Form], width: int) -> Form:
    """Built without memory: enough for names and shapes."""
    with torch.device("meta"):
        return kind(width)


def shapes_of(network: HRNet | PoseHRNet) -> Shapes:
    return {key: tuple(value.shape) for key, value in network.state_dict().items()}


@pytest.mark.parametrize("width", [32, 48])
def test_names_and_shapes_are_those_of_the_published_files(width: int) -> None:
    assert shapes_of(on_meta(PoseHRNet, width)) == pose(width)
    assert shapes_of(on_meta(HRNet, width)) == features(width)


def test_names_that_the_published_files_are_known_by() -> None:
    state = shapes_of(on_meta(PoseHRNet, 48))
    known = {
        "conv1.weight": (64, 3, 3, 3),
        "layer1.0.downsample.0.weight": (256, 64, 1, 1),
        "transition1.0.0.weight": (48, 256, 3, 3),
        "transition1.1.0.0.weight": (96, 256, 3, 3),
        "transition3.3.0.0.weight": (384, 192, 3, 3),
        "stage2.0.branches.0.0.conv1.weight": (48, 48, 3, 3),
        "stage2.0.fuse_layers.0.1.0.weight": (48, 96, 1, 1),
        "stage4.1.fuse_layers.3.0.2.0.weight": (384, 48, 3, 3),
        "stage4.2.fuse_layers.0.3.1.running_var": (48,),
        "final_layer.weight": (17, 48, 1, 1),
    }
    assert {key: state.get(key) for key in known} == known
    assert not any(key.startswith("stage4.2.fuse_layers.1") for key in state)


@pytest.mark.parametrize(
    ("kind", "width", "parameters"),
    [
        (PoseHRNet, 32, 28_536_113),
        (PoseHRNet, 48, 63_595_745),
        # The whole classifiers have 41 232 680 and 77 469 864: less what comes after the maps.
        (HRNet, 32, 41_232_680 - 10_350_824),
        (HRNet, 48, 77_469_864 - 10_350_824),
    ],
)
def test_number_of_parameters(kind: Any, width: int, parameters: int) -> None:
    assert sum(p.numel() for p in on_meta(kind, width).parameters()) == parameters


def test_what_is_left_out_has_the_parameters_that_were_subtracted() -> None:
    learned = {key: shape for key, shape in classifier().items() if "running" not in key and "num_batches" not in key}
    assert sum(torch.Size(shape).numel() for shape in learned.values()) == 10_350_824


@pytest.mark.parametrize("size", [(256, 128), (384, 192), (96, 48), (101, 51)])
def test_a_quarter_of_the_picture_rounded_up(size: tuple[int, int]) -> None:
    images = torch.randn(1, 3, *size)
    cells = (-(-size[0] // 4), -(-size[1] // 4))
    with torch.no_grad():
        assert PoseHRNet(4).eval()(images).shape == (1, 17, *cells)
        assert HRNet(4).eval()(images).shape == (1, 1920, *cells)


def test_the_published_widths_at_the_size_of_people() -> None:
    images = torch.empty(2, 3, 256, 128, device="meta")
    assert on_meta(PoseHRNet, 48)(images).shape == (2, 17, 64, 32)
    backbone = on_meta(HRNet, 32)
    assert backbone(images).shape == (2, backbone.channels, 256 // backbone.stride, 128 // backbone.stride)


def test_four_maps_each_half_of_the_one_above() -> None:
    maps = on_meta(HRNet, 48).pyramid(torch.empty(2, 3, 101, 51, device="meta"))
    assert [one.shape[1:] for one in maps] == [(128, 26, 13), (256, 13, 7), (512, 7, 4), (1024, 4, 2)]


@pytest.mark.parametrize("size", [(64, 32), (53, 27)])
def test_both_forms_compute_what_the_names_say(size: tuple[int, int]) -> None:
    torch.manual_seed(0)
    images = torch.randn(2, 3, *size)
    for network, shapes, twin in (
        (PoseHRNet(4), pose(4), PublishedForward.pose),
        (HRNet(4), features(4), PublishedForward.features),
    ):
        state = random_state(shapes)
        network.load_state_dict(state)
        network.double().eval()
        exact = {key: value.double() for key, value in state.items()}
        with torch.no_grad():
            expected = twin(PublishedForward(exact), images.double())
            torch.testing.assert_close(network(images.double()), expected, rtol=1e-9, atol=1e-9)
        assert expected.std() > 1e-3, "the comparison would not see a difference"


@pytest.mark.parametrize("target", [0, 1, 2])
def test_a_fusion_is_the_rectified_sum_of_what_the_branches_bring(target: int) -> None:
    torch.manual_seed(target)
    fusion = Fusion((3, 6, 12), target).eval()
    maps = [torch.randn(2, 3, 9, 7), torch.randn(2, 6, 5, 4), torch.randn(2, 12, 3, 2)]
    before = [one.clone() for one in maps]

    def step(path: str, maps: Tensor) -> Tensor:
        out: Tensor = fusion.get_submodule(f"{path}.1")(fusion.get_submodule(f"{path}.0")(maps))
        return out

    if target == 0:
        terms = (maps[0], nearest(step("1", maps[1]), 9, 7), nearest(step("2", maps[2]), 9, 7))
    elif target == 1:
        terms = (step("0.0", maps[0]), maps[1], nearest(step("2", maps[2]), 5, 4))
    else:
        terms = (step("0.1", step("0.0", maps[0]).clamp(min=0)), step("1.0", maps[1]), maps[2])
    torch.testing.assert_close(fusion(maps), (terms[0] + terms[1] + terms[2]).clamp(min=0))
    assert all(torch.equal(a, b) for a, b in zip(before, maps, strict=True)), "another branch still needs its map"


def test_a_new_branch_comes_from_the_lowest_and_the_others_pass() -> None:
    transition = Transition((2, 4), (2, 4, 8)).eval()
    maps = [torch.randn(1, 2, 8, 4), torch.randn(1, 4, 4, 2)]
    out = transition(maps)
    assert out[0] is maps[0]
    assert out[1] is maps[1]
    assert out[2].shape == (1, 8, 2, 1)
    assert not torch.equal(out[2], transition([maps[0], maps[1] + 1])[2])


def test_gradients_reach_every_parameter() -> None:
    torch.manual_seed(0)
    backbone = HRNet(8)
    maps = backbone(torch.randn(4, 3, 128, 64))
    assert bool((maps >= 0).all())
    (maps * torch.randn_like(maps)).mean().backward()
    dead = [name for name, p in backbone.named_parameters() if p.grad is None or not bool(p.grad.any())]
    assert not dead
    assert all(bool(p.grad.isfinite().all()) for p in backbone.parameters() if p.grad is not None)


def test_the_top_branch_is_not_resampled_and_the_others_meet_its_corners() -> None:
    torch.manual_seed(0)
    backbone = HRNet(4).eval()
    images = torch.randn(1, 3, 64, 64)
    with torch.no_grad():
        first, *others = backbone.pyramid(images)
        top, *rest = backbone(images).split((128, 256, 512, 1024), dim=1)
    assert torch.equal(top, first)
    for maps, enlarged in zip(others, rest, strict=True):
        torch.testing.assert_close(enlarged[..., ::15, ::15], maps[..., :: maps.shape[2] - 1, :: maps.shape[3] - 1])


@pytest.mark.parametrize("width", [32, 48])
def test_it_is_registered_by_its_width(width: int) -> None:
    with torch.device("meta"):
        backbone = BACKBONES[f"hrnet_w{width}"](last_stride=1)
    assert backbone.get_parameter("transition1.0.0.weight").shape[0] == width


def test_there_is_no_last_stride() -> None:
    with pytest.raises(UserError, match="model.last_stride=2 means nothing to hrnet_w32.*leave it at 1"):
        build_backbone("hrnet_w32", last_stride=2, pretrained="none")


def test_imagenet_weights_load_and_what_is_left_out_is_named(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    reports: list[LoadReport] = []
    monkeypatch.setattr(
        "modeling.backbones.load_pretrained",
        lambda *args, **kwargs: reports.append(pretrained.load_pretrained(*args, **kwargs)),
    )
    state = random_state(features(32) | classifier())
    torch.save({"state_dict": {f"module.{key}": value for key, value in state.items()}}, tmp_path / "w.pth")
    with caplog.at_level(logging.INFO, logger="reid"):
        backbone = build_backbone("hrnet_w32", last_stride=1, pretrained=str(tmp_path / "w.pth"))
    loaded = backbone.state_dict()
    assert all(torch.equal(loaded[key], state[key]) for key in loaded)
    assert reports == [LoadReport(len(features(32)), 0, len(classifier()))]
    assert "(classifier, downsamp_modules, final_layer)" in caplog.text


def test_the_weights_of_joints_are_no_backbone(tmp_path: Path) -> None:
    torch.save(random_state(pose(4)), tmp_path / "w.pth")
    known = pose(4)
    absent = [key for key in features(4) if key not in known and not key.endswith("num_batches_tracked")]
    with pytest.raises(UserError, match=rf"{len(absent)} missing \({absent[0]}, .*model.pretrained="):
        load_pretrained(HRNet(4), tmp_path / "w.pth", unused=HRNet.unused)


def test_a_re_identification_network_stands_on_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(BACKBONES, "hrnet_w32", lambda last_stride: HRNet(4, last_stride=last_stride))
    network = GlobalEmbedder(Model(backbone="hrnet_w32", pretrained="none", pooling="gem"))
    assert network.channels == 1920
    assert network.eval()(torch.randn(2, 3, 64, 32)).vector.shape == (2, 1920)
