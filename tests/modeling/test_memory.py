"""The exemplar memory: what it reads, what it writes, and that all processes write the same."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from modeling.memory import ExemplarMemory


def memory_of(rows: int, channels: int = 4, dtype: torch.dtype = torch.float32) -> ExemplarMemory:
    return ExemplarMemory(torch.arange(rows) % 3, channels).to(dtype)


def filled_memory(rows: int, channels: int = 4, seed: int = 0) -> ExemplarMemory:
    memory = memory_of(rows, channels)
    generator = torch.Generator().manual_seed(seed)
    memory.write(torch.randn(rows, channels, generator=generator), torch.arange(rows), 0.0)
    return memory


def naive_write(memory: ExemplarMemory, features: Tensor, rows: list[int], momentum: float) -> Tensor:
    """Row by row, from lists."""
    written = memory.rows.double()
    for row in sorted(set(rows)):
        mine = [features[k].double() / features[k].double().norm() for k in range(len(rows)) if rows[k] == row]
        kept = momentum if memory.filled[row] else 0.0
        moved = kept * written[row] + (1 - kept) * sum(mine[1:], mine[0]) / len(mine)
        written[row] = moved / moved.norm()
    return written


def test_the_golden_write() -> None:
    memory = memory_of(8, dtype=torch.float64)
    i, k, b = torch.arange(8.0)[:, None], torch.arange(4.0), torch.arange(3.0)[:, None]
    memory.write((1 + 0.9 * (1 + 3 * i + 7 * k).double().sin()), torch.arange(8), 0.6)
    memory.write(1 + 0.8 * (2 + 5 * b + 3 * k).double().cos(), torch.tensor([0, 4, 7]), 0.6)
    expected = [
        [0.473912, 0.616322, 0.486450, 0.398649],
        [0.544933, 0.405834, 0.658725, 0.323154],
        [0.861326, 0.298717, 0.331716, 0.242590],
    ]
    torch.testing.assert_close(memory.rows[[0, 4, 7]], torch.tensor(expected).double(), atol=1e-6, rtol=0)


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 2**31),
    rows=st.lists(st.integers(0, 5), min_size=1, max_size=9),
    momentum=st.sampled_from([0.0, 0.3, 0.6, 1.0]),
    held=st.integers(0, 6),
)
def test_write_is_the_formula(seed: int, rows: list[int], momentum: float, held: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    memory = memory_of(6)
    if held:
        memory.write(torch.randn(held, 4, generator=generator), torch.arange(held), 0.0)
    features = 7 * torch.randn(len(rows), 4, generator=generator)
    expected = naive_write(memory, features, rows, momentum)
    before = memory.rows.clone()
    memory.write(features, torch.tensor(rows), momentum)
    torch.testing.assert_close(memory.rows.double(), expected, atol=1e-5, rtol=0)
    untouched = [row for row in range(6) if row not in rows]
    assert torch.equal(memory.rows[untouched], before[untouched])
    assert memory.filled.tolist() == [row < held or row in rows for row in range(6)]
    torch.testing.assert_close(memory.rows[memory.filled].norm(dim=1), torch.ones(int(memory.filled.sum())))


def test_write_takes_the_batch_as_a_set() -> None:
    """To the bit, with many samples of one row, whose plain sum in float32 depends on their order."""
    generator = torch.Generator().manual_seed(0)
    features = torch.randn(64, 16, generator=generator)
    rows = torch.randint(0, 5, (64,), generator=generator)
    outcomes = []
    for _ in range(8):
        memory = filled_memory(6, 16)
        order = torch.randperm(64, generator=generator)
        memory.write(features[order], rows[order], 0.6)
        outcomes.append(memory.rows)
    assert all(torch.equal(outcome, outcomes[0]) for outcome in outcomes)


def test_no_momentum_overwrites() -> None:
    memory = filled_memory(4, 16)
    features = torch.randn(2, 16, generator=torch.Generator().manual_seed(1))
    memory.write(features, torch.tensor([3, 1]), 0.0)
    torch.testing.assert_close(memory.rows[[3, 1]], F.normalize(features), atol=1e-7, rtol=0)


def test_an_empty_row_is_overwritten_whatever_the_momentum() -> None:
    memory = memory_of(4)
    memory.write(torch.tensor([[3.0, 0, 4, 0]]), torch.tensor([2]), 1.0)
    torch.testing.assert_close(memory.rows[2], torch.tensor([0.6, 0, 0.8, 0]))
    memory.write(torch.tensor([[0, 1.0, 0, 0]]), torch.tensor([2]), 1.0)
    torch.testing.assert_close(memory.rows[2], torch.tensor([0.6, 0, 0.8, 0]))


@pytest.mark.parametrize("bad", [torch.nan, torch.inf])
def test_what_is_not_finite_is_not_written(bad: float) -> None:
    memory, expected = filled_memory(4), filled_memory(4)
    features = torch.randn(3, 4, generator=torch.Generator().manual_seed(1))
    expected.write(features[:1], torch.tensor([2]), 0.6)
    features[1:, 0] = bad
    memory.write(features, torch.tensor([2, 2, 1]), 0.6)
    assert torch.equal(memory.rows, expected.rows)
    empty = memory_of(4)
    empty.write(features[1:], torch.tensor([2, 1]), 0.6)
    assert not empty.filled.any()
    assert not empty.rows.any()


def test_an_empty_batch_and_a_large_one() -> None:
    memory = memory_of(20000, 2)
    memory.write(torch.empty(0, 2), torch.empty(0, dtype=torch.int64), 0.6)
    assert memory.share_filled == 0
    memory.write(torch.ones(40000, 2), torch.arange(40000) % 20000, 0.6)
    assert memory.share_filled == 1


def test_opposite_features_of_one_row_leave_no_nan() -> None:
    memory = memory_of(2)
    memory.write(torch.tensor([[1.0, 2, 3, 4], [-1.0, -2, -3, -4]]), torch.tensor([1, 1]), 0.6)
    assert bool(memory.rows.isfinite().all())


def test_reading_reaches_the_features_only() -> None:
    memory = filled_memory(5)
    features = torch.randn(2, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(1)).requires_grad_()
    memory.double()
    similarities = memory.read(features)
    for k in range(2):
        for j in range(5):
            cosine = F.cosine_similarity(features[k], memory.rows[j], dim=0)
            assert similarities[k, j].item() == pytest.approx(cosine.item(), abs=1e-7)
    assert torch.autograd.gradcheck(memory.read, features)
    assert not memory.rows.requires_grad


def test_writing_between_reading_and_backward_is_told() -> None:
    memory = filled_memory(5)
    features = torch.randn(2, 4, requires_grad=True)
    similarities = memory.read(features)
    memory.write(features, torch.tensor([0, 1]), 0.6)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        similarities.sum().backward()


def test_float32_under_autocast() -> None:
    memory = filled_memory(5, 64)
    features = torch.randn(3, 64, generator=torch.Generator().manual_seed(1)).bfloat16()
    other = filled_memory(5, 64)
    with torch.autocast("cpu", torch.bfloat16):
        similarities = memory.read(features)
        memory.write(features, torch.tensor([0, 1, 1]), 0.6)
    assert similarities.dtype == memory.rows.dtype == torch.float32
    torch.testing.assert_close(similarities, other.read(features.float()), atol=1e-7, rtol=0)
    other.write(features.float(), torch.tensor([0, 1, 1]), 0.6)
    torch.testing.assert_close(memory.rows, other.rows, atol=1e-7, rtol=0)


def test_a_new_memory_holds_nothing() -> None:
    memory = memory_of(4)
    assert memory.share_filled == 0
    memory.write(torch.ones(2, 4), torch.tensor([3, 0]), 0.9)
    assert memory.share_filled == 0.5
    rows = torch.tensor([3, 1])
    assert memory.written(rows).tolist() == [True, False]
    exemplars = memory.exemplars(rows)
    torch.testing.assert_close(exemplars, torch.tensor([[0.5] * 4, [0.0] * 4]))
    exemplars.zero_()
    assert memory.rows[3].norm().item() == pytest.approx(1)


def test_a_length_is_that_of_the_latest_feature() -> None:
    memory = memory_of(4)
    memory.write(torch.tensor([[3.0, 0, 4, 0], [0, 2.0, 0, 0], [0, 0, 4.0, 0]]), torch.tensor([2, 1, 1]), 0.6)
    assert memory.latest_lengths(torch.tensor([1, 2, 3])).tolist() == [3.0, 5.0, 0.0]
    memory.write(torch.tensor([[0, 0, 0, 45.25], [torch.nan, 0, 0, 0]]), torch.tensor([2, 1]), 0.6)
    assert memory.lengths.tolist() == [0.0, 3.0, 45.25, 0.0]


def test_a_checksum_tells_any_two_memories_apart() -> None:
    memory = filled_memory(5, 4)
    before = memory.checksum()
    assert before is not None
    assert torch.equal(before, filled_memory(5, 4).checksum())  # type: ignore[arg-type]  # whole memories have one
    changes: dict[str, Callable[[ExemplarMemory], object]] = {
        "rows that changed places": lambda other: other.rows.copy_(other.rows[[1, 0, 2, 3, 4]]),
        "one digit": lambda other: other.rows[3].mul_(1 + 1e-7),
        "one that is not filled": lambda other: other.filled[2].fill_(False),
        "a length": lambda other: other.lengths[4].mul_(1.5),
    }
    for what, change in changes.items():
        other = filled_memory(5, 4)
        change(other)
        assert not torch.equal(before, other.checksum()), what  # type: ignore[arg-type]


def test_the_state_holds_rows_and_what_is_filled() -> None:
    memory, other = memory_of(4), memory_of(4)
    memory.write(torch.ones(2, 4), torch.tensor([3, 0]), 0.9)
    state = memory.state_dict()
    assert set(state) == {"rows", "lengths", "filled"}
    other.load_state_dict(state)
    assert torch.equal(other.rows, memory.rows)
    assert torch.equal(other.lengths, memory.lengths)
    assert torch.equal(other.filled, memory.filled)
    assert other.camids.tolist() == [0, 1, 2, 0]
