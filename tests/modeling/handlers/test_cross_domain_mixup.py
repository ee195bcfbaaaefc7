"""Which epochs are mixed, of what, and by how much."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from ignite.engine import Events
from torch import Tensor

import modeling.handlers.cross_domain_mixup as module
from common.contracts import Batch
from modeling.handlers.cross_domain_mixup import SHARE, CrossDomainMixup, mixed
from modeling.methods.method import Stage
from tests.engine.toys import batch_of, engine_of


def shares(begin: int, epochs: int, length: int = 3, alpha: float = 0.6, seed: int = 1) -> list[float | None]:
    """The λ of every iteration from epoch `begin` on, of an engine whose stages are those of training."""
    engine, found = engine_of(), []

    def stage(engine: Any) -> None:
        state = engine.state
        state.stage = Stage(state.epoch, epochs, state.iteration, {}, np.random.default_rng((seed, state.iteration)))

    def look(engine: Any) -> None:
        extras = engine.state.batch.extras
        found.append(float(extras[SHARE][0]) if SHARE in extras else None)

    engine.add_event_handler(Events.ITERATION_STARTED, stage)
    CrossDomainMixup(alpha, from_epoch=2).attach(engine)
    engine.add_event_handler(Events.ITERATION_COMPLETED, look)
    engine.load_state_dict({"iteration": (begin - 1) * length, "epoch_length": length, "max_epochs": epochs})
    engine.run([batch_of(8, seed) for seed in range(length)], max_epochs=epochs, epoch_length=length)
    return found


def test_the_first_half_is_blended_with_its_partners() -> None:
    batch = replace(batch_of(8), extras={"masks": torch.ones(8)})
    half = mixed(batch, 0.3)
    for k in range(4):
        torch.testing.assert_close(half.images[k], 0.3 * batch.images[k] + 0.7 * batch.images[4 + k])
        assert torch.equal(half.images[4 + k], batch.images[4 + k])
    assert half.extras.keys() == {"masks", SHARE}
    assert half.extras[SHARE].dtype == torch.float32
    assert half.extras[SHARE].tolist() == pytest.approx([0.3] * 8)
    for name in ("labels", "camids", "clothes", "index", "domain", "geometry"):
        assert getattr(half, name) is getattr(batch, name)
    assert SHARE not in batch.extras


def test_the_ends_are_the_pictures_themselves() -> None:
    batch = batch_of(8)
    assert torch.equal(mixed(batch, 1.0).images, batch.images)
    assert torch.equal(mixed(batch, 0.0).images[:4], batch.images[4:])


def test_nothing_is_mixed_before_its_epoch(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[float] = []

    def spy(batch: Batch, share: float) -> Batch:
        calls.append(share)
        return batch

    monkeypatch.setattr(module, "mixed", spy)
    assert shares(1, 1) == [None] * 3
    assert calls == []
    shares(1, 2)
    assert len(calls) == 3


def test_the_share_depends_on_seed_and_iteration_alone() -> None:
    whole = shares(1, 4)
    assert whole[:3] == [None] * 3
    told = [np.random.default_rng((1, iteration)).beta(0.6, 0.6) for iteration in range(4, 13)]
    assert whole[3:] == pytest.approx(told, rel=1e-6)
    assert len(set(whole[3:])) == 9
    assert shares(3, 4) == whole[6:], "a resumed run goes on with them"
    assert shares(1, 4, seed=2)[3:] != whole[3:]


@pytest.mark.parametrize("alpha", [0.6, 4.0])
def test_shares_follow_the_beta_distribution(alpha: float) -> None:
    """Its variance is 1 / (4 (2 α + 1)), and a share may be small: it is not made to favour the source."""
    drawn = torch.tensor([share for share in shares(2, 2, length=600, alpha=alpha) if share is not None])
    assert len(drawn) == 600
    assert float(drawn.mean()) == pytest.approx(0.5, abs=0.05)
    assert float(drawn.var()) == pytest.approx(1 / (4 * (2 * alpha + 1)), rel=0.2)
    assert float(drawn.min()) < 0.2


def test_no_gradient_is_needed_for_the_pictures() -> None:
    images: Tensor = mixed(batch_of(4), 0.5).images
    assert not images.requires_grad
