"""Who starts whom, and how a process ends."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator

import pytest
import torch

import engine.launch as launching
from common.errors import UserError
from engine.devices import Devices
from engine.launch import is_launcher, launch, run_door

ONE, TWO = Devices((), 1), Devices((), 2)
VARIABLES = (
    *("NNODES", "NODE_RANK", "MASTER_ADDR", "MASTER_PORT", "WORLD_SIZE", "RANK", "LOCAL_RANK", "TORCHELASTIC_RUN_ID"),
    *("SLURM_STEP_ID", "SLURM_NTASKS", "SLURM_LOCALID", "SLURM_JOB_ID"),
)


@pytest.fixture(autouse=True)
def _bare(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """No environment of a launcher, and the loggers as they were."""
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
    logger = logging.getLogger("ignite")
    level = logger.level
    yield
    logger.setLevel(level)
    logging.disable(logging.NOTSET)


def setenv(monkeypatch: pytest.MonkeyPatch, variables: dict[str, str]) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)


@pytest.mark.parametrize(
    ("devices", "variables", "expected"),
    [
        (ONE, {}, False),
        (TWO, {}, True),
        (ONE, {"NNODES": "2"}, True),
        (TWO, {"TORCHELASTIC_RUN_ID": "x", "WORLD_SIZE": "2"}, False),
        (TWO, {"SLURM_STEP_ID": "0", "SLURM_NTASKS": "2"}, False),
        (TWO, {"SLURM_STEP_ID": "0", "SLURM_NTASKS": "1"}, True),  # one task that starts its own processes
        (TWO, {"SLURM_NTASKS": "2"}, True),  # a batch script's own shell
        (TWO, {"SLURM_JOB_ID": "17"}, True),
    ],
)
def test_is_launcher(
    monkeypatch: pytest.MonkeyPatch, devices: Devices, variables: dict[str, str], expected: bool
) -> None:
    setenv(monkeypatch, variables)
    assert is_launcher(devices) == expected


def test_one_process_works_right_here() -> None:
    seen: list[torch.device] = []

    def work(device: torch.device) -> int:
        seen.append(device)
        return 143

    assert launch(ONE, ["x"], work) == 143
    assert seen == [torch.device("cpu")]


def never(device: torch.device) -> int:
    raise AssertionError("this process must not work")


def torchrun_arguments(monkeypatch: pytest.MonkeyPatch, devices: Devices) -> list[str]:
    from torch.distributed import run

    given: list[list[str]] = []
    monkeypatch.setattr(run, "main", given.append)
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    assert launch(devices, ["train.py", "cpu,cpu", "x.yml"], never) == 0
    return given[0]


def test_several_processes_go_through_torchrun(monkeypatch: pytest.MonkeyPatch) -> None:
    expected = ["--standalone", "--nproc-per-node=2", "train.py", "cpu,cpu", "x.yml"]
    assert torchrun_arguments(monkeypatch, TWO) == expected


def test_several_machines(monkeypatch: pytest.MonkeyPatch) -> None:
    setenv(monkeypatch, {"NNODES": "2", "NODE_RANK": "1", "MASTER_ADDR": "host0"})
    *where, count, _, _, _ = torchrun_arguments(monkeypatch, ONE)
    assert where == ["--nnodes=2", "--node-rank=1", "--master-addr=host0", "--master-port=29500"]
    assert count == "--nproc-per-node=1"


@pytest.mark.parametrize("variables", [{"NODE_RANK": "0"}, {"MASTER_ADDR": "host0"}])
def test_several_machines_must_know_each_other(monkeypatch: pytest.MonkeyPatch, variables: dict[str, str]) -> None:
    setenv(monkeypatch, {"NNODES": "2", "OMP_NUM_THREADS": "1", **variables})
    with pytest.raises(UserError, match="set MASTER_ADDR .* and NODE_RANK"):
        launch(TWO, ["x"], never)


@pytest.mark.parametrize(
    "variables",
    [
        {"TORCHELASTIC_RUN_ID": "x", "WORLD_SIZE": "3", "LOCAL_RANK": "2"},
        {"SLURM_STEP_ID": "0", "SLURM_NTASKS": "3", "SLURM_LOCALID": "2"},
    ],
)
def test_a_process_without_a_device(monkeypatch: pytest.MonkeyPatch, variables: dict[str, str]) -> None:
    setenv(monkeypatch, variables)
    with pytest.raises(UserError, match="process 2 of this machine has no device: 2 named"):
        launch(TWO, ["x"], never)


def failing(error: BaseException) -> Callable[[], int]:
    def main() -> int:
        raise error

    return main


def status_of(main: Callable[[], int]) -> object:
    with pytest.raises(SystemExit) as ended:
        run_door(main)
    return ended.value.code


@pytest.mark.parametrize("status", [0, 3, 143])
def test_door_passes_the_status_on(status: int) -> None:
    assert status_of(lambda: status) == status


def test_door_on_a_mistake(capsys: pytest.CaptureFixture[str]) -> None:
    assert status_of(failing(UserError("there is no picture"))) == 1
    said = capsys.readouterr()
    assert (said.out, said.err) == ("", "error: there is no picture\n")


def test_door_names_the_process(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("RANK", "3")
    assert status_of(failing(UserError("no"))) == 1
    assert capsys.readouterr().err == "[process 3] error: no\n"


def test_door_on_interruption(capsys: pytest.CaptureFixture[str]) -> None:
    assert status_of(failing(KeyboardInterrupt())) == 130
    assert capsys.readouterr().err == "interrupted\n"


@pytest.mark.parametrize("error", [ValueError("ours"), RuntimeError("Connection reset"), RuntimeError("ours")])
def test_door_lets_faults_of_ours_through(error: Exception) -> None:
    with pytest.raises(type(error), match=str(error)):
        run_door(failing(error))


SIGNS = ["Connection closed by peer", "Connection reset by x", "Broken pipe", "Connection refused"]


@pytest.mark.parametrize("text", SIGNS)
def test_deserted_processes_are_silent(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], text: str
) -> None:
    assert not launching._deserted(RuntimeError(text))
    monkeypatch.setenv("WORLD_SIZE", "2")
    assert status_of(failing(RuntimeError(text))) == 1
    assert capsys.readouterr().err == ""
    with pytest.raises(RuntimeError, match="ours"):
        run_door(failing(RuntimeError("ours")))


def test_deserted_inside_slurm(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SLURM_NTASKS", "2")
    assert launching._deserted(RuntimeError(SIGNS[0]))
