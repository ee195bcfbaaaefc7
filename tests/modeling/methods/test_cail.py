"""CAIL: training steps done again by hand from the paper's formulas, and what its options mean."""

from __future__ import annotations

import copy
import math
from collections.abc import Generator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from ignite.engine import Engine, Events
from torch import Tensor, nn

import modeling.losses.neighbourhood as neighbourhood
from common.contracts import Batch
from common.errors import UserError
from common.events import ReIDEvents
from configs.loader import parse
from configs.schema import Config
from engine.amp import Amp
from modeling.backbones import BACKBONES
from modeling.backbones.base import Backbone
from modeling.handlers.cross_domain_mixup import SHARE
from modeling.memory import ExemplarMemory
from modeling.methods import METHODS, build_embedder, build_method, options_of
from modeling.methods.cail import Cail
from modeling.methods.method import Embedder, Facts
from tests.conftest import Toy
from tests.engine.toys import CPU, config_of, trainer_of

CLASSES, SOURCES, HALF = 3, 5, 8
CAMERAS = (7, 7, 7, 7, 7, 8, 8, 8, 8, 8, 9, 9)
"""Of the target's pictures; the last one is never seen, so camera 9 has one exemplar."""
SEEN = ((0, 1, 2, 3, 5, 6, 10, 0), (4, 5, 7, 8, 9, 3, 7, 6))
"""The target's pictures in each batch of an epoch, two of them twice."""
STAGED = {"intra": {"weight": 0.7, "from_epoch": 3}, "inter": {"weight": 0.5, "from_epoch": 4}}
AGNOSTIC = {"neighbor_mode": 0, "agnostic": {"weight": 0.3, "from_epoch": 3}}


class Plain(Backbone):
    """Nothing in it sees more than one picture."""

    channels, stride = 8, 4

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Conv2d(3, 8, 4, stride=4)

    def forward(self, images: Tensor) -> Tensor:
        maps: Tensor = self.layer(images)
        return maps


@pytest.fixture(autouse=True)
def _small_networks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(BACKBONES, "toy", lambda **_: Toy())
    monkeypatch.setitem(BACKBONES, "plain", lambda **_: Plain())


def configured(options: dict[str, Any] | None = None, backbone: str = "toy") -> Config:
    network = {"backbone": backbone, "pretrained": "none"}
    return parse({"method": "cail", "model": network, "options": options or {}}, options_of)


def facts_of(cameras: Sequence[int]) -> Facts:
    labels = torch.tensor([k % CLASSES for k in range(SOURCES)] + [-1] * len(cameras))
    camids = torch.tensor([k % 2 for k in range(SOURCES)] + list(cameras))
    domain = torch.tensor([0] * SOURCES + [1] * len(cameras))
    return Facts(CLASSES, labels, camids, -torch.ones_like(labels), domain, SOURCES, domain)


def cail(options: dict[str, Any] | None = None, backbone: str = "toy", cameras: Sequence[int] = CAMERAS) -> Cail:
    """In double precision, so that no neighbour is one by a rounding error."""
    torch.manual_seed(0)
    method = build_method(configured(options, backbone), facts_of(cameras))
    assert isinstance(method, Cail)
    return method.double()


def batches(seen: Sequence[Sequence[int]] = SEEN, cameras: Sequence[int] = CAMERAS) -> list[Batch]:
    """One epoch: pictures of each half that look alike to a degree."""
    random, facts = torch.Generator().manual_seed(1), facts_of(cameras)
    looks = torch.randn(len(facts.labels), 3, 16, 8, generator=random, dtype=torch.float64)
    made = []
    for rows in seen:
        index = torch.tensor([k % SOURCES for k in range(len(rows))] + [SOURCES + row for row in rows])
        images = looks[index] + 0.5 * torch.randn(len(index), 3, 16, 8, generator=random, dtype=torch.float64)
        columns = (facts.labels[index], facts.camids[index], facts.clothes[index], index, facts.domain[index])
        made.append(Batch(images, *columns, torch.zeros(len(index), 7, dtype=torch.int64)))
    return made


@dataclass
class View:
    """What the method's handlers are shown; the hidden labels are nonsense."""

    facts: Facts
    hidden_labels: Tensor
    folder: Path = Path()

    def pictures(self, rows: Sequence[int]) -> Generator[Batch, None, None]:
        raise AssertionError("nobody asked")

    def content(self) -> str:
        raise AssertionError("nobody asked")

    def network(self) -> Embedder:
        raise AssertionError("nobody asked")

    def moved(self, labels: Tensor, geometry: Tensor) -> Tensor:
        raise AssertionError("nobody asked")

    def stopping(self) -> bool:
        raise AssertionError("nobody asked")


def view_of(cameras: Sequence[int] = CAMERAS) -> View:
    facts = facts_of(cameras)
    return View(facts, torch.arange(len(facts.labels)) % 4)


@dataclass
class Step:
    """A training step: where it began, what it was given, what it computed and what it left."""

    epoch: int
    iteration: int
    state: dict[str, Tensor]
    batch: Batch
    given: Batch | None = None
    output: dict[str, Tensor] = field(default_factory=dict)
    gradients: dict[str, Tensor] = field(default_factory=dict)
    memory: Tensor | None = None
    lengths: Tensor | None = None
    filled: Tensor | None = None


class Recorder:
    """Attached around the method's handlers."""

    def __init__(self, method: Cail) -> None:
        self.method = method
        self.steps: list[Step] = []

    def begin(self, engine: Engine) -> None:
        state: Any = engine.state
        before = copy.deepcopy(dict(self.method.state_dict()))
        self.steps.append(Step(state.epoch, state.iteration, before, state.batch))

    def differentiated(self, engine: Engine) -> None:
        state: Any = engine.state
        step, memory = self.steps[-1], self.method.memory
        named = self.method.named_parameters()
        step.gradients = {name: one.grad.clone() for name, one in named if one.grad is not None}
        step.given, step.memory, step.filled = state.batch, memory.rows.clone(), memory.filled.clone()
        step.lengths = memory.lengths.clone()

    def end(self, engine: Engine) -> None:
        self.steps[-1].output = dict(engine.state.output)  # type: ignore[call-overload]  # Ignite types it as any


def trained(
    method: Cail,
    epochs: int,
    begin: int = 1,
    seen: list[Batch] | None = None,
    *attached: Any,
    cameras: Sequence[int] = CAMERAS,
) -> list[Step]:
    """Train from epoch `begin` to `epochs` as the engine does."""
    data = batches() if seen is None else seen
    trainer, _ = trainer_of(method, config=config_of(optimizer={"lr": 0.2}))
    recorder = Recorder(method)
    trainer.add_event_handler(Events.ITERATION_STARTED, recorder.begin)
    for handler in (*method.handlers(view_of(cameras)), *attached):
        handler.attach(trainer)
    trainer.add_event_handler(ReIDEvents.BACKWARD_COMPLETED, recorder.differentiated)
    trainer.add_event_handler(Events.ITERATION_COMPLETED, recorder.end)
    length = len(data)
    trainer.load_state_dict({"iteration": (begin - 1) * length, "epoch_length": length, "max_epochs": epochs})
    trainer.run(data, max_epochs=epochs, epoch_length=length)
    return recorder.steps


# The same by hand: sample by sample, in plain torch, with nothing of the project's but its parameters' names.


def normalised(values: Tensor, groups: list[list[int]], weight: Tensor, bias: Tensor | float = 0.0) -> Tensor:
    rows: dict[int, Tensor] = {}
    over = tuple(n for n in range(values.dim()) if n != 1)
    shape = (1, -1, *[1] * (values.dim() - 2))
    for group in groups:
        part = values[group]
        deviation = (part.var(over, unbiased=False, keepdim=True) + 1e-5).sqrt()
        shift = bias.view(shape) if isinstance(bias, Tensor) else bias
        part = weight.view(shape) * (part - part.mean(over, keepdim=True)) / deviation + shift
        rows |= dict(zip(group, part, strict=True))
    return torch.stack([rows[k] for k in range(len(values))])


def cross_entropy(logits: Tensor, which: int) -> Tensor:
    return logits.exp().sum().log() - logits[which]


@dataclass
class ByHand:
    """What a step should have computed."""

    told: dict[str, float]
    gradients: dict[str, Tensor]
    memory: Tensor
    lengths: Tensor
    filled: Tensor


class Again:
    """The step of the method card, from the weights that the real one began with."""

    def __init__(self, step: Step, options: dict[str, Any], cameras: Sequence[int] = CAMERAS) -> None:
        defaults = {"mix": True, "mix_from": 2, "alpha": 0.6, "neighbor_mode": 1, "neighbor_eps": 0.8, "scale": 10.0}
        more = {"momentum": 0.6, "overwrite_until": 1, "clamp": 0.0, "ghost": None, "gate": -1.0, "negatives": 0}
        more |= {"instance": None, "align": False}
        self.options: dict[str, Any] = {**defaults, **more, **options}
        self.step, self.cameras = step, list(cameras)
        self.memory: Tensor = step.state["memory.rows"].clone()
        self.lengths: Tensor = step.state["memory.lengths"].clone()
        self.standing = self.memory  # in for classes
        self.filled: list[bool] = step.state["memory.filled"].tolist()
        self.half = len(step.batch) // 2
        self.rows = [int(index) - SOURCES for index in step.batch.index[self.half :]]

    def compute(self) -> ByHand:
        options, step, half = self.options, self.step, self.half
        learned = ("embedder.backbone.", "embedder.neck.weight", "classifier.")
        moving = ("running_mean", "running_var", "num_batches_tracked")
        leaves = {
            name: value.clone().requires_grad_()
            for name, value in step.state.items()
            if name.startswith(learned) and not name.endswith(moving)
        }
        share = None
        if options["mix"] and step.epoch >= options["mix_from"]:
            share = np.random.default_rng((1, step.iteration)).beta(options["alpha"], options["alpha"])
        neck = self.neck(leaves, share)
        source, target = neck[:half], neck[half:]
        weight = leaves["classifier.weight"]
        labels = step.batch.labels[:half].tolist()
        losses, metrics = {}, {"memory filled": sum(self.filled) / len(self.filled)}
        if share is None:
            logits = [weight @ h for h in source]
            losses["identity"] = sum(map(cross_entropy, logits, labels), torch.zeros(())) / half
            right = [int(z.argmax()) == y for z, y in zip(logits, labels, strict=True)]
            metrics["accuracy"] = sum(right) / half
        else:
            each = [self.mixed(h, weight, y, j, share) for h, y, j in zip(source, labels, self.rows, strict=True)]
            losses["mixup"] = sum(each, torch.zeros(())) / half
        home, *other = ("intra", "inter") if options["neighbor_mode"] else ("agnostic",)
        own = "instance" if options["instance"] else home
        for name in (home, *other):
            if step.epoch >= options[name]["from_epoch"]:
                losses[name], told = self.neighbourhood(target, name)
                metrics |= told
        if step.epoch >= options[own]["from_epoch"]:
            losses[own] = losses.get(own, 0) + options[own]["weight"] * self.alone(target, home)
        sum(losses.values(), torch.zeros(())).backward()
        gradients = {name: leaf.grad for name, leaf in leaves.items() if leaf.grad is not None}
        told = {name: float(loss.detach()) for name, loss in losses.items()}
        return ByHand({**told, **metrics}, gradients, *self.written(target.detach()))

    def neck(self, leaves: dict[str, Tensor], share: float | None) -> Tensor:
        """Backbone with statistics of both halves, neck with those of each; or of chunks that are half and half."""
        images, half = self.step.batch.images, self.half
        if share is not None:
            blended = [share * images[k] + (1 - share) * images[half + k] for k in range(half)]
            images = torch.stack([*blended, *images[half:]])
        part = (self.options["ghost"] or 2 * half) // 2
        pairs = [list(range(start, start + part)) for start in range(0, half, part)]
        both = [[*chunk, *(half + k for k in chunk)] for chunk in pairs]
        layers = {name.removeprefix("embedder.backbone.layers."): leaf for name, leaf in leaves.items()}
        maps = F.conv2d(images, layers["0.weight"], stride=4, padding=1)
        maps = normalised(maps, both, layers["1.weight"], layers["1.bias"]).relu()
        maps = F.conv2d(maps, layers["3.weight"], stride=2, padding=1)
        pooled = normalised(maps, both, layers["4.weight"], layers["4.bias"]).relu().mean((2, 3))
        apart = [*pairs, *([half + k for k in chunk] for chunk in pairs)]
        if self.options["align"]:
            self.standing = self.aligned(pooled.detach(), leaves["embedder.neck.weight"].detach())
        return normalised(pooled, apart, leaves["embedder.neck.weight"])

    def aligned(self, pooled: Tensor, scale: Tensor) -> Tensor:
        """Every exemplar undone by what the neck knows of the target and done again by what it knows of the source."""
        means, deviations = [], []
        for name, rows in (("source_statistics.", pooled[: self.half]), ("", pooled[self.half :])):
            mean = 0.9 * self.step.state[f"embedder.neck.{name}running_mean"] + 0.1 * rows.mean(0)
            variance = 0.9 * self.step.state[f"embedder.neck.{name}running_var"] + 0.1 * rows.var(0)
            means.append(mean)
            deviations.append((variance + 1e-5).sqrt())
        found = []
        for row, length in zip(self.memory, self.lengths, strict=True):
            before_neck = length * row / scale * deviations[1] + means[1]
            after = scale * (before_neck - means[0]) / deviations[0]
            found.append(after / after.norm())
        return torch.stack(found)

    def mixed(self, h: Tensor, weight: Tensor, label: int, row: int, share: float) -> Tensor:
        """λ CE(z, y) + (1 − λ) CE(z, C), where the exemplar of the partner is class C."""
        logits = [weight[c] @ h for c in range(CLASSES)]
        if not self.filled[row]:
            return cross_entropy(torch.stack(logits), label)
        length = weight[label].detach().norm()
        others = []
        if self.options["negatives"]:
            close = (self.memory @ self.memory[row]).tolist()
            related = {row} | {j for name in ("intra", "inter") for j in self.near(close, row, name)}
            others = [j for j in range(len(self.memory)) if self.filled[j] and j not in related]
        logits += [(self.standing[j] @ h) * length for j in (row, *others)]
        z = torch.stack(logits)
        return share * cross_entropy(z, label) + (1 - share) * cross_entropy(z, CLASSES)

    def candidates(self, row: int, name: str) -> list[int]:
        """Rows that a sample is compared with under a term, its own among them unless they are of other cameras."""
        camera, here = self.cameras[row], [j for j in range(len(self.memory)) if self.filled[j]]
        if name == "agnostic":
            return here
        return [j for j in here if (self.cameras[j] == camera) == (name == "intra")]

    def near(self, similarities: list[float], row: int, name: str) -> list[int]:
        others = [j for j in self.candidates(row, name) if j != row]
        top = max((similarities[j] for j in others), default=math.inf)
        return [j for j in others if similarities[j] > self.options["neighbor_eps"] * top]

    def neighbourhood(self, target: Tensor, name: str) -> tuple[Tensor, dict[str, float]]:
        """The weighted loss of one term, and what is told of it."""
        options = self.options
        pulls, counts, tops, passed = [], [], [], 0
        for h, row in zip(target, self.rows, strict=True):
            similarities = self.memory @ (h / h.norm())
            values = similarities.tolist()
            rows, near = self.candidates(row, name), self.near(values, row, name)
            logs = self.logs(similarities, rows)
            counts.append(len(near))
            tops += [max(values[j] for j in rows if j != row)] if set(rows) - {row} else []
            if near:
                passes = sum(values[j] for j in near) / len(near) > options["gate"]
                passed += passes
                pulls.append(passes * -sum((logs[j] for j in near), torch.zeros(())) / len(near))
        loss = sum(pulls, torch.zeros(())) / max(1, len(pulls))
        told = {f"{name} neighbours": sum(counts) / len(counts), f"{name} top": sum(tops) / max(1, len(tops))}
        if options["gate"] > -1:
            told[f"{name} passed"] = passed / len(counts)
        return options[name]["weight"] * loss, told

    def alone(self, target: Tensor, name: str) -> Tensor:
        """−log p of the samples' own exemplars, among the candidates of a term."""
        alone = []
        for h, row in zip(target, self.rows, strict=True):
            rows = self.candidates(row, name)
            alone += [-self.logs(self.memory @ (h / h.norm()), rows)[row]] if row in rows else []
        return sum(alone, torch.zeros(())) / max(1, len(alone))

    def logs(self, similarities: Tensor, rows: Sequence[int]) -> dict[int, Tensor]:
        """log p of each of the rows."""
        scale, least = self.options["scale"], self.options["clamp"]
        total = sum(((scale * similarities[j]).exp() for j in rows), torch.zeros(()))
        return {j: ((scale * similarities[j]).exp() / total).clamp(least).log() for j in rows}

    def written(self, target: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        memory, lengths, filled = self.memory.clone(), self.lengths.clone(), list(self.filled)
        momentum = 0.0 if self.step.epoch <= self.options["overwrite_until"] else self.options["momentum"]
        for row in set(self.rows):
            units = [h / h.norm() for h, j in zip(target, self.rows, strict=True) if j == row]
            mean = sum(units, torch.zeros(())) / len(units)
            new = momentum * memory[row] + (1 - momentum) * mean if filled[row] else mean
            memory[row], filled[row] = new / new.norm(), True
            lengths[row] = torch.stack([h.norm() for h, j in zip(target, self.rows, strict=True) if j == row]).mean()
        return memory, lengths, torch.tensor(filled)


OTHERS = {"mix_from": 3, "alpha": 2.0, "neighbor_eps": 0.4, "scale": 3.0, "momentum": 0.2, "overwrite_until": 2}
CASES: dict[str, tuple[dict[str, Any], int]] = {
    "as published": (STAGED, 1),
    "whatever the camera": (AGNOSTIC, 1),
    "without mixup": ({**STAGED, "mix": False}, 1),
    "ghost batches": ({**STAGED, "ghost": 8}, 1),
    "a clamp and a gate": ({**STAGED, "clamp": 0.6, "gate": 0.45}, 1),
    "negative prototypes": ({**STAGED, "negatives": 100}, 1),  # more than there are: all of them
    "the instance apart": ({**STAGED, "instance": {"weight": 0.8, "from_epoch": 4}, "gate": 0.45}, 1),
    "aligned": ({**STAGED, "statistics": "both", "align": True, "negatives": 100}, 1),
    "in parts": ({**STAGED, "sharded": True}, 1),
    "other numbers": ({**STAGED, **OTHERS}, 1),
    "from an empty memory": (STAGED, 4),
}


@pytest.mark.parametrize("case", CASES)
def test_whole_steps_by_hand(case: str) -> None:
    """Losses, gradients and memory of every step of five epochs: each stage of the curriculum, one after another."""
    options, begin = CASES[case]
    method = cail({**options, "diagnose_every": 1})
    steps = trained(method, 5, begin)
    assert len(steps) == 2 * (6 - begin)
    for step in steps:
        expected = Again(step, options).compute()
        right = {name for name in step.output if name.endswith(" right")}
        assert step.output.keys() - right == expected.told.keys()
        assert right == {f"{name} right" for name in method.terms() if name != "instance"}
        for name, value in expected.told.items():
            assert float(step.output[name]) == pytest.approx(value, rel=1e-6), (step.iteration, name)
        assert step.gradients.keys() == expected.gradients.keys()
        for name, gradient in expected.gradients.items():
            torch.testing.assert_close(step.gradients[name], gradient, rtol=1e-5, atol=1e-7, msg=name)
        assert step.memory is not None
        assert step.filled is not None
        torch.testing.assert_close(step.memory, expected.memory, rtol=0, atol=1e-7)  # the momentum is a float32
        assert step.lengths is not None
        torch.testing.assert_close(step.lengths, expected.lengths, rtol=1e-6, atol=1e-6)
        assert torch.equal(step.filled, expected.filled)


def test_the_curriculum() -> None:
    names = [sorted(step.output) for step in trained(cail({**STAGED, "diagnose_every": 0}), 4)][::2]
    intra, inter = ["intra", "intra neighbours", "intra top"], ["inter", "inter neighbours", "inter top"]
    assert names[0] == ["accuracy", "identity", "memory filled"]
    assert names[1] == ["memory filled", "mixup"]
    assert names[2] == [*intra, "memory filled", "mixup"]
    assert names[3] == sorted([*intra, *inter, "memory filled", "mixup"])


def test_nothing_of_the_neighbourhood_is_computed_while_it_is_off(monkeypatch: pytest.MonkeyPatch) -> None:
    def called(*_: Any) -> Any:
        raise AssertionError("computed for nothing")

    method = cail({**STAGED, "diagnose_every": 0})
    monkeypatch.setattr(ExemplarMemory, "read", called)
    monkeypatch.setattr(neighbourhood._Answers, "apply", called)
    trained(method, 2)
    with pytest.raises(AssertionError, match="for nothing"):
        trained(method, 3, 3)


def test_the_diagnosis_changes_nothing() -> None:
    runs = []
    for every in (0, 1):
        method = cail({**STAGED, "diagnose_every": every})
        trained(method, 4)
        runs.append(method.state_dict())
    assert all(torch.equal(value, runs[1][name]) for name, value in runs[0].items())


@pytest.mark.parametrize("epoch", [1, 4])
def test_the_source_leaves_no_trace_in_the_necks_statistics(epoch: int) -> None:
    """A backbone without statistics shows what the neck's are taken over; mixing blends the first half only."""
    [batch] = batches(SEEN[:1])
    noise = torch.cat([100 * torch.randn_like(batch.images[:HALF]), batch.images[HALF:]])
    states = []
    for images in (batch.images, noise):
        method = cail(STAGED, "plain")
        pooled = method.embedder.pooled(batch.images[HALF:]).detach()
        trained(method, epoch, epoch, [batch.with_images(images)])
        states.append(method.state_dict())
        neck = method.embedder.neck
        assert neck.running_mean is not None
        torch.testing.assert_close(neck.running_mean, 0.1 * pooled.mean(0))
        assert int(neck.num_batches_tracked) == 1  # type: ignore[arg-type]
    names = [name for name in states[0] if "running" in name or name.startswith("memory.")]
    assert "embedder.neck.running_var" in names
    assert [name for name in names if not torch.equal(states[0][name], states[1][name])] == []
    assert not torch.equal(states[0]["classifier.weight"], states[1]["classifier.weight"])


def test_labels_of_the_target_are_not_looked_at() -> None:
    states = []
    for seed in (None, 3):
        method = cail(STAGED)
        seen = batches()
        if seed is not None:
            random = torch.Generator().manual_seed(seed)
            told = [torch.randint(CLASSES, (HALF,), generator=random) for _ in seen]
            seen = [replace(b, labels=torch.cat([b.labels[:HALF], t])) for b, t in zip(seen, told, strict=True)]
        trained(method, 4, 1, seen)
        states.append(method.state_dict())
    assert all(torch.equal(value, states[1][name]) for name, value in states[0].items())


def test_negatives_are_drawn_by_seed_and_iteration() -> None:
    def run(begin: int, state: dict[str, Tensor] | None = None) -> list[Step]:
        method = cail({**STAGED, "negatives": 2})
        if state is not None:
            method.load_state_dict(state)
        return trained(method, 3, begin)

    whole = run(1)
    rest = run(3, whole[4].state)
    assert [float(step.output["mixup"]) for step in whole[4:]] == [float(step.output["mixup"]) for step in rest]


def test_terms_follow_the_mode() -> None:
    assert set(cail().terms()) == {"intra", "inter"}
    assert set(cail({"neighbor_mode": 0}).terms()) == {"agnostic"}
    assert [cail().terms()["intra"].at(epoch) for epoch in (10, 11, 70)] == [0.0, 1.0, 1.0]
    assert [cail().terms()["inter"].at(epoch) for epoch in (30, 31, 70)] == [0.0, 0.5, 0.5]
    assert [cail({"neighbor_mode": 0}).terms()["agnostic"].at(epoch) for epoch in (10, 11, 70)] == [0.0, 0.1, 0.1]


def test_only_cameras_that_are_looked_at_are_needed() -> None:
    assert METHODS["cail"].needs_cameras(configured().options)
    assert not METHODS["cail"].needs_cameras(configured({"neighbor_mode": 0}).options)


def test_one_key_of_a_term_leaves_its_others_as_published() -> None:
    given = {"inter": {"from_epoch": 5}, "intra": {"weight": 2.0}, "agnostic": {"from_epoch": 2}}
    terms: Any = configured(given).options
    assert (terms.inter.weight, terms.inter.from_epoch) == (0.5, 5)
    assert (terms.intra.weight, terms.intra.from_epoch) == (2.0, 11)
    assert (terms.agnostic.weight, terms.agnostic.from_epoch) == (0.1, 2)


def test_optimizers_hold_every_parameter_once() -> None:
    method = cail()
    [recipe] = method.optimizers().values()
    backbone, new = recipe.groups
    assert (backbone.pretrained, new.pretrained) == (True, False)
    assert {id(p) for p in backbone.parameters} == {id(p) for p in method.embedder.backbone.parameters()}
    held = [id(p) for group in recipe.groups for p in group.parameters]
    assert len(held) == len(set(held))
    assert set(held) == {id(p) for p in method.parameters()}
    assert "classifier.bias" not in method.state_dict()
    assert not method.embedder.neck.bias.requires_grad


@pytest.mark.parametrize("options", [{}, {"ghost": 8}, {"statistics": "both"}])
def test_the_evaluation_network_has_no_classifier_and_no_memory(options: dict[str, Any]) -> None:
    state = build_embedder(configured(options)).state_dict()
    names = {name for name in cail(options).state_dict() if name.startswith("embedder.")}
    assert {f"embedder.{name}" for name in state} == names
    assert not any("classifier" in name or "memory" in name for name in names)


@pytest.mark.parametrize("level", ["O0", "O1", "O2"])
def test_half_precision_leaves_losses_and_memory_in_float32(level: str) -> None:
    method = cail({**STAGED, "negatives": 2}).float()
    amp = Amp(level, torch.bfloat16, CPU)
    trainer, _ = trainer_of(method, amp, config_of(optimizer={"lr": 0.01}))
    for handler in method.handlers(view_of()):
        handler.attach(trainer)
    seen = [b.with_images(b.images.float()) for b in batches()]
    found: list[dict[str, Tensor]] = []
    trainer.add_event_handler(Events.ITERATION_COMPLETED, lambda engine: found.append(dict(engine.state.output)))
    trainer.run(seen, max_epochs=4)
    assert {"identity", "mixup", "intra", "inter"} <= {name for output in found for name in output}
    for output in found:
        assert all(value.isfinite() for value in output.values())
        assert all(output[name].dtype == torch.float32 for name in ("identity", "mixup", "intra") if name in output)
    assert method.memory.rows.dtype == torch.float32
    lengths = method.memory.rows[method.memory.filled].norm(dim=1)
    torch.testing.assert_close(lengths, torch.ones_like(lengths), rtol=0, atol=1e-6)


def test_the_mixed_share_is_for_every_row() -> None:
    step = trained(cail({"diagnose_every": 0}), 2)[-1]
    assert step.given is not None
    assert step.given.extras[SHARE].shape == (2 * HALF,)
    assert len(set(step.given.extras[SHARE].tolist())) == 1


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"mixup": True}, "options.mixup: unknown key"),
        ({"neighbour_eps": 0.8}, "options.neighbour_eps: unknown key, did you mean 'neighbor_eps'"),
        ({"mix_from": 1}, "options.mix_from"),
        ({"alpha": 0}, "options.alpha"),
        ({"neighbor_mode": 2}, "options.neighbor_mode"),
        ({"neighbor_eps": 0}, "options.neighbor_eps"),
        ({"neighbor_eps": 1.0}, "options.neighbor_eps"),
        ({"scale": 0}, "options.scale"),
        ({"momentum": 1}, "options.momentum"),
        ({"momentum": -0.1}, "options.momentum"),
        ({"overwrite_until": -1}, "options.overwrite_until"),
        ({"intra": {"weight": -1}}, "options.intra.weight"),
        ({"inter": {"from": 3}}, "options.inter.from: unknown key"),
        ({"agnostic": {"from_epoch": 0}}, "options.agnostic.from_epoch"),
        ({"clamp": 0}, "options.clamp"),
        ({"clamp": 1.0}, "options.clamp"),
        ({"ghost": 2}, "options.ghost"),
        ({"diagnose_every": -1}, "options.diagnose_every"),
        ({"gate": 1.0}, "options.gate"),
        ({"negatives": -1}, "options.negatives"),
        ({"align": True}, "set statistics to both"),
        ({"negatives": 2, "mix": False}, "negatives and align are of mixup"),
        ({"intra": {"until_epoch": 3}}, "until_epoch 3 is before from_epoch 11"),
        ({"sharded": True, "sync": False}, "sharded spreads one memory"),
        ({"sharded": True, "negatives": 2}, "sharded leaves each process a part"),
    ],
    ids=str,
)
def test_options_are_checked(options: dict[str, Any], said: str) -> None:
    with pytest.raises(UserError, match=said):
        configured(options)
