"""A digest changes with whatever tells two sets of tensors apart, and with nothing else."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from common.fingerprints import digest_of

WEIGHTS = {"a": torch.tensor([[1.0, 2.0]]), "b": torch.tensor(3)}


@pytest.mark.parametrize(
    "other",
    [
        {"a": torch.tensor([[1.0, 2.0]])},
        {"a": torch.tensor([[1.0, 2.0 + 2**-22]]), "b": torch.tensor(3)},
        {"a": torch.tensor([[1.0], [2.0]]), "b": torch.tensor(3)},
        {"a": torch.tensor([[1.0, 2.0]]), "c": torch.tensor(3)},
        {"a": torch.tensor([[1.0, 2.0]]), "b": torch.tensor(3, dtype=torch.int32)},
        {"a": torch.tensor([[1.0, 2.0]]), "b": torch.tensor(4)},
    ],
)
def test_other_tensors(other: dict[str, Tensor]) -> None:
    assert digest_of(other) != digest_of(WEIGHTS)


def test_the_same_tensors() -> None:
    turned = {"b": WEIGHTS["b"].clone(), "a": torch.tensor([[1.0], [2.0]]).T.requires_grad_()}
    assert digest_of(turned) == digest_of(WEIGHTS)
    assert digest_of(WEIGHTS, "beside") != digest_of(WEIGHTS)
