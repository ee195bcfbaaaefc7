"""Two processes agree with each other and with one process that has all the data."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

import engine.gradients as gradients
from common.ranks import gather_rows, largest
from engine.gradients import average_batch_statistics, average_gradients, broadcast_state
from tests.engine.toys import Toy, assert_same, batch_of, config_of, dataset_of, trainer_of, weights_of
from tests.engine.two_processes import WORLD, evaluation_of, gradients_of, network_of, posed_of

ROOT = Path(__file__).parents[2]

Results = list[dict[str, Any]]


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Results:
    """What each of the two processes found."""
    folder = tmp_path_factory.mktemp("two")
    command = [sys.executable, "-m", "tests.engine.two_processes"]
    processes = [
        subprocess.Popen(
            [*command, str(rank), str(folder)], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        for rank in range(WORLD)
    ]
    try:
        said = [process.communicate(timeout=200)[0] for process in processes]
    finally:
        for process in processes:
            process.kill()
    assert [process.returncode for process in processes] == [0] * WORLD, "\n".join(said)
    return [torch.load(folder / f"{rank}.pt", weights_only=True) for rank in range(WORLD)]


def tensors_equal(one: Tensor, other: Tensor) -> bool:
    return one.dtype == other.dtype and torch.equal(one, other)


@pytest.mark.dist
@pytest.mark.parametrize("piece", ["1", "10", str(1 << 23)])
def test_gradients_are_the_mean(results: Results, piece: str) -> None:
    given = [gradients_of(rank) for rank in range(WORLD)]
    for result in results:
        *averaged, none = result["average"][piece]
        assert none is None
        for one, other, mean in zip(*given, averaged, strict=False):
            assert one.grad is not None
            assert other.grad is not None
            assert mean.dtype == one.dtype
            torch.testing.assert_close(mean, (one.grad + other.grad) / 2)
    assert all(map(tensors_equal, *(result["average"][piece][:-1] for result in results)))


@pytest.mark.dist
def test_batch_statistics_are_the_mean_and_nothing_else_changes(results: Results) -> None:
    states = [network_of(rank).state_dict() for rank in range(WORLD)]
    for rank, result in enumerate(results):
        averaged = 0
        for name, value in result["statistics"].items():
            mean = name.endswith(("running_mean", "running_var"))
            averaged += mean
            expected = (states[0][name] + states[1][name]) / 2 if mean else states[rank][name]
            torch.testing.assert_close(value, expected)
        assert averaged == 4


@pytest.mark.dist
def test_state_is_that_of_process_0(results: Results) -> None:
    expected = dict(network_of(0).state_dict())
    assert not torch.equal(expected["0.weight"], network_of(1).state_dict()["0.weight"])
    for result in results:
        assert_same(dict(result["broadcast"]), expected)


@pytest.mark.dist
def test_gathered_rows(results: Results) -> None:
    for result in results:
        found = result["gathering"]
        assert found["3 and 4"].tolist() == [[0, 1], [2, 3], [4, 5], [100, 101], [102, 103], [104, 105], [106, 107]]
        assert found["0 and 2"].tolist() == [[100, 101], [102, 103]]
        assert found["2 and 0"].tolist() == [[0, 1], [2, 3]]
        assert found["0 and 0"].shape == (0, 2)
        assert found["int64"].tolist() == [0, 100, 102]
        assert found["int64"].dtype == torch.int64
        assert found["largest"] == (1, 0, 7)


@pytest.mark.dist
@pytest.mark.parametrize("accumulate", [1, 2])
def test_training_equals_one_process_with_the_joint_batches(results: Results, accumulate: int) -> None:
    torch.manual_seed(0)
    for setting in (1, 2):  # the same draws as in the two processes
        method = Toy()
        trainer, _ = trainer_of(
            method, config=config_of(optimizer={"momentum": 0.9}), accumulate=setting, clip_norm=0.5
        )
        start = weights_of(method)
        trainer.run([batch_of(8, seed) for seed in range(4)], max_epochs=2)
        if setting == accumulate:
            break
    one, other = (result["training"][str(accumulate)] for result in results)
    assert_same(one, other)
    assert_same(one, weights_of(method), exact=False)
    assert all((one[name] - value).abs().max() > 1e-3 for name, value in start.items())


@pytest.mark.dist
@pytest.mark.parametrize(
    ("name", "parts"), [("baseline", {"centers.centers"}), ("aim", {"clothes_head.weight", "fusion.project.weight"})]
)
def test_a_method_has_the_same_weights_everywhere(results: Results, name: str, parts: set[str]) -> None:
    one, other = (result[name] for result in results)
    assert {"classifier.weight", *parts} <= one["weights"].keys()
    assert_same(one["weights"], other["weights"])
    assert not torch.equal(one["mean"], other["mean"])  # they did see different pictures


@pytest.mark.dist
def test_features_and_scores_are_those_of_one_process_to_the_last_bit(results: Results, tmp_path: Path) -> None:
    alone = evaluation_of(dataset_of(tmp_path), tmp_path)
    for result in results:
        found = result["evaluation"]
        assert found.keys() == alone.keys()
        for name, value in alone.items():
            assert torch.equal(found[name], value) if isinstance(value, Tensor) else found[name] == value, name


@pytest.mark.dist
def test_features_with_poses_are_those_of_one_process_to_the_last_bit(results: Results, tmp_path: Path) -> None:
    alone = posed_of(tmp_path)
    assert not torch.equal(alone["query False"], alone["query True"])
    for result in results:
        assert result["posed"].keys() == alone.keys()
        assert all(torch.equal(result["posed"][name], value) for name, value in alone.items())


@pytest.mark.dist
def test_a_stopped_extraction_stops_everywhere(results: Results) -> None:
    assert [result["stopping"] for result in results] == [{"asked": 2, "stopped": True}] * WORLD


def test_one_process_has_nothing_to_do() -> None:
    parameters, network = gradients_of(0), network_of(0)
    average_gradients(parameters)
    average_batch_statistics(network)
    broadcast_state(network)
    for parameter, fresh in zip(parameters, gradients_of(0), strict=True):
        assert (parameter.grad is None and fresh.grad is None) or torch.equal(parameter.grad, fresh.grad)  # type: ignore[arg-type]
    assert_same(dict(network.state_dict()), dict(network_of(0).state_dict()))
    rows = torch.ones(2, 3)
    assert gather_rows(rows) is rows
    assert largest(5) == 5


@pytest.mark.parametrize(("piece", "sizes"), [(1, [1] * 6), (50, [2, 1, 1, 1, 1]), (1 << 23, [2, 1, 1, 1, 1])])
def test_a_message_is_of_one_type_and_not_too_large(
    monkeypatch: pytest.MonkeyPatch, piece: int, sizes: list[int]
) -> None:
    monkeypatch.setattr(gradients, "PIECE", piece)
    given = [parameter.grad for parameter in gradients_of(0) if parameter.grad is not None]
    groups = gradients._pieces(given)
    assert [len(group) for group in groups] == sizes
    assert all(len({tensor.dtype for tensor in group}) == 1 for group in groups)
    assert all(len(group) == 1 or sum(tensor.numel() for tensor in group) <= piece for group in groups)
    flat = [tensor for group in groups for tensor in group]
    assert all(one is other for one, other in zip(flat, given, strict=True))
