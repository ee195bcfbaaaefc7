"""Climb a ladder: train a method's ablation rows on a split of the street and print what each part is worth.

    python3 -m benchmarks.ladders baseline                          three seeds, size small
    python3 -m benchmarks.ladders baseline --seeds 1 --size tiny --no-docs
    python3 -m benchmarks.ladders baseline --rows triplet           that row only
    python3 -m benchmarks.ladders baseline --show                   what is done so far
    python3 -m benchmarks.ladders --list

Every run is a training by train.sh and an evaluation by eval.py (of the ladder parsing: python3 -m engine.parsing), in
checkpoints/ladder-*; what came out is kept in logs/ladders/. The same command again goes on where it stopped and does
nothing twice, unless the settings of a row or the pictures changed. A table with all rows is also written to
docs/benchmarks.md, in place of the one before.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from benchmarks.arguments import positive
from benchmarks.ladders import LADDERS, ladder
from benchmarks.ladders.climb import Climb
from benchmarks.ladders.document import put_block
from benchmarks.ladders.doors import Doors
from benchmarks.ladders.machine import machine
from benchmarks.ladders.pictures import draw
from benchmarks.ladders.records import UNKNOWN, Records
from benchmarks.ladders.runs import Plan
from benchmarks.ladders.sizes import SIZES
from benchmarks.ladders.table import Results, listing, markdown, text
from common.command import end_on_termination
from common.environment import ROOT
from common.errors import UserError
from engine.checkpoint import commit
from engine.devices import parse_devices
from engine.launch import run_door

DOCUMENT = Path("docs/benchmarks.md")


def main(arguments: Sequence[str] | None = None, home: Path = ROOT) -> int:
    """Run the command.

    Args:
        home: the folder whose `checkpoints/`, `logs/`, `features/`, `datasets/` and `docs/` are used.
    """
    asked = _parser().parse_args(arguments)
    if asked.list:
        print(listing(LADDERS))
        return 0
    if asked.name is None:
        raise UserError(f"give the name of a ladder ({', '.join(LADDERS)}), or --list to see what they ask")
    plan = Plan(ladder(asked.name), asked.size)
    rows = plan.ladder.chosen(asked.rows) if asked.rows else plan.ladder.rows
    devices = parse_devices(asked.device)
    plan.check()
    folder = home / "logs" / "ladders" / plan.name
    records = Records(folder)
    if asked.show:
        print(text(Results.of(plan, records)))
        return 0
    with records.locked():
        print(f"the split '{plan.ladder.split}' at size {plan.size} ...", end=" ", flush=True)
        pictures = draw(home, plan.ladder.split, plan.size, asked.workers)
        print(f"in {' and '.join(str(part) for part in dict.fromkeys((pictures.source, pictures.target)))}", flush=True)
        plan = Plan(plan.ladder, plan.size, pictures)
        doors = Doors(home, plan.base, folder, asked.device)
        climb = Climb(plan, records, doors, commit() or UNKNOWN, machine(devices))
        runs = plan.runs(rows, range(1, asked.seeds + 1))
        if asked.fresh:
            climb.forget(runs)
        try:
            climb.go(runs)
        except (KeyboardInterrupt, SystemExit):
            done = sum(records.answering(run) is not None for run in runs)
            print(f"stopped after {done} of {len(runs)} runs; the same command goes on from here", flush=True)
            raise
        results = Results.of(plan, records)
    print(f"\n{text(results)}")
    if not asked.no_docs:
        _write_down(results, home / DOCUMENT, asked.device)
    return 0


def _write_down(results: Results, path: Path, device: str) -> None:
    """The table goes into the document once all rows are there."""
    plan = results.plan
    if not results.complete:
        print(f"\nnot written to {path.name}: not every row was run with the same seeds")
        return
    command = ["python3", "-m", "benchmarks.ladders", plan.ladder.name, "--seeds", str(max(results.seeds))]
    where = [] if device == "cpu" else ["--device", device]
    block = markdown(results, [*command, "--size", plan.size, *where])
    changed = put_block(path, f"ladder {plan.ladder.name} {plan.size}", block)
    print(f"\n{'written to' if changed else 'already in'} {path}")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python3 -m benchmarks.ladders",
        usage="%(prog)s NAME [options]",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("name", nargs="?", metavar="NAME", help=f"of a ladder: {', '.join(LADDERS)}")
    parser.add_argument("--list", action="store_true", help="print the ladders, their questions and rows")
    parser.add_argument("--show", action="store_true", help="print the table of what is done so far and run nothing")
    parser.add_argument("--seeds", type=positive, default=3, metavar="N", help="train with seeds 1 to N (%(default)s)")
    parser.add_argument("--size", choices=SIZES, default="small", help="of pictures and trainings (%(default)s)")
    parser.add_argument("--rows", nargs="+", metavar="ROW", help="only these, and those they need")
    parser.add_argument("--fresh", action="store_true", help="forget what is done of what is asked for and do it again")
    parser.add_argument("--device", default="cpu", metavar="DEVICES", help="as for train.sh: cpu, 0 or 0,1 (cpu)")
    parser.add_argument("--workers", type=positive, default=1, metavar="N", help="processes that draw (%(default)s)")
    parser.add_argument("--no-docs", action="store_true", help="do not write the table to docs/benchmarks.md")
    return parser


if __name__ == "__main__":
    end_on_termination()  # a training under way ends with it
    run_door(main)
