"""Shapes, sizes and, above all, names: published weights load by them."""

from __future__ import annotations

import pytest
import torch

from common.errors import UserError
from modeling.backbones import BACKBONES, Backbone, build_backbone
from modeling.backbones.resnet import IBN, ResNet

BOTTLENECK = {"resnet50": (3, 4, 6, 3), "resnet101": (3, 4, 23, 3)}
BASIC = {"resnet18": (2, 2, 2, 2), "resnet34": (3, 4, 6, 3)}
NORM = ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")


def on_meta(name: str, last_stride: int = 1) -> Backbone:
    """Built without memory: enough for names and shapes."""
    with torch.device("meta"):
        return BACKBONES[name](last_stride=last_stride)


def published_keys(depths: tuple[int, ...], convs: int, ibn: bool) -> set[str]:
    """The keys of the published files but for `fc`, spelt out."""
    keys = {"conv1.weight", *(f"bn1.{entry}" for entry in NORM)}
    for layer, depth in enumerate(depths, start=1):
        for block in range(depth):
            unit = f"layer{layer}.{block}"
            for i in range(1, convs + 1):
                keys.add(f"{unit}.conv{i}.weight")
                if ibn and i == 1 and layer < 4:
                    keys |= {f"{unit}.bn1.IN.weight", f"{unit}.bn1.IN.bias"}
                    keys |= {f"{unit}.bn1.BN.{entry}" for entry in NORM}
                else:
                    keys |= {f"{unit}.bn{i}.{entry}" for entry in NORM}
            if block == 0 and (layer > 1 or convs == 3):
                keys.add(f"{unit}.downsample.0.weight")
                keys |= {f"{unit}.downsample.1.{entry}" for entry in NORM}
    return keys


@pytest.mark.parametrize("ibn", [False, True])
@pytest.mark.parametrize("name", [*BASIC, *BOTTLENECK])
def test_keys_are_those_of_the_published_weights(name: str, ibn: bool) -> None:
    depths, convs = (BASIC[name], 2) if name in BASIC else (BOTTLENECK[name], 3)
    assert set(on_meta(f"{name}_ibn_a" if ibn else name).state_dict()) == published_keys(depths, convs, ibn)


@pytest.mark.parametrize(
    ("name", "parameters", "channels"),
    [
        ("resnet18", 11_176_512, 512),
        ("resnet34", 21_284_672, 512),
        ("resnet50", 23_508_032, 2048),
        ("resnet101", 42_500_160, 2048),
    ],
)
@pytest.mark.parametrize("ibn", ["", "_ibn_a"])
def test_number_of_parameters(name: str, parameters: int, channels: int, ibn: str) -> None:
    backbone = on_meta(name + ibn)
    assert sum(p.numel() for p in backbone.parameters()) == parameters
    assert backbone.channels == channels


@pytest.mark.parametrize(("last_stride", "cells"), [(1, (16, 8)), (2, (8, 4))])
@pytest.mark.parametrize("name", [name for name in BACKBONES if name.startswith("resnet")])
def test_last_stride_sets_the_size_of_the_map(name: str, last_stride: int, cells: tuple[int, int]) -> None:
    backbone = on_meta(name, last_stride)
    maps = backbone(torch.empty(2, 3, 256, 128, device="meta"))
    assert maps.shape == (2, backbone.channels, *cells)
    assert backbone.stride == 256 // cells[0]


@pytest.mark.parametrize("name", ["resnet18", "resnet50"])
def test_depths_of_all_maps(name: str) -> None:
    backbone = on_meta(name)
    maps = backbone.get_submodule("maxpool")(torch.empty(1, 64, 64, 32, device="meta"))
    found = []
    for layer in range(1, 5):
        maps = backbone.get_submodule(f"layer{layer}")(maps)
        found.append(maps.shape[1])
    assert isinstance(backbone, ResNet)
    assert backbone.widths == tuple(found)
    assert backbone.widths[-1] == backbone.channels


def test_some_published_shapes() -> None:
    state = on_meta("resnet50").state_dict()
    assert state["conv1.weight"].shape == (64, 3, 7, 7)
    assert state["layer1.0.downsample.0.weight"].shape == (256, 64, 1, 1)
    assert state["layer4.2.conv2.weight"].shape == (512, 512, 3, 3)
    assert on_meta("resnet34").state_dict()["layer2.0.downsample.0.weight"].shape == (128, 64, 1, 1)


def test_the_stride_of_a_bottleneck_is_in_its_3x3_convolution() -> None:
    block = on_meta("resnet50", last_stride=2).get_submodule("layer4.0")
    strides = {path: block.get_submodule(path).stride for path in ("conv1", "conv2", "downsample.0")}
    assert strides == {"conv1": (1, 1), "conv2": (2, 2), "downsample.0": (2, 2)}


def test_forward_and_backward_reach_every_parameter() -> None:
    torch.manual_seed(0)
    backbone = build_backbone("resnet18_ibn_a", last_stride=1, pretrained="none")
    maps = backbone(torch.randn(2, 3, 64, 32))
    assert maps.shape == (2, 512, 4, 2)
    assert bool((maps >= 0).all())
    maps.square().mean().backward()
    assert all(p.grad is not None and bool(p.grad.isfinite().all()) for p in backbone.parameters())


def test_convolutions_start_with_kaiming_fan_out() -> None:
    torch.manual_seed(0)
    weight = build_backbone("resnet18", last_stride=1, pretrained="none").get_parameter("layer4.0.conv2.weight")
    assert weight.std().item() == pytest.approx((2 / (512 * 9)) ** 0.5, rel=0.01)


def test_ibn_normalises_half_by_picture_and_half_by_batch() -> None:
    torch.manual_seed(1)
    ibn = IBN(6)
    maps = 3 + 2 * torch.randn(4, 6, 5, 3)
    out = ibn(maps)
    for i in range(4):
        for c in range(3):
            plane = maps[i, c]
            expected = (plane - plane.mean()) / (plane.var(unbiased=False) + 1e-5).sqrt()
            torch.testing.assert_close(out[i, c], expected)
    for c in range(3, 6):
        planes = maps[:, c]
        expected = (planes - planes.mean()) / (planes.var(unbiased=False) + 1e-5).sqrt()
        torch.testing.assert_close(out[:, c], expected)


def test_unknown_name_and_stride() -> None:
    with pytest.raises(UserError, match="did you mean 'resnet50'"):
        build_backbone("resnet5O", last_stride=1, pretrained="none")
    with pytest.raises(UserError, match="last_stride must be 1 or 2, got 3"):
        build_backbone("resnet18", last_stride=3, pretrained="none")
