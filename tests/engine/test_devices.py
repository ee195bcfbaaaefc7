"""The first argument of the doors."""

from __future__ import annotations

import os

import pytest
import torch

from common.errors import UserError
from engine.devices import Devices, parse_devices


@pytest.fixture(params=[4])
def _gpus(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: request.param)


@pytest.mark.usefixtures("_gpus")
@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("cpu", Devices((), 1)),
        ("CPU, cpu", Devices((), 2)),
        ("0", Devices((0,), 1)),
        ("2, 0", Devices((2, 0), 2)),
        ("0,1,2,3", Devices((0, 1, 2, 3), 4)),
    ],
)
def test_parse(text: str, expected: Devices) -> None:
    assert parse_devices(text) == expected


@pytest.mark.usefixtures("_gpus")
@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "names no devices"),
        ("0,", "names no devices"),
        ("gpu0", "'gpu0' names no devices; write GPU numbers such as 0 or 0,1, or cpu"),
        ("-1", "names no devices"),
        ("0,cpu", "names no devices"),
        ("1.5", "names no devices"),
        ("1,1", "'1,1' names a GPU twice"),
        ("0,4", "GPU 4 is not there: this machine has GPUs 0 to 3; write cpu"),
    ],
)
def test_errors(text: str, said: str) -> None:
    with pytest.raises(UserError, match=said):
        parse_devices(text)


@pytest.mark.parametrize(("count", "have"), [(0, "no GPU that torch can use"), (1, "only GPU 0"), (2, "GPUs 0 to 1")])
def test_what_is_there(monkeypatch: pytest.MonkeyPatch, count: int, have: str) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: count)
    with pytest.raises(UserError, match=f"GPU 7 is not there: this machine has {have};"):
        parse_devices("7")


def test_devices_of_processes() -> None:
    gpus, cpus = Devices((2, 0), 2), Devices((), 2)
    assert [gpus.device(rank) for rank in (0, 1)] == [torch.device("cuda", 2), torch.device("cuda", 0)]
    assert [cpus.device(rank) for rank in (0, 1)] == [torch.device("cpu")] * 2
    assert (gpus.backend, cpus.backend) == ("nccl", "gloo")


@pytest.mark.parametrize(("cores", "processes", "threads"), [(8, 2, 4), (8, 3, 2), (2, 4, 1), (None, 1, 1)])
def test_threads(monkeypatch: pytest.MonkeyPatch, cores: int | None, processes: int, threads: int) -> None:
    monkeypatch.setattr(os, "cpu_count", lambda: cores)
    assert Devices((), processes).threads() == threads
