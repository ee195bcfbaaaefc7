"""The published HRNet files, written down without the code under test: their names and shapes, and what they compute.

`names` spells out every tensor; `PublishedForward` walks them with plain functions, one name after the other.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import torch
import torch.nn.functional as F
from torch import Tensor

Shapes = dict[str, tuple[int, ...]]
MODULES = {2: 1, 3: 4, 4: 3}
"""How many modules each stage has; stage s has s branches."""


def conv(key: str, out: int, channels: int, size: int) -> Shapes:
    return {f"{key}.weight": (out, channels, size, size)}


def norm(key: str, depth: int) -> Shapes:
    entries: Shapes = {f"{key}.{entry}": (depth,) for entry in ("weight", "bias", "running_mean", "running_var")}
    return {**entries, f"{key}.num_batches_tracked": ()}


def bottleneck(key: str, channels: int, planes: int) -> Shapes:
    shapes = conv(f"{key}.conv1", planes, channels, 1) | norm(f"{key}.bn1", planes)
    shapes |= conv(f"{key}.conv2", planes, planes, 3) | norm(f"{key}.bn2", planes)
    shapes |= conv(f"{key}.conv3", 4 * planes, planes, 1) | norm(f"{key}.bn3", 4 * planes)
    if channels != 4 * planes:
        shapes |= conv(f"{key}.downsample.0", 4 * planes, channels, 1) | norm(f"{key}.downsample.1", 4 * planes)
    return shapes


def fusion(key: str, width: int, branches: int, target: int) -> Shapes:
    shapes: Shapes = {}
    own = width * 2**target
    for source in range(branches):
        theirs = width * 2**source
        if source > target:
            shapes |= conv(f"{key}.{source}.0", own, theirs, 1) | norm(f"{key}.{source}.1", own)
        for step in range(target - source):
            out = own if step == target - source - 1 else theirs
            shapes |= conv(f"{key}.{source}.{step}.0", out, theirs, 3) | norm(f"{key}.{source}.{step}.1", out)
    return shapes


def trunk(width: int, emitted: int) -> Shapes:
    shapes = conv("conv1", 64, 3, 3) | norm("bn1", 64) | conv("conv2", 64, 64, 3) | norm("bn2", 64)
    for block in range(4):
        shapes |= bottleneck(f"layer1.{block}", 64 if block == 0 else 256, 64)
    shapes |= conv("transition1.0.0", width, 256, 3) | norm("transition1.0.1", width)
    shapes |= conv("transition1.1.0.0", 2 * width, 256, 3) | norm("transition1.1.0.1", 2 * width)
    shapes |= conv("transition2.2.0.0", 4 * width, 2 * width, 3) | norm("transition2.2.0.1", 4 * width)
    shapes |= conv("transition3.3.0.0", 8 * width, 4 * width, 3) | norm("transition3.3.0.1", 8 * width)
    for stage, modules in MODULES.items():
        for module in range(modules):
            key = f"stage{stage}.{module}"
            for branch in range(stage):
                depth = width * 2**branch
                for block in range(4):
                    for i in (1, 2):
                        unit = f"{key}.branches.{branch}.{block}"
                        shapes |= conv(f"{unit}.conv{i}", depth, depth, 3) | norm(f"{unit}.bn{i}", depth)
            last = stage == 4 and module == 2
            for target in range(emitted if last else stage):
                shapes |= fusion(f"{key}.fuse_layers.{target}", width, stage, target)
    return shapes


def pose(width: int) -> Shapes:
    """Of `pose_hrnet_w32_256x192.pth` and `pose_hrnet_w48_384x288.pth`."""
    return trunk(width, 1) | {"final_layer.weight": (17, width, 1, 1), "final_layer.bias": (17,)}


def features(width: int) -> Shapes:
    """Of `hrnetv2_w32_imagenet_pretrained.pth` and its like, but for what comes after the four maps."""
    shapes = trunk(width, 4)
    for branch, planes in enumerate((32, 64, 128, 256)):
        shapes |= bottleneck(f"incre_modules.{branch}.0", width * 2**branch, planes)
    return shapes


def classifier() -> Shapes:
    """What comes after them in those files."""
    shapes: Shapes = {}
    for i, (channels, out) in enumerate(((128, 256), (256, 512), (512, 1024))):
        shapes |= conv(f"downsamp_modules.{i}.0", out, channels, 3) | norm(f"downsamp_modules.{i}.1", out)
        shapes[f"downsamp_modules.{i}.0.bias"] = (out,)
    shapes |= conv("final_layer.0", 2048, 1024, 1) | norm("final_layer.1", 2048) | {"final_layer.0.bias": (2048,)}
    return shapes | {"classifier.weight": (1000, 2048), "classifier.bias": (1000,)}


def random_state(shapes: Shapes, seed: int = 0) -> dict[str, Tensor]:
    """Tensors of those names, with positive variances and with activations that do not grow from block to block."""
    generator = torch.Generator().manual_seed(seed)
    state: dict[str, Tensor] = {}
    for key, shape in shapes.items():
        if key.endswith("num_batches_tracked"):
            state[key] = torch.tensor(7)
            continue
        value = torch.randn(shape, generator=generator)
        if len(shape) == 4:
            value *= (2 / (shape[1] * shape[2] * shape[3])) ** 0.5
        elif key.endswith("running_var"):
            value = 0.5 + value.abs()
        elif len(shape) == 1:
            value *= 0.2
        state[key] = value
    return state


class PublishedForward:
    """What a published file computes in the test, read off its names."""

    def __init__(self, state: Mapping[str, Tensor]) -> None:
        self.state = state

    def conv(self, key: str, maps: Tensor, stride: int = 1) -> Tensor:
        weight = self.state[f"{key}.weight"]
        return F.conv2d(maps, weight, self.state.get(f"{key}.bias"), stride, padding=weight.shape[-1] // 2)

    def norm(self, key: str, maps: Tensor) -> Tensor:
        mean, var, weight, bias = (
            self.state[f"{key}.{entry}"][:, None, None] for entry in ("running_mean", "running_var", "weight", "bias")
        )
        return (maps - mean) / (var + 1e-5).sqrt() * weight + bias

    def unit(self, key: str, maps: Tensor, stride: int = 1) -> Tensor:
        return self.norm(f"{key}.1", self.conv(f"{key}.0", maps, stride))

    def residual(self, key: str, maps: Tensor, convs: int) -> Tensor:
        out = maps
        for i in range(1, convs + 1):
            out = self.norm(f"{key}.bn{i}", self.conv(f"{key}.conv{i}", out))
            out = out.clamp(min=0) if i < convs else out
        shortcut = self.unit(f"{key}.downsample", maps) if f"{key}.downsample.0.weight" in self.state else maps
        return (out + shortcut).clamp(min=0)

    def fused(self, key: str, maps: list[Tensor], target: int) -> Tensor:
        total = torch.zeros_like(maps[target])
        for source, theirs in enumerate(maps):
            term = theirs
            if source > target:
                term = nearest(self.unit(f"{key}.{source}", term), *maps[target].shape[-2:])
            for step in range(target - source):
                term = self.unit(f"{key}.{source}.{step}", term, stride=2)
                term = term if step == target - source - 1 else term.clamp(min=0)
            total = total + term
        return total.clamp(min=0)

    def branches(self, images: Tensor, emitted: int) -> list[Tensor]:
        maps = self.norm("bn1", self.conv("conv1", images, 2)).clamp(min=0)
        maps = self.norm("bn2", self.conv("conv2", maps, 2)).clamp(min=0)
        for block in range(4):
            maps = self.residual(f"layer1.{block}", maps, 3)
        kept = [self.unit("transition1.0", maps).clamp(min=0), self.unit("transition1.1.0", maps, 2).clamp(min=0)]
        for stage, modules in MODULES.items():
            if stage > 2:
                kept.append(self.unit(f"transition{stage - 1}.{stage - 1}.0", kept[-1], 2).clamp(min=0))
            for module in range(modules):
                key = f"stage{stage}.{module}"
                for branch in range(stage):
                    for block in range(4):
                        kept[branch] = self.residual(f"{key}.branches.{branch}.{block}", kept[branch], 2)
                last = stage == 4 and module == 2
                targets = range(emitted if last else stage)
                kept = [self.fused(f"{key}.fuse_layers.{target}", kept, target) for target in targets]
        return kept

    def pose(self, images: Tensor) -> Tensor:
        return self.conv("final_layer", self.branches(images, 1)[0])

    def features(self, images: Tensor) -> Tensor:
        wide = [self.residual(f"incre_modules.{i}.0", maps, 3) for i, maps in enumerate(self.branches(images, 4))]
        return torch.cat([bilinear(maps, *wide[0].shape[-2:]) for maps in wide], dim=1)


def nearest(maps: Tensor, height: int, width: int) -> Tensor:
    """Every cell takes the one that lies under its upper left corner."""
    rows = [y * maps.shape[-2] // height for y in range(height)]
    columns = [x * maps.shape[-1] // width for x in range(width)]
    return maps[:, :, rows][:, :, :, columns]


def bilinear(maps: Tensor, height: int, width: int) -> Tensor:
    """Corners on corners, straight lines between: along the rows, then along the columns."""
    for dim, size in ((2, height), (3, width)):
        maps = torch.stack(list(_interpolated(maps, dim, size)), dim=dim)
    return maps


def _interpolated(maps: Tensor, dim: int, size: int) -> Iterator[Tensor]:
    length = maps.shape[dim]
    for i in range(size):
        place = i * (length - 1) / (size - 1) if size > 1 else 0.0
        low = min(int(place), length - 1)
        high = min(low + 1, length - 1)
        yield maps.select(dim, low) * (1 - place + low) + maps.select(dim, high) * (place - low)
