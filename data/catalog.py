"""Where datasets lie: the command line, the environment, then configs/datasets.yml.

dataset = find("market")                       # datasets.yml, or REID_ROOT_MARKET
dataset = find("market", Path("/path/to/it"))  # data.root=/path/to/it
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from common.errors import UserError, unknown_name
from configs.yaml_file import read_yaml
from data.readers import READERS, SELF_MADE, read
from data.readers.listing import root_option
from data.samples import Dataset

REPOSITORY = Path(__file__).resolve().parents[1]
CATALOG = REPOSITORY / "configs" / "datasets.yml"


@dataclass(frozen=True)
class Entry:
    """One line of the catalog.

    Attributes:
        reader: a name in `data.readers.READERS`.
        root: as written; `None` when only the command line or the environment can tell it.
        options: the reader's own keys.
        origin: `file:line`, for errors.
    """

    reader: str
    root: str | None = None
    options: dict[str, Any] = field(default_factory=dict)
    origin: str = ""


def find(name: str, root: Path | None = None, catalog: Path = CATALOG, key: str = "data.root") -> Dataset:
    """Read a dataset by its name.

    Args:
        name: a name in the catalog; with a root also the name of a reader.
        key: what gave the root, for errors.
        root: where it lies. Without it the variable REID_ROOT_<NAME> decides, then the catalog.

    Raises:
        UserError: the name is unknown, the folder is not there (saying who named it), the catalog is malformed, or
            what the reader finds wrong.
    """
    entries = load(catalog)
    if name not in entries and name not in READERS:
        raise UserError(f"{unknown_name('dataset', name, {*entries, *READERS})}; add your own to {catalog}")
    entry = entries.get(name, Entry(name))
    place, named_by = root_of(name, root, entry, catalog, key)
    made = entry.reader in SELF_MADE and named_by == entry.origin  # but not at a place somebody misspelt
    if not place.exists() and not made:
        raise UserError(f"dataset '{name}': {place} does not exist (named by {named_by}). {_other_ways(name, catalog)}")
    return read(entry.reader, place, name, **entry.options)


def load(catalog: Path = CATALOG) -> dict[str, Entry]:
    """The catalog's entries by name.

    Raises:
        UserError: the file is missing or malformed; names file and line.
    """
    try:
        values, origins = read_yaml(catalog)
    except FileNotFoundError:
        raise UserError(f"there is no catalog of datasets {catalog}; restore it from the repository") from None
    return {name: _entry(name, value, origins[(name,)]) for name, value in values.items()}


def variable(name: str) -> str:
    """The environment variable that says where a dataset lies: `REID_ROOT_` and its name in capitals."""
    return "REID_ROOT_" + re.sub(r"[^0-9A-Za-z]", "_", name).upper()


def _entry(name: str, value: object, origin: str) -> Entry:
    if not isinstance(value, dict):
        raise UserError(f"{origin}: '{name}' needs {{reader: ..., root: ...}}, found {value!r}")
    options = dict(value)
    reader, root = options.pop("reader", None), options.pop("root", None)
    if not isinstance(reader, str):
        raise UserError(f"{origin}: '{name}' needs a reader; known: {', '.join(sorted(READERS))}")
    if reader not in READERS:
        raise UserError(f"{origin}: '{name}': {unknown_name('reader', reader, READERS)}")
    if root is not None and not isinstance(root, str):
        raise UserError(f"{origin}: '{name}': the root {root!r} is not a text; put it in quotes")
    return Entry(reader, root, options, origin)


def root_of(name: str, given: Path | None, entry: Entry, catalog: Path, key: str = "data.root") -> tuple[Path, str]:
    """Where a dataset lies, and who says so; raises `UserError` where nobody does."""
    if given is not None:
        return given.expanduser(), key
    told = os.environ.get(variable(name))
    if told:
        return Path(told).expanduser(), f"the environment variable {variable(name)}"
    if entry.root:
        return REPOSITORY / Path(entry.root).expanduser(), entry.origin
    raise UserError(f"dataset '{name}': nothing says where it lies. {_other_ways(name, catalog)}")


def _other_ways(name: str, catalog: Path) -> str:
    return f"Give its folder {root_option(name)}, {variable(name)}=/path/to/{name} or in {catalog}"
