"""Training speed and where it goes, as ratios within one run.

    .venv/bin/python -m benchmarks.speed --backbone resnet18 --height 128 --width 64

Each row is the median of `--repeat` steps after a warm-up, on pictures of a street made for it. The last column is what
to keep: absolute figures change with the machine and what else it does.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import torch

from benchmarks.steps import training_step
from configs.schema import Config, Data, Model
from data.loader import Pictures, RawBatch
from data.readers import read
from data.samplers import Key
from data.street import StreetConfig, write_street
from data.training_set import TrainingSet
from data.transforms import Augmentation, Preprocessing
from engine.handlers.prepare import PrepareBatch
from engine.launch import run_door
from modeling.methods import options_of


def median_seconds(work: Callable[[], object], repeat: int) -> float:
    """Of `repeat` calls after two that do not count."""
    seconds = []
    for _ in range(repeat + 2):
        started = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - started)
    return statistics.median(seconds[2:])


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--backbone", default="resnet18")
    parser.add_argument("--height", type=int, default=128)
    parser.add_argument("--width", type=int, default=64)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--repeat", type=int, default=8)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    asked = parser.parse_args()
    device = torch.device(asked.device)
    config = Config(
        data=Data(height=asked.height, width=asked.width),
        model=Model(backbone=asked.backbone, pretrained="none"),
        options=options_of("baseline")(),
    )
    with tempfile.TemporaryDirectory() as folder:
        write_street(Path(folder) / "street", StreetConfig(identities=16, height=asked.height, width=asked.width))
        training_set = TrainingSet.of([read("market", Path(folder) / "street", "street").train])
        preprocessing = Preprocessing.of(config.data)
        pictures = Pictures(training_set.file, preprocessing, Augmentation(config.data.augment, preprocessing))
        keys = [Key(row % len(training_set), 1, row) for row in range(asked.batch)]
        loading = median_seconds(lambda: pictures.__getitems__(keys), asked.repeat)
        raw = pictures.__getitems__(keys)
    preparing = PrepareBatch(training_set, preprocessing, device)
    assert isinstance(raw, RawBatch)

    def step(opt_level: str) -> float:
        _, once = training_step(config, preparing.facts, lambda: preparing.prepare(raw), device, opt_level)
        return median_seconds(once, asked.repeat)

    rows = {level: step(level) for level in ("O0", "O1", "O2")}
    print(
        f"{asked.backbone}, {asked.height}x{asked.width}, batches of {asked.batch}, {device},"
        f" {torch.get_num_threads()} CPU threads"
    )
    print(f"{'':<34}{'images/s':>10}{'of O0':>8}")
    base = rows["O0"]
    for level, seconds in rows.items():
        print(f"{'training step ' + level:<34}{asked.batch / seconds:10.0f}{base / seconds:8.2f}")
    print(f"{'loading, one process':<34}{asked.batch / loading:10.0f}{base / loading:8.2f}")
    return 0


if __name__ == "__main__":
    run_door(main)
