"""A memory in parts: the losses, gradients and rows of the whole one, in one process and in two."""

from __future__ import annotations

import multiprocessing
import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import pytest
import torch
import torch.distributed as dist
from torch import Tensor

from common.errors import UserError
from modeling.handlers.memory_write import FEATURES
from modeling.handlers.memory_write import ROWS as MEMORY_ROWS
from modeling.handlers.neighbour_precision import NeighbourPrecision
from modeling.losses.neighbourhood import NeighbourhoodLoss
from modeling.memory import ExemplarMemory, Team
from modeling.methods.method import Update
from modeling.sharded_memory import KEPT, ShardedMemory, all_processes
from tests.engine.toys import Scripted, trainer_of

T = TypeVar("T")
ROWS, CHANNELS, OWN = 41, 8, 6


def together(world: int, work: Callable[[Team], T]) -> list[T]:
    """What `work(team)` returns for each member of a team of `world` threads."""
    barrier = threading.Barrier(world, timeout=60)
    given: dict[int, Tensor] = {}
    results: dict[int, T] = {}
    failures: list[BaseException] = []

    def member(rank: int) -> None:
        def exchanged(own: Tensor, put_together: Callable[[list[Tensor]], Tensor]) -> Tensor:
            given[rank] = own.detach().clone()
            barrier.wait()
            outcome = put_together([given[other] for other in range(world)])
            barrier.wait()
            return outcome

        team = Team(
            rank,
            world,
            lambda own: exchanged(own, lambda all_: torch.stack(all_).sum(dim=0).to(own.dtype)),
            lambda own: exchanged(own, lambda all_: torch.stack(all_).amax(dim=0)),
            lambda own: exchanged(own, torch.cat),
        )
        try:
            results[rank] = work(team)
        except BaseException as error:
            failures.append(error)
            barrier.abort()

    threads = [threading.Thread(target=member, args=(rank,)) for rank in range(world)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failures:
        raise failures[0]
    return [results[rank] for rank in range(world)]


def batch(step: int, world: int) -> tuple[Tensor, Tensor]:
    """Features and rows of all processes, with rows that occur twice."""
    generator = torch.Generator().manual_seed(step)
    features = torch.randn(world * OWN, CHANNELS, generator=generator) + 0.5
    return features, torch.randint(0, ROWS, (world * OWN,), generator=generator)


def camids() -> Tensor:
    return torch.randint(0, 4, (ROWS,), generator=torch.Generator().manual_seed(99))


def train(memory: ExemplarMemory, team: Team, mode: str, options: dict[str, Any]) -> dict[str, Tensor]:
    """Some steps as a method takes them; the losses, gradients, counts and rows on the way, of this rank's samples."""
    criterion = NeighbourhoodLoss(mode, **options)  # type: ignore[arg-type]
    cameras, told = camids(), []
    mine = slice(team.rank * OWN, (team.rank + 1) * OWN)
    for step in range(5):
        everyones, rows = batch(step, team.world)
        features = everyones[mine].clone().requires_grad_()
        losses = criterion(memory.compare(features, rows[mine], cameras[rows[mine]]))
        values = [getattr(losses, term) for term in criterion.terms]
        # Factors of its own on every rank: each answers for its own samples.
        sum((team.rank + place + 1) * value for place, value in enumerate(values)).backward()
        assert features.grad is not None
        found = [part for term in losses.found.values() for part in (term.neighbours, term.top, term.passed)]
        told.append([torch.stack([*values, *found]).detach(), features.grad, memory.exemplars(rows[mine])])
        told[-1] += [memory.written(rows[mine]).float(), memory.latest_lengths(rows[mine])]
        memory.write(everyones, rows, 0.6)
    names = ("values", "gradients", "exemplars", "written", "latest lengths")
    kept = {name: torch.stack([step[place] for step in told]) for place, name in enumerate(names)}
    return {**kept, **memory.state_dict(), "share": memory.share_filled.float()}


def test_a_whole_state_is_made_nowhere_but_on_process_0() -> None:
    def made(team: Team) -> int:
        memory = ShardedMemory(camids(), CHANNELS, team)
        return sum(value.numel() for value in memory.state_dict().values())

    whole = ROWS * (CHANNELS + 2)
    first, *others = together(3, made)
    assert first == whole
    assert sum(others) < whole


def test_there_is_no_checksum_of_parts() -> None:
    memory: ExemplarMemory = ShardedMemory(camids(), CHANNELS, Team(0, 2))
    assert memory.checksum() is None


SETTINGS: list[tuple[str, dict[str, Any]]] = [
    ("camera", {}),
    ("camera", {"clamp": 0.05, "gate": 0.3, "instance_apart": True}),
    ("agnostic", {"eps": 0.5}),
]


def expected(world: int, rank: int, mode: str, options: dict[str, Any]) -> dict[str, Tensor]:
    """What a memory that holds all rows says to one of several processes; of its state, all on process 0 and on the
    others what they hold."""
    told = train(ExemplarMemory(camids(), CHANNELS), Team(rank, world), mode, options)
    held = slice(rank * ROWS // world, (rank + 1) * ROWS // world) if rank else slice(None)
    return {name: value[held] if name in KEPT else value for name, value in told.items()}


def compare(found: dict[str, Tensor], wanted: dict[str, Tensor]) -> None:
    assert set(found) == set(wanted)
    for name, value in wanted.items():
        assert found[name].dtype == value.dtype, name
        torch.testing.assert_close(found[name], value, atol=1e-6, rtol=1e-6)


@pytest.mark.parametrize("world", [1, 2, 3])
@pytest.mark.parametrize(("mode", "options"), SETTINGS)
def test_parts_are_as_good_as_the_whole(world: int, mode: str, options: dict[str, Any]) -> None:
    results = together(world, lambda team: train(ShardedMemory(camids(), CHANNELS, team), team, mode, options))
    for rank, found in enumerate(results):
        compare(found, expected(world, rank, mode, options))


def test_the_state_fits_any_number_of_processes() -> None:
    def trained(team: Team) -> dict[str, Tensor]:
        memory = ShardedMemory(camids(), CHANNELS, team)
        everyones, rows = batch(1, 3)
        memory.write(everyones, rows, 0.6)
        return memory.state_dict()

    first, *others = together(3, trained)
    held = [first["rows"][ROWS // 3 : 2 * ROWS // 3], first["rows"][2 * ROWS // 3 :]]
    assert set(first) == {"rows", "lengths", "filled"}
    assert 0 < first["filled"].sum() < ROWS
    assert all(torch.equal(state["rows"], part) for state, part in zip(others, held, strict=True))

    def went_on(team: Team) -> tuple[dict[str, Tensor], int]:
        memory = ShardedMemory(camids(), CHANNELS, team)
        memory.load_state_dict(first)
        return memory.state_dict(), len(memory.rows)

    (one, some), (_, rest) = together(2, went_on)
    assert some + rest == ROWS
    assert all(torch.equal(one[name], first[name]) for name in first)
    whole = ExemplarMemory(camids(), CHANNELS)
    whole.load_state_dict(first)
    assert torch.equal(whole.rows, first["rows"])


def test_the_state_of_one_that_is_left_has_the_rows_of_the_others_empty() -> None:
    def left(team: Team) -> tuple[dict[str, Tensor], slice]:
        memory = ShardedMemory(camids(), CHANNELS, team)
        memory.write(torch.ones(ROWS, CHANNELS), torch.arange(ROWS), 0.0)
        assert memory.left_alone() == f"{ROWS - len(memory.rows)} of {ROWS} exemplars, which the other processes held"
        return memory.state_dict(), slice(memory.first, memory.first + len(memory.rows))

    for state, held in together(2, left):
        assert state["filled"][held].all()
        assert int(state["filled"].sum()) == held.stop - held.start
        assert torch.equal(state["rows"].any(dim=1), state["filled"])


def test_the_diagnosis_is_that_of_the_whole() -> None:
    """Every process tells the share of right neighbours among those of the samples of all."""
    hidden, cameras = torch.arange(ROWS) % 5 - 1, camids()

    def told(memory: ExemplarMemory, mine: slice) -> dict[str, float]:
        everyones, rows = batch(1, 2)
        memory.write(*batch(0, 8), 0.0)
        trainer, _ = trainer_of(Scripted(lambda *_: iter(())))
        state: Any = trainer.state
        state.iteration, state.update = 1, Update({}, kept={FEATURES: everyones[mine], MEMORY_ROWS: rows[mine]})
        NeighbourPrecision(memory, NeighbourhoodLoss(eps=0.3), hidden, cameras, every=1)(trainer)
        return {name: float(value) for name, value in state.update.metrics.items()}

    parts = together(
        2,
        lambda team: told(ShardedMemory(cameras, CHANNELS, team), slice(team.rank * OWN, (team.rank + 1) * OWN)),
    )
    whole = told(ExemplarMemory(cameras, CHANNELS), slice(None))
    assert 0 < whole["inter right"] < 1
    assert parts == [pytest.approx(whole)] * 2


def test_a_state_of_another_size_is_refused() -> None:
    state = ExemplarMemory(camids()[:5], CHANNELS).state_dict()
    with pytest.raises(RuntimeError, match="rows has 5 rows, the memory has 10"):
        ShardedMemory(camids()[:10], CHANNELS, Team(0, 2)).load_state_dict(state)


def test_fewer_rows_than_processes_are_told() -> None:
    with pytest.raises(UserError, match="2 rows cannot be spread over 3 processes"):
        ShardedMemory(camids()[:2], CHANNELS, Team(0, 3))


def process(rank: int, world: int, folder: Path) -> None:
    torch.set_num_threads(1)
    os.environ["LOCAL_RANK"] = str(rank)  # else Ignite guesses it, and says so
    dist.init_process_group("gloo", init_method=f"file://{folder / 'meeting'}", rank=rank, world_size=world)
    try:
        team = all_processes()
        for place, (mode, options) in enumerate(SETTINGS):
            found = train(ShardedMemory(camids(), CHANNELS), team, mode, options)
            torch.save([found, expected(world, rank, mode, options)], folder / f"{rank}-{place}.pt")
    finally:
        dist.destroy_process_group()


@pytest.mark.dist
def test_two_processes(tmp_path: Path) -> None:
    spawn = multiprocessing.get_context("spawn")
    running = [spawn.Process(target=process, args=(rank, 2, tmp_path)) for rank in range(2)]
    for one in running:
        one.start()
    for one in running:
        one.join(timeout=120)
    assert [one.exitcode for one in running] == [0, 0]
    for place in range(len(SETTINGS)):
        for rank in range(2):
            compare(*torch.load(tmp_path / f"{rank}-{place}.pt", weights_only=True))
