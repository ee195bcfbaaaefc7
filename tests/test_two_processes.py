"""The doors with two processes on this machine (gloo): the same data, the same numbers, an orderly end."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import torch

from engine.checkpoint import load_checkpoint
from tests.doors import ROOT, Doors, shell

pytestmark = [pytest.mark.dist, pytest.mark.slow]


@contextmanager
def endless(config: Path) -> Iterator[subprocess.Popen[str]]:
    """A training with two processes that goes on until somebody stops it, already in its second epoch."""
    command = ["bash", "train.sh", "cpu,cpu", str(config), "train.epochs=1000", "train.evaluate_every=0"]
    with subprocess.Popen(
        command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True
    ) as running:
        assert running.stdout is not None
        for line in running.stdout:
            if "epoch 2/1000" in line:
                break
        yield running


def test_training_then_equal_scores_for_one_and_two(tiny_resnet: Path, doors: Doors, tmp_path: Path) -> None:
    outcome = shell("bash", "train.sh", "cpu,cpu", tiny_resnet)
    assert outcome.status == 0, outcome.said
    assert "2 processes on cpu" in outcome.out
    assert outcome.out.count("epoch 2/2") == 2
    checkpoint = tmp_path / "checkpoints" / "tiny" / "epoch_0002.pt"
    card = load_checkpoint(checkpoint).card
    assert card["world"] == 2

    told = []
    for devices in ("cpu", "cpu,cpu"):
        features = tmp_path / devices
        judged = shell("python3", "eval.py", devices, checkpoint, "--json", "--features", features)
        assert judged.status == 0, judged.said
        scores = json.loads(judged.out)
        del scores["features"]
        vectors = np.load(features / "tiny" / "epoch_0002" / "street" / "gallery" / "features.npy")
        told.append((scores, vectors.tobytes()))
    assert told[0] == told[1]
    assert told[0][0]["mAP"] == card["scores"]["mAP"]


def test_averaged_weights_are_the_same_everywhere(tiny_resnet: Path, tmp_path: Path) -> None:
    """With small batches both processes embed some of the pictures, so a network of its own would show."""
    outcome = shell("bash", "train.sh", "cpu,cpu", tiny_resnet, "train.ema=0.5", "test.batch_size=4", "train.epochs=1")
    assert outcome.status == 0, outcome.said
    checkpoint = tmp_path / "checkpoints" / "tiny" / "epoch_0001.pt"
    judged = shell("python3", "eval.py", "cpu", checkpoint, "--json")
    assert json.loads(judged.out)["mAP"] == load_checkpoint(checkpoint).card["scores"]["mAP"]


def test_a_killed_process_is_told(tiny_resnet: Path) -> None:
    with endless(tiny_resnet) as running:
        assert running.stdout is not None
        found = subprocess.run(["pgrep", "-f", str(tiny_resnet)], capture_output=True, text=True, check=True)
        pids = [int(pid) for pid in found.stdout.split()]
        ranks = [pid for pid in pids if b"RANK=1" in Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")]
        os.kill(min(ranks), signal.SIGKILL)  # the others are its loader's
        said = running.stdout.read()
        assert running.wait(timeout=60) == 1
    assert "process 1 was ended by SIGKILL" in said


def test_two_processes_go_on(tiny_resnet: Path, tmp_path: Path) -> None:
    assert shell("bash", "train.sh", "cpu,cpu", tiny_resnet, "train.epochs=1", "name=parts").status == 0
    assert shell("bash", "train.sh", "cpu,cpu", tiny_resnet, "name=parts").status == 0
    assert shell("bash", "train.sh", "cpu,cpu", tiny_resnet, "name=whole").status == 0
    runs = [load_checkpoint(tmp_path / "checkpoints" / name / "epoch_0002.pt").model for name in ("parts", "whole")]
    assert all(torch.equal(runs[0][name], runs[1][name]) for name in runs[0])


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_all_processes_with_a_checkpoint(
    number: signal.Signals, tiny_resnet: Path, tmp_path: Path
) -> None:
    with endless(tiny_resnet) as running:
        assert running.stdout is not None
        running.send_signal(number)
        said = running.stdout.read()
        assert running.wait(timeout=60) == 128 + number
    assert "Traceback" not in said
    assert "saving and stopping" in said
    checkpoint = load_checkpoint(tmp_path / "checkpoints" / "tiny" / "interrupted.pt")
    assert checkpoint.training["iteration"] >= 4
    time.sleep(0.5)
    left = subprocess.run(["pgrep", "-f", str(tiny_resnet)], capture_output=True, text=True, check=False)
    assert left.stdout == ""


def test_a_mistake_is_told_once(tiny_resnet: Path) -> None:
    outcome = shell("bash", "train.sh", "cpu,cpu", tiny_resnet, "train.epoch=2")
    assert outcome.status == 1
    assert outcome.err.count("error:") == 1
    odd = shell("bash", "train.sh", "cpu,cpu,cpu", tiny_resnet)
    assert odd.status == 1
    assert "over 3 processes" in odd.err
    assert "Traceback" not in odd.said
    late = shell("bash", "train.sh", "cpu,cpu", tiny_resnet, "optimizer.name=adma")
    assert late.status == 1
    assert late.err.count("error:") == 1
    assert "did you mean 'adam'?" in late.err


def both(tiny: Path, *environments: dict[str, str], devices: str) -> list[tuple[int | None, str]]:
    """The same training started by somebody else as several processes, each with its environment."""
    command = ["bash", "train.sh", devices, str(tiny), "train.epochs=1"]
    running = [
        subprocess.Popen(
            command,
            cwd=ROOT,
            env={**os.environ, "OMP_NUM_THREADS": "1", **environment},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for environment in environments
    ]
    said = [process.communicate(timeout=120)[0] for process in running]
    return [(process.returncode, text) for process, text in zip(running, said, strict=True)]


def test_inside_srun(tiny_resnet: Path) -> None:
    step = {"SLURM_JOB_ID": "77", "SLURM_STEP_ID": "0", "SLURM_NTASKS": "2", "SLURM_JOB_NODELIST": "localhost"}
    tasks = [{**step, "SLURM_JOB_NUM_NODES": "1", "SLURM_PROCID": n, "SLURM_LOCALID": n} for n in ("0", "1")]
    (first, told), (second, silent) = both(tiny_resnet, *tasks, devices="cpu,cpu")
    assert (first, second) == (0, 0), told + silent
    assert "2 processes on cpu" in told
    assert silent == ""


def test_torchrun_inside_an_allocation(tiny_resnet: Path) -> None:
    outcome = shell(
        "bash",
        "train.sh",
        "cpu,cpu",
        tiny_resnet,
        "train.epochs=1",
        SLURM_JOB_ID="77",
        SLURM_NTASKS="2",
        SLURM_PROCID="0",
    )
    assert outcome.status == 0, outcome.said


def test_two_machines(tiny_resnet: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    nodes = [{"NNODES": "2", "NODE_RANK": n, "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port} for n in ("0", "1")]
    outcomes = both(tiny_resnet, *nodes, devices="cpu")
    assert [status for status, _ in outcomes] == [0, 0], outcomes
    assert "2 processes on cpu" in outcomes[0][1] + outcomes[1][1]
