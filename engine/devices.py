"""What the first argument of `train.sh` and `eval.py` means: `0`, `0,1`, `cpu`, `cpu,cpu`."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TypeVar

import torch
from torch import nn

from common.errors import UserError

Network = TypeVar("Network", bound=nn.Module)


@dataclass(frozen=True)
class Devices:
    """The devices of this machine that a command was given, one process each.

    Attributes:
        gpus: GPU numbers as the user counts them; empty for CPU.
        processes: how many processes to run here.
    """

    gpus: tuple[int, ...]
    processes: int

    @property
    def backend(self) -> str:
        return "nccl" if self.gpus else "gloo"

    def device(self, local_rank: int) -> torch.device:
        """The device of one process of this machine."""
        return torch.device("cuda", self.gpus[local_rank]) if self.gpus else torch.device("cpu")

    def threads(self) -> int:
        """CPU threads for each process."""
        return max(1, (os.cpu_count() or 1) // self.processes)


def parse_devices(text: str) -> Devices:
    """Read `0,1` or `cpu,cpu`; a GPU that is not there is an error that says what is."""
    names = [name.strip().lower() for name in text.split(",")]
    if all(name == "cpu" for name in names):
        return Devices((), len(names))
    if not all(name.isdecimal() for name in names):
        raise UserError(f"'{text}' names no devices; write GPU numbers such as 0 or 0,1, or cpu, or cpu,cpu")
    gpus = tuple(int(name) for name in names)
    if len(set(gpus)) < len(gpus):
        raise UserError(f"'{text}' names a GPU twice; give each process a GPU of its own")
    there = torch.cuda.device_count()
    missing = [gpu for gpu in gpus if gpu >= there]
    if missing:
        have = f"GPUs 0 to {there - 1}" if there > 1 else "only GPU 0" if there else "no GPU that torch can use"
        raise UserError(f"GPU {missing[0]} is not there: this machine has {have}; write cpu to run without")
    return Devices(gpus, len(gpus))


def place(network: Network, device: torch.device) -> Network:
    """Move a network to its device, in the memory order in which convolutions are fastest (channels last)."""
    network.to(device)
    network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # missing from torch's stubs
    return network
