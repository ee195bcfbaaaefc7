"""Non-local blocks against a loop over cells, and where they stand in a ResNet."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from common.errors import UserError
from modeling.backbones import build_backbone
from modeling.layers.non_local import NonLocal, non_local_blocks, with_non_local


def block(channels: int = 32) -> NonLocal:
    """One that does something."""
    torch.manual_seed(0)
    layer = NonLocal(channels)
    with torch.no_grad():
        layer.out.weight.normal_()
        layer.out.bias.normal_()  # type: ignore[union-attr]  # it has one
    return layer.double()


def by_hand(layer: NonLocal, maps: Tensor) -> Tensor:
    """Cell by cell."""

    def at(name: str, cell: Tensor) -> Tensor:
        convolution = layer.get_submodule(name)
        assert isinstance(convolution, nn.Conv2d)
        assert convolution.bias is not None
        return convolution.weight[:, :, 0, 0] @ cell + convolution.bias

    pictures = []
    for picture in maps:
        cells, added = list(picture.flatten(1).T), []
        for cell in cells:
            likeness = torch.stack([at("theta", cell) @ at("phi", other) for other in cells]).exp()
            weights = likeness / likeness.sum()
            seen = torch.stack([weight * at("g", other) for weight, other in zip(weights, cells, strict=True)]).sum(0)
            added.append(cell + at("out", seen))
        pictures.append(torch.stack(added, dim=1).view_as(picture))
    return torch.stack(pictures)


def test_is_the_formula() -> None:
    layer = block()
    maps = torch.randn(2, 32, 3, 2, dtype=torch.float64)
    torch.testing.assert_close(layer(maps), by_hand(layer, maps))


def test_begins_as_the_identity() -> None:
    maps = torch.randn(2, 32, 3, 2)
    assert torch.equal(NonLocal(32)(maps), maps)


@pytest.mark.parametrize(("name", "places"), [("resnet18", (0, 0, 0)), ("resnet50", (2, 4, 1))])
def test_all_that_was_there_keeps_its_name(name: str, places: tuple[int, ...]) -> None:
    with torch.device("meta"):
        plain = build_backbone(name, last_stride=1, pretrained="none")
        looking = with_non_local(build_backbone(name, last_stride=1, pretrained="none"))
    new = {key for key in looking.state_dict() if ".non_local." in key}
    assert set(looking.state_dict()) - new == set(plain.state_dict())
    assert {key.split(".")[0] for key in new} == {"layer2", "layer3", "layer4"}
    for stage, place in zip(("layer2", "layer3", "layer4"), places, strict=True):
        order = [unit for unit, _ in looking.get_submodule(stage).named_children()]
        assert order.index("non_local") == place + 1, "after the second-to-last unit"
        assert order[-1] == str(place + 1)


def test_published_weights_load_and_nothing_changes_at_first(tmp_path: Path) -> None:
    torch.manual_seed(0)
    plain = build_backbone("resnet18", last_stride=1, pretrained="none")
    torch.save(plain.state_dict(), tmp_path / "published.pth")
    loaded = build_backbone("resnet18", last_stride=1, pretrained=str(tmp_path / "published.pth"))
    images = torch.randn(2, 3, 64, 32)
    with torch.no_grad():
        assert torch.equal(with_non_local(loaded).eval()(images), plain.eval()(images))


def test_the_published_size() -> None:
    with torch.device("meta"):
        backbone = with_non_local(build_backbone("resnet50", last_stride=1, pretrained="none"))
        maps = backbone(torch.empty(2, 3, 128, 64, device="meta"))
    blocks = non_local_blocks(backbone)
    assert [layer.theta.out_channels for layer in blocks] == [32, 64, 128]
    assert sum(one.numel() for layer in blocks for one in layer.parameters()) / 1e6 == pytest.approx(1.38, abs=5e-3)
    assert maps.shape == (2, 2048, 8, 4)


def test_every_block_is_asked() -> None:
    torch.manual_seed(0)
    backbone = with_non_local(build_backbone("resnet18", last_stride=1, pretrained="none"))
    backbone(torch.randn(2, 3, 64, 32)).square().mean().backward()
    assert all(bool(layer.out.weight.grad.any()) for layer in non_local_blocks(backbone))  # type: ignore[union-attr]


def test_only_a_resnet() -> None:
    with torch.device("meta"), pytest.raises(UserError, match="set model.backbone to one, or non_local to false"):
        with_non_local(build_backbone("hrnet_w32", last_stride=1, pretrained="none"))
