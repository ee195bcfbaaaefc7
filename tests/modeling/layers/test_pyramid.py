"""The pyramid against a layer for each region."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from modeling.layers.pyramid import REGIONS, STRIPES, Pyramid


def test_is_fifteen_regions_one_by_one() -> None:
    torch.manual_seed(0)
    pyramid = Pyramid(channels=6, out=5, width=4).double()
    maps = torch.randn(3, 6, 16, 2, dtype=torch.float64)
    pyramid.train()(maps)
    pyramid.eval()
    regions = [(16 // n * k, 16 // n * (k + 1)) for n in STRIPES for k in range(n)]
    assert len(regions) == REGIONS == 15
    mean, variance, scale, shift = (
        part.view(REGIONS, 4)
        for part in (pyramid.norm.running_mean, pyramid.norm.running_var, pyramid.norm.weight, pyramid.norm.bias)
        if part is not None
    )
    parts = []
    for number, (top, bottom) in enumerate(regions):
        most = maps[:, :, top:bottom].flatten(2).max(dim=2).values
        mapped = F.conv2d(most[:, :, None, None], pyramid.weight[number, :, :, None, None]).flatten(1)
        parts.append(F.batch_norm(mapped, mean[number], variance[number], scale[number], shift[number]).relu())
    expected = pyramid.neck(torch.cat(parts, dim=1) @ pyramid.project.weight.t())
    torch.testing.assert_close(pyramid(maps), expected)


def test_the_published_size() -> None:
    with torch.device("meta"):
        pyramid = Pyramid(2048, 4096)
    backbone = 23_508_032
    assert backbone + sum(part.numel() for part in pyramid.parameters()) == pytest.approx(47.117e6, rel=1e-5)


@pytest.mark.parametrize("height", [3, 8, 11])
def test_any_height(height: int) -> None:
    assert Pyramid(4, 5, width=2)(torch.randn(2, 4, height, 2)).shape == (2, 5)
