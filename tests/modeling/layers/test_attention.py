"""Tokens and attention against loops over heads and tokens."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from common.errors import UserError
from modeling.layers.attention import TokenNorm, attend, heads_of, tokens_of


def attended(queries: Tensor, keys: Tensor, values: Tensor, heads: int) -> Tensor:
    """Picture by picture, head by head, query by query."""
    width = queries.shape[2] // heads
    out = []
    for q, k, v in zip(queries, keys, values, strict=True):
        rows = []
        for n in range(len(q)):
            parts = []
            for head in range(heads):
                own = slice(head * width, (head + 1) * width)
                scores = torch.stack([(q[n, own] * k[m, own]).sum() / math.sqrt(width) for m in range(len(k))])
                shares = scores.exp() / scores.exp().sum()
                parts.append(sum((shares[m] * v[m, own] for m in range(len(k))), torch.zeros(width, dtype=q.dtype)))
            rows.append(torch.cat(parts))
        out.append(torch.stack(rows))
    return torch.stack(out)


def test_attention_and_its_gradients_are_the_loops() -> None:
    random = torch.Generator().manual_seed(0)
    q, k, v = (torch.randn(2, n, 12, generator=random, dtype=torch.float64, requires_grad=True) for n in (4, 5, 5))
    towards = torch.randn(2, 4, 12, generator=random, dtype=torch.float64)
    fast, slow = attend(q, k, v, heads=3), attended(q, k, v, heads=3)
    torch.testing.assert_close(fast, slow, rtol=1e-6, atol=1e-9)
    gradients = [torch.autograd.grad((out * towards).sum(), (q, k, v)) for out in (fast, slow)]
    for one, other in zip(*gradients, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-6, atol=1e-9)


def test_two_directions_share_their_scores() -> None:
    """`attend(a, b, ·)` weighs by S, `attend(b, a, ·)` by its transpose: with one-hot values the weights come out."""
    random = torch.Generator().manual_seed(0)
    a, b = (torch.randn(1, 6, 6, generator=random, dtype=torch.float64) for _ in range(2))
    one = torch.eye(6, dtype=torch.float64)[None]
    scores = a[0] @ b[0].T / math.sqrt(6)
    torch.testing.assert_close(attend(a, b, one, 1)[0], scores.softmax(1))
    torch.testing.assert_close(attend(b, a, one, 1)[0], scores.T.softmax(1))


def test_tokens_go_row_by_row() -> None:
    maps = torch.arange(2 * 3 * 4 * 5).view(2, 3, 4, 5)
    tokens = tokens_of(maps)
    assert tokens.shape == (2, 20, 3)
    for y in range(4):
        for x in range(5):
            assert torch.equal(tokens[:, 5 * y + x], maps[:, :, y, x])


@pytest.mark.parametrize(("channels", "heads"), [(2048, 32), (512, 8), (64, 1), (32, 1), (1024, 16)])
def test_heads_of_64(channels: int, heads: int) -> None:
    assert heads_of(channels) == heads


def test_channels_that_are_no_heads() -> None:
    with pytest.raises(UserError, match="193 channels cannot be divided into heads of 64"):
        heads_of(193)


def test_normalisation_token_by_token() -> None:
    norm = TokenNorm(6).double()
    with torch.no_grad():
        norm.weight.normal_()
        norm.bias.normal_()
    tokens = torch.randn(2, 3, 6, dtype=torch.float64)
    for one, given in zip(norm(tokens).flatten(0, 1), tokens.flatten(0, 1), strict=True):
        centred = given - given.mean()
        expected = centred / ((centred**2).mean() + 1e-6).sqrt() * norm.weight + norm.bias
        torch.testing.assert_close(one, expected)


def test_normalisation_is_float32() -> None:
    tokens = 300 + torch.randn(2, 3, 64)
    with torch.autocast("cpu", torch.bfloat16):
        out = TokenNorm(64)(tokens)
    assert out.dtype == torch.float32
    torch.testing.assert_close(out, TokenNorm(64)(tokens))
    assert TokenNorm(64)(tokens.bfloat16()).dtype == torch.float32
