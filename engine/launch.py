"""One process per device: through torchrun, inside `srun`, or right here when one process is enough.

Several machines: the same command on each, told apart by the environment.

    NNODES=2 NODE_RANK=0 MASTER_ADDR=host0 MASTER_PORT=29500 bash train.sh 0,1,2,3 configs/market.yml
"""

from __future__ import annotations

import gc
import logging
import os
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import ignite.distributed as idist
import torch

from common.command import exit_status
from common.errors import UserError
from engine.devices import Devices

Work = Callable[[torch.device], int]


def launch(devices: Devices, argv: Sequence[str], work: Work) -> int:
    """Run `work(device)` on every process and return the exit status.

    Args:
        devices: of this machine.
        argv: the command to start a process with (script and arguments), which arrives here again inside it.
        work: what to do; raises `UserError` for what the user can mend.
    """
    if _inside_torchrun() or _inside_srun():
        return _join(devices, work)
    if processes(devices) == 1:
        return _work(_chosen(devices, 0), work)
    return _torchrun(devices, int(os.environ.get("NNODES", "1")), argv)


def processes(devices: Devices) -> int:
    """How many processes there will be on all machines."""
    return devices.processes * int(os.environ.get("NNODES", "1"))


def is_launcher(devices: Devices) -> bool:
    """Whether this process will start others rather than work itself."""
    return processes(devices) > 1 and not (_inside_torchrun() or _inside_srun())


def _join(devices: Devices, work: Work) -> int:
    """Work as one process of a group."""
    local_rank = int(os.environ.get("LOCAL_RANK", os.environ.get("SLURM_LOCALID", "0")))
    if devices.processes == 1:  # srun may show each task a GPU of its own, which it counts as 0
        local_rank = 0
    if local_rank >= devices.processes:
        raise UserError(
            f"process {local_rank} of this machine has no device: {devices.processes} named; name one per process"
        )
    torch.set_num_threads(devices.threads())
    device = _chosen(devices, local_rank)
    idist.initialize(devices.backend)
    try:
        if idist.get_world_size() != _world():
            raise RuntimeError(f"{idist.get_world_size()} processes found each other, {_world()} were started")
        return _work(device, work)
    finally:
        idist.finalize()


def _chosen(devices: Devices, local_rank: int) -> torch.device:
    """The device of this process, from now on also the one that CUDA means when none is named."""
    device = devices.device(local_rank)
    if device.type == "cuda":
        torch.cuda.set_device(device)
    return device


def _work(device: torch.device, work: Work) -> int:
    try:
        return work(device)
    finally:
        # Whatever still holds the process group when the interpreter ends makes gloo abort (docs/dependencies.md).
        gc.collect()


def _torchrun(devices: Devices, nodes: int, argv: Sequence[str]) -> int:
    from torch.distributed import run as torchrun
    from torch.distributed.elastic.multiprocessing.api import SignalException
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError

    os.environ.setdefault("OMP_NUM_THREADS", str(devices.threads()))
    os.environ.pop("SLURM_JOB_ID", None)  # torchrun, not SLURM, numbers the processes; Ignite would take its word
    # The processes say what went wrong themselves; torchrun's own account of it is of no use to a user.
    logging.disable(logging.CRITICAL)
    where = ["--standalone"]
    if nodes > 1:
        address, port = os.environ.get("MASTER_ADDR"), os.environ.get("MASTER_PORT", "29500")
        if not address or "NODE_RANK" not in os.environ:
            raise UserError("NNODES is set: set MASTER_ADDR (the first machine) and NODE_RANK (0, 1, …) as well")
        where = [f"--nnodes={nodes}", f"--node-rank={os.environ['NODE_RANK']}"]
        where += [f"--master-addr={address}", f"--master-port={port}"]
    try:
        torchrun.main([*where, f"--nproc-per-node={devices.processes}", *argv])
    except ChildFailedError as failure:
        codes = {rank: error.exitcode for rank, error in failure.failures.items()}
        spoke = any(code > 0 for code in codes.values())
        for rank, code in codes.items():
            if code < 0 and not (spoke and code == -signal.SIGTERM):  # torchrun ends the others itself
                name = signal.Signals(-code).name
                out_of_memory = ", as happens when memory runs out" if name == "SIGKILL" else ""
                print(f"error: process {rank} was ended by {name}{out_of_memory}", file=sys.stderr, flush=True)
        return next((code for code in codes.values() if code > 0), 1)
    except SignalException as interrupt:
        return 128 + int(interrupt.sigval)
    return 0


def _world() -> int:
    """How many processes were started in all."""
    tasks = os.environ.get("SLURM_STEP_NUM_TASKS", os.environ.get("SLURM_NTASKS", "1"))
    return int(os.environ.get("WORLD_SIZE", tasks))


def _inside_torchrun() -> bool:
    return "TORCHELASTIC_RUN_ID" in os.environ


def _inside_srun() -> bool:
    """A job step of several tasks; a batch script's own shell has no step."""
    return "SLURM_STEP_ID" in os.environ and _world() > 1


@contextmanager
def told_once() -> Iterator[None]:
    """Around what goes wrong on all processes of a machine alike, if at all: only its first speaks.

    Not around what each process does with a share of its own: an error there would be told by nobody.
    """
    try:
        yield
    except UserError:
        if idist.get_local_rank() != 0:
            raise SystemExit(1) from None
        raise


def run_door(main: Callable[[], int]) -> None:
    """Run a door's `main` and end the process, with a sentence where `exit_status` has one."""
    logging.getLogger("ignite").setLevel(logging.CRITICAL)  # it logs every exception that passes through an engine
    try:
        status = exit_status(main, _speaker())
    except RuntimeError as error:
        if not _deserted(error):
            raise
        status = 1
    sys.exit(status)


def _deserted(error: RuntimeError) -> bool:
    """Another process ended with a message of its own, and this one noticed while talking to it."""
    signs = ("closed by peer", "Connection reset", "Broken pipe", "Connection refused")
    return _world() > 1 and any(sign in str(error) for sign in signs)


def _speaker() -> str:
    rank = os.environ.get("RANK", "0")
    return f"[process {rank}] " if rank != "0" else ""
