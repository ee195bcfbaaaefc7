"""The share of right neighbours against a loop, and that looking changes nothing."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from common.events import ReIDEvents
from modeling.handlers.memory_write import FEATURES, ROWS
from modeling.handlers.neighbour_precision import NeighbourPrecision
from modeling.losses.neighbourhood import Mode, NeighbourhoodLoss
from modeling.memory import ExemplarMemory
from modeling.methods.method import Update
from tests.engine.toys import Scripted, trainer_of

CAMERAS = torch.tensor([0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 0])
HIDDEN = torch.tensor([0, 0, 1, 1, 0, 1, 1, 2, -1, 0, 2, 0])
ROWS_SEEN = torch.tensor([0, 5, 10, 2, 9])


def memory_of() -> ExemplarMemory:
    """12 rows in 3 cameras, the last of them not filled."""
    random = torch.Generator().manual_seed(3)
    memory = ExemplarMemory(CAMERAS, 6)
    rows = torch.arange(11)
    looks = torch.randn(3, 6, generator=random)[HIDDEN[:11]]  # who is who shows, with some noise
    memory.write(looks + 0.9 * torch.randn(11, 6, generator=random), rows, 0.0)
    return memory


def features_of(seed: int = 5) -> Tensor:
    random = torch.Generator().manual_seed(seed)
    return 4 * (memory_of().rows[ROWS_SEEN] + 0.3 * torch.randn(5, 6, generator=random))


def engine_with(features: Tensor | None, iteration: int = 4) -> Any:
    trainer, _ = trainer_of(Scripted(lambda *_: iter(())))
    state: Any = trainer.state
    kept = {} if features is None else {FEATURES: features, ROWS: ROWS_SEEN}
    state.iteration = iteration
    state.update = Update({"intra": torch.ones(())}, metrics={"other": torch.zeros(())}, kept=kept)
    return trainer


def told(mode: Mode, hidden: Tensor = HIDDEN, eps: float = 0.5) -> dict[str, float]:
    engine = engine_with(features_of())
    NeighbourPrecision(memory_of(), NeighbourhoodLoss(mode, eps=eps), hidden, CAMERAS, every=2)(engine)
    metrics = dict(engine.state.update.metrics)
    assert float(metrics.pop("other")) == 0
    return {name: float(value) for name, value in metrics.items()}


def by_hand(term: str, hidden: Tensor, eps: float) -> float:
    """Where both are known: of all neighbours of all samples, how many have the sample's identity."""
    rows, cameras, right, known = memory_of().rows, CAMERAS.tolist(), 0, 0
    for feature, own in zip(features_of(), ROWS_SEEN.tolist(), strict=True):
        similarity = {}
        for j in range(11):
            asked = {"intra": cameras[j] == cameras[own], "inter": cameras[j] != cameras[own], "agnostic": True}
            if j != own and asked[term]:
                similarity[j] = float(F.normalize(feature, dim=0) @ rows[j])
        for j, value in similarity.items():
            if value > eps * max(similarity.values()) and hidden[j] != -1 and hidden[own] != -1:
                known += 1
                right += int(hidden[j] == hidden[own])
    return right / max(1, known)


@pytest.mark.parametrize(("mode", "terms"), [("camera", ("intra", "inter")), ("agnostic", ("agnostic",))])
@pytest.mark.parametrize("eps", [0.3, 0.8])
def test_against_a_loop(mode: Mode, terms: Sequence[str], eps: float) -> None:
    found = told(mode, eps=eps)
    assert found == pytest.approx({f"{term} right": by_hand(term, HIDDEN, eps) for term in terms})


def test_some_are_right_and_some_are_not() -> None:
    assert 0 < told("agnostic", eps=0.3)["agnostic right"] < 1


def test_truth_and_nonsense() -> None:
    everyone, no_one = torch.zeros(12, dtype=torch.int64), torch.arange(12)
    assert told("camera", everyone) == {"intra right": 1.0, "inter right": 1.0}
    assert told("camera", no_one) == {"intra right": 0.0, "inter right": 0.0}


def test_only_now_and_then() -> None:
    for every, looked in ((1, [1, 2, 3, 4, 5, 6]), (3, [3, 6])):
        precision = NeighbourPrecision(memory_of(), NeighbourhoodLoss(), HIDDEN, CAMERAS, every)
        found = []
        for iteration in range(1, 7):
            engine = engine_with(features_of(), iteration)
            precision(engine)
            found += [iteration] if "intra right" in engine.state.update.metrics else []
        assert found == looked


def test_neither_memory_nor_losses_change() -> None:
    memory, features = memory_of(), features_of().requires_grad_()
    before = {name: value.clone() for name, value in memory.state_dict().items()}
    engine = engine_with(features)
    old = engine.state.update
    NeighbourPrecision(memory, NeighbourhoodLoss(), HIDDEN, CAMERAS, every=1)(engine)
    new = engine.state.update
    assert all(torch.equal(value, before[name]) for name, value in memory.state_dict().items())
    assert new.losses is old.losses
    assert new.kept is old.kept
    assert new.optimizers == old.optimizers
    assert not any(value.requires_grad for value in new.metrics.values())


def test_an_update_without_features_is_left_alone() -> None:
    engine = engine_with(None)
    update = engine.state.update
    NeighbourPrecision(memory_of(), NeighbourhoodLoss(), HIDDEN, CAMERAS, every=1)(engine)
    assert engine.state.update is update


@pytest.mark.parametrize("known", [True, False])
def test_where_nobody_knows_it_does_not_look(known: bool) -> None:
    trainer, _ = trainer_of(Scripted(lambda *_: iter(())))
    hidden = HIDDEN if known else torch.full_like(HIDDEN, -1)
    handler = NeighbourPrecision(memory_of(), NeighbourhoodLoss(), hidden, CAMERAS, every=1)
    handler.attach(trainer)
    assert trainer.has_event_handler(handler, ReIDEvents.LOSSES_COMPUTED) == known


def test_a_sample_whose_identity_nobody_knows_does_not_count() -> None:
    """Its neighbours are neither right nor wrong."""
    hidden = torch.where(torch.arange(12) == 5, -1, HIDDEN)
    found = told("agnostic", hidden, eps=0.3)
    assert found == pytest.approx({"agnostic right": by_hand("agnostic", hidden, 0.3)})
