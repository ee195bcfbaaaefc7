"""CAL and AIM: who learns from what and when, in which order, and what is kept for the test."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from ignite.engine import Events
from torch import Tensor, nn

from common.contracts import Batch
from common.environment import ROOT
from common.errors import UserError
from configs.loader import load, parse
from configs.schema import Config
from data.street import StreetConfig, write_street
from engine.amp import Amp
from engine.checkpoint import load_checkpoint
from engine.schedule import factor
from modeling.backbones import BACKBONES
from modeling.methods import build_embedder, build_method, options_of
from modeling.methods.aim import Aim, AimOptions, TransferTerm
from modeling.methods.cal import Cal, CalOptions, outfits_of
from modeling.methods.method import Facts, Stage, Update
from tests.conftest import Toy
from tests.doors import Doors
from tests.engine.toys import CPU, config_of, facts_of, trainer_of

PEOPLE = torch.tensor([0, 0, 0, 1, 1, 1, 2, 2])
CLOTHES = torch.tensor([0, 0, 1, 2, 3, 3, 4, 4])
OPEN = {"adversarial": {"from_epoch": 2}, "causal": {"from_epoch": 2}, "transfer": {"from_epoch": 2}}


@pytest.fixture(autouse=True)
def _small_networks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(BACKBONES, "toy", lambda **_: Toy())


def configured(method: str, options: dict[str, Any] | None = None, backbone: str = "toy", **sections: Any) -> Config:
    model = {"backbone": backbone, "pretrained": "none", "pooling": "maxavg"}
    return parse({"method": method, "model": model, "options": options or {}, **sections}, options_of)


def batch() -> Batch:
    images = torch.randn(8, 3, 64, 32, generator=torch.Generator().manual_seed(1))
    none = torch.zeros(8, dtype=torch.int64)
    return Batch(images, PEOPLE, none, CLOTHES, torch.arange(8), none, torch.zeros(8, 7, dtype=torch.int64))


def facts() -> Facts:
    return facts_of(3, batch(), num_clothes=5)


def method_of(name: str, options: dict[str, Any] | None = None) -> Any:
    torch.manual_seed(0)
    opened = OPEN if name == "aim" else {"adversarial": OPEN["adversarial"]}
    return build_method(configured(name, {**opened, **(options or {})}), facts()).train()


def stage(method: Cal, epoch: int) -> Stage:
    weights = {name: term.at(epoch) for name, term in method.terms().items()}
    return Stage(epoch, 10, 1, weights, np.random.default_rng(0))


def gradients(method: nn.Module, loss: Tensor) -> set[str]:
    """The parts of the method that a loss would move."""
    method.zero_grad()
    loss.backward(retain_graph=True)
    moved = {name for name, one in method.named_parameters() if one.grad is not None and one.grad.any()}
    parts = ("embedder", "classifier", "clothes_head", "clothes_backbone", "pyramid", "clothes_network_head", "fusion")
    return {part for part in parts if any(name.startswith(part + ".") for name in moved)}


def updates(method: Cal, epoch: int) -> list[Update]:
    return list(method.training_step(batch(), stage(method, epoch)))


def names(found: Sequence[Update]) -> list[tuple[tuple[str, ...], set[str]]]:
    return [(update.optimizers, set(update.losses)) for update in found]


HEAD = (("clothes head",), {"clothes"})


def test_order_and_gates() -> None:
    assert names(updates(method_of("cal"), 1)) == [HEAD, (("main",), {"identity"})]
    assert names(updates(method_of("cal"), 2)) == [HEAD, (("main",), {"identity", "adversarial"})]
    network = (("clothes network",), {"clothes network"})
    assert names(updates(method_of("aim"), 1)) == [HEAD, network, (("main",), {"identity"})]
    assert names(updates(method_of("aim"), 2)) == [
        HEAD,
        (("clothes network",), {"clothes network", "transfer"}),
        (("main",), {"identity", "adversarial", "causal"}),
    ]
    late = method_of("aim", {"clothes": {"from_epoch": 2}, "triplet": {"weight": 1.0}, "fused": {"weight": 1.0}})
    assert names(updates(late, 1)) == [network, (("main",), {"identity", "triplet"})]


def test_the_published_gates() -> None:
    options = build_method(configured("aim"), facts()).terms()
    for name in ("adversarial", "causal", "transfer"):
        assert [options[name].at(epoch) for epoch in (25, 26, 100)] == [0.0, 1.0, 1.0]
    assert options["fused"].weight == options["triplet"].weight == 0


def test_nothing_above_the_gates_is_computed_before(monkeypatch: pytest.MonkeyPatch) -> None:
    method = method_of("aim")

    def refused(*_: Any, **__: Any) -> Tensor:
        raise AssertionError("it is not needed yet")

    for part in ("fusion", "transfer_loss", "adversarial_loss"):
        monkeypatch.setattr(getattr(method, part), "forward", refused)
    updates(method, 1)
    with pytest.raises(AssertionError, match="not needed yet"):
        updates(method, 2)


def test_who_learns_from_what() -> None:
    method = method_of("aim", {"fused": {"weight": 1.0, "from_epoch": 2}})
    head, network, main = updates(method, 2)
    assert gradients(method, head.losses["clothes"]) == {"clothes_head"}
    looking = {"clothes_backbone", "pyramid", "clothes_network_head"}
    assert gradients(method, network.losses["clothes network"]) == looking
    assert gradients(method, network.losses["transfer"]) == looking
    assert gradients(method, main.losses["identity"]) == {"embedder", "classifier"}
    assert gradients(method, main.losses["causal"]) == {"embedder", "classifier", "fusion"}
    assert gradients(method, main.losses["fused"]) == {"classifier", "fusion"}
    assert gradients(method, main.losses["adversarial"]) == {"embedder", "clothes_head"}, "which main does not move"
    held = {id(p) for group in method.optimizers()["main"].groups for p in group.parameters}
    assert not held & {id(p) for p in method.clothes_head.parameters()}


def test_a_fused_belief_can_be_held() -> None:
    main = updates(held := method_of("aim", {"hold_fused": True, "fused": {"weight": 1, "from_epoch": 2}}), 2)[-1]
    assert gradients(held, main.losses["causal"]) == {"embedder", "classifier"}
    assert gradients(held, main.losses["fused"]) == {"classifier", "fusion"}


def test_the_bias_of_the_classifier_cancels_in_the_effect() -> None:
    method = method_of("aim")
    with torch.no_grad():
        before = updates(method, 2)[-1].losses["causal"]
        method.classifier.bias += torch.tensor([3.0, -2.0, 7.0])
        after = updates(method, 2)[-1].losses["causal"]
    torch.testing.assert_close(before, after)


def test_the_adversary_has_moved_when_it_is_faced() -> None:
    """The step of the head comes first, and the network sees what it is then."""
    method = method_of("cal")
    faced, seen = [], method.clothes_head.forward
    steps = method.training_step(batch(), stage(method, 2))
    next(steps)
    with torch.no_grad():
        method.clothes_head.weight += 1.0

    def spy(features: Tensor) -> Tensor:
        faced.append(method.clothes_head.weight.detach().clone())
        cosines: Tensor = seen(features)
        return cosines

    method.clothes_head.forward = spy
    next(steps)
    [weight] = faced
    assert torch.equal(weight, method.clothes_head.weight)


def test_a_step_by_hand() -> None:
    """Every loss of AIM from the features that its parts give, sample by sample."""
    method = method_of("aim").double()
    seen = batch().with_images(batch().images.double())
    found = {
        name: float(value.detach())
        for update in method.training_step(seen, stage(method, 2))
        for name, value in update.losses.items()
    }
    method.train()
    with torch.no_grad():
        maps, looking = method.embedder.backbone(seen.images), method.clothes_backbone(seen.images)
        f = method.embedder.neck(method.embedder.pooling(maps))
        told, g = method.pyramid(looking), method.fusion(maps, looking)
    expected = dict.fromkeys(("identity", "causal", "clothes", "clothes network", "adversarial", "transfer"), 0.0)
    w, b = method.classifier.weight.detach(), method.classifier.bias.detach()

    def smoothed(logits: Tensor, label: int) -> float:
        logs = logits - logits.exp().sum().log()
        return -sum(float(logs[c]) * (0.9 * (c == label) + 0.1 / 3) for c in range(3))

    for i in range(8):
        person, outfit = int(PEOPLE[i]), int(CLOTHES[i])
        o, fused = w @ f[i] + b, w @ g[i] + b
        expected["identity"] += smoothed(o, person) / 8
        expected["causal"] += smoothed(o - fused, person) / 8
        cosines = {
            name: torch.stack([F.cosine_similarity(vector, row.detach(), dim=0) for row in head.weight])
            for name, vector, head in (
                ("clothes", f[i], method.clothes_head),
                ("clothes network", told[i], method.clothes_network_head),
            )
        }
        for name, row in cosines.items():
            expected[name] += float((16 * row).exp().sum().log() - 16 * row[outfit]) / 8
        own = {int(c) for p, c in zip(PEOPLE, CLOTHES, strict=True) if int(p) == person}
        z = 16 * cosines["clothes"]
        others = sum(float(z[k].exp()) for k in range(5) if k not in own)
        for j in own:
            share = float(z[j].exp()) / (float(z[j].exp()) + others)
            expected["adversarial"] -= (0.9 * (j == outfit) + 0.1 / len(own)) * np.log(share) / 8
        p, q = (cosines[name].softmax(0) for name in ("clothes network", "clothes"))
        expected["transfer"] += 32 / 8 * float(((p - q) * (p.log() - q.log())).sum())
    assert found == pytest.approx(expected, rel=1e-6)


def test_maps_of_others_are_a_control() -> None:
    with torch.no_grad():
        plain, shuffled = (updates(method_of("aim", {"shuffle_maps": on}), 2)[-1].losses for on in (False, True))
    assert plain["identity"] == shuffled["identity"]
    assert plain["causal"] != shuffled["causal"]


def test_outfits_of_every_person() -> None:
    assert outfits_of(facts()).tolist() == [
        [True, True, False, False, False],
        [False, False, True, True, False],
        [False, False, False, False, True],
    ]


def test_rates() -> None:
    """The head's never drops; the others' do as configured, and only pretrained layers take the backbone's."""
    method = method_of("aim")
    recipes = method.optimizers()
    assert set(recipes) == {"main", "clothes head", "clothes network"}
    steady = recipes["clothes head"].schedule
    assert steady is not None
    assert {factor(steady, epoch, 60) for epoch in (1, 21, 41, 60)} == {1.0}
    assert recipes["main"].schedule is recipes["clothes network"].schedule is None
    held = [id(p) for recipe in recipes.values() for group in recipe.groups for p in group.parameters]
    assert len(held) == len(set(held))
    assert set(held) == {id(p) for p in method.parameters()}


def test_the_head_may_follow_the_schedule_of_all() -> None:
    assert method_of("cal", {"clothes": {"steady": False}}).optimizers()["clothes head"].schedule is None


@pytest.mark.parametrize("name", ["cal", "aim"])
@pytest.mark.parametrize("of", ["prcc", "ltcc", "last", "vcclothes"])
def test_published_recipe(name: str, of: str) -> None:
    config = load(ROOT / "configs" / f"{name}_{of}.yml", [], options_of)
    last = of == "last"
    triplet = {"triplet": {"weight": 1.0}} if last else {}
    assert config.options == options_of(name).model_validate(triplet)
    assert (config.method, config.data.source) == (name, of)
    augment, batches = config.data.augment, config.batches
    assert (config.data.height, config.data.width) == (384, 192)
    assert (augment.flip, augment.jitter, augment.enlarge, augment.pad) == (0.5, 0, 0.5, 0)
    assert (augment.erase, augment.erase_area, augment.erase_aspect) == (0.5, (0.02, 0.4), (0.3, 3.33))
    # (0.4914, 0.4822, 0.4465) once normalised, in pixels
    fill = [
        255 * (m + s * v) for m, s, v in zip(config.data.mean, config.data.std, (0.4914, 0.4822, 0.4465), strict=True)
    ]
    assert augment.erase_fill == tuple(round(value) for value in fill)
    assert (batches.kind, batches.size, batches.instances) == ("identity", 64, 4 if last else 8)
    assert (config.optimizer.name, config.optimizer.lr, config.optimizer.weight_decay) == ("adam", 3.5e-4, 5e-4)
    assert [factor(config.schedule, epoch, 60) for epoch in (0, 19, 20, 39, 40, 59)] == pytest.approx(
        [1, 1, 0.1, 0.1, 0.01, 0.01]
    )
    assert (config.model.backbone, config.model.last_stride, config.model.pooling) == ("resnet50", 1, "maxavg")
    assert (config.model.pretrained, config.train.best) == ("imagenet", "rank-1")
    options = config.options
    assert isinstance(options, CalOptions)
    assert (options.clothes.scale, options.adversarial.epsilon, options.identity.smoothing) == (16, 0.1, 0.1)
    assert (options.adversarial.weight, options.adversarial.from_epoch, options.triplet.margin) == (1, 26, 0.3)
    if isinstance(options, AimOptions):
        assert (options.causal.weight, options.causal.from_epoch) == (1, 26)
        assert options.transfer == TransferTerm(weight=1, from_epoch=26, pictures=32, scale=1)


@pytest.mark.parametrize(
    ("name", "options", "told"),
    [
        ("cal", {"clothes": {"weight": 0}}, "the clothes head, which learns nothing"),
        ("cal", {"clothes": {"from_epoch": 9}, "adversarial": {"from_epoch": 8}}, "which learns from epoch 9 on"),
        ("aim", {"clothes_network": {"weight": 0}}, "or take method cal, which has no such network"),
        ("aim", {"clothes_network": {"from_epoch": 27}}, "no later than theirs"),
        ("aim", {"hold_fused": True}, "set fused.weight above 0"),
        ("aim", {"hold_fused": True, "fused": {"weight": 1, "from_epoch": 30}}, "no later than causal.from_epoch"),
    ],
)
def test_nothing_listens_to_what_has_not_learned(name: str, options: dict[str, Any], told: str) -> None:
    with pytest.raises(UserError, match=told):
        configured(name, options)
    configured("cal", {"clothes": {"weight": 0}, "adversarial": {"weight": 0}})  # identities only


def test_published_sizes() -> None:
    config = configured("aim", backbone="resnet50")
    with torch.device("meta"):
        column = torch.zeros(8, dtype=torch.int64)
        columns = Facts(150, column, column, column, column, first_target=8, dataset=column, num_clothes=300)
        method = build_method(config, columns)
    assert isinstance(method, Aim)

    def size(*parts: nn.Module) -> float:
        return sum(one.numel() for part in parts for one in part.parameters()) / 1e6

    assert size(method.embedder) == pytest.approx(23.516, abs=5e-4)
    assert size(method.clothes_backbone, method.pyramid) == pytest.approx(47.117, abs=5e-4)
    assert size(method.fusion) == pytest.approx(67.133, abs=5e-4)


@pytest.mark.parametrize("name", ["cal", "aim"])
def test_only_the_identity_branch_is_kept(name: str) -> None:
    embedder = build_embedder(configured(name))
    kept = {key for key in method_of(name).state_dict() if key.startswith("embedder.")}
    assert {f"embedder.{key}" for key in embedder.state_dict()} == kept
    assert embedder.flip
    assert not any("clothes" in key or "fusion" in key or "classifier" in key for key in kept)


def test_ghost_batches() -> None:
    method = method_of("aim", {"ghost": 4})
    kinds = {type(layer).__name__ for layer in method.modules() if "Norm" in type(layer).__name__}
    assert kinds == {"GhostBatchNorm"}
    updates(method, 2)
    with pytest.raises(UserError, match="options.ghost=7 does not divide the 64 pictures of a batch"):
        method_of("aim", {"ghost": 7})


# From end to end.


@pytest.fixture(scope="module")
def wardrobe(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wardrobe") / "street"
    config = StreetConfig(layout="ltcc", identities=12, cameras=2, outfits=2, shots=2, height=32, width=16)
    write_street(folder, config)
    return folder


KEYS = ("model.pooling=maxavg", "options.adversarial.from_epoch=2", "train.epochs=3", "optimizer.lr=1.0e-3")
GATES = ("options.causal.from_epoch=2", "options.transfer.from_epoch=3", "options.shuffle_maps=false")


@pytest.mark.parametrize("name", ["cal", "aim"])
def test_a_run(name: str, tiny: Path, wardrobe: Path, doors: Doors, tmp_path: Path) -> None:
    keys = [f"method={name}", *KEYS, *(GATES if name == "aim" else ()), f"data.root={wardrobe}"]
    outcome = doors.train("cpu", tiny, *keys)
    assert outcome.status == 0, outcome.said
    assert "adversarial 1" in outcome.out
    run = tmp_path / "checkpoints" / "tiny"
    checkpoint = load_checkpoint(run / "epoch_0003.pt")
    assert not any("clothes" in key or "fusion" in key for key in checkpoint.model)
    assert set(checkpoint.training["optimizers"]) == {"main", "clothes head"} | (
        {"clothes network"} if name == "aim" else set()
    )
    judged = doors.evaluate("cpu", run / "epoch_0003.pt", "--protocol", "cloth-changing", "same-clothes", "standard")
    assert judged.status == 0, judged.said
    assert "standard" in judged.out


@pytest.mark.parametrize("name", ["cal", "aim"])
def test_clothes_are_not_guessed(name: str, tiny: Path, doors: Doors) -> None:
    outcome = doors.train("cpu", tiny, f"method={name}", *KEYS)
    assert outcome.status == 1
    assert outcome.err.strip() == (
        f"error: method '{name}' learns from what people wear, and dataset 'street' does not tell it of 64 of 64"
        " training pictures; methods that do not need it: baseline, cail, camc, cacenet, hcga"
    )


@pytest.mark.parametrize("level", ["O0", "O1", "O2"])
def test_half_precision_leaves_losses_in_float32(level: str) -> None:
    method = method_of("aim", {"fused": {"weight": 1.0, "from_epoch": 2}})
    trainer, _ = trainer_of(method, Amp(level, torch.bfloat16, CPU), config_of(optimizer={"lr": 1e-3}))
    found: list[dict[str, Tensor]] = []
    trainer.add_event_handler(Events.ITERATION_COMPLETED, lambda engine: found.append(dict(engine.state.output)))
    trainer.run([batch()] * 2, max_epochs=3)
    told = {"identity", "causal", "clothes", "clothes network", "adversarial", "transfer", "fused"}
    assert told <= found[-1].keys()
    for output in found:
        assert all(value.isfinite() for value in output.values())
        assert all(output[name].dtype == torch.float32 for name in told if name in output)


def test_before_the_gates_only_two_classifiers_and_their_networks_learn() -> None:
    method = method_of("aim", {"clothes": {"from_epoch": 2}})
    before = {name: one.detach().clone() for name, one in method.named_parameters()}
    trainer, _ = trainer_of(method, config=config_of(optimizer={"lr": 0.01}))
    trainer.run([batch()], max_epochs=1)
    moved = {name for name, one in method.named_parameters() if not torch.equal(one, before[name])}
    assert not any(name.startswith(("clothes_head.", "fusion.")) for name in moved)
    for part in ("embedder.", "classifier.", "clothes_backbone.", "pyramid.", "clothes_network_head."):
        assert any(name.startswith(part) for name in moved), part
