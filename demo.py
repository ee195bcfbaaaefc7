"""See it work: make a street, train the baseline on it on the CPU, and compare before and after.

    make demo                        or, with other keys: python3 demo.py [key=value ...]

Everything is configs/demo.yml under the name demo; key=value overrides it. A second demo starts anew over the first
one, unless that was interrupted: then it goes on.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

from common.environment import ROOT, require_packages
from common.errors import UserError

require_packages("torch", "ignite", "pydantic")

import torch

from configs.loader import load
from data.street import write_street
from data.street.splits import split_of
from engine.judging import Judgement, Request, judge
from engine.launch import run_door
from engine.logs import close_log, open_log
from engine.runs import INTERRUPTED, Folders
from engine.training import train
from modeling.methods import options_of

T = TypeVar("T")

CPU = torch.device("cpu")
STREET = split_of("standard").streets("small")["street"]
STREET_FOLDER = Path("datasets/demo")  # its own, so that writing it anew harms no other street
SHOWN = ("mAP", "mINP", "rank-1", "rank-5", "rank-10")


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="demo.py", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    parser.add_argument("overrides", nargs="*", metavar="key=value", help="such as train.epochs=2")
    overrides = parser.parse_args().overrides
    os.chdir(ROOT)
    own = ["name=demo", f"data.root={STREET_FOLDER}", *overrides]
    config = load(Path("configs/demo.yml"), own, options_of)
    folders = Folders.of(config)
    if isinstance(config.data.root, tuple):
        raise UserError("the demo makes one street and learns from it; for several sources use train.sh")
    if config.data.validation:
        raise UserError("the demo compares before and after on its test people; to hold out others use train.sh")
    street = config.data.root or STREET_FOLDER
    if not (folders.checkpoints / INTERRUPTED).exists():
        config = config.changed(train={"restart": True})
    seconds: dict[str, float] = {}

    _begin("1. a street of people who do not exist")
    summary = _timed(seconds, "street", lambda: write_street(street, STREET, force=True))
    print(f"{summary.pictures:,} pictures in {street}{'' if summary.fresh else ', from the last demo'}")

    _begin("2. training, with an evaluation before, on the way and at the end")
    status = _timed(seconds, "training", lambda: train(config, CPU))
    if status:
        return status

    _begin("3. the checkpoint judged on its own, as eval.py does")
    checkpoint = folders.epochs()[-1]
    judgement = _timed(seconds, "evaluation", lambda: _judge(checkpoint))

    _begin("before and after")
    print(_table(_before(folders.logs / "metrics.jsonl"), judgement.scores.metrics()))
    print("\n" + "   ".join(f"{part} {spent:.0f} s" for part, spent in seconds.items()))
    print(f"""
checkpoints   {folders.checkpoints}/
logs          {folders.logs}/   (train.log, metrics.jsonl, curves for TensorBoard)
features      {judgement.folder}/
pictures      {street}/

what next
  python3 eval.py cpu {checkpoint} --rerank
  bash train.sh cpu configs/demo.yml train.epochs={2 * config.train.epochs}
  bash train.sh 0 configs/bag_of_tricks.yml data.root=/path/to/Market-1501""")
    return 0


def _begin(title: str) -> None:
    print(f"\n== {title}", flush=True)


def _timed(seconds: dict[str, float], part: str, work: Callable[[], T]) -> T:
    started = time.perf_counter()
    result = work()
    seconds[part] = time.perf_counter() - started
    return result


def _judge(checkpoint: Path) -> Judgement:
    open_log()
    try:
        return judge(Request(checkpoint), CPU)
    finally:
        close_log()


def _before(metrics: Path) -> dict[str, float]:
    """The scores of the untrained network."""
    events: list[dict[str, Any]] = [json.loads(line) for line in metrics.read_text().splitlines()]
    return next(event for event in events if event["event"] == "evaluation" and event["epoch"] == 0)


def _table(before: Mapping[str, float], after: Mapping[str, float]) -> str:
    rows = [f"{'':<12}" + "".join(f"{name:>9}" for name in SHOWN)]
    for title, scores in (("untrained", before), ("trained", after)):
        rows.append(f"{title:<12}" + "".join(f"{100 * scores[name]:8.1f}%" for name in SHOWN))
    return "\n".join([*rows, f"{'':<12}mAP is {after['mAP'] / before['mAP']:.1f} times that of the untrained network"])


if __name__ == "__main__":
    run_door(main)
