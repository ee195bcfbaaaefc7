"""What a training step of a method costs beside the baseline's, in time and memory, within one run.

    .venv/bin/python -m benchmarks.methods                                   CAL and AIM, before and after their gates
    .venv/bin/python -m benchmarks.methods --backbone resnet50 --height 384 --width 192 --batch 8

A step is forward, losses, backward and all optimiser steps of one batch of noise; reading pictures is not in it. Rounds
are interleaved: every round takes a step of each. Memory is the most that a step takes on top of weights, gradients and
optimiser states, which are told beside it.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from typing import Any

import torch

from benchmarks.arguments import positive
from benchmarks.memory import MIB, most_memory
from benchmarks.retrieval import time_interleaved
from benchmarks.steps import training_step
from common.contracts import Batch
from configs.loader import parse
from engine.launch import run_door
from modeling.methods import options_of
from modeling.methods.method import Facts

PEOPLE, OUTFITS = 150, 300
"""Of PRCC's training set."""

ROWS: dict[str, tuple[str, bool]] = {
    "baseline": ("baseline", True),
    "CAL, gate closed": ("cal", False),
    "CAL, gate open": ("cal", True),
    "AIM, gates closed": ("aim", False),
    "AIM, gates open": ("aim", True),
}
"""A method, and whether all of its terms count."""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--backbone", default="resnet18")
    parser.add_argument("--height", type=positive, default=128)
    parser.add_argument("--width", type=positive, default=64)
    parser.add_argument("--batch", type=positive, default=32)
    parser.add_argument("--repeats", type=positive, default=5)
    parser.add_argument("--opt-level", choices=("O0", "O1"), default="O1")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    asked = parser.parse_args()
    device = torch.device(asked.device)
    batch, facts = _batch(asked.batch, asked.height, asked.width, device)
    steps, kept = {}, {}
    for name, (method, everything) in ROWS.items():
        steps[name], kept[name] = _step(asked, method, everything, batch, facts, device)
        steps[name]()  # momenta are there, caches are warm
    memory = {name: _most_memory(step, device) for name, step in steps.items()}
    timings = time_interleaved(steps, asked.repeats)
    base = min(timings["baseline"].wall)
    told = {
        name: {
            "seconds": min(timings[name].wall),
            "over_baseline": min(timings[name].wall) / base,
            "kept_mb": kept[name],
            "step_mb": memory[name],
        }
        for name in ROWS
    }
    how = f"{asked.backbone}, {asked.height}x{asked.width}, batches of {asked.batch}, {asked.opt_level}, {device}"
    if asked.json:
        print(json.dumps({"how": how, "threads": torch.get_num_threads(), "rows": told}, indent=2))
        return 0
    print(f"{how}, {torch.get_num_threads()} CPU threads")
    print(f"{'':<20}{'s a step':>10}{'x baseline':>12}{'MiB kept':>10}{'MiB a step':>12}")
    for name, row in told.items():
        taken = "-" if row["step_mb"] is None else f"{row['step_mb']:.0f}"
        print(f"{name:<20}{row['seconds']:>10.3f}{row['over_baseline']:>12.2f}{row['kept_mb']:>10.0f}{taken:>12}")
    return 0


def _batch(size: int, height: int, width: int, device: torch.device) -> tuple[Batch, Facts]:
    """Noise, eight pictures a person in two outfits, and a training set in which everybody has two."""
    rows = torch.arange(size, device=device)
    labels = rows // 8 % PEOPLE
    images = torch.randn(size, 3, height, width, device=device).to(memory_format=torch.channels_last)
    clothes, none = 2 * labels + rows % 2, torch.zeros_like(rows)
    batch = Batch(images, labels, none, clothes, rows, none, torch.zeros(size, 10, dtype=torch.int64, device=device))
    everybody = torch.arange(OUTFITS, device=device)
    zeros = torch.zeros_like(everybody)
    return batch, Facts(PEOPLE, everybody // 2, zeros, everybody, zeros, OUTFITS, zeros, OUTFITS)


def _step(
    asked: Any, name: str, everything: bool, batch: Batch, facts: Facts, device: torch.device
) -> tuple[Callable[[], object], float]:
    """A training step, and the MiB of weights, gradients and two momenta of each."""
    model = {"backbone": asked.backbone, "pretrained": "none", "pooling": "maxavg"}
    config = parse({"method": name, "model": model}, options_of)
    method, once = training_step(config, facts, lambda: batch, device, asked.opt_level, everything=everything)
    return once, 4 * 4 * sum(parameter.numel() for parameter in method.parameters()) / MIB


def _most_memory(step: Callable[[], object], device: torch.device) -> float | None:
    if device.type != "cuda":
        return most_memory(step, mapped=False)
    torch.cuda.reset_peak_memory_stats()
    before = torch.cuda.memory_allocated()
    step()
    return (torch.cuda.max_memory_allocated() - before) / MIB


if __name__ == "__main__":
    run_door(main)
