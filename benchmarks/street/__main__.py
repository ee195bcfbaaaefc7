"""Does the street measure what it says? Five claims, each tried and told with its figures.

    python3 -m benchmarks.street                  about six minutes on two free cores
    python3 -m benchmarks.street --only a d       the two that train nothing, in a minute

Streets are drawn into datasets/ladders/, trainings are done by train.sh into checkpoints/ladder-street-*; what is there
is used again. The tables are also written to docs/street.md, in place of those before, when all five were tried.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path

import torch

from benchmarks.arguments import positive
from benchmarks.ladders.document import put_block
from benchmarks.ladders.doors import Doors, State
from benchmarks.ladders.ladder import Ladder, Measure, Row
from benchmarks.ladders.machine import machine
from benchmarks.ladders.pictures import FOLDER, Pictures
from benchmarks.ladders.runs import Plan
from benchmarks.street.colours import colours
from benchmarks.street.finding import Finding
from benchmarks.street.hiding import hiding
from benchmarks.street.shuffles import shuffles
from benchmarks.street.trained import cities, judge_of, supervised
from common.command import end_on_termination
from common.environment import ROOT
from data.catalog import find
from data.samples import Dataset
from data.street.config import StreetConfig
from data.street.splits import SIZES, split_of, write_split
from engine.checkpoint import commit
from engine.devices import parse_devices
from engine.launch import run_door

DOCUMENT, SECTION = Path("docs/street.md"), "## Does it measure what it says?"
CITIES = {"city 0": "source", "city 1": "target"}


class Instrument:
    """What the claims need: streets, and networks trained on them, each made when it is first asked for.

    Args:
        home: the folder whose `checkpoints/`, `logs/` and `datasets/` are used.
        device: the first argument of the doors.
    """

    def __init__(self, home: Path, size: str, device: str, workers: int) -> None:
        self.home, self.size, self.device, self.workers = home, size, device, workers

    def street(self, split: str, part: str = "street") -> tuple[StreetConfig, Dataset]:
        """A street of a split, drawn."""
        return split_of(split).streets(self.size)[part], find("street", self._folder(split, part))

    @cached_property
    def torch_device(self) -> torch.device:
        return parse_devices(self.device).device(0)

    def checkpoint(self, split: str, part: str = "street") -> Path:
        """Of the baseline, trained on a street."""
        street = find("street", self._folder(split, part))
        folder = self._folder(split, part).relative_to(self.home)
        pictures = Pictures(folder, folder, {part: street.fingerprint()}, {"source": street.train.fingerprint()})
        name = f"street-{split}" + ("" if part == "street" else f"-{part}")
        ladder = Ladder(
            name=name, question="", split=split, base=Path("configs/from_scratch.yml"), rows=(Row("baseline"),),
            measures=(Measure("mAP"),), expected="",
        )  # fmt: skip
        plan = Plan(ladder, self.size, pictures)
        run = plan.run(ladder.rows[0], 1)
        doors = Doors(self.home, plan.base, self.home / "logs" / "ladders" / plan.name, self.device)
        standing = doors.standing(run)
        if standing.state is not State.FINISHED:
            print(f"  training on {split} {part} ...", flush=True)
            doors.train(run, restart=standing.state is State.OTHER)
        return self.home / doors.checkpoint(run)

    def _folder(self, split: str, part: str) -> Path:
        out = self.home / FOLDER / f"{split}-{self.size}"
        return write_split(out, split, self.size, workers=self.workers, force=True)[part]


def _a(instrument: Instrument) -> Finding:
    return colours(instrument.street("clothes")[1])


def _b(instrument: Instrument) -> Finding:
    judges = {
        city: judge_of(instrument.checkpoint("city2city", part), instrument.torch_device)
        for city, part in CITIES.items()
    }
    return cities(judges, {city: instrument.street("city2city", part)[1] for city, part in CITIES.items()})


def _c(instrument: Instrument) -> Finding:
    config, dataset = instrument.street("occlusion")
    return hiding(config, dataset, judge_of(instrument.checkpoint("occlusion"), instrument.torch_device))


def _d(instrument: Instrument) -> Finding:
    return shuffles(split_of("standard").streets(instrument.size)["street"])


def _e(instrument: Instrument) -> Finding:
    checkpoint, device = instrument.checkpoint("standard"), instrument.torch_device
    untrained = judge_of(checkpoint, device, untrained=True)
    return supervised(judge_of(checkpoint, device), untrained, instrument.street("standard")[1])


CLAIMS: dict[str, Callable[[Instrument], Finding]] = {"a": _a, "b": _b, "c": _c, "d": _d, "e": _e}


def main(arguments: Sequence[str] | None = None, home: Path = ROOT) -> int:
    """Run the command; its exit status is 0 when every claim that was tried held."""
    asked = _parser().parse_args(arguments)
    parse_devices(asked.device)
    instrument = Instrument(home, asked.size, asked.device, asked.workers)
    findings = []
    for name in asked.only or CLAIMS:
        print(f"({name}) ...", flush=True)
        started = time.perf_counter()
        finding = replace(CLAIMS[name](instrument), seconds=time.perf_counter() - started)
        print(f"{finding.told()}\n", flush=True)
        findings.append(finding)
    if not all(finding.held for finding in findings):
        print("not everything held" + (": at size tiny nothing can be told" if asked.size == "tiny" else ""))
    if not asked.only and not asked.no_docs and asked.size != "tiny":
        told = f"Size {asked.size}, {machine(parse_devices(asked.device))}, commit {commit()}.\n\n"
        where = "" if asked.device == "cpu" else f" --device {asked.device}"
        command = f"    python3 -m benchmarks.street --size {asked.size}{where}\n\n"
        text = command + told + "\n\n".join(finding.told() for finding in findings)
        changed = put_block(home / DOCUMENT, "evidence", text, section=SECTION)
        print(f"{'written to' if changed else 'already in'} {DOCUMENT}")
    return 0 if all(finding.held for finding in findings) else 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python3 -m benchmarks.street",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--only", nargs="+", choices=CLAIMS, help="these claims; nothing is written to the document")
    parser.add_argument("--size", choices=SIZES, default="small", help="of the streets and trainings (%(default)s)")
    parser.add_argument("--device", default="cpu", metavar="DEVICES", help="as for train.sh: cpu or 0 (cpu)")
    parser.add_argument("--workers", type=positive, default=1, metavar="N", help="processes that draw (%(default)s)")
    parser.add_argument("--no-docs", action="store_true", help=f"do not write to {DOCUMENT}")
    return parser


if __name__ == "__main__":
    end_on_termination()  # a training under way ends with it
    run_door(main)
