"""Every product that says it works here is right, and the choice is one of them."""

from __future__ import annotations

import pytest
import torch

from common.errors import UserError
from retrieval.streaming import products
from retrieval.streaming.products import available, fastest, product


@pytest.mark.parametrize("name", available())
@pytest.mark.parametrize("shape", [(1, 1, 1), (3, 200, 70), (65, 17, 129)])
def test_equals_float64(name: str, shape: tuple[int, int, int]) -> None:
    queries, items, width = shape
    generator = torch.Generator().manual_seed(0)
    left, right = torch.randn(queries, width, generator=generator), torch.randn(items, width, generator=generator)
    kind = product(name)
    packed = kind.pack(right)
    for _ in range(2):
        scores = kind.multiply(left, packed)
        assert scores.dtype == torch.float32
        torch.testing.assert_close(scores.double(), left.double() @ right.double().T, rtol=0, atol=1e-4)
        scores.fill_(torch.nan)  # the caller may write to it: the next result must not notice


def test_the_choice_is_there() -> None:
    assert "torch" in available()
    assert fastest() in available()


def test_one_that_is_broken_is_not_offered(monkeypatch: pytest.MonkeyPatch) -> None:
    class Wrong(products.Torch):
        name = "wrong"

        def multiply(self, left: torch.Tensor, packed: torch.Tensor) -> torch.Tensor:
            return super().multiply(left, packed) + 0.01

    class Absent(products.Torch):
        name = "absent"

        def pack(self, right: torch.Tensor) -> torch.Tensor:
            packed: torch.Tensor = torch.ops.mkldnn.no_such_operator(right)
            return packed

    monkeypatch.setattr(products, "_ALL", {"wrong": Wrong, "absent": Absent, "torch": products.Torch})
    available.cache_clear()
    try:
        assert available() == ("torch",)
        with pytest.raises(UserError, match="unknown product on this machine 'wrong'"):
            product("wrong")
        with pytest.raises(UserError, match="unknown product 'trch', did you mean 'torch'"):
            product("trch")
    finally:
        available.cache_clear()
