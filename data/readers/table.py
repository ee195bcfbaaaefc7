"""A table of one's own: a CSV file with the columns path, pid, camid, split and, where it is known, clothes."""

from __future__ import annotations

import csv
import os
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

import numpy as np

from common.errors import UserError, did_you_mean
from common.files import inside
from data.readers.checks import checked
from data.readers.labels import numbers, outfits
from data.readers.listing import how_to_say, require_folder, split_of
from data.samples import Dataset

REQUIRED = ("path", "pid", "camid", "split")
OPTIONAL = ("clothes",)
SPLITS = ("train", "query", "gallery")
UNLABELLED = "unlabelled"
EXPECTED = "one .csv file with the columns path,pid,camid,split (and clothes)"

Columns = dict[str, list[str]]


def read(root: Path, name: str, *, file: str | None = None) -> Dataset:
    """Read the table in `root`; paths in it are relative to its folder.

    An empty camid is unknown; an empty pid in split train is that of a picture to adapt to. pid and camid are whole
    numbers or any strings, which are then numbered in sorted order (a note says so). clothes name the outfits of each
    person: the same name on two people is two outfits.

    Args:
        root: the folder of the table, or the `.csv` file itself.
        file: the table's name in `root`, needed where there are several.

    Raises:
        UserError: names the row: a column or value that is missing, a split that is not one, a picture that is not
            there, stands twice in a split or lies outside the folder.
    """
    table = _table(root, name, file)
    columns, notes = _columns(table)
    columns["path"] = _existing(table, columns)
    _refuse_repeats(table, columns)
    labels = {}
    for title in ("pid", "camid"):
        labels[title], numbered = numbers(columns[title], title)
        notes += numbered
    labels["clothes"] = outfits(labels["pid"], columns["clothes"])
    path, split = np.array(columns["path"], dtype=object), np.array(columns["split"], dtype=object)
    split[np.array(columns["pid"], dtype=object) == ""] = UNLABELLED
    splits = {}
    for title in (*SPLITS, UNLABELLED):
        rows = np.flatnonzero(split == title)
        rows = rows[np.argsort(path[rows], kind="stable")]
        chosen = (labels[column][rows] for column in ("pid", "camid", "clothes"))
        splits[title] = split_of(table.parent, path[rows].tolist(), *chosen)
    train, query, gallery, unlabelled = splits.values()
    return checked(name, train, query, gallery, notes=notes, unlabelled=unlabelled)


def _table(root: Path, name: str, file: str | None) -> Path:
    if root.is_file():
        return root
    require_folder(root, name, EXPECTED)
    there = sorted(entry.name for entry in root.iterdir() if entry.suffix.lower() == ".csv" and entry.is_file())
    if file is not None:
        if file not in there:
            raise UserError(f"dataset '{name}': {root} has no table '{file}'{did_you_mean(file, there)}")
        return root / file
    if not there:
        raise UserError(f"dataset '{name}': {root} does not hold {EXPECTED}. {how_to_say(name)}")
    if len(there) > 1:
        raise UserError(
            f"dataset '{name}': {root} holds {len(there)} tables ({', '.join(there)}); "
            f"say which with file: {there[0]} in configs/datasets.yml or with data.root={root / there[0]}"
        )
    return root / there[0]


def _columns(table: Path) -> tuple[Columns, tuple[str, ...]]:
    """The columns that are read, and `row`: the line each entry ends on."""
    rows = _rows(table)
    _, first = next(rows, (1, []))
    header = [title.strip().lower() for title in first]
    for title in REQUIRED:
        if title not in header:
            raise UserError(
                f"{table}, row 1: there is no column '{title}'; expected path,pid,camid,split separated by commas "
                f"(values of camid may be empty), found: {','.join(first) or 'nothing'}"
            )
    repeated = next((title for title in header if header.count(title) > 1), None)
    if repeated is not None:
        raise UserError(f"{table}, row 1: the column '{repeated}' stands twice; remove one")
    known = [title for title in (*REQUIRED, *OPTIONAL) if title in header]
    columns: Columns = {title: [] for title in (*REQUIRED, *OPTIONAL, "row")}
    filled = [(columns[title], header.index(title)) for title in known]
    for number, row in rows:
        if len(row) != len(header):
            raise UserError(f"{table}, row {number}: {len(row)} values, expected {len(header)} ({','.join(header)})")
        for column, place in filled:
            column.append(row[place].strip())
        columns["row"].append(str(number))
        _check_row(table, number, columns)
    if "clothes" not in known:
        columns["clothes"] = [""] * len(columns["row"])
    ignored = [title for title in header if title not in known]
    return columns, (f"columns of {table.name} that are not read: {', '.join(ignored)}",) if ignored else ()


def _check_row(table: Path, number: int, columns: Columns) -> None:
    """The last row's split is one of the three, and it has a path and, but for training, a person."""
    split = columns["split"][-1] = columns["split"][-1].lower()
    if split not in SPLITS:
        hint = did_you_mean(split, SPLITS)
        raise UserError(f"{table}, row {number}: split '{split}'{hint or ';'} expected one of {', '.join(SPLITS)}")
    for title in ("path",) if split == "train" else ("path", "pid"):
        if not columns[title][-1]:
            raise UserError(f"{table}, row {number}: {title} is empty; fill it in (pid -1: a picture to leave out)")


def _rows(table: Path) -> Iterator[tuple[int, list[str]]]:
    """Line number and values of every row that is not blank; reads a byte-order mark and CRLF too."""
    try:
        with table.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.reader(file, strict=True)
            for row in reader:
                if row:
                    yield reader.line_num, row
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise UserError(f"{table} cannot be read as a CSV file: {error}; save it as CSV in UTF-8") from error


def _existing(table: Path, columns: Columns) -> list[str]:
    """The paths in one spelling, after checking that each is a file below the table's folder.

    Folders are listed once each: asking the disk for every row would be slow for millions of them.
    """
    listed: dict[str, dict[str, bool]] = {}
    paths = []
    for number, told in zip(columns["row"], columns["path"], strict=True):
        row = f"{table}, row {number}"
        path = told.replace("\\", "/")
        folder, _, base = path.rpartition("/")
        if path.startswith("/"):
            inside(table.parent, path, row)
            raise UserError(f"{row}: the path '{told}' is absolute; write it relative to {table.parent}")
        if folder not in listed or "\0" in base:
            inside(table.parent, path, row)
            listed[folder] = _links(table.parent / folder)
        if base not in listed[folder]:
            raise UserError(f"{row}: there is no picture {table.parent / path}; copy it there or remove the row")
        if listed[folder][base]:
            inside(table.parent, path, row)
        paths.append(PurePosixPath(path).as_posix())
    return paths


def _links(folder: Path) -> dict[str, bool]:
    """The files of a folder by name; True for links."""
    try:
        with os.scandir(folder) as entries:
            return {entry.name: entry.is_symlink() for entry in entries if entry.is_file()}
    except OSError:
        return {}


def _refuse_repeats(table: Path, columns: Columns) -> None:
    first: dict[tuple[str, str], str] = {}
    for key in zip(columns["split"], columns["path"], columns["row"], strict=True):
        split, path, row = key
        before = first.setdefault((split, path), row)
        if before != row:
            raise UserError(f"{table}, row {row}: {path} is already in {split} (row {before}); remove one of the two")
