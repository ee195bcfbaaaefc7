"""The network of joints: frozen, in the test's mode for ever, and refusing every file that is not exactly its own."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from copy import deepcopy
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from common.errors import UserError
from modeling import pose_network
from modeling.pose_network import PoseNetwork, build_pose_network
from tests.modeling.backbones.hrnet_published import (
    PublishedForward,
    classifier,
    features,
    pose,
    random_state,
)

State = dict[str, Tensor]
WIDTH = 4


@pytest.fixture(scope="module")
def thin() -> Iterator[None]:
    """HRNet-W48 with a width of 4: all names, few numbers."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(pose_network.WIDTHS, "hrnet_w48", WIDTH)
        yield


@pytest.fixture(scope="module")
def state() -> State:
    return random_state(pose(WIDTH))


@pytest.fixture(scope="module")
def network(thin: None, state: State, tmp_path_factory: pytest.TempPathFactory) -> PoseNetwork:
    path = tmp_path_factory.mktemp("weights") / "joints.pth"
    torch.save(state, path)
    return build_pose_network("hrnet_w48", path)


def test_a_published_file_loads_whole_and_computes_what_it_says(network: PoseNetwork, state: State) -> None:
    images = torch.randn(3, 3, 64, 32, generator=torch.Generator().manual_seed(1))
    heatmaps = network(images)
    assert heatmaps.shape == (3, 17, 16, 8)
    assert heatmaps.dtype == torch.float32
    torch.testing.assert_close(heatmaps, PublishedForward(state).pose(images), rtol=1e-4, atol=1e-3)


def test_the_names_of_a_whole_file_of_w32(tmp_path: Path) -> None:
    state = random_state(pose(32))
    torch.save(state, tmp_path / "joints.pth")
    loaded = build_pose_network("hrnet_w32", tmp_path / "joints.pth").network.state_dict()
    assert loaded.keys() == state.keys()
    assert all(torch.equal(loaded[key], state[key]) for key in state)


@pytest.mark.parametrize(
    "wrap",
    [
        lambda s: {"state_dict": s, "epoch": 209, "model": "pose_hrnet"},
        lambda s: {"model": {f"module.{key}": value for key, value in s.items()}},
        lambda s: {key: value for key, value in s.items() if not key.endswith("num_batches_tracked")},
    ],
)
def test_other_forms_of_the_file(thin: None, state: State, tmp_path: Path, wrap: Callable[[State], object]) -> None:
    torch.save(wrap(state), tmp_path / "joints.pth")
    loaded = build_pose_network("hrnet_w48", tmp_path / "joints.pth").network.state_dict()
    kept = [key for key in state if not key.endswith("num_batches_tracked")]
    assert all(torch.equal(loaded[key], state[key]) for key in kept)


@pytest.mark.parametrize("size", [(96, 48), (101, 51)])
def test_a_quarter_of_any_size(network: PoseNetwork, size: tuple[int, int]) -> None:
    assert network(torch.randn(1, 3, *size)).shape == (1, 17, -(-size[0] // 4), -(-size[1] // 4))


def test_it_stays_frozen_and_in_the_mode_of_the_test(network: PoseNetwork) -> None:
    before = {key: value.clone() for key, value in network.state_dict().items()}
    around = nn.ModuleList([network, nn.BatchNorm1d(2)]).train()
    assert around[1].training
    assert not any(module.training for module in network.modules())
    assert network.train() is network
    assert not any(p.requires_grad for p in network.parameters())

    images = torch.randn(2, 3, 64, 32, requires_grad=True)
    first = network(images)
    assert not first.requires_grad
    assert torch.equal(first, network(images))
    assert all(torch.equal(before[key], value) for key, value in network.state_dict().items())


def test_what_learns_from_the_heatmaps_can_go_backward(network: PoseNetwork) -> None:
    embedding = nn.Conv2d(17, 2, 4, stride=4)
    embedding(network(torch.randn(2, 3, 64, 32))).square().mean().backward()
    assert embedding.weight.grad is not None
    assert bool(embedding.weight.grad.any())
    assert all(p.grad is None for p in network.parameters())


def test_autocast_outside_does_not_reach_inside(network: PoseNetwork) -> None:
    images = torch.randn(2, 3, 64, 32)
    alone = network(images)
    with torch.autocast("cpu", torch.bfloat16):
        within = network(images)
    assert within.dtype == torch.float32
    assert torch.equal(alone, within)


class Counting(nn.Module):
    """Remembers how many pictures it was given at a time."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[int] = []

    def forward(self, images: Tensor) -> Tensor:
        self.seen.append(len(images))
        return images[:, :1, ::4, ::4]


@pytest.mark.parametrize(("pictures", "chunks"), [(0, [0]), (1, [1]), (32, [32]), (70, [32, 32, 6])])
def test_thirty_two_pictures_at_a_time_in_their_order(pictures: int, chunks: list[int]) -> None:
    counting = Counting()
    images = torch.randn(pictures, 3, 8, 4)
    assert torch.equal(PoseNetwork(counting)(images), images[:, :1, ::4, ::4])
    assert counting.seen == chunks


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda s: {k: v for k, v in s.items() if k != "conv2.weight"}, r"1 missing \(conv2.weight\)"),
        (
            lambda s: {k: v for k, v in s.items() if not k.startswith("final_layer")},
            r"2 missing \(final_layer.weight, final_layer.bias\)",
        ),
        (lambda s: s | {"fc.weight": torch.zeros(3)}, r"1 unknown \(fc.weight\)"),
        (
            lambda s: s | {"final_layer.weight": torch.zeros(16, WIDTH, 1, 1)},
            r"1 of another shape \(final_layer.weight is \(16, 4, 1, 1\), not \(17, 4, 1, 1\)\)",
        ),
        (lambda _: random_state(pose(2 * WIDTH)), r"\d{3,} of another shape \(transition1.0.0.weight is \(8, 256"),
        (lambda _: random_state(features(WIDTH) | classifier()), r"2 missing \(final_layer.weight.*unknown \(stage4"),
    ],
)
def test_weights_of_something_else(
    thin: None, state: State, tmp_path: Path, spoil: Callable[[State], State], message: str
) -> None:
    path = tmp_path / "joints.pth"
    torch.save(spoil(state), path)
    with pytest.raises(UserError, match=message) as caught:
        build_pose_network("hrnet_w48", path)
    sentence = str(caught.value)
    assert sentence.startswith(f"{path} holds the weights of another network: ")
    assert sentence.endswith(
        "data.poses.weights must be a COCO checkpoint of hrnet_w48, such as pose_hrnet_w48_384x288.pth"
    )
    assert "model.pretrained" not in sentence


def test_no_file_no_checkpoint_no_such_network(thin: None, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"joints.pth: no such file; data.poses.weights must be a COCO checkpoint"):
        build_pose_network("hrnet_w48", tmp_path / "joints.pth")
    (tmp_path / "joints.pth").write_text("<!DOCTYPE html>")
    with pytest.raises(UserError, match="not a file of weights"):
        build_pose_network("hrnet_w48", tmp_path / "joints.pth")
    with pytest.raises(UserError, match="unknown pose network 'hrnet_48', did you mean 'hrnet_w48'"):
        build_pose_network("hrnet_48", tmp_path / "joints.pth")


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")
def test_on_a_gpu_in_half_precision_it_gives_nearly_the_same(network: PoseNetwork) -> None:
    images = torch.randn(40, 3, 64, 32)
    exact = network(images)
    heatmaps = deepcopy(network).cuda()(images.cuda())
    assert heatmaps.dtype == torch.float32
    error = (heatmaps.cpu() - exact).square().mean().sqrt() / exact.std()
    assert float(error) < 0.03
