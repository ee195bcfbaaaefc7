"""The command: open the case, look at its pictures, examine it, tell."""

from __future__ import annotations

import argparse
import json
import os
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from common.contracts import UNKNOWN
from common.errors import UserError, unknown_name
from common.files import make_folder
from data.catalog import CATALOG, REPOSITORY, load
from data.doctor.case import TITLES, Case, open_case
from data.doctor.checks import examine
from data.doctor.findings import Report, SplitFacts
from data.doctor.looks import look_at
from data.doctor.printing import as_text
from data.doctor.sheets import draw_sheets
from data.readers import READERS
from data.readers.named import TEST
from data.samples import Ints

Size = tuple[int, int] | None

SHEETS = REPOSITORY / "logs" / "doctor"
_DESCRIPTION = """What is wrong with a dataset, before days of training on it are lost: what is missing, broken, twice
there or labelled so that nothing can be found. Every picture is read once; nothing is written into the dataset."""
_EPILOG = """Exit status: 0 healthy, 1 not (a problem was found, or there is no dataset), 2 wrong use. Warnings and
notes are no problems."""


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python3 -m data.doctor", description=_DESCRIPTION, epilog=_EPILOG, allow_abbrev=False
    )
    parser.add_argument("dataset", metavar="DATASET", help="a name in configs/datasets.yml, or of a reader")
    parser.add_argument("--root", type=Path, metavar="FOLDER", help="where it lies (as the catalog says)")
    parser.add_argument("--json", action="store_true", help="print one JSON object with all files, and nothing else")
    parser.add_argument(
        "--sheets",
        type=Path,
        metavar="FOLDER",
        help="where to draw a contact sheet of each split (the project's logs/doctor/DATASET)",
    )
    usual = _processors()
    parser.add_argument("--workers", type=int, default=usual, metavar="N", help=f"processes that look ({usual})")
    parser.add_argument(
        "--quick", action="store_true", help="only names and labels: open no picture, draw sheets only with --sheets"
    )
    return parser


def _processors() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def main(arguments: Sequence[str] | None = None, catalog: Path = CATALOG) -> int:
    """Run the command; returns its exit status.

    Raises:
        UserError: there is no dataset, or a sheet cannot be written; then what was found is told all the same.
    """
    parser = _parser()
    options = parser.parse_args(arguments)
    if options.workers < 1:
        parser.error(f"--workers {options.workers}: expected a whole number from 1 on")
    names = {*load(catalog), *READERS}
    if options.dataset not in names:
        parser.error(str(unknown_name("dataset", options.dataset, names)))
    start = time.perf_counter()
    case = open_case(options.dataset, options.root, catalog)
    folder = options.sheets if options.sheets is not None else SHEETS / options.dataset
    if folder.resolve().is_relative_to(case.place.resolve()):
        parser.error(f"--sheets {folder} lies in the dataset, where nothing is written; choose a folder elsewhere")
    drawing = not options.quick or options.sheets is not None
    if drawing:
        _writable(folder)  # before minutes of looking
    if not options.quick:
        case = replace(case, looks=look_at(case.place, case.files, options.workers))
    findings = examine(case)
    sheets, fault = _drawn(case, folder) if drawing else ((), None)
    report = Report(
        case.name,
        case.reader,
        str(case.place),
        "" if case.dataset is None else case.dataset.protocol,
        tuple(facts(case)),
        () if case.dataset is None else case.dataset.notes,
        findings,
        0 if case.looks is None else len(case.looks),
        time.perf_counter() - start,
        tuple(str(sheet) for sheet in sheets),
    )
    print(json.dumps(report.as_dict(), indent=2) if options.json else as_text(report))
    if fault is not None:
        raise fault
    return 0 if report.healthy else 1


def _writable(folder: Path) -> None:
    try:
        make_folder(folder)
    except UserError as error:
        raise UserError(f"{error}: --sheets FOLDER, or --quick, which draws none") from None


def _drawn(case: Case, folder: Path) -> tuple[tuple[Path, ...], Exception | None]:
    """The contact sheets, or why they could not be written (a full disk)."""
    try:
        return draw_sheets(case, folder), None
    except (UserError, OSError) as error:
        return (), error


def facts(case: Case) -> list[SplitFacts]:
    """One line for each split that has pictures."""
    lines = []
    for split, title in enumerate(TITLES):
        rows = case.rows_of(split)
        if not len(rows):
            continue
        columns = (case.rows.pids[rows], case.rows.camids[rows], case.rows.clothes[rows])
        people, cameras, outfits = (len(np.unique(column[column != UNKNOWN])) for column in columns)
        told = None if case.dataset is None else case.dataset.published.get(title)
        published = None if told is None else (told.images, told.identities)
        unit = case.layout.unit if title in TEST else "camera"
        sizes = _sizes(case, rows)
        lines.append(SplitFacts(title, len(rows), people, cameras, outfits, published, *sizes, unit))
    return lines


def _sizes(case: Case, rows: Ints) -> tuple[Size, Size, Size]:
    """The smallest, median and largest picture by area."""
    if case.looks is None:
        return None, None, None
    files = np.unique(case.rows.files[rows])
    files = files[case.looks.heights[files] > 0]
    if not len(files):
        return None, None, None
    heights, widths = case.looks.heights[files].tolist(), case.looks.widths[files].tolist()
    sizes = sorted(zip(heights, widths, strict=True), key=lambda size: (size[0] * size[1], size))
    return sizes[0], sizes[len(sizes) // 2], sizes[-1]
