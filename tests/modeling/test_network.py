"""The network most systems share."""

from __future__ import annotations

import pytest
import torch

from configs.schema import Model
from modeling.network import GlobalEmbedder


def network(pooling: str = "average", backbone: str = "resnet18") -> GlobalEmbedder:
    torch.manual_seed(0)
    return GlobalEmbedder(Model(backbone=backbone, pooling=pooling, pretrained="none"))


@pytest.mark.parametrize(("pooling", "channels"), [("average", 512), ("gem", 512), ("maxavg", 1024)])
def test_shapes(pooling: str, channels: int) -> None:
    embedder = network(pooling)
    images = torch.randn(4, 3, 64, 32)
    pooled, neck = embedder.features(images)
    assert embedder.channels == channels
    assert pooled.shape == neck.shape == (4, channels)
    embedding = embedder.eval()(images)
    assert list(embedding.fields()) == ["vector"]
    assert embedding.vector.shape == (4, channels)


def test_the_neck_normalises_what_is_pooled() -> None:
    embedder = network()
    pooled, neck = embedder.features(torch.randn(4, 3, 64, 32))
    expected = (pooled - pooled.mean(0)) / (pooled.var(0, unbiased=False) + 1e-5).sqrt()
    torch.testing.assert_close(neck, expected, rtol=1e-4, atol=1e-4)


def test_the_test_takes_the_side_behind_the_neck() -> None:
    embedder = network()
    images = torch.randn(4, 3, 64, 32)
    embedder.features(images)  # statistics that are not 0 and 1
    embedder.eval()
    pooled, neck = embedder.features(images)
    assert not torch.allclose(pooled, neck)
    assert torch.equal(embedder(images).vector, neck)


@pytest.mark.parametrize("pooling", ["average", "gem", "maxavg"])
def test_features_are_float32_under_autocast(pooling: str) -> None:
    embedder = network(pooling)
    with torch.autocast("cpu", torch.bfloat16):
        assert embedder.backbone(torch.randn(2, 3, 64, 32)).dtype == torch.bfloat16
        pooled, neck = embedder.features(torch.randn(2, 3, 64, 32))
    assert pooled.dtype == neck.dtype == torch.float32


def test_nothing_in_it_is_for_training_only() -> None:
    embedder = network("gem")
    assert {name.split(".")[0] for name in embedder.state_dict()} == {"backbone", "pooling", "neck"}
    embedder(torch.randn(2, 3, 64, 32)).vector.sum().backward()
    idle = [name for name, p in embedder.named_parameters() if p.requires_grad and p.grad is None]
    assert idle == []
