"""Occluded-Duke out of DukeMTMC-reID and the published lists: `root/Occluded_Duke/{train,query,gallery}.list`.

A line of a list is the name of a picture, which lies in any of DukeMTMC-reID's three folders: some of its training
pictures are queries here and the other way round. Whoever has Occluded-Duke in folders of its own reads these with
reader `market` and `variant: occluded-duke`; the pictures, people and counts are the same.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path, PurePosixPath

from common.errors import UserError
from common.files import inside
from data.readers.checks import checked
from data.readers.listing import parse, pictures_in, require_layout, split_of
from data.readers.market import EXPECTED, FOLDERS, FORM, NAME, PUBLISHED, is_layout
from data.samples import Dataset, Split

LISTS = {"train": "train.list", "query": "query.list", "gallery": "gallery.list"}
"""The published names."""

FOLDER = "Occluded_Duke"
"""Where the lists lie unless the option `lists` says another folder."""


def read(root: Path, name: str, *, lists: str | None = None) -> Dataset:
    """Read Occluded-Duke; a list that is missing is an empty split.

    Args:
        root: the folder of DukeMTMC-reID.
        lists: the folder of the lists, relative to `root` and inside it; `Occluded_Duke` without it.

    Raises:
        UserError: DukeMTMC-reID's folders are not there (naming the one that would work, one level up or down) or none
            of the lists is; a list leads out of `root`, cannot be read, or names a picture with a path, twice, or that
            lies in none of the folders or in several; or a file name does not parse.
    """
    require_layout(root, name, FOLDERS.values(), EXPECTED, is_layout)
    files = _files(root, name, FOLDER if lists is None else lists)
    places: dict[str, list[str]] = {}
    notes: tuple[str, ...] = ()
    for title, folder in FOLDERS.items():
        paths, skipped = pictures_in(root, folder, below=title == "train")
        notes += skipped
        for path in paths:
            places.setdefault(path.rpartition("/")[2], []).append(path)
    named = {title: _named(root, name, file, places) for title, file in files.items()}
    unlisted = sum(map(len, places.values())) - len({path for paths in named.values() for path in paths})
    if unlisted:
        notes += (f"{unlisted:,} pictures of DukeMTMC-reID are in no list and not read",)
    train, query, gallery = (_split(root, name, named.get(title, [])) for title in LISTS)
    return checked(name, train, query, gallery, PUBLISHED["occluded-duke"], notes, named="occluded-duke")


def _files(root: Path, name: str, folder: str) -> dict[str, Path]:
    """The lists that are there, by the title of their split."""
    paths = {
        title: inside(root, str(PurePosixPath(folder, base)), f"dataset '{name}'") for title, base in LISTS.items()
    }
    there = {title: path for title, path in paths.items() if path.is_file()}
    if not there:
        raise UserError(
            f"dataset '{name}': {root / folder} holds none of {', '.join(LISTS.values())}, by which Occluded-Duke is "
            "divided; copy them there from its repository or name their folder with lists: FOLDER in "
            "configs/datasets.yml (folders that are divided already are read with reader: market, variant: "
            "occluded-duke)"
        )
    return there


def _named(root: Path, name: str, file: Path, places: Mapping[str, list[str]]) -> list[str]:
    """The paths of the pictures that one list names, in its order.

    Args:
        places: where pictures of each base name lie.
    """
    rows: dict[str, int] = {}
    for row, base in _lines(file):
        if "/" in base or "\\" in base:
            raise UserError(
                f"{file}, row {row}: expected the bare name of a picture, found '{base[:80]}'; copy the original list"
            )
        if base in rows:
            raise UserError(
                f"{file}, row {row}: {base} is already in row {rows[base]}; remove one of the two or copy the original "
                "list"
            )
        rows[base] = row
    missing = [base for base in rows if base not in places]
    if missing:
        raise UserError(
            f"dataset '{name}': {len(missing):,} of {len(rows):,} pictures in {file} are in none of {EXPECTED} of "
            f"{root}; first: {missing[0][:80]} (row {rows[missing[0]]}). Unpack DukeMTMC-reID again"
        )
    several = next((base for base in rows if len(places[base]) > 1), None)
    if several is not None:
        raise UserError(
            f"{file}, row {rows[several]}: {several} lies in {root} more than once: {', '.join(places[several])}; "
            "unpack DukeMTMC-reID again"
        )
    return [places[base][0] for base in rows]


def _lines(file: Path) -> list[tuple[int, str]]:
    """The row, from 1, and the text of each line that is not blank."""
    try:
        lines = file.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"cannot read {file}: {error}; copy it from the repository of Occluded-Duke") from error
    return [(row, line.strip()) for row, line in enumerate(lines, start=1) if line.strip()]


def _split(root: Path, name: str, paths: list[str]) -> Split:
    paths = sorted(paths)
    return split_of(root, paths, *parse(root, name, paths, NAME, FORM))
