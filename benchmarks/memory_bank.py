"""Speed of an exemplar memory and its neighbourhood losses, as a ratio to the bare matrix products within one run.

    .venv/bin/python -m benchmarks.memory_bank                    as many rows as Market-1501 and MSMT17, a table
    .venv/bin/python -m benchmarks.memory_bank --rows 32621 --json
    .venv/bin/python -m benchmarks.memory_bank --rows 1000000 --processes 8

A step is what a batch of `--batch` target pictures costs on top of the network: read the memory, both camera-aware
losses, back to the features, write. The memory is made of random unit vectors and full; how many neighbours there are
changes nothing. With `--processes` it is spread over so many, each with its own batch, and what is measured is the work
of one of them, without what they send one another.

- `gemm_seconds`: features times memory and, of the same size, its gradient times memory, and nothing else.
- `step_seconds`: the step. `step_over_gemm` divides the least times of all rounds, `step_over_gemm_median` is the
  median of the rounds' ratios, `step_over_gemm_cpu` divides the processor times of all threads, which other programs
  disturb less.
- `losses_seconds`, `write_seconds`: of these, both losses and their gradient towards the similarities, and the writing.
- `gemm_mb`, `step_mb`: the most MiB that each took on top of memory and features (Linux on a CPU; null elsewhere).

In JSON the figures of the last size stand at the top and those of all sizes under `sizes`. Rounds are interleaved:
every round times each of them once.
"""

from __future__ import annotations

import argparse
import json
import statistics
from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from benchmarks.arguments import positive
from benchmarks.memory import most_memory
from benchmarks.retrieval import time_interleaved
from engine.launch import run_door
from modeling.losses.neighbourhood import NeighbourhoodLoss
from modeling.memory import ExemplarMemory, Team
from modeling.sharded_memory import ShardedMemory

SIZES = (12936, 32621)
CAMERAS = 15


class Case:
    """A full memory, the batch of this process, and what is timed on them."""

    def __init__(self, rows: int, dim: int, batch: int, processes: int, device: torch.device) -> None:
        torch.manual_seed(0)
        camids = torch.randint(CAMERAS, (rows,))
        self.team = Team(0, processes, gathered=lambda own: torch.cat([own] * processes))
        alone = processes == 1
        self.memory = ExemplarMemory(camids, dim) if alone else ShardedMemory(camids, dim, self.team)
        for part in self.memory.rows.split(1 << 12):
            part.copy_(F.normalize(torch.randn(part.shape)))
        self.memory.filled.fill_(True)
        self.memory.to(device)
        own = torch.randperm(len(self.memory.rows))[:batch]
        self.rows, self.camids = own.to(device), camids[own].to(device)
        noise = 0.02 * torch.randn(len(own), dim, device=device)
        self.features = (self.memory.rows[self.rows] + noise).requires_grad_()
        self.losses = NeighbourhoodLoss()
        self.units = self.team.gathered(F.normalize(self.features.detach()))
        self.all_rows = self.team.gathered(self.rows)
        with torch.no_grad():
            self.compared = self.memory.compare(self.features, self.rows, self.camids)

    def gemm(self) -> None:
        similarities = self.units @ self.memory.rows.t()
        similarities @ self.memory.rows

    def step(self) -> None:
        self.features.grad = None
        found = self.losses(self.memory.compare(self.features, self.rows, self.camids))
        (_there(found.intra) + 0.5 * _there(found.inter)).backward()
        self.write()

    def both_losses(self) -> None:
        self.compared.similarities.requires_grad_().grad = None
        found = self.losses(self.compared)
        (_there(found.intra) + 0.5 * _there(found.inter)).backward()

    def write(self) -> None:
        self.memory.write(self.units, self.all_rows, 0.6)


def _there(loss: Tensor | None) -> Tensor:
    assert loss is not None
    return loss


def _waiting(work: Callable[[], object], device: torch.device) -> Callable[[], object]:
    """The same, until the device has done it."""

    def done() -> None:
        work()
        if device.type == "cuda":
            torch.cuda.synchronize()

    return done


def measure(rows: int, asked: argparse.Namespace) -> dict[str, Any]:
    """All figures of one size, ready for JSON."""
    device = torch.device(asked.device)
    case = Case(rows, asked.dim, asked.batch, asked.processes, device)
    parts = {"gemm": case.gemm, "step": case.step, "losses": case.both_losses, "write": case.write}
    works = {name: _waiting(work, device) for name, work in parts.items()}
    time_interleaved(works, 1)
    timings = time_interleaved(works, asked.repeats)
    figures: dict[str, Any] = {
        "rows": rows,
        "rows_here": len(case.memory.rows),
        "dim": asked.dim,
        "batch": asked.batch,
        "processes": asked.processes,
        "device": str(device),
        "threads": torch.get_num_threads(),
        "repeats": asked.repeats,
    }
    for name, timing in timings.items():
        figures[f"{name}_seconds"] = min(timing.wall)
        figures[f"{name}_median_seconds"] = statistics.median(timing.wall)
        figures[f"{name}_cpu_seconds"] = min(timing.cpu)
    over = timings["step"].over(timings["gemm"])
    figures |= {f"step_over_gemm{kind}": ratio for kind, ratio in over.items()}
    for name in ("gemm", "step"):
        figures[f"{name}_mb"] = most_memory(works[name], mapped=False) if device.type == "cpu" else None
    return figures


def table(sizes: list[dict[str, Any]]) -> str:
    """The figures for reading."""
    lines = []
    for size in sizes:
        spread = f", of which {size['rows_here']} here" if size["processes"] > 1 else ""
        lines += [
            f"{size['rows']} rows{spread}, {size['dim']} numbers each, batches of {size['batch']}; {size['device']}, "
            f"{size['threads']} CPU threads, least and median of {size['repeats']} rounds",
            f"{'':<34}{'seconds':>9}{'median':>9}{'ratio':>8}{'of CPU':>8}{'MiB':>7}",
        ]
        for name, words in (
            ("gemm", "both products alone"),
            ("step", "read, losses, gradient, write"),
            ("losses", "  losses and their gradient"),
            ("write", "  write"),
        ):
            ratios = [size[f"{name}{kind}_seconds"] / size[f"gemm{kind}_seconds"] for kind in ("", "_cpu")]
            memory = size.get(f"{name}_mb")
            lines.append(
                f"{words:<34}{size[f'{name}_seconds']:9.4f}{size[f'{name}_median_seconds']:9.4f}"
                f"{ratios[0]:8.2f}{ratios[1]:8.2f}{'' if memory is None else round(memory):>7}"
            )
    return "\n".join(lines)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=positive, help="one size instead of " + " and ".join(map(str, SIZES)))
    parser.add_argument("--dim", type=positive, default=2048, help="numbers per row (%(default)s)")
    parser.add_argument("--batch", type=positive, default=128, help="target pictures per process (%(default)s)")
    parser.add_argument("--processes", type=positive, default=1, help="spread the memory over so many (%(default)s)")
    parser.add_argument("--repeats", type=positive, default=7, help="rounds (%(default)s)")
    parser.add_argument("--threads", type=positive, help="by default as many as torch takes")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    asked = parser.parse_args()
    if asked.threads:
        torch.set_num_threads(asked.threads)
    sizes = [measure(rows, asked) for rows in ([asked.rows] if asked.rows else SIZES)]
    print(json.dumps({**sizes[-1], "sizes": sizes}) if asked.json else table(sizes))
    return 0


if __name__ == "__main__":
    run_door(main)
