"""Into a table of one's own, which can say all that a dataset says: pictures keep their paths."""

from __future__ import annotations

import csv
import io
from pathlib import PurePosixPath

from common.contracts import UNKNOWN
from common.errors import UserError
from data.convert.plan import Picture, Plan, judged_cameras
from data.readers.checks import CLOTH_CHANGING
from data.readers.table import UNLABELLED
from data.samples import Dataset

FILE = "table.csv"
COLUMNS = ("path", "pid", "camid", "clothes", "split")


def plan(dataset: Dataset) -> Plan:
    """One row a picture; what is not known is empty, and so are the people to adapt to, who are in split train.

    Raises:
        UserError: a path that cannot stand in a table.
    """
    dataset = judged_cameras(dataset)
    pictures, text = [], io.StringIO(newline="")
    rows = csv.writer(text, lineterminator="\n")
    rows.writerow(COLUMNS)
    for title, split in dataset.splits.items():
        labels = (getattr(split, column).tolist() for column in ("pids", "camids", "clothes"))
        for row, (path, *known) in enumerate(zip(split.paths, *labels, strict=True)):
            _check(dataset.name, split.root.as_posix(), path)
            told = ("" if label == UNKNOWN else label for label in known)
            rows.writerow([path, *told, "train" if title == UNLABELLED else title])
            pictures.append(Picture(split, row, path))
    notes: tuple[str, ...] = ()
    if dataset.rule == CLOTH_CHANGING:
        notes += (f"a table is judged by market; eval.py --protocol {CLOTH_CHANGING} asks for other clothes",)
    return Plan(tuple(pictures), {FILE: text.getvalue().encode()}, notes)


def _check(name: str, root: str, path: str) -> None:
    """A table is UTF-8, its values begin and end without blanks, and its paths are in one spelling."""
    plain = path == path.strip() and "\\" not in path and path.isprintable() and path == PurePosixPath(path).as_posix()
    if not plain or path == FILE:
        shown = repr(path)[1:-1]
        raise UserError(
            f"dataset '{name}': the path '{shown}' in {root} cannot stand in {FILE} (blanks at its ends, a backslash, "
            f"characters that are no text, or the table's own name); rename the picture"
        )
