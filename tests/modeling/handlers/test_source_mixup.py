"""Who is blended with whom, by how much, and that it can be drawn again."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from ignite.engine import Events
from torch import Tensor

from common.contracts import Batch
from modeling.handlers.cross_domain_mixup import SHARE
from modeling.handlers.source_mixup import PARTNER, SourceMixup, blended, partners
from modeling.methods.method import Stage
from tests.engine.toys import batch_of, engine_of

DATASET = torch.tensor([0, 1, 2, 0, 1, 2, 0, 1, 1, 1])
"""Of ten rows of a training set."""


def given(begin: int, epochs: int, dataset: Tensor = DATASET, seed: int = 1, length: int = 3) -> list[Batch]:
    """Every batch of an engine whose stages are those of training."""
    engine, found = engine_of(), []
    seen = [replace(batch_of(8, n), index=(torch.arange(8) + n) % len(dataset)) for n in range(length)]

    def stage(engine: Any) -> None:
        state = engine.state
        state.stage = Stage(state.epoch, epochs, state.iteration, {}, np.random.default_rng((seed, state.iteration)))

    engine.add_event_handler(Events.ITERATION_STARTED, stage)
    SourceMixup(dataset, alpha=0.6, from_epoch=2).attach(engine)
    engine.add_event_handler(Events.ITERATION_COMPLETED, lambda engine: found.append(engine.state.batch))
    engine.load_state_dict({"iteration": (begin - 1) * length, "epoch_length": length, "max_epochs": epochs})
    engine.run(seen, max_epochs=epochs, epoch_length=length)
    return found


@pytest.mark.parametrize("seed", range(5))
def test_a_partner_is_the_best_of_another_dataset(seed: int) -> None:
    random = torch.Generator().manual_seed(seed)
    dataset, keys = torch.randint(3, (9,), generator=random), torch.rand(9, 9, generator=random)
    for k, partner in enumerate(partners(dataset, keys).tolist()):
        others = [j for j in range(9) if dataset[j] != dataset[k]]
        assert partner == max(others, key=lambda j: float(keys[k, j]))


def test_where_all_are_of_one_dataset_nothing_is_blended() -> None:
    partner = partners(torch.ones(4, dtype=torch.int64), torch.rand(4, 4))
    assert partner.tolist() == [0, 1, 2, 3]
    batch = batch_of(4)
    whole = blended(batch, 0.3, partner)
    assert torch.equal(whole.images, batch.images)
    assert whole.extras[SHARE].tolist() == [1.0] * 4


def test_every_picture_is_blended_with_its_partner() -> None:
    batch, partner = batch_of(4), torch.tensor([2, 1, 3, 0])
    half = blended(batch, 0.3, partner)
    for k in (0, 2, 3):
        expected = 0.3 * batch.images[k] + 0.7 * batch.images[partner[k]]
        torch.testing.assert_close(half.images[k], expected)
    assert torch.equal(half.images[1], batch.images[1])
    assert half.extras[SHARE].tolist() == pytest.approx([0.3, 1.0, 0.3, 0.3])
    assert torch.equal(half.extras[PARTNER], partner)
    assert half.labels is batch.labels


def test_partners_and_shares_depend_on_seed_and_iteration_alone() -> None:
    whole, rest, other = given(1, 4), given(3, 4), given(1, 4, seed=2)
    assert all(not batch.extras for batch in whole[:3]), "epoch 1"
    for left, right in zip(whole[6:], rest, strict=True):
        assert torch.equal(left.images, right.images)
        assert torch.equal(left.extras[PARTNER], right.extras[PARTNER])
    assert any(not torch.equal(left.images, right.images) for left, right in zip(whole[3:], other[3:], strict=True))
    for batch in whole[3:]:
        partner = batch.extras[PARTNER]
        assert bool((DATASET[batch.index] != DATASET[batch.index[partner]]).all())
    drawn = {tuple(batch.extras[PARTNER].tolist()) for batch in whole[3:]}
    assert len(drawn) > 1
