"""Every picture comes, every batch is as it should be, and processes share the batches of one."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from common.contracts import SOURCE, TARGET
from common.errors import UserError
from configs.schema import Batches
from data.samplers import DomainBatches, EpochBatches, IdentityBatches, Key, RandomBatches, build_batches
from data.samples import Ints

Build = Callable[..., EpochBatches]


def labels_of(counts: list[int], seed: int = 0, hidden: int = 0) -> Ints:
    """Labels 0, 1, … in random rows, each `counts[label]` times, and `hidden` rows of −1."""
    labels = np.repeat(np.arange(-1, len(counts)), [hidden, *counts])
    return np.random.default_rng(seed).permutation(labels).astype(np.int64)


def epoch_of(sampler: EpochBatches, epoch: int = 1, start: int = 0) -> list[list[Key]]:
    sampler.set_epoch(epoch, start)
    return list(sampler)


def rows_of(batches: list[list[Key]]) -> list[list[int]]:
    return [[key.row for key in batch] for batch in batches]


def identity(rank: int = 0, world: int = 1, seed: int = 3) -> IdentityBatches:
    return IdentityBatches(labels_of([100, *[4] * 15, 5, 2, 1], hidden=7), 16, 4, seed, rank, world)


def random_batches(rank: int = 0, world: int = 1, seed: int = 3) -> RandomBatches:
    return RandomBatches(np.arange(50, 150), 16, seed, rank, world)


def domains(rank: int = 0, world: int = 1, seed: int = 3) -> DomainBatches:
    return DomainBatches(np.arange(100), np.arange(100, 137), 16, seed, rank, world)


BUILDS = pytest.mark.parametrize("build", [identity, random_batches, domains])


def check_identity_batches(labels: Ints, size: int, instances: int, seed: int = 0) -> list[list[int]]:
    """What must hold whatever the counts are; gives the rows."""
    sampler = IdentityBatches(labels, size, instances, seed)
    batches = rows_of(epoch_of(sampler))
    counts = Counter(labels[labels >= 0].tolist())
    groups = {label: -(-count // instances) for label, count in counts.items()}
    assert len(batches) == len(sampler) == max(-(-sum(groups.values()) // (size // instances)), *groups.values())
    for batch in batches:
        assert len(batch) == size
        parts = [batch[begin : begin + instances] for begin in range(0, size, instances)]
        who = [{int(labels[row]) for row in part} for part in parts]
        assert all(len(persons) == 1 for persons in who), "a group holds one identity"
        persons = [person for one in who for person in one]
        assert len(set(persons)) == size // instances, "no identity twice in a batch"
        assert -1 not in persons
        for part, person in zip(parts, persons, strict=True):
            most = max(Counter(part).values())
            assert most == -(-instances // min(counts[person], instances)), "no picture twice while there are others"
    seen = Counter(row for batch in batches for row in batch)
    assert set(seen) == set(np.flatnonzero(labels >= 0).tolist()), "every row comes"
    if all(count % instances == 0 for count in counts.values()) and sum(groups.values()) == len(batches) * (
        size // instances
    ):
        assert set(seen.values()) == {1}, "exactly once where the counts divide"
    return batches


def test_counts_that_divide_come_exactly_once() -> None:
    labels = labels_of([8, 4, 4, 12, 4, 8, 4, 4])
    batches = check_identity_batches(labels, 16, 4)
    assert len(batches) == 3
    assert sorted(row for batch in batches for row in batch) == list(range(48))


def test_one_identity_with_a_hundred_pictures() -> None:
    """25 groups of one identity need 25 batches, and it must be in every one of them."""
    labels = labels_of([100, *[4] * 20])
    batches = check_identity_batches(labels, 16, 4)
    assert len(batches) == 25
    of_the_large = [row for batch in batches for row in batch if labels[row] == 0]
    assert sorted(of_the_large) == np.flatnonzero(labels == 0).tolist()
    # The others come again evenly enough: no batch is short of persons.
    others = Counter(int(labels[row]) for batch in batches for row in batch if labels[row] != 0)
    assert set(others) == set(range(1, 21))


def test_pictures_meet_others_in_every_epoch_and_stand_in_no_fixed_place() -> None:
    labels = labels_of([100, *[8] * 20])
    sampler = IdentityBatches(labels, 16, 4, 0)
    groups, places = Counter[frozenset[int]](), set()
    for epoch in range(1, 11):
        for batch in rows_of(epoch_of(sampler, epoch)):
            parts = [batch[begin : begin + 4] for begin in range(0, 16, 4)]
            groups.update(frozenset(part) for part in parts)
            places |= {place for place, part in enumerate(parts) if labels[part[0]] == 0}
    assert groups.most_common(1)[0][1] <= 5, "of ten epochs"
    assert places == {0, 1, 2, 3}


def test_a_large_identity_is_spread_over_the_epoch() -> None:
    labels = labels_of([40, *[4] * 70])
    batches = check_identity_batches(labels, 16, 4)
    assert len(batches) == 20
    thirds = [
        sum(any(labels[row] == 0 for row in batch) for batch in batches[begin::1][:5]) for begin in (0, 5, 10, 15)
    ]
    assert sum(thirds) == 10
    assert min(thirds) >= 1


@pytest.mark.parametrize("instances", [2, 3, 4, 8])
def test_identities_with_fewer_pictures_than_instances(instances: int) -> None:
    labels = labels_of([1, 2, 3, 1, 2, 5, 1])
    for seed in range(5):
        batches = check_identity_batches(labels, 2 * instances, instances, seed)
        for batch in batches:
            for begin in range(0, len(batch), instances):
                times = Counter(batch[begin : begin + instances])
                assert max(times.values()) - min(times.values()) <= 1, "pictures repeat in turn"


def test_as_many_identities_as_a_batch_takes() -> None:
    labels = labels_of([4, 9, 2])
    for batch in check_identity_batches(labels, 6, 2):
        assert {int(labels[row]) for row in batch} == {0, 1, 2}


@given(
    counts=st.lists(st.integers(1, 30), min_size=1, max_size=14),
    persons=st.integers(1, 6),
    instances=st.integers(1, 5),
    seed=st.integers(0, 2**31),
)
@example(counts=[100, 4, 4, 4, 4], persons=3, instances=4, seed=0)
@example(counts=[30, 30, 30, 1], persons=3, instances=2, seed=0)
@example(counts=[30, 29, 1, 1, 1], persons=2, instances=1, seed=0)
@settings(deadline=None, max_examples=250)
def test_any_counts(counts: list[int], persons: int, instances: int, seed: int) -> None:
    persons = min(persons, len(counts))
    check_identity_batches(labels_of(counts, seed, hidden=seed % 3), persons * instances, instances, seed)


@given(count=st.integers(1, 60), size=st.integers(1, 20), seed=st.integers(0, 2**31))
@settings(deadline=None, max_examples=100)
def test_random_batches_hold_every_row(count: int, size: int, seed: int) -> None:
    rows = np.arange(count) * 3 + 5
    sampler = RandomBatches(rows, size, seed)
    batches = rows_of(epoch_of(sampler))
    assert len(batches) == len(sampler) == -(-count // size)
    assert {len(batch) for batch in batches} == {size}
    flat = [row for batch in batches for row in batch]
    assert sorted(flat[:count]) == rows.tolist(), "all rows before any comes again"
    assert set(flat[count:]) <= set(rows.tolist())


@BUILDS
def test_batches_and_their_order_are_random(build: Build) -> None:
    batches = rows_of(epoch_of(build()))
    flat = np.array(batches).reshape(-1)
    assert abs(np.corrcoef(flat, np.arange(len(flat)))[0, 1]) < 0.3


@pytest.mark.parametrize("build", [identity, random_batches])
@pytest.mark.parametrize("world", [1, 2, 4])
def test_processes_share_the_batches_of_one(build: Build, world: int) -> None:
    for epoch in (1, 2):
        whole = epoch_of(build(), epoch)
        parts = [epoch_of(build(rank, world), epoch) for rank in range(world)]
        assert {len(part) for part in parts} == {len(whole)} == {len(build(0, world))}
        for number, batch in enumerate(whole):
            assert {len(part[number]) for part in parts} == {16 // world}
            assert [key for part in parts for key in part[number]] == batch


@BUILDS
def test_keys_carry_epoch_and_place(build: Build) -> None:
    keys = [key for batch in epoch_of(build(), 5) for key in batch]
    assert {key.epoch for key in keys} == {5}
    assert [key.position for key in keys] == list(range(len(keys)))
    assert all(type(key.row) is int for key in keys)


@BUILDS
def test_epochs_and_seeds_differ_and_come_again(build: Build) -> None:
    sampler = build()
    first = epoch_of(sampler, 1)
    second = epoch_of(sampler, 2)
    assert rows_of(first) != rows_of(second)
    assert len(first) == len(second)
    assert epoch_of(sampler, 1) == list(sampler) == epoch_of(build(), 1) == first
    assert rows_of(epoch_of(build(seed=4), 1)) != rows_of(first)
    assert next(iter(build())) == first[0], "the first epoch is 1"


@BUILDS
def test_start_skips_exactly(build: Build) -> None:
    sampler = build(1, 2)
    whole = epoch_of(sampler, 3)
    for start in (1, len(whole) - 1, len(whole)):
        assert epoch_of(sampler, 3, start) == whole[start:]
        assert len(sampler) == len(whole)
    assert epoch_of(sampler, 3) == whole, "the next epoch begins at its beginning"


@BUILDS
def test_the_global_generators_are_left_alone(build: Build) -> None:
    np.random.seed(0)  # noqa: NPY002
    before = np.random.get_state()[1].tolist()  # type: ignore[index, union-attr, unused-ignore]  # noqa: NPY002
    first = epoch_of(build())
    assert np.random.get_state()[1].tolist() == before  # type: ignore[index, union-attr, unused-ignore]  # noqa: NPY002
    np.random.seed(1)  # noqa: NPY002
    assert epoch_of(build()) == first


def check_domain_batches(sources: int, targets: int, size: int, seed: int = 0) -> list[list[int]]:
    """What must hold whatever the counts are; gives the rows, of which those from 1000 on are of the target."""
    source, target = np.arange(sources) * 3, 1000 + np.arange(targets) * 2
    sampler = DomainBatches(source, target, size, seed)
    batches = rows_of(epoch_of(sampler))
    half = size // 2
    assert len(batches) == len(sampler) == -(-max(sources, targets) // half)
    assert {len(batch) for batch in batches} == {size}
    for rows, begin in ((source, 0), (target, half)):
        parts = [batch[begin : begin + half] for batch in batches]
        for part in parts:
            times = Counter(part)
            assert set(times.values()) <= {half // len(rows), -(-half // len(rows))}, "no row again before it must"
        times = Counter(row for part in parts for row in part)
        assert set(times) == set(rows.tolist()), "every row comes, and of this domain only"
        assert max(times.values()) - min(times.values()) <= 1, "as often as any other or once more"
    return batches


@pytest.mark.parametrize(
    ("sources", "targets", "size"),
    [
        (40, 24, 8),  # the target is shorter: two orders of it, the second one cut
        (24, 40, 8),
        (41, 23, 10),  # odd sizes: both domains fill up the last batch
        (23, 41, 10),
        (41, 41, 82),
        (16, 16, 8),  # no row comes twice
        (50, 3, 16),  # the target does not fill its half: each of its rows two or three times
        (3, 50, 16),
        (50, 4, 16),  # it fits into the half exactly twice
        (50, 1, 16),
        (50, 9, 16),  # just above the half: every second order begins inside a batch
        (9, 8, 16),
        (1, 1, 2),
        (2, 3, 16),
    ],
)
def test_domains_of_any_size(sources: int, targets: int, size: int) -> None:
    for seed in range(5):
        check_domain_batches(sources, targets, size, seed)


@given(sources=st.integers(1, 70), targets=st.integers(1, 70), half=st.integers(1, 20), seed=st.integers(0, 2**31))
@settings(deadline=None, max_examples=200)
def test_any_domains(sources: int, targets: int, half: int, seed: int) -> None:
    check_domain_batches(sources, targets, 2 * half, seed)


def test_pairs_of_domains_change() -> None:
    sampler = domains()
    epochs = [np.array(rows_of(epoch_of(sampler, epoch))) for epoch in range(1, 6)]
    pairs = Counter(
        (int(s), int(t)) for rows in epochs for s, t in zip(rows[:, :8].flat, rows[:, 8:].flat, strict=True)
    )
    assert pairs.most_common(1)[0][1] <= 3
    orders = [tuple(rows[:, 8:].reshape(-1)[:37].tolist()) for rows in epochs]
    again = tuple(epochs[0][:, 8:].reshape(-1)[37:74].tolist())
    assert len({*orders, again}) == 6, "a domain that comes again comes in another order"


@pytest.mark.parametrize("world", [1, 2, 3, 4])
@pytest.mark.parametrize(("sources", "targets"), [(100, 37), (37, 101), (70, 5)])
def test_processes_take_pairs_of_the_same_batch(world: int, sources: int, targets: int) -> None:
    """Whatever the number of processes, the pairs and the augmentation of each picture are those of one process."""

    def build(rank: int = 0, world: int = 1) -> DomainBatches:
        return DomainBatches(np.arange(sources), np.arange(sources, sources + targets), 24, 7, rank, world)

    share = 12 // world
    for epoch, start in ((1, 0), (2, 0), (2, 2)):
        whole = epoch_of(build(), epoch, start)
        parts = [epoch_of(build(rank, world), epoch, start) for rank in range(world)]
        assert {len(part) for part in parts} == {len(whole)}
        for number, batch in enumerate(whole):
            mine = [part[number] for part in parts]
            assert {len(keys) for keys in mine} == {2 * share}
            assert [key for keys in mine for key in keys[:share]] == batch[:12]
            assert [key for keys in mine for key in keys[share:]] == batch[12:]
            assert all(key.row < sources for key in batch[:12])
            assert all(key.row >= sources for key in batch[12:])


def test_domains_that_do_not_fit() -> None:
    rows = np.arange(9)
    sentence = r"batches\.size=7 cannot be half source and half target; choose a multiple of 2"
    with pytest.raises(UserError, match=sentence):
        DomainBatches(rows, rows, 7, 0)
    for size, world in ((8, 3), (6, 2), (12, 4)):
        sentence = rf"size={size} cannot be half .* in each of {world} processes; choose a multiple of {2 * world}"
        with pytest.raises(UserError, match=sentence):
            DomainBatches(rows, rows, size, 0, 0, world)
    with pytest.raises(UserError, match=r"needs training pictures of the target, and there are none"):
        DomainBatches(rows, rows[:0], 8, 0)
    with pytest.raises(UserError, match=r"needs training pictures of the source, and there are none"):
        DomainBatches(rows[:0], rows, 8, 0)


def test_sizes_that_do_not_fit() -> None:
    labels = labels_of([4] * 10)
    with pytest.raises(UserError, match=r"batches\.size=8 cannot be divided over 3 processes; choose a multiple of 3"):
        RandomBatches(np.arange(9), 8, 0, 0, 3)
    with pytest.raises(UserError, match=r"batches\.size=8 cannot be divided over 3 processes"):
        IdentityBatches(labels, 8, 4, 0, 0, 3)
    with pytest.raises(UserError, match=r"2 identities in a batch .* over 4 processes; choose .* a multiple of 16"):
        IdentityBatches(labels, 8, 4, 0, 0, 4)
    with pytest.raises(
        UserError, match=r"size=44 with batches\.instances=4 needs 11 identities .* has 10; choose batches.size=40"
    ):
        IdentityBatches(labels, 44, 4, 0)
    assert len(IdentityBatches(labels, 40, 4, 0)) == 1
    for nobody in (np.full(3, -1), np.empty(0, np.int64)):
        with pytest.raises(UserError, match=r"needs 1 identities in a batch, the training set has 0"):
            IdentityBatches(nobody, 4, 4, 0)


def test_build_batches() -> None:
    labels = labels_of([4] * 6, hidden=3)
    domain = np.full(27, SOURCE)
    one = build_batches(Batches(size=12, instances=3), labels, domain, 5, 1, 2)
    assert isinstance(one, IdentityBatches)
    assert list(one) == list(IdentityBatches(labels, 12, 3, 5, 1, 2))
    other = build_batches(Batches(kind="random", size=10), labels, domain, 5, 1, 2)
    assert isinstance(other, RandomBatches)
    assert list(other) == list(RandomBatches(np.arange(27), 10, 5, 1, 2))


def test_build_batches_of_domains() -> None:
    """Pictures of the source whose identity nobody knows teach nothing and stay away."""
    labels, domain = np.array([0, -1, 1, 1, -1, -1]), np.array([SOURCE] * 4 + [TARGET] * 2)
    both = build_batches(Batches(kind="domains", size=8), labels, domain, 5, 1, 2)
    assert isinstance(both, DomainBatches)
    assert list(both) == list(DomainBatches(np.array([0, 2, 3]), np.array([4, 5]), 8, 5, 1, 2))
    for size, world, least in ((2, 1, 4), (4, 2, 8)):
        with pytest.raises(UserError, match=rf"size={size} leaves .* one picture of a domain; .* give {least} or more"):
            build_batches(Batches(kind="domains", size=size), labels, domain, 5, 0, world)
