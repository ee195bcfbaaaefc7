"""Co-parsing: the objective in loops, when it stops, and that it finds bands that are known."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from common.errors import UserError
from modeling.parsing import Parsed, ParsingOptions, build_parser
from modeling.parsing.co_parsing import co_parse, decoder, objective, successors
from modeling.parsing.options import Pairs
from modeling.parsing.stripes import stripes
from tests.modeling.parsing.people import overlaps, people

BY = "co-parsing"


def parsed(maps: Tensor, seed: int = 0, **options: Any) -> Parsed:
    return build_parser(ParsingOptions(by=BY, **options))(maps, seed)


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def naive(scores: Tensor, pairs: list[tuple[int, int]], options: ParsingOptions) -> Tensor:
    """L, element by element."""

    def mean(terms: list[Tensor]) -> Tensor:
        return sum(terms[1:], terms[0]) / len(terms) if terms else scores.sum() * 0

    def differ(steps: list[tuple[int, int, int, int, int, int]]) -> Tensor:
        terms = []
        for n, y, x, m, v, u in steps:
            for one, other in zip(scores[n, :, y, x], scores[m, :, v, u], strict=True):
                terms.append(abs(one - other) if options.norm == "l1" else (one - other) ** 2)
        return mean(terms)

    pictures, _, height, width = scores.shape
    cells = [(n, y, x) for n in range(pictures) for y in range(height) for x in range(width)]
    entropy = []
    for n, y, x in cells:
        values = scores[n, :, y, x]
        target = max(range(len(values)), key=values.tolist().__getitem__)
        entropy.append(-torch.log(torch.exp(values[target]) / torch.exp(values).sum()))

    def step(down: int, right: int) -> Tensor:
        inside = [(n, y, x) for n, y, x in cells if y + down < height and 0 <= x + right < width]
        return differ([(n, y, x, n, y + down, x + right) for n, y, x in inside])

    image = differ([(n, y, x, m, y, x) for n, m in pairs for y in range(height) for x in range(width)])
    return (
        mean(entropy)
        + options.pixel * (step(1, 0) + step(0, 1))
        + options.diagonal * (step(1, 1) + step(1, -1))
        + options.image * image
    )


@pytest.mark.parametrize("norm", ["l1", "l2"])
@pytest.mark.parametrize(
    ("shape", "pairs"),
    [
        ((3, 4, 4, 3), [(0, 1), (1, 2)]),
        ((3, 4, 3, 4), [(2, 0), (0, 1), (1, 2)]),
        ((1, 4, 3, 2), []),
        ((2, 3, 1, 3), [(0, 1)]),
        ((2, 3, 3, 1), [(0, 1)]),
    ],
)
def test_the_objective_is_its_formula_in_value_and_gradient(
    norm: str, shape: tuple[int, int, int, int], pairs: list[tuple[int, int]]
) -> None:
    options = ParsingOptions.model_validate({"norm": norm, "pixel": 1.7, "diagonal": 0.6, "image": 2.3})
    mine = torch.randn(*shape, dtype=torch.float64, generator=generator()).requires_grad_()
    theirs = mine.detach().clone().requires_grad_()
    first, second = torch.tensor(pairs, dtype=torch.int64).reshape(-1, 2).unbind(1)
    loss, expected = objective(mine, (first, second), options), naive(theirs, pairs, options)
    torch.testing.assert_close(loss, expected)
    loss.backward()
    expected.backward()
    assert mine.grad is not None
    assert mine.grad.isfinite().all()
    torch.testing.assert_close(mine.grad, theirs.grad)


def test_a_weight_of_zero_leaves_its_term_out() -> None:
    scores = torch.randn(2, 4, 3, 3, dtype=torch.float64, generator=generator())
    none = ParsingOptions(pixel=0, diagonal=0, image=0)
    pair = (torch.tensor([0]), torch.tensor([1]))
    torch.testing.assert_close(objective(scores, pair, none), nn.functional.cross_entropy(scores, scores.argmax(1)))


def test_the_decoder_is_the_published_one() -> None:
    """Its size, and its layers; its weights are those that PyTorch would have drawn from the same seed."""
    network = decoder(256, 32, generator(5))
    assert sum(one.numel() for one in network.parameters()) == 170_560
    torch.manual_seed(5)
    convolutions = [nn.Conv2d(256, 64, 3, padding=1), nn.Conv2d(64, 32, 1), nn.Conv2d(32, 64, 3, padding=1)]
    convolutions.append(nn.Conv2d(64, 32, 1))
    layers: list[nn.Module] = []
    for convolution in convolutions:
        layers += [convolution, nn.BatchNorm2d(convolution.out_channels), nn.ReLU()]
    published = nn.Sequential(*layers[:-1])
    for mine, theirs in zip(network.parameters(), published.parameters(), strict=True):
        torch.testing.assert_close(mine, theirs)
    maps = torch.randn(2, 256, 8, 4, generator=generator())
    torch.testing.assert_close(network(maps), published.train()(maps))


def test_updates_are_those_of_sgd_with_momentum() -> None:
    """Three forwards, two updates; labels of the last forward."""
    options = ParsingOptions(iterations=3, stop_at=4, labels=8, lr=0.3, momentum=0.5, pairs="listed")
    maps, _ = people(3, height=16, seed=2)
    network = decoder(16, 8, generator(9))
    speeds = [torch.zeros_like(one) for one in network.parameters()]
    pair = (torch.tensor([0, 1]), torch.tensor([1, 2]))
    for _ in range(2):
        network.zero_grad()
        objective(network(maps), pair, options).backward()
        with torch.no_grad():
            for parameter, speed in zip(network.parameters(), speeds, strict=True):
                assert parameter.grad is not None
                speed.mul_(0.5).add_(parameter.grad)
                parameter.sub_(0.3 * speed)
    expected = network(maps).argmax(1)
    assert len(expected.unique()) > 4
    labels, iterations = co_parse(maps, options, 9)
    assert iterations == 3
    assert (labels == expected).float().mean() > 0.99
    before, _ = co_parse(maps, ParsingOptions(**options.model_dump() | {"iterations": 2}), 9)
    assert (labels == before).float().mean() < 0.99


@pytest.mark.parametrize("pictures", [2, 3, 9])
def test_random_pairs_are_one_circle(pictures: int) -> None:
    random = generator()
    drawn = [successors(pictures, "random", random) for _ in range(4)]
    for first, second in drawn:
        follows = dict(zip(first.tolist(), second.tolist(), strict=True))
        circle = [0]
        while follows[circle[-1]] != 0:
            circle.append(follows[circle[-1]])
        assert sorted(circle) == list(range(pictures))
    assert pictures == 2 or len({tuple(first.tolist()) for first, _ in drawn}) > 1


def test_listed_pairs_are_neighbours_and_one_picture_has_none() -> None:
    assert [one.tolist() for one in successors(4, "listed", generator())] == [[0, 1, 2], [1, 2, 3]]
    both: list[Pairs] = ["listed", "random"]
    for pairs in both:
        first, second = successors(1, pairs, generator())
        assert first.tolist() == second.tolist() == []


@pytest.mark.parametrize(("pictures", "pairs"), [(8, "random"), (8, "listed"), (22, "random")])
def test_bands_are_found(pictures: int, pairs: str) -> None:
    maps, truth = people(pictures)
    found = parsed(maps, pairs=pairs)
    assert not found.fallback
    assert found.masks.dtype == torch.uint8
    assert found.masks.shape == truth.shape
    assert found.labels <= 18
    assert 3 <= found.iterations <= 12
    assert min(overlaps(found.masks, truth)) > 0.6, overlaps(found.masks, truth)


@pytest.mark.parametrize("pictures", [1, 2])
def test_few_pictures(pictures: int) -> None:
    """The card's bands of two pictures have a head at 0.45 only."""
    maps, truth = people(pictures)
    found = parsed(maps)
    assert not found.fallback
    _, torso, legs = overlaps(found.masks, truth)
    assert min(torso, legs) > 0.6


@pytest.mark.parametrize("norm", ["l1", "l2"])
def test_more_parts_by_the_mean_rule(norm: str) -> None:
    maps, truth = people(4, height=32)
    found = parsed(maps, parts=5, rule="mean", norm=norm)
    assert not found.fallback
    assert found.masks.unique().tolist() == [0, 1, 2, 3, 4, 5]
    rows = torch.arange(32.0)[:, None].expand(32, 16)
    heights = [float((rows * (found.masks == part)).sum() / (found.masks == part).sum()) for part in range(1, 6)]
    assert heights == sorted(heights)
    assert ((found.masks > 0) == (truth > 0)).float().mean() > 0.8


def test_it_stops_at_the_first_forward_with_few_labels() -> None:
    maps, _ = people(4, height=32)
    left = []
    for iterations in range(1, 9):
        labels, count = co_parse(maps, ParsingOptions(iterations=iterations), 0)
        left.append(len(labels.unique()))
        if left[-1] <= 18:
            break
    assert count == iterations == len(left)
    assert 1 < len(left) < 8
    assert min(left[:-1]) > 18 >= left[-1]
    assert co_parse(maps, ParsingOptions(), 0)[1] == count
    assert co_parse(maps, ParsingOptions(stop_at=left[-1]), 0)[1] == count  # no more than that many is enough


def test_without_a_stop_labels_merge() -> None:
    maps, _ = people(4, height=32)
    found = parsed(maps, stop_at=4, labels=32)
    assert found.labels < 10


def test_the_seed_decides_and_the_global_stream_does_not() -> None:
    maps, _ = people(4, height=32)
    torch.manual_seed(1)
    state = torch.get_rng_state()
    one = parsed(maps, seed=3)
    assert torch.equal(torch.get_rng_state(), state)
    torch.manual_seed(2)
    torch.use_deterministic_algorithms(True)
    try:
        again, other = parsed(maps, seed=3), parsed(maps, seed=4)
    finally:
        torch.use_deterministic_algorithms(False)
    assert torch.equal(one.masks, again.masks)
    assert (one.labels, one.iterations) == (again.labels, again.iterations)
    assert not torch.equal(one.masks, other.masks)


@pytest.mark.parametrize("context", [torch.no_grad, torch.inference_mode])
def test_gradients_may_be_off_around_it(context: Any) -> None:
    maps, _ = people(2, height=32)
    expected = parsed(maps)
    with context():
        inside = maps * 1.0
        before = inside.clone()
        found = parsed(inside)
        assert torch.equal(found.masks, expected.masks)
        assert torch.equal(inside, before)
    learning = maps.clone().requires_grad_()
    assert torch.equal(parsed(learning).masks, expected.masks)
    assert learning.grad is None


def test_autocast_around_it_changes_nothing() -> None:
    maps, _ = people(2, height=32)
    expected = parsed(maps)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = parsed(maps)
    assert torch.equal(found.masks, expected.masks)


def test_settings_of_convolutions_are_put_back() -> None:
    cudnn = torch.backends.cudnn
    before = (cudnn.benchmark, cudnn.deterministic)
    cudnn.benchmark = True
    try:
        parsed(people(1, height=16)[0])
        assert cudnn.benchmark
        assert not cudnn.deterministic
    finally:
        cudnn.benchmark, cudnn.deterministic = before


def test_too_few_labels_are_left_to_k_means() -> None:
    maps, truth = people(3, height=32, noise=0.01)
    only = build_parser(ParsingOptions(by="k-means"))(maps, 0).masks
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("modeling.parsing.co_parsing.label_parts", lambda *_: None)
        found = parsed(maps)
    assert found.fallback
    assert found.iterations > 0
    assert torch.equal(found.masks, only)
    assert ((found.masks > 0) == (truth > 0)).float().mean() > 0.9


def test_constant_features_become_stripes() -> None:
    found = parsed(torch.ones(2, 8, 16, 8))
    assert (found.fallback, found.labels, found.iterations) == (True, 0, 0)
    assert torch.equal(found.masks, stripes(3, 16, 8).repeat(2, 1, 1))
    assert parsed(torch.zeros(1, 8, 16, 8), parts=4, rule="mean").masks.unique().tolist() == [1, 2, 3, 4]


@pytest.mark.parametrize("number", [np.nan, np.inf])
@pytest.mark.parametrize("by", ["co-parsing", "k-means"])
def test_numbers_that_are_none_are_told(number: float, by: str) -> None:
    maps = torch.ones(1, 4, 8, 4)
    maps[0, 0, 0, 0] = number
    with pytest.raises(UserError, match="hold NaN or infinity"):
        build_parser(ParsingOptions.model_validate({"by": by}))(maps, 0)


def test_without_faiss_nothing_is_missing_until_it_is_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "faiss", None)
    assert not parsed(people(2, height=32)[0]).fallback
    maps = people(2, height=32)[0]
    monkeypatch.setattr("modeling.parsing.co_parsing.label_parts", lambda *_: None)
    with pytest.raises(UserError, match="needs faiss: type 'pip install faiss-cpu'"):
        parsed(maps)
