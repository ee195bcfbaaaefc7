"""Intersection over union against sets of cells."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from common.errors import UserError
from data.street.part_truth import CLASSES, NOT_COUNTED
from engine.part_agreement import SCORES, Agreement, lines


def test_scores_are_those_of_sets_of_cells() -> None:
    random = np.random.default_rng(0)
    truth = random.choice([0, 1, 2, 3, NOT_COUNTED], (7, 6, 4)).astype(np.uint8)
    found = random.integers(0, 4, (7, 6, 4)).astype(np.uint8)
    found[truth == 2] = 2
    agreement = Agreement()
    agreement.add(torch.from_numpy(found[:3]), truth[:3])
    agreement.add(torch.from_numpy(found[3:]), truth[3:])
    assert agreement.pictures == 7
    scores = agreement.scores()
    assert tuple(scores) == SCORES == ("mean", "head", "torso", "legs", "background")
    each = {}
    for part, name in enumerate(CLASSES):
        there, said = set(), set()
        for cell in np.ndindex(truth.shape):
            if truth[cell] != NOT_COUNTED:
                there |= {cell} if truth[cell] == part else set()
                said |= {cell} if found[cell] == part else set()
        each[name] = len(there & said) / len(there | said)
        assert scores[name] == pytest.approx(each[name], abs=1e-12)
    assert scores["mean"] == pytest.approx((each["head"] + each["torso"] + each["legs"]) / 3, abs=1e-12)
    assert len({round(value, 6) for value in scores.values()}) == 5


def test_cells_are_summed_before_they_are_divided() -> None:
    """One picture shows a head of 1 cell and all of it was found, the other one of 9 and nothing was found."""
    truth = np.array([[1, 2, 3, 0, 0, 0, 0, 0, 0, 0, 0, 0], [1] * 9 + [2, 3, 0]], np.uint8)[:, None]
    found = truth.copy()
    found[1, 0, :9] = 0
    agreement = Agreement()
    agreement.add(torch.from_numpy(found), truth)
    assert agreement.scores()["head"] == pytest.approx(1 / 10)
    assert agreement.scores()["torso"] == 1.0
    assert list(lines(agreement.scores()))[:3] == ["mean          70.0", "head          10.0", "torso        100.0"]


def test_a_part_that_is_nowhere() -> None:
    agreement = Agreement()
    agreement.add(torch.ones(1, 1, 3, dtype=torch.uint8), np.array([[[0, 2, NOT_COUNTED]]], np.uint8))
    with pytest.raises(UserError, match="no cell of 1 pictures shows head or legs"):
        agreement.scores()
    agreement.add(torch.tensor([[[0, 1, 3]]]), np.array([[[1, 1, 3]]], np.uint8))
    assert agreement.scores()["torso"] == 0.0


def test_no_background_anywhere_is_agreement() -> None:
    agreement = Agreement()
    agreement.add(torch.tensor([[[1, 2, 3]]]), np.array([[[1, 2, 3]]], np.uint8))
    assert agreement.scores()["background"] == 1.0
