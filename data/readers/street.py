"""The street, read by the reader of the layout that it was written in, and written when it is not there yet."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from common.errors import UserError, unknown_name
from data.readers import ltcc, market, msmt, prcc
from data.readers.listing import require_folder, wrong_folder
from data.samples import Dataset
from data.street.config import StreetConfig
from data.street.layouts import Layout, layout_of
from data.street.splits import SIZES, SPLITS, split_of
from data.street.standing import MANIFEST, settings_in
from data.street.writer import write_street

BY_NAME: dict[str, Callable[[Path, str], Dataset]] = {
    "market": market.read,
    "msmt": msmt.read,
    "prcc": prcc.read,
    "ltcc": ltcc.read,
}
"""The readers that layouts name."""

Settings = Mapping[str, object]

EXPECTED = f"a street ({MANIFEST} and the pictures)"


def read(root: Path, name: str, *, split: str | None = None, size: str = "small", part: str | None = None) -> Dataset:
    """Read the street in `root`; one that `python3 -m data.street` wrote otherwise is read as it is.

    Args:
        split, size: what to write when `root` is not there, of `data.street.splits`; the standard one by default.
        part: which street of a split that has several.

    Raises:
        UserError: no such split, size or part, the street cannot be written, `root` holds something else, or what
            the layout's reader finds wrong.
    """
    asked = _asked(name, split or "standard", size, part)
    if not root.exists():
        _write(root, name, asked)
    require_folder(root, name, EXPECTED)
    if not (root / MANIFEST).exists() and market.is_layout(root):
        return market.read(root, name)
    layout, settings = _layout(root, name)
    dataset = BY_NAME[layout.reader](root, name)
    found = _named(settings, split or "standard")
    if split is not None and found is not None and (found.split, found.part) != (split, part):
        raise UserError(
            f"dataset '{name}' is the street's split {split}{f', part {part}' if part else ''}, and {root} holds"
            f" {found}; give its folder, or the dataset 'street', which is any street"
        )
    told = f"procedural pictures, not real data: {found or f'settings of its own ({MANIFEST})'}, layout {layout.name}"
    # The reader knows the counts of the published set, which is another one.
    return replace(dataset, published={}, notes=(told, *dataset.notes))


def _asked(name: str, split: str, size: str, part: str | None) -> StreetConfig:
    """The street of a named split that the catalog asks for."""
    try:
        streets = split_of(split).streets(size)
    except UserError as error:
        raise UserError(f"dataset '{name}': {error}") from None
    if part is None and len(streets) > 1:
        raise UserError(f"dataset '{name}': split {split} has several streets; add part: {' or part: '.join(streets)}")
    if part is not None and part not in streets:
        raise UserError(f"dataset '{name}': {unknown_name(f'part of split {split}', part, streets)}")
    return streets[part or next(iter(streets))]


def _write(root: Path, name: str, config: StreetConfig) -> None:
    print(f"dataset '{name}': there is no {root} yet; drawing its pictures takes some seconds", file=sys.stderr)
    try:
        write_street(root, config)
    except UserError:
        # Of several processes that start at once the first to be done is right.
        if not (root / MANIFEST).is_file():
            raise


def _layout(root: Path, name: str) -> tuple[Layout, Settings]:
    """How the street in `root` is laid out, and what it was asked to be."""
    settings = settings_in(root)
    if settings is None:
        raise wrong_folder(root, name, EXPECTED, lambda folder: settings_in(folder) is not None)
    try:
        layout = layout_of(str(settings.get("layout", "market")))
    except UserError as error:
        raise UserError(f"dataset '{name}': {root / MANIFEST}: {error}") from None
    return layout, settings


class _Named(NamedTuple):
    """A street of a named split."""

    split: str
    size: str
    part: str | None

    def __str__(self) -> str:
        return f"split {self.split}, size {self.size}" + (f", part {self.part}" if self.part else "")


def _named(settings: Settings, asked: str) -> _Named | None:
    """The named street that has these settings, before all others one of the split that is asked for."""
    for split in (split_of(asked), *SPLITS.values()):
        for size in SIZES:
            for part, street in split.streets(size).items():
                if street.as_dict() == settings:
                    return _Named(split.name, size, part if len(split.parts) > 1 else None)
    return None
