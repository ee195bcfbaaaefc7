"""CACE-Net: every loss by hand, who is paired with whom, and what is kept for the test."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from ignite.engine import Events
from torch import Tensor, nn

from common.contracts import Batch
from common.errors import UserError
from configs.loader import load, parse
from configs.schema import Config
from engine.amp import Amp
from engine.checkpoint import load_checkpoint
from engine.schedule import factor
from modeling.backbones import BACKBONES
from modeling.layers.pair_graph import PairGraph, Pairs
from modeling.methods import build_embedder, build_method, options_of
from modeling.methods.cacenet import CaceNet, pair_triplet
from modeling.methods.cacenet_network import ConditionalEmbedder
from modeling.methods.method import Facts, Stage, Update
from tests.conftest import Toy
from tests.doors import ROOT, Doors
from tests.engine.toys import CPU, config_of, facts_of, parts_of, trainer_of

PEOPLE = torch.tensor([0, 0, 1, 1, 2, 2, 3, 3])
SMALL = {"width": 12, "non_local": False, "dropout": 0.0}
NO_PAIRS = {"mix": {"weight": 0.0}, "pair_triplet": {"weight": 0.0}}


@pytest.fixture(autouse=True)
def _small_networks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(BACKBONES, "toy", lambda **_: Toy())


def configured(options: dict[str, Any] | None = None, backbone: str = "toy", **sections: Any) -> Config:
    model = {"backbone": backbone, "pretrained": "none", "pooling": "gem", **sections.pop("model", {})}
    batches = {"instances": 2, **sections.pop("batches", {})}
    return parse(
        {"method": "cacenet", "model": model, "batches": batches, "options": options or {}, **sections}, options_of
    )


def batch(size: int = 8) -> Batch:
    images = torch.randn(size, 3, 32, 24, generator=torch.Generator().manual_seed(1))
    none = torch.zeros(size, dtype=torch.int64)
    return Batch(images, PEOPLE[:size], none, none, torch.arange(size), none, torch.zeros(size, 7, dtype=torch.int64))


def method_of(options: dict[str, Any] | None = None, *, moved: bool = True, **sections: Any) -> CaceNet:
    """With a graph that does something, unless it is not `moved`."""
    torch.manual_seed(0)
    method = build_method(configured({**SMALL, **(options or {})}, **sections), facts_of(4, batch()))
    assert isinstance(method, CaceNet)
    with torch.no_grad():
        for classifier in (method.classifier, method.pair_classifier):
            classifier.weight.normal_()
        if moved:
            method.embedder.graph.out.weight.normal_()
    return method.train()


def stage(method: CaceNet, epoch: int = 1) -> Stage:
    weights = {name: term.at(epoch) for name, term in method.terms().items()}
    return Stage(epoch, 10, 1, weights, np.random.default_rng(0))


def update(method: CaceNet, seen: Batch | None = None) -> Update:
    [one] = method.training_step(seen or batch(), stage(method))
    return one


def double(method: CaceNet) -> tuple[CaceNet, Batch]:
    return method.double(), batch().with_images(batch().images.double())


def pairwise(embedder: ConditionalEmbedder, maps: Tensor, with_itself: bool = False) -> dict[tuple[int, int], Tensor]:
    """e of i given j in training, by the whole graph of every ordered pair, one after the other."""
    graph, cells, count = embedder.graph, maps[0, 0].numel(), len(maps)
    raw = {}
    for i, j in ((i, j) for i in range(count) for j in range(count) if i != j or with_itself):
        x = torch.cat((maps[i].flatten(1), maps[j].flatten(1)), dim=1)
        y = F.normalize(graph.affinity.weight @ x, dim=0)
        a = (y.T @ y).clamp(min=0) * (1 - torch.eye(2 * cells, dtype=x.dtype))
        r = a.sum(1).detach().rsqrt()
        changed = x + graph.out.weight @ (
            graph.value.weight @ x @ torch.diag(r) @ (torch.diag(a.sum(1)) - a) @ torch.diag(r)
        )
        pooled = embedder.pooling(changed[:, :cells].view(1, *maps.shape[1:]))
        raw[i, j] = embedder.reduce(pooled)[0]
    rows = torch.stack(list(raw.values()))
    normal = (rows - rows.mean(0)) / (rows.var(0, unbiased=False) + 1e-5).sqrt()
    normal = normal * embedder.neck.weight + embedder.neck.bias
    return dict(zip(raw, normal, strict=True))


def mined(apart: Any, labels: list[int], margin: float | None) -> Tensor:
    """The batch-hard rule over any distances `apart(i, j)`."""
    losses = []
    for a, own in enumerate(labels):
        others = [i for i in range(len(labels)) if i != a]
        gap = max(apart(a, i) for i in others if labels[i] == own) - min(
            apart(a, i) for i in others if labels[i] != own
        )
        losses.append((1 + gap.exp()).log() if margin is None else (margin + gap).clamp(min=0))
    return torch.stack(losses).mean()


def by_hand(method: CaceNet, seen: Batch) -> dict[str, Tensor]:
    """Every loss, picture by picture and pair by pair."""
    options, people = method.options, seen.labels.tolist()
    maps = method.embedder.backbone(seen.images)
    f = method.embedder.neck(method.embedder.reduce(method.embedder.pooling(maps)))
    e = pairwise(method.embedder, maps, options.self_pairs)

    def entropy(vector: Tensor, classifier: nn.Linear, told: dict[int, float]) -> Tensor:
        logits = classifier.weight @ vector.clamp(min=0)
        logs = logits - logits.exp().sum().log()
        return -torch.stack([share * logs[label] for label, share in told.items()]).sum()

    def unit(vector: Tensor) -> Tensor:
        vector = vector.clamp(min=0) if options.rectified_triplet else vector
        length: Tensor = vector.square().sum().sqrt()
        return vector / length

    def distance(one: Tensor, other: Tensor) -> Tensor:
        return ((one - other).square().sum() + 1e-12).sqrt()

    smoothing, alpha = options.identity.smoothing, options.mix.alpha
    classes = len(method.classifier.weight)
    identity = [
        entropy(
            f[i], method.classifier, {c: smoothing / classes + (1 - smoothing) * (c == own) for c in range(classes)}
        )
        for i, own in enumerate(people)
    ]
    mix = [
        alpha * entropy(vector, method.pair_classifier, {people[i]: 1.0})
        + (1 - alpha) * entropy(vector, method.pair_classifier, {people[j]: 1.0})
        for (i, j), vector in e.items()
    ]
    return {
        "identity": torch.stack(identity).mean(),
        "mix": 2 * torch.stack(mix).mean(),  # the mean over e_i|j and the mean over e_j|i
        "triplet": mined(lambda i, j: distance(unit(f[i]), unit(f[j])), people, options.triplet.margin),
        "pair triplet": mined(lambda i, j: distance(unit(e[i, j]), unit(e[j, i])), people, options.pair_triplet.margin),
    }


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"self_pairs": True, "shared_norm": True, "identity": {"smoothing": 0.0}, "recompute": False},
        {"rectified_triplet": True, "triplet": {"margin": None}, "mix": {"alpha": 0.7}, "pair_chunk": 5},
        {"pair_triplet": {"margin": None}, "group": 8},
    ],
)
def test_every_loss_by_hand_in_value_and_gradient(options: dict[str, Any]) -> None:
    method, seen = double(method_of(options))
    found, expected = update(method, seen).losses, by_hand(method, seen)
    assert found.keys() == method.terms().keys()
    for name, loss in found.items():
        gradients = []
        for one in (loss, expected[name]):
            method.zero_grad()
            one.backward(retain_graph=True)
            gradients.append({key: p.grad for key, p in method.named_parameters() if p.grad is not None})
        torch.testing.assert_close(loss.detach(), expected[name].detach(), rtol=1e-6, atol=1e-9)
        assert gradients[0].keys() >= gradients[1].keys()
        for key, mine in gradients[0].items():
            torch.testing.assert_close(mine, gradients[1].get(key, torch.zeros_like(mine)), rtol=1e-6, atol=1e-9)


def test_who_learns_from_what() -> None:
    method = method_of()
    parts = ("embedder.backbone", "embedder.graph", "embedder.pooling", "classifier", "pair_classifier")
    alone = {"embedder.backbone", "embedder.pooling"}
    expected = {
        "identity": {*alone, "classifier"},
        "mix": {*alone, "embedder.graph", "pair_classifier"},
        "triplet": alone,
        "pair triplet": {*alone, "embedder.graph"},
    }
    for name, loss in update(method).losses.items():
        method.zero_grad()
        loss.backward(retain_graph=True)
        moved = {key for key, one in method.named_parameters() if one.grad is not None and one.grad.any()}
        assert {part for part in parts if any(key.startswith(part + ".") for key in moved)} == expected[name], name


def test_given_anybody_a_picture_is_itself_at_first() -> None:
    method = method_of(moved=False)
    embedder = method.embedder
    maps = embedder.backbone(batch().images)
    reduced = embedder.reduce(embedder.pooling(maps))
    pairs = Pairs.of(8)
    found = embedder.all_conditional(maps, pairs, chunk=7, recompute=False)[0]
    expected = F.batch_norm(reduced, None, None, embedder.neck.weight, embedder.neck.bias, training=True)
    torch.testing.assert_close(found, expected[pairs.own], rtol=1e-4, atol=1e-4)


def refused(*_: Any, **__: Any) -> Tensor:
    raise AssertionError("no pair is asked for")


def test_without_their_losses_and_in_the_test_no_pair_is_made(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("forward", "project", "added"):
        monkeypatch.setattr(PairGraph, name, refused)
    assert list(update(method_of(NO_PAIRS)).losses) == ["identity", "triplet"]
    method_of().eval().embedder(batch().images)
    for name in ("mix", "pair_triplet"):
        with pytest.raises(AssertionError, match="no pair is asked for"):
            update(method_of({**NO_PAIRS, name: {"weight": 1.0}}))


@pytest.mark.parametrize("with_itself", [False, True])
def test_how_little_the_other_picture_changes_is_told(with_itself: bool) -> None:
    """At first a conditional feature is that of the picture alone; a graph that was moved changes it."""
    still = method_of({"dropout": 0.0, "group": 4, "self_pairs": with_itself, "shared_norm": True}, moved=False)
    assert update(still).metrics["pair cosine"] > 0.999
    method, seen = double(method_of({"dropout": 0.0, "group": 4, "self_pairs": with_itself}))
    told = float(update(method, seen).metrics["pair cosine"])
    pairs, cosines = Pairs.of(4, with_itself=with_itself, device=CPU), []
    with torch.no_grad():
        maps, alone = method.embedder.features(seen.images)
        given = method.embedder.all_conditional(maps, pairs, 32, False)
    for group, rows in enumerate(given):
        for row, own in zip(rows, pairs.own.tolist(), strict=True):
            cosines.append(float(F.cosine_similarity(row, alone[4 * group + own], dim=0)))
    assert told == pytest.approx(sum(cosines) / len(cosines), abs=1e-5)
    assert told < 0.999


def test_groups_are_batches_of_their_own() -> None:
    """Two groups of four are what two processes with four pictures each make, from losses to statistics."""
    grouped, seen = double(method_of({"group": 4}))
    alone, _ = double(method_of())
    halves = parts_of(seen, 2)
    state = {key: one.clone() for key, one in alone.state_dict().items()}
    losses, statistics = [], []
    for half in halves:
        alone.load_state_dict(state)
        losses.append({name: loss.detach() for name, loss in update(alone, half).losses.items()})
        statistics.append({key: one.clone() for key, one in alone.state_dict().items() if "running" in key})
    for name, loss in update(grouped, seen).losses.items():
        torch.testing.assert_close(loss.detach(), (losses[0][name] + losses[1][name]) / 2)
    for key, one in grouped.state_dict().items():
        if "running" in key:
            torch.testing.assert_close(one, (statistics[0][key] + statistics[1][key]) / 2)


def test_a_group_that_does_not_divide_the_batch() -> None:
    with pytest.raises(UserError, match="options.group=12 does not divide the 64 pictures of a batch"):
        method_of({"group": 12})


@pytest.mark.parametrize(("group", "instances"), [(4, 4), (8, 8), (16, 32), (8, 16), (8, 3)])
@pytest.mark.parametrize("off", ["triplet", "pair_triplet"])
def test_groups_in_which_triplets_find_nobody(group: int, instances: int, off: str) -> None:
    size = 48 if instances == 3 else 64
    none = {name: {"weight": 0.0} for name in ("triplet", "pair_triplet")}
    batches = {"size": size, "instances": instances}
    with pytest.raises(
        UserError,
        match=rf"options.group={group} does not hold two or more whole .* of {instances} from {2 * instances} on",
    ):
        method_of({"group": group, off: none[off]}, batches=batches)
    method_of({"group": group, **none}, batches=batches)
    method_of({"group": group}, batches={**batches, "kind": "random"})
    method_of({"group": 2 * group}, batches={"size": 64, "instances": group})


def test_only_pictures_alone_move_the_statistics_of_the_test() -> None:
    def moved(options: dict[str, Any]) -> list[Tensor]:
        method = method_of(options)
        update(method)
        neck = method.embedder.neck
        assert neck.running_mean is not None
        assert neck.running_var is not None
        assert neck.num_batches_tracked is not None
        return [neck.running_mean, neck.running_var, neck.num_batches_tracked]

    alone = moved(NO_PAIRS)
    assert all(torch.equal(one, other) for one, other in zip(moved({}), alone, strict=True))
    shared = moved({"shared_norm": True})
    assert not torch.allclose(shared[0], alone[0])
    assert (int(alone[2]), int(shared[2])) == (1, 3)


def test_published_statistics() -> None:
    """One layer normalises f, e of i given j, and e of j given i of all ordered pairs, one after the other."""
    method, seen = double(method_of({"shared_norm": True, "self_pairs": True}))
    embedder = method.embedder
    with torch.no_grad():
        maps = embedder.backbone(seen.images)
        alone = embedder.reduce(embedder.pooling(maps))
        cells = {}
        graph, projected = embedder.graph, embedder.projected(maps)
        for i in range(8):
            for j in range(8):
                pair = projected.take(torch.tensor([i])), projected.take(torch.tensor([j]))
                cells[i, j] = embedder.reduce(embedder.pooling(graph.added(maps[i : i + 1], graph(*pair)[0])))
        every = torch.cat(list(cells.values()))
    mean = torch.zeros(12, dtype=torch.float64)
    for rows in (alone, every, every):
        mean = 0.9 * mean + 0.1 * rows.mean(0)
    update(method, seen)
    assert embedder.neck.running_mean is not None
    torch.testing.assert_close(embedder.neck.running_mean, mean)


@pytest.mark.parametrize("shared", [False, True])
def test_pairs_in_the_test(shared: bool) -> None:
    """What a scorer of pairs asks for: both ways, by running statistics, and from maps that an embedding can hold."""
    method, seen = double(method_of({"shared_norm": shared}))
    for _ in range(3):
        update(method, seen)  # there are statistics then
    embedder = method.eval().embedder
    assert embedder(seen.images).maps is None
    embedder.with_maps = True
    with torch.no_grad():
        embedding = embedder(seen.images)
        maps = embedding.maps
        assert maps is not None
        projected = embedder.projected(maps)
        i, j = torch.tensor([0, 5, 2]), torch.tensor([3, 1, 2])
        pairs = maps[i], projected.take(i), maps[j], projected.take(j)
        one, other = embedder.conditional(*pairs)
        back = embedder.conditional(*pairs[2:], *pairs[:2])
    torch.testing.assert_close(torch.stack((other, one)), torch.stack(back))
    assert one.shape == (3, 12)
    torch.testing.assert_close(one[2], other[2])
    statistics = embedder.neck if shared else embedder.pair_statistics
    assert statistics is not None
    assert statistics.running_mean is not None
    assert statistics.running_var is not None
    raw = embedder.reduce(embedder.pooling(embedder.graph.added(maps[i], embedder.graph(pairs[1], pairs[3])[0])))
    normal = (raw - statistics.running_mean) / (statistics.running_var + 1e-5).sqrt()
    torch.testing.assert_close(one, (normal * embedder.neck.weight + embedder.neck.bias).detach())


def test_the_test_takes_unit_vectors_of_pictures_and_mirror_images() -> None:
    embedder = method_of().eval().embedder
    with torch.no_grad():
        vector = embedder(batch().images).vector
        feature = embedder.features(batch().images).feature
    torch.testing.assert_close(vector.norm(dim=1), torch.ones(8))
    torch.testing.assert_close(vector, feature / feature.norm(dim=1, keepdim=True))
    assert bool((vector < 0).any()), "before the classifier's ReLU"
    assert embedder.flip


def test_pair_triplet_by_hand() -> None:
    pairs, labels = Pairs.of(4), torch.tensor([[0, 0, 1, -1]])
    e = torch.randn(1, 12, 3, dtype=torch.float64)
    places = list(zip(pairs.own.tolist(), pairs.partner.tolist(), strict=True))

    def apart(i: int, j: int) -> Tensor:
        one, other = (e[0, places.index(pair)] for pair in ((i, j), (j, i)))
        return torch.dist(one / one.norm(), other / other.norm())

    expected = sum((0.5 + apart(0, 1) - apart(a, 2)).clamp(min=0) for a in (0, 1)) / 2
    torch.testing.assert_close(pair_triplet(e, pairs, labels, 0.5), expected)
    nobody = e.clone().requires_grad_()
    loss = pair_triplet(nobody, pairs, torch.full((1, 4), -1), 0.5)
    loss.backward()
    assert loss.item() == 0
    assert torch.equal(nobody.grad, torch.zeros_like(e))  # type: ignore[arg-type]


@pytest.mark.parametrize("margin", [0.5, None])
def test_pair_triplet_is_the_mean_over_those_that_find_both(margin: float | None) -> None:
    """In each group, of unit vectors that point either way: a picture nobody knows and one alone take no part."""
    pairs, labels = Pairs.of(4), torch.tensor([[0, 0, 1, -1], [5, 5, 5, 7]])
    e = torch.ones(2, 12, 3, dtype=torch.float64)
    apart = {(0, 1)}  # the first pair of people 0 and 5 is as far apart as can be, all others are alike
    for row, pair in enumerate(zip(pairs.own.tolist(), pairs.partner.tolist(), strict=True)):
        if pair in apart:
            e[:, row] = -1
    far, near = (math.log1p(math.exp(gap)) if margin is None else margin + gap for gap in (2.0, 0.0))
    expected = ((far + far) / 2 + (far + far + near) / 3) / 2
    assert pair_triplet(e, pairs, labels, margin).item() == pytest.approx(expected, abs=1e-5)


def test_features_that_are_alike_have_finite_gradients() -> None:
    e = torch.ones(1, 12, 3, requires_grad=True)
    pair_triplet(e, Pairs.of(4), torch.tensor([[0, 0, 1, 1]]), 0.5).backward()
    assert e.grad is not None
    assert bool(e.grad.isfinite().all())


def test_dropout_is_before_both_classifiers() -> None:
    plain, dropped = (update(method_of({"dropout": share})).losses for share in (0.0, 0.5))
    assert plain["triplet"] == dropped["triplet"]
    assert plain["pair triplet"] == dropped["pair triplet"]
    assert plain["identity"] != dropped["identity"]
    assert plain["mix"] != dropped["mix"]


def test_published_sizes() -> None:
    with torch.device("meta"):
        column = torch.zeros(8, dtype=torch.int64)
        facts = Facts(10, column, column, column, column, first_target=8, dataset=column)
        method = build_method(configured(backbone="resnet50"), facts)
    assert isinstance(method, CaceNet)

    def size(*parts: nn.Module) -> float:
        return sum(one.numel() for part in parts for one in part.parameters()) / 1e6

    assert size(method) == pytest.approx(27.26, abs=5e-3)
    assert size(method.embedder.backbone) == pytest.approx(24.89, abs=5e-3)
    assert size(method.embedder.graph) == pytest.approx(0.786, abs=5e-4)
    assert size(method.embedder.reduce, method.embedder.neck) == pytest.approx(1.574, abs=5e-4)


def test_rates() -> None:
    """All that is trained is moved, once, and only what may be pretrained takes the backbone's rate."""
    method = build_method(configured({"width": 12}, backbone="resnet18"), facts_of(4, batch()))
    recipes = method.optimizers()
    assert set(recipes) == {"main"}
    pretrained, new = recipes["main"].groups
    held = [id(one) for group in (pretrained, new) for one in group.parameters]
    assert len(held) == len(set(held))
    assert set(held) == {id(one) for one in method.parameters()}
    names = {id(one): key for key, one in method.named_parameters()}
    taken = {names[id(one)] for one in pretrained.parameters}
    assert pretrained.pretrained
    assert not new.pretrained
    assert all(key.startswith("embedder.backbone.") and ".non_local." not in key for key in taken)
    assert sum(".non_local." in key for key in names.values()) == 3 * 8
    assert method_of().embedder.neck.bias.requires_grad


def test_the_published_schedule() -> None:
    config = load(ROOT / "configs" / "cacenet.yml", [], options_of)
    rates = [config.optimizer.lr * factor(config.schedule, time, config.train.epochs) for time in (0, 2.5, 5, 42.5, 80)]
    assert rates == pytest.approx([0, 0.00625, 0.0125, 0.00625, 0], abs=1e-12)
    assert (config.data.height, config.data.width, config.batches.size, config.batches.instances) == (384, 128, 32, 4)


@pytest.mark.parametrize("name", ["cacenet_market", "cacenet_duke", "cacenet_msmt", "street_cacenet"])
def test_configurations(name: str) -> None:
    config = load(ROOT / "configs" / f"{name}.yml", [], options_of)
    assert config.method == "cacenet"
    assert config.batches.size % 16 == 0


def test_rows_of_the_ablation() -> None:
    plain, looking = (
        load(ROOT / "configs" / f"cacenet_{name}.yml", [], options_of).options.model_dump()
        for name in ("baseline", "non_local")
    )
    assert plain["mix"]["weight"] == plain["pair_triplet"]["weight"] == looking["mix"]["weight"] == 0
    assert (plain["non_local"], looking["non_local"]) == (False, True)
    assert {**plain, "non_local": True} == looking


@pytest.mark.parametrize("level", ["O0", "O1", "O2"])
def test_half_precision_leaves_losses_in_float32(level: str) -> None:
    method = method_of({"dropout": 0.5, "group": 4}, batches={"size": 8})
    trainer, _ = trainer_of(method, Amp(level, torch.bfloat16, CPU), config_of(optimizer={"lr": 1e-3}))
    found: list[dict[str, Tensor]] = []
    trainer.add_event_handler(Events.ITERATION_COMPLETED, lambda engine: found.append(dict(engine.state.output)))
    trainer.run([batch()] * 2, max_epochs=3)
    assert method.terms().keys() <= found[-1].keys()
    for output in found:
        assert all(value.isfinite() for value in output.values())
        assert all(output[name].dtype == torch.float32 for name in method.terms())


def test_a_batch_is_learned() -> None:
    method = method_of({"dropout": 0.0}, moved=False)
    trainer, _ = trainer_of(method, config=config_of(optimizer={"name": "adam", "lr": 1e-2}))
    found: list[dict[str, Tensor]] = []
    trainer.add_event_handler(Events.ITERATION_COMPLETED, lambda engine: found.append(dict(engine.state.output)))
    trainer.run([batch()], max_epochs=40)
    assert found[-1]["accuracy"] == found[-1]["pair accuracy"] == 1
    assert found[-1]["pair triplet"] < 0.5 * found[0]["pair triplet"]
    assert bool(method.embedder.graph.out.weight.any())


# From end to end.


def test_a_run(tiny: Path, doors: Doors, tmp_path: Path) -> None:
    keys = ("method=cacenet", "model.pooling=gem", "options.width=16", "options.group=8", "optimizer.lr=1.0e-3")
    outcome = doors.train("cpu", tiny, *keys, "options.non_local=false", "options.pair_triplet.from_epoch=2")
    assert outcome.status == 0, outcome.said
    assert "pair triplet 1" in outcome.out
    checkpoint = load_checkpoint(tmp_path / "checkpoints" / "tiny" / "epoch_0002.pt")
    assert {key.split(".")[0] for key in checkpoint.model} == {
        *("backbone", "graph", "pooling", "reduce", "neck", "pair_statistics"),
    }
    judged = doors.evaluate("cpu", tmp_path / "checkpoints" / "tiny" / "epoch_0002.pt")
    assert judged.status == 0, judged.said
    assert "mAP" in judged.out


def test_the_network_of_the_test_is_that_of_the_training() -> None:
    config = configured({"group": 4, "width": 12}, backbone="resnet18", batches={"size": 8})
    method = build_method(config, facts_of(4, batch()))
    embedder = build_embedder(config)
    embedder.load_state_dict(method.embedder.state_dict())
    images = batch().images
    with torch.no_grad():
        assert torch.equal(embedder.eval()(images).vector, method.embedder.eval()(images).vector)
