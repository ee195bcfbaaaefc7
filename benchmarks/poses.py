"""What knowing the joints costs in training: the pose network in every step against maps that were made once.

    .venv/bin/python -m benchmarks.poses                                     CAMC on ResNet-18, HRNet-W48
    .venv/bin/python -m benchmarks.poses --backbone resnet50 --height 256 --width 128 --batch 16

A step is the maps of a batch, forward, loss, backward and the optimiser's step; reading pictures is not in it. Rounds
are interleaved: every round takes a step of each. Pictures are of a street made for it, HRNet's weights are random.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

import engine.pose
from benchmarks.arguments import positive
from benchmarks.retrieval import time_interleaved
from benchmarks.steps import training_step
from common.contracts import Batch
from configs.loader import parse
from configs.schema import Config
from data.loader import Pictures, RawBatch
from data.readers import read
from data.samplers import Key
from data.street import StreetConfig, write_street
from data.training_set import TrainingSet
from data.transforms import Augmentation, Preprocessing
from engine.handlers.prepare import PrepareBatch
from engine.inputs import Inputs
from engine.launch import run_door
from modeling.backbones.hrnet import PoseHRNet
from modeling.methods import build_embedder, options_of

NETWORKS = {"hrnet_w32": 32, "hrnet_w48": 48}


def main() -> int:
    asked = _parser().parse_args()
    device = torch.device(asked.device)
    with tempfile.TemporaryDirectory() as folder:
        rows = _rows(asked, Path(folder), device)
        steps = {name: _step(config, asked, Path(folder) / "street", device) for name, config in rows.items()}
        for step in steps.values():
            step()  # momenta are there, caches are warm
        timings = time_interleaved(steps, asked.repeats)
    base = min(timings["cached"].wall)
    told = {
        name: {"seconds": min(taken.wall), "over_cached": min(taken.wall) / base} for name, taken in timings.items()
    }
    size = f"{asked.height}x{asked.width}"
    how = f"CAMC, {asked.backbone}, {asked.network}, {size}, batches of {asked.batch}, {asked.opt_level}, {device}"
    if asked.json:
        print(json.dumps({"how": how, "threads": torch.get_num_threads(), "rows": told}, indent=2))
        return 0
    print(f"{how}, {torch.get_num_threads()} CPU threads")
    print(f"{'':<20}{'s a step':>10}{'x cached':>12}")
    for name, row in told.items():
        print(f"{name:<20}{row['seconds']:>10.3f}{row['over_cached']:>12.2f}")
    return 0


def _rows(asked: Any, folder: Path, device: torch.device) -> dict[str, Config]:
    """A configuration for each row, and on disk what it needs."""
    street, weights, maps = folder / "street", folder / "pose.pth", folder / "maps"
    write_street(street, StreetConfig(identities=16, height=asked.height, width=asked.width))
    torch.manual_seed(0)
    torch.save(PoseHRNet(NETWORKS[asked.network]).state_dict(), weights)
    size = {"height": asked.height, "width": asked.width}
    data = {"source": "street", "root": str(street), **size}
    network = {"source": "hrnet", "network": asked.network, "weights": str(weights)}
    made = ["--dataset", "street", "--root", street, "--source", "keypoints", "--folder", maps]
    sizes = [f"--{side}={pixels}" for side, pixels in size.items()]
    with contextlib.redirect_stdout(sys.stderr):
        engine.pose.main([str(word) for word in ("cpu" if device.type == "cpu" else "0", *made, *sizes)])
    rows = {
        "appearance only": ({}, {"fusion": "appearance"}),
        "cached": ({"source": "cached", "folder": str(maps)}, {}),
        "hrnet, clean": (network, {}),
        "hrnet, augmented": ({**network, "input": "augmented"}, {}),
    }
    shared = {"method": "camc", "model": {"backbone": asked.backbone, "pretrained": "none"}}
    return {
        name: parse({**shared, "data": {**data, "poses": poses}, "options": options}, options_of)
        for name, (poses, options) in rows.items()
    }


def _step(config: Config, asked: Any, street: Path, device: torch.device) -> Callable[[], None]:
    """A training step on one batch of augmented pictures, beginning with the maps of it."""
    training_set = TrainingSet.of([read("market", street, "street").train])
    preprocessing = Preprocessing.of(config.data)
    given = Inputs(build_embedder(config).inputs, config).of(training_set.splits, device, config.data.augment)
    augmentation = Augmentation(config.data.augment, preprocessing)
    pictures = Pictures(training_set.file, preprocessing, augmentation, plain=given.plain)
    raw = pictures.__getitems__([Key(row % len(training_set), 1, row) for row in range(asked.batch)])
    assert isinstance(raw, RawBatch)
    preparing = PrepareBatch(training_set, preprocessing, device, given)

    def batch() -> Batch:
        return preparing.prepare(raw)

    return training_step(config, preparing.facts, batch, device, asked.opt_level)[1]


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--backbone", default="resnet18")
    parser.add_argument("--network", choices=NETWORKS, default="hrnet_w48")
    parser.add_argument("--height", type=positive, default=128)
    parser.add_argument("--width", type=positive, default=64)
    parser.add_argument("--batch", type=positive, default=16)
    parser.add_argument("--repeats", type=positive, default=5)
    parser.add_argument("--opt-level", choices=("O0", "O1"), default="O0")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    return parser


if __name__ == "__main__":
    run_door(main)
