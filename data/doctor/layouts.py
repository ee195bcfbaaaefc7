"""What the doctor knows of each reader's layout beyond what the reader tells: which folders make which split.

A reader without a line here is looked at all the same; then nothing is said of folders that are missing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from common.errors import UserError
from data.readers import cuhk, ltcc, market, msmt, prcc
from data.street.standing import MANIFEST, settings_in
from data.street.truth import CAUSES, JOINTS, PARTS, PICTURES


def _any_folder(_: Path) -> bool:
    return True


@dataclass(frozen=True)
class Layout:
    """How a dataset lies on the disk.

    Attributes:
        fits: whether a folder is of this layout at all, however broken; what is not is no dataset.
        parts: of each split, the folders or files that it needs (any of several versions).
        own_numbers: people of train and test are numbered separately, so equal numbers are not the same person.
        chosen: the dataset itself says which files belong to it, so that others beside them are nothing unusual.
        beside: files and folders beside the pictures that belong there.
    """

    fits: Callable[[Path], bool] = _any_folder
    parts: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    own_numbers: bool = False
    chosen: bool = False
    beside: tuple[str, ...] = ()


def layout_of(reader: str, place: Path) -> Layout:
    """The layout of what `place` holds; a street has that of the dataset that it imitates."""
    if reader != "street":
        return LAYOUTS.get(reader, Layout())
    truth = (MANIFEST, CAUSES, PICTURES, JOINTS, f"{PARTS}/")
    try:
        settings = settings_in(place)
    except UserError:
        settings = None
    imitated = str((settings or {}).get("layout", "market"))
    return replace(LAYOUTS.get(imitated, LAYOUTS["market"]), fits=_is_street, beside=truth)


def _is_street(place: Path) -> bool:
    return (place / MANIFEST).exists() or market.is_layout(place)


def _is_cuhk(place: Path) -> bool:
    return any(market.is_layout(place / variant) for variant in cuhk.PUBLISHED)


def _is_msmt(place: Path) -> bool:
    return bool(msmt_folders(place))


def _has_table(place: Path) -> bool:
    return place.is_file() or any(entry.suffix.lower() == ".csv" for entry in place.iterdir())


def msmt_folders(place: Path) -> dict[str, Path]:
    """The folders of MSMT17's pictures that are there, by name (`mask_test_v2`)."""
    bases = [place, *(place / f"MSMT17_{version.upper()}" for version in msmt.TREES)]
    names = [tree for trees in msmt.TREES.values() for tree in trees]
    return {tree: base / tree for base in bases for tree in names if (base / tree).is_dir()}


def _market_parts(above: str = "") -> dict[str, tuple[str, ...]]:
    return {title: (f"{above}{folder}/",) for title, folder in market.FOLDERS.items()}


LAYOUTS: dict[str, Layout] = {
    "market": Layout(market.is_layout, _market_parts()),
    "cuhk": Layout(_is_cuhk, _market_parts("VARIANT/")),
    "msmt": Layout(
        _is_msmt,
        {
            "train": ("train/", "mask_train_v2/"),
            "query": ("test/ with list_query.txt", "mask_test_v2/ with list_query.txt"),
            "gallery": ("test/ with list_gallery.txt", "mask_test_v2/ with list_gallery.txt"),
        },
        own_numbers=True,
        beside=(*msmt.LISTS.values(), *msmt.TRAIN_LISTS),
    ),
    "prcc": Layout(
        lambda place: any((place / part).is_dir() for part in prcc.PARTS),
        {"train": ("rgb/train/",), "query": ("rgb/test/B/ and rgb/test/C/",), "gallery": ("rgb/test/A/",)},
    ),
    "ltcc": Layout(
        lambda place: sum((place / part).is_dir() for part in ltcc.FOLDERS.values()) > 1,
        {title: (f"{folder}/",) for title, folder in ltcc.FOLDERS.items()},
    ),
    "csv": Layout(_has_table, chosen=True, beside=("*.csv",)),
    "folders": Layout(),
}
