"""What finding body parts anew costs: person by person as here, beside all maps at first as HCGA was released.

    .venv/bin/python -m benchmarks.parsing                                 1,000 pictures, maps of 24 x 12 cells
    .venv/bin/python -m benchmarks.parsing --height 64 --width 32          the recipe's maps
    .venv/bin/python -m benchmarks.parsing --by k-means --pictures 200 --json

Maps are made up: every person has bands of features of their own, and noise. Making them is in the times of both ways;
what the network would take instead, which is the same in both, is not.

- `person by person`: the maps of one person, which are parsed and forgotten.
- `all maps first`: those of all pictures one batch after the other, then joined, then each person's are taken out of
  them and parsed. With `--device cuda` they wait in the computer's own memory.

Rounds are interleaved: every round takes each of them once. `seconds` are for 1,000 pictures. Memory is the most that
each takes on top of what there was (Linux; null elsewhere), and on a GPU the most that torch takes there. `difference`
is the share of cells in which both ways disagree.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from functools import partial
from typing import Any, get_args

import torch
from torch import Tensor

from benchmarks.arguments import positive
from benchmarks.memory import MIB, most_memory
from benchmarks.retrieval import time_interleaved
from common.errors import UserError
from engine.launch import run_door
from modeling.parsing import build_parser
from modeling.parsing.options import ParsingOptions

WAYS = get_args(ParsingOptions.model_fields["by"].annotation)
_BANDS = 5
"""Background, head, torso, legs, background."""


class Case:
    """People, the maps of their pictures, and both ways to parse them."""

    def __init__(self, asked: argparse.Namespace) -> None:
        if asked.pictures % asked.each:
            raise UserError(
                f"{asked.pictures} pictures are not so many times {asked.each}; give --pictures as a multiple of --each"
            )
        self.people, self.each = asked.pictures // asked.each, asked.each
        self.shape = (asked.channels, asked.height, asked.width)
        self.batch, self.device = asked.batch, torch.device(asked.device)
        self.parser = build_parser(ParsingOptions(by=asked.by))
        self.ways: dict[str, Callable[[], Tensor]] = {
            "person by person": self.person_by_person,
            "all maps first": self.all_maps_first,
        }

    def maps(self, first: int, count: int) -> Tensor:
        """`(count, C, h, w)` on the device, of pictures from `first` on; each the same whenever it is asked for."""
        found = torch.empty(count, *self.shape, device=self.device)
        for number, out in enumerate(found, first):
            person = torch.Generator(self.device).manual_seed(number // self.each)
            picture = torch.Generator(self.device).manual_seed(self.people + number)
            bands = torch.rand((len(out), _BANDS), generator=person, device=self.device)
            rows = torch.arange(out.shape[1], device=self.device) * _BANDS // out.shape[1]
            out.normal_(0, 0.3, generator=picture).add_(bands[:, rows, None]).relu_()
        return found

    def person_by_person(self) -> Tensor:
        """`(N, h, w)` masks."""
        masks = []
        for person in range(self.people):
            maps = self.maps(person * self.each, self.each)
            masks.append(self.parser(maps, person).masks)
            del maps  # or they would wait until those of the next one are there
        return torch.cat(masks)

    def all_maps_first(self) -> Tensor:
        """`(N, h, w)` masks."""
        pictures = self.people * self.each
        batches = [
            self.maps(first, min(self.batch, pictures - first)).cpu() for first in range(0, pictures, self.batch)
        ]
        maps = torch.cat(batches)
        del batches
        people = enumerate(maps.split(self.each))
        return torch.cat([self.parser(own.to(self.device), person).masks for person, own in people])

    def step(self, way: str) -> None:
        """The masks are on the CPU when it is done, so nothing is left under way on a GPU."""
        self.ways[way]()

    def difference(self) -> float:
        one, other = (way() for way in self.ways.values())
        return float((one != other).float().mean())


def measure(asked: argparse.Namespace) -> dict[str, Any]:
    """All figures, ready for JSON."""
    case = Case(asked)
    works = {name: partial(case.step, name) for name in case.ways}
    difference = case.difference()  # and both are warm for what follows
    memory = {name: most_memory(work, mapped=False) for name, work in works.items()}
    on_gpu = {name: _most_on_gpu(work, case.device) for name, work in works.items()}
    timings = time_interleaved(works, asked.repeats)
    rows = {
        name: {
            "seconds": 1000 * min(timing.wall) / asked.pictures,
            "cpu_seconds": 1000 * min(timing.cpu) / asked.pictures,
            "mb": memory[name],
            "gpu_mb": on_gpu[name],
        }
        for name, timing in timings.items()
    }
    sizes = {name: getattr(asked, name) for name in ("by", "pictures", "each", "channels", "height", "width", "device")}
    return {**sizes, "threads": torch.get_num_threads(), "difference": difference, "rows": rows}


def _most_on_gpu(work: Callable[[], None], device: torch.device) -> float | None:
    """MiB that torch takes at most on a GPU while it works; None without one."""
    if device.type != "cuda":
        return None
    before = torch.cuda.memory_allocated(device)
    torch.cuda.reset_peak_memory_stats(device)
    work()
    return (torch.cuda.max_memory_allocated(device) - before) / MIB


def table(told: dict[str, Any]) -> str:
    """The figures for reading."""
    size = f"{told['channels']}x{told['height']}x{told['width']}"
    lines = [
        f"{told['by']}: {told['pictures']:,} pictures of {told['pictures'] // told['each']:,} people, maps of {size},"
        f" {told['device']}, {told['threads']} CPU threads; {100 * told['difference']:.2g} % of cells differ",
        f"{'':<18}{'s / 1,000':>11}{'of CPU':>9}{'MiB':>9}{'on GPU':>9}",
    ]
    for name, row in told["rows"].items():
        amounts = ("–" if row[key] is None else f"{row[key]:.0f}" for key in ("mb", "gpu_mb"))
        memory = "".join(f"{amount:>9}" for amount in amounts)
        lines.append(f"{name:<18}{row['seconds']:>11.2f}{row['cpu_seconds']:>9.2f}{memory}")
    return "\n".join(lines)


def main() -> int:
    asked = _parser().parse_args()
    if asked.threads:
        torch.set_num_threads(asked.threads)
    told = measure(asked)
    print(json.dumps(told, indent=2) if asked.json else table(told))
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--by", choices=WAYS, default=WAYS[0], help="what parses (%(default)s)")
    parser.add_argument("--pictures", type=positive, default=1000, help="of all people (%(default)s)")
    parser.add_argument("--each", type=positive, default=10, help="pictures of a person (%(default)s)")
    parser.add_argument("--channels", type=positive, default=256, help="of the maps (%(default)s)")
    parser.add_argument("--height", type=positive, default=24, help="of the maps (%(default)s)")
    parser.add_argument("--width", type=positive, default=12, help="of the maps (%(default)s)")
    parser.add_argument("--batch", type=positive, default=64, help="pictures that the network sees (%(default)s)")
    parser.add_argument("--repeats", type=positive, default=1, help="rounds (%(default)s)")
    parser.add_argument("--threads", type=positive, help="by default as many as torch takes")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu", help="where maps are parsed (%(default)s)")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    return parser


if __name__ == "__main__":
    run_door(main)
