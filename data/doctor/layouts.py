"""What the doctor knows of each reader's layout beyond what the reader tells: one `Layout` a reader, or a variant."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from common.errors import UserError
from data.readers import (
    celeb,
    cuhk,
    deepchange,
    last,
    ltcc,
    market,
    msmt,
    occluded_duke,
    occluded_reid,
    p_duke,
    partitions,
    pattern,
    prcc,
    vcclothes,
)
from data.readers.listing import folders, scan
from data.readers.named import TEST, has_several
from data.street.standing import MANIFEST, settings_in
from data.street.truth import CAUSES, JOINTS, PARTS, PICTURES

Fits = Callable[[Path], bool]


def _nowhere(_: Path) -> bool:
    return False


@dataclass(frozen=True)
class Layout:
    """How a dataset lies on the disk.

    Attributes:
        fits: whether a folder is of this layout at all, however broken; what is not is no dataset.
        parts: of each split, the folders or files that it needs (any of several versions); a split that is not among
            them where others are is missing by design.
        own_numbers: people of train and test may be numbered separately, so equal numbers need not be one person.
        chosen: the dataset itself says which files belong to it, so that others beside them are nothing unusual.
        beside: files and folders beside the pictures that belong there.
        left_out: whole paths of pictures that are not read on purpose.
        one_camera: splits that the protocol takes from a single camera.
        asked: the camera whose queries the dataset's own protocol asks; None for all of them.
        unit: what camera ids of query and gallery stand for.
    """

    fits: Fits = _nowhere
    parts: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    own_numbers: bool = False
    chosen: bool = False
    beside: tuple[str, ...] = ()
    left_out: re.Pattern[str] | None = None
    one_camera: tuple[str, ...] = ()
    asked: int | None = None
    unit: str = "camera"

    def leaves_out(self, path: str) -> bool:
        """Whether a picture (its path below the dataset's folder) is not read on purpose."""
        return self.left_out is not None and self.left_out.fullmatch(path) is not None


def layout_of(reader: str, place: Path, options: Mapping[str, object]) -> Layout:
    """The layout of what `place` holds; a street has that of the dataset that it imitates.

    Args:
        options: the reader's own, of which `variant` decides.
    """
    if reader != "street":
        return VARIANTS.get((reader, str(options.get("variant"))), LAYOUTS.get(reader, Layout()))
    truth = (MANIFEST, CAUSES, PICTURES, JOINTS, f"{PARTS}/")
    try:
        settings = settings_in(place)
    except UserError:
        settings = None
    imitated = str((settings or {}).get("layout", "market"))
    return replace(LAYOUTS.get(imitated, LAYOUTS["market"]), fits=_is_street, beside=truth)


def _is_street(place: Path) -> bool:
    return (place / MANIFEST).exists() or market.is_layout(place)


def _has_table(place: Path) -> bool:
    return place.is_file() or (place.is_dir() and any(entry.name.lower().endswith(".csv") for entry in scan(place)))


def _has_people(place: Path) -> bool:
    return place.is_dir() and bool(folders(place)) and not market.is_layout(place)


def _any_of(*parts: str) -> Fits:
    return lambda place: any((place / part).is_dir() for part in parts)


def _several_of(parts: Mapping[str, str]) -> Fits:
    return lambda place: has_several(place, parts)


def msmt_folders(place: Path) -> dict[str, Path]:
    """The folders of MSMT17's pictures that are there, by name (`mask_test_v2`)."""
    bases = [place, *(place / f"MSMT17_{version.upper()}" for version in msmt.TREES)]
    names = [tree for trees in msmt.TREES.values() for tree in trees]
    return {tree: base / tree for base in bases for tree in names if (base / tree).is_dir()}


def _parts(named: Mapping[str, str], above: str = "") -> dict[str, tuple[str, ...]]:
    return {title: (f"{above}{folder}/",) for title, folder in named.items()}


def _below(*named: str) -> re.Pattern[str]:
    """Everything in these folders."""
    return re.compile(f"(?:{'|'.join(re.escape(folder) for folder in named)})/.+", re.DOTALL)


def _cuhk(variant: str) -> Layout:
    return Layout(
        lambda place: market.is_layout(place / variant),
        _parts(market.FOLDERS, f"{variant}/"),
        left_out=_below(*(other for other in cuhk.PUBLISHED if other != variant)),
    )


def _last(variant: str) -> Layout:
    return Layout(
        _any_of(*(f"{other}/{title}" for other in last.VARIANTS for title in TEST)),
        _parts({"train": "train", **{title: f"{variant}/{title}" for title in TEST}}),
        own_numbers=True,
        left_out=_below(*(other for other in last.VARIANTS if other != variant)),
    )


def _vcclothes(variant: str) -> Layout:
    several, kept = _several_of(vcclothes.FOLDERS), vcclothes.CAMERAS[variant]
    # Directly in the folders only: the reader takes every picture there but those of other cameras.
    others = re.compile("(?:query|gallery)/[^/]+", re.DOTALL) if kept else None
    return Layout(several, _parts(vcclothes.FOLDERS), own_numbers=True, left_out=others)


def _deepchange(variant: str) -> Layout:
    read = {"train": "train-set", **{title: f"{variant}-set-{title}" for title in TEST}}
    return Layout(
        _any_of(*deepchange.SETS),
        {title: (f"{folder}/ with {folder}{deepchange.LIST}",) for title, folder in read.items()},
        own_numbers=True,
        beside=tuple(f"{folder}{deepchange.LIST}" for folder in deepchange.SETS),
        left_out=_below(*(folder for folder in deepchange.SETS if folder not in read.values())),
        unit="tracklet",
    )


def _occluded_reid(variant: str) -> Layout:
    named = occluded_reid.VARIANTS[variant]
    others = {folder for parts in occluded_reid.VARIANTS.values() for folder in parts.values()} - {*named.values()}
    return Layout(_several_of(named), _parts(named), left_out=_below(*sorted(others)))


VARIANTS: dict[tuple[str, str], Layout] = {
    **{("cuhk", variant): _cuhk(variant) for variant in cuhk.PUBLISHED},
    **{("last", variant): _last(variant) for variant in last.VARIANTS},
    **{("vcclothes", variant): _vcclothes(variant) for variant in vcclothes.CAMERAS},
    **{("deepchange", variant): _deepchange(variant) for variant in deepchange.VARIANTS},
    **{("occluded-reid", variant): _occluded_reid(variant) for variant in occluded_reid.VARIANTS},
}
"""Of readers whose variants read other folders."""

# Of LaST, VC-Clothes, DeepChange and P-DukeMTMC nobody tells whether people of train and test are numbered together; so
# equal numbers are no finding there, and what matters, the same pictures on both sides, is found by the pictures.
LAYOUTS: dict[str, Layout] = {
    "market": Layout(market.is_layout, _parts(market.FOLDERS), beside=("*.list",)),  # by which Occluded-Duke is divided
    "cuhk": VARIANTS["cuhk", "detected"],
    "msmt": Layout(
        lambda place: bool(msmt_folders(place)),
        {
            "train": ("train/", "mask_train_v2/"),
            "query": ("test/ with list_query.txt", "mask_test_v2/ with list_query.txt"),
            "gallery": ("test/ with list_gallery.txt", "mask_test_v2/ with list_gallery.txt"),
        },
        own_numbers=True,
        beside=(*msmt.LISTS.values(), *msmt.TRAIN_LISTS),
    ),
    "prcc": Layout(
        _any_of(*prcc.PARTS),
        {"train": ("rgb/train/",), "query": ("rgb/test/B/ and rgb/test/C/",), "gallery": ("rgb/test/A/",)},
        left_out=_below("rgb/val"),
        one_camera=("gallery",),
        asked=prcc.CAMERAS.index("C"),
    ),
    "ltcc": Layout(_several_of(ltcc.FOLDERS), _parts(ltcc.FOLDERS)),
    "celeb": Layout(_several_of(celeb.FOLDERS), _parts(celeb.FOLDERS), own_numbers=True),
    "last": VARIANTS["last", "test"],
    "vcclothes": VARIANTS["vcclothes", "all"],
    "deepchange": VARIANTS["deepchange", "test"],
    "occluded-duke": Layout(
        market.is_layout,
        {title: (file,) for title, file in occluded_duke.LISTS.items()},
        beside=tuple(occluded_duke.LISTS.values()),
        left_out=_below(*market.FOLDERS.values()),
    ),
    "occluded-reid": VARIANTS["occluded-reid", "all"],
    "p-duke": Layout(_any_of(*p_duke.PARTS), _parts(p_duke.FOLDERS), own_numbers=True),
    "partitions": Layout(
        lambda place: (place / partitions.FILE).is_file(),
        dict.fromkeys(("train", *TEST), (f"{partitions.FOLDER}/ with {partitions.FILE}",)),
        beside=(partitions.FILE,),
        left_out=_below(partitions.FOLDER),
    ),
    "pattern": Layout(_several_of(pattern.FOLDERS), _parts(pattern.FOLDERS)),
    "csv": Layout(_has_table, chosen=True, beside=("*.csv",)),
    "folders": Layout(_has_people),
}
