"""The command: read a dataset, plan its folder in another layout, write that, tell."""

from __future__ import annotations

import argparse
import json
import shlex
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from common.errors import unknown_name
from data.catalog import CATALOG, find, load
from data.convert import market, partitions, table
from data.convert.plan import TITLES, Plan
from data.convert.writer import Summary, write_plan
from data.samples import Dataset

LAYOUTS: dict[str, Callable[[Dataset], Plan]] = {
    "partitions": partitions.plan,
    "csv": table.plan,
    "market": market.plan,
}
_DESCRIPTION = """Write a dataset in another layout, so that other code can read it or this can read what was written
for other code. Pictures keep their bytes; they are links to the dataset's own files, so whoever changes one in place
changes both. Nothing is written into the dataset."""


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python3 -m data.convert", description=_DESCRIPTION, allow_abbrev=False)
    parser.add_argument("dataset", metavar="DATASET", help="a name in configs/datasets.yml, or of a reader")
    parser.add_argument("out", type=Path, metavar="OUT", help="the folder to write, new or empty")
    parser.add_argument("--root", type=Path, metavar="FOLDER", help="where the dataset lies (as the catalog says)")
    parser.add_argument(
        "--to", default="partitions", metavar="LAYOUT", help=f"one of {', '.join(LAYOUTS)} (partitions: CACE-Net's)"
    )
    parser.add_argument("--copy", action="store_true", help="copy the pictures instead of linking to them")
    return parser


def main(arguments: Sequence[str] | None = None, catalog: Path = CATALOG) -> int:
    """Run the command; returns its exit status.

    Raises:
        UserError: there is no dataset, the layout cannot hold it, or it cannot be written.
    """
    options = _parser().parse_args(arguments)
    if options.to not in LAYOUTS:
        raise unknown_name("layout", options.to, LAYOUTS)
    start = time.perf_counter()
    dataset = find(options.dataset, options.root, catalog, "--root")
    plan = LAYOUTS[options.to](dataset)
    summary = write_plan(options.out, plan, copy=options.copy)
    print(_told(dataset, options.to, summary, time.perf_counter() - start))
    for note in (*dataset.notes, *plan.notes):
        print(f"  note: {note}")
    print(f"next: {_next(options.dataset, options.to, summary.out, catalog)}")
    return 0


def _told(dataset: Dataset, layout: str, summary: Summary, seconds: float) -> str:
    titles = dataset.splits if layout == "csv" else TITLES
    counts = ", ".join(f"{len(dataset.splits[title]):,} {title}" for title in titles if len(dataset.splits[title]))
    done = {"linked": summary.linked, "copied": summary.copied}
    how = " and ".join(f"{count:,} {word}" for word, count in done.items() if count)
    return f"wrote {dataset.name} as {layout} to {summary.out} in {seconds:.1f} s: {counts} pictures ({how})"


def _next(dataset: str, layout: str, out: Path, catalog: Path) -> str:
    """What to type then."""
    name = layout
    if layout == "market":  # under that name the counts of Market-1501 itself are expected
        entries = load(catalog)
        reader = entries[dataset].reader if dataset in entries else dataset
        if reader != layout:
            root = json.dumps(str(out), ensure_ascii=False)  # which YAML reads too
            return f"a line in configs/datasets.yml, `NAME: {{reader: market, root: {root}, variant: none}}`"
        name = dataset
    return f"python3 -m data.doctor {name} --root {shlex.quote(str(out))}"
