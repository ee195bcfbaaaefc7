"""k-means: the best split of a line, clusters that are their own nearest, order by height, and what is undefined."""

from __future__ import annotations

import math
import sys
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from common.errors import UserError
from modeling.parsing import Parsed, ParsingOptions, build_parser
from modeling.parsing.k_means import activation, foreground, k_means, k_means_parts, two_means
from modeling.parsing.stripes import stripes
from tests.modeling.parsing.people import overlaps, people

faiss = pytest.importorskip("faiss")


def parsed(maps: Tensor, seed: int = 0, **options: Any) -> Parsed:
    return build_parser(ParsingOptions(by="k-means", **options))(maps, seed)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(0, 12).map(lambda n: n / 4), min_size=1, max_size=14))
def test_two_means_is_the_best_of_all_splits(values: list[float]) -> None:
    def spread(members: list[float]) -> float:
        return sum((one - sum(members) / len(members)) ** 2 for one in members)

    least = two_means(np.array(values))
    splits = {
        start: spread([one for one in values if one < start]) + spread([one for one in values if one >= start])
        for start in set(values) - {min(values)}
    }
    if not splits:
        assert least is None
    else:
        assert least is not None
        assert splits[least] == pytest.approx(min(splits.values()), abs=1e-9)


def test_activation_is_its_formula() -> None:
    maps = torch.randn(3, 5, 4, 2, generator=torch.Generator().manual_seed(0))
    maps[2] = 0
    plain, enhanced = activation(maps, False), activation(maps, True)
    for n in range(3):
        norms = [[math.sqrt(sum(float(v) ** 2 for v in maps[n, :, y, x])) for x in range(2)] for y in range(4)]
        most = max(max(line) for line in norms)
        for y in range(4):
            for x in range(2):
                share = norms[y][x] / most if most else 0
                assert float(plain[n, y, x]) == pytest.approx(share, abs=1e-6)
                assert float(enhanced[n, y, x]) == pytest.approx(1 / (1 + math.exp(-5 * (2 * share - 1) - 3)), abs=1e-6)


def test_foreground_is_the_upper_cluster_without_dead_cells() -> None:
    maps = torch.zeros(2, 1, 2, 3)
    maps[0, 0] = torch.tensor([[10.0, 9.0, 1.0], [0.0, 2.0, 8.0]])
    maps[1, 0] = torch.tensor([[0.1, 0.9, 1.0], [0.2, 0.0, 0.1]])  # its own largest counts, not that of the other
    inside = foreground(maps, False)
    assert inside is not None
    assert inside.long().tolist() == [[[1, 1, 0], [0, 0, 1]], [[0, 1, 1], [0, 0, 0]]]
    assert foreground(torch.ones(2, 3, 4, 2), False) is None
    assert foreground(torch.zeros(2, 3, 4, 2), True) is None
    middling = torch.tensor([0.0, 0.05, 0.4, 0.5, 0.9, 1.0]).view(1, 1, 6, 1)
    plain, enhanced = foreground(middling, False), foreground(middling, True)
    assert plain is not None
    assert enhanced is not None
    assert plain.flatten().tolist() == [False, False, False, False, True, True]
    assert enhanced.flatten().tolist() == [False, False, True, True, True, True]


def test_every_feature_is_in_the_nearest_cluster() -> None:
    random = np.random.default_rng(0)
    centres = random.standard_normal((4, 6)) * 2
    features = torch.from_numpy(centres[random.integers(0, 4, 700)] + 0.7 * random.standard_normal((700, 6))).float()
    cluster = k_means(features, 4, 100, seed=1)
    means = torch.stack([features[torch.from_numpy(cluster == one)].mean(0) for one in range(4)])
    nearest = (features[:, None] - means).square().sum(-1).argmin(1).numpy()
    assert (nearest == cluster).all()
    assert (k_means(features, 4, 1, seed=1) != cluster).any()  # the number of iterations is heeded


def test_nothing_is_left_out_however_many_cells(capfd: pytest.CaptureFixture[str]) -> None:
    """By default faiss looks at 256 features a cluster, warns below 39, and would place these centres elsewhere."""
    features = torch.zeros(4000, 2)
    features[:, 0] = torch.linspace(0, 1, 4000)
    cluster = k_means(features, 2, 50, seed=0)
    assert abs(int((cluster == cluster[0]).sum()) - 2000) <= 2
    assert k_means(features[[0, -1]], 2, 5, seed=0).tolist() in ([0, 1], [1, 0])
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("pictures", [1, 2, 8])
@pytest.mark.parametrize("enhanced", [False, True])
def test_bands_are_found(pictures: int, enhanced: bool) -> None:
    maps, truth = people(pictures, height=32, noise=0.1)
    found = parsed(maps, enhanced=enhanced)
    assert not found.fallback
    assert found.masks.dtype == torch.uint8
    assert (found.labels, found.iterations) == (0, 0)
    assert min(overlaps(found.masks, truth)) > 0.9


def test_parts_are_numbered_from_above_whatever_the_seed() -> None:
    maps, truth = people(4, height=32, noise=0.05)
    orders = set()
    for seed in range(6):
        masks = k_means_parts(maps, ParsingOptions(), seed)
        assert masks is not None
        heights = [float((masks == part).nonzero()[:, 1].double().mean()) for part in (1, 2, 3)]
        assert heights == sorted(heights)
        inside = foreground(maps, False)
        assert inside is not None
        features = torch.nn.functional.normalize(maps.movedim(1, -1)[inside], dim=1)
        orders.add(tuple(dict.fromkeys(k_means(features, 3, 20, seed).tolist())))
        assert torch.equal(masks > 0, truth > 0)
    assert len(orders) > 1  # the clusters themselves come in any order


def test_only_directions_are_clustered() -> None:
    """Directions that differ little, in cells whose lengths differ much: lengths change nothing."""
    random = torch.Generator().manual_seed(1)
    _, truth = people(2, height=32)
    looks = torch.tensor([[0.02, 0, 0, 0], [1, 0.1, 0, 0], [1, 0, 0.1, 0], [1, 0, 0, 0.1]])
    maps = (looks[truth.long()] * (1 + 0.02 * torch.randn(2, 32, 16, 4, generator=random))).movedim(-1, 1)
    longer = maps * (0.5 + 0.5 * torch.rand(2, 1, 32, 16, generator=random))
    for seed in range(3):
        found = parsed(longer, seed)
        assert not found.fallback
        assert torch.equal(found.masks > 0, truth > 0)
        assert torch.equal(found.masks, parsed(maps, seed).masks)


def test_five_parts() -> None:
    assert parsed(people(2, height=32)[0], parts=5, rule="mean").masks.unique().tolist() == [0, 1, 2, 3, 4, 5]


def test_the_seed_decides_and_streams_and_threads_stay() -> None:
    maps, _ = people(2, height=32, noise=1.5)
    faiss.omp_set_num_threads(2)
    torch.manual_seed(1)
    np.random.seed(1)  # noqa: NPY002 - the stream that must not matter
    state = torch.get_rng_state()
    one = parsed(maps, 5, parts=6, rule="mean")
    assert torch.equal(torch.get_rng_state(), state)
    assert faiss.omp_get_max_threads() == 2
    faiss.omp_set_num_threads(1)
    torch.manual_seed(2)
    np.random.seed(2)  # noqa: NPY002
    assert torch.equal(parsed(maps, 5, parts=6, rule="mean").masks, one.masks)
    assert not torch.equal(parsed(maps, 6, parts=6, rule="mean").masks, one.masks)
    assert parsed(maps, (1 << 63) - 1).masks.shape == one.masks.shape  # any seed of 64 bits


def test_what_cannot_be_clustered_becomes_stripes() -> None:
    two_cells = torch.zeros(1, 4, 8, 4)
    two_cells[0, 0, 2, 2] = two_cells[0, 1, 5, 2] = 1
    alike = torch.zeros(1, 4, 8, 4)
    alike[0, 0, 2:6, 1:3] = 1
    for maps in (torch.ones(1, 4, 8, 4), torch.zeros(1, 4, 8, 4), two_cells, alike):
        found = parsed(maps)
        assert found.fallback
        assert torch.equal(found.masks, stripes(3, 8, 4)[None])
    assert not parsed(two_cells, parts=2, rule="mean").fallback
    assert parsed(two_cells, parts=2, rule="mean").masks[0, [2, 5], 2].tolist() == [1, 2]


def test_a_missing_faiss_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "faiss", None)
    with pytest.raises(UserError, match="by=k-means.*needs faiss: type 'pip install faiss-cpu'"):
        parsed(people(2, height=32)[0])
