"""DeepChange: a year in seventeen cameras: a folder and a list a set, `root/train-set/` and `root/train-set-bbox.txt`.

The sets are train-set, {test,val}-set-query and {test,val}-set-gallery, the lines of a list `FILE,TRACKLET,...`, and
files are named `P<PID>_C<CAMERA>_<OUTFIT>...`; an outfit is the pair (PID, OUTFIT). Papers count pictures of the
query's own camera too, but not those of its own tracklet, so in query and gallery the tracklet stands for the camera;
for training the camera is the camera.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from pathlib import Path, PurePosixPath

from common.errors import UserError, unknown_name
from data.readers.checks import checked
from data.readers.labels import numbers
from data.readers.listing import by_base_name, matched, numbers_in, pictures_in, require_layout, split_of
from data.readers.named import dressed
from data.samples import Counts, Dataset, Split

VARIANTS = ("test", "val")
SETS = ("train-set", *(f"{variant}-set-{title}" for variant in VARIANTS for title in ("query", "gallery")))
LIST = "-bbox.txt"
EXPECTED = f"train-set/, test-set-query/ and test-set-gallery/ and a list for each (train-set{LIST})"
FORM = "P<PID>_C<CAMERA>_<OUTFIT>..., cameras from C1, such as P1_C2_3_T4.jpg"

PUBLISHED = {
    "test": {"train": Counts(75_083), "query": Counts(17_527), "gallery": Counts(62_956)},
    "val": {"train": Counts(75_083), "query": Counts(4_976), "gallery": Counts(17_865)},
}

_NAME = re.compile(r"P(?P<pid>[0-9]{1,9})_C(?P<cam>0*[1-9][0-9]{0,5})_(?P<outfit>[^_.]+)")


def read(root: Path, name: str, *, variant: str = "test") -> Dataset:
    """Read DeepChange; a set whose folder is missing is an empty split.

    Args:
        variant: "test" or "val", whose query and gallery are read.

    Raises:
        UserError: the variant is unknown, the folders are not there (naming the one that would work, one level up or
            down), a list is missing, malformed or names a picture that is not there, or a file name does not parse.
    """
    if variant not in VARIANTS:
        raise unknown_name("variant of DeepChange", variant, VARIANTS)
    require_layout(root, name, SETS, EXPECTED, _is_layout)
    sets = {"train": "train-set", "query": f"{variant}-set-query", "gallery": f"{variant}-set-gallery"}
    splits, worn, tracklets = {}, {}, {}
    notes: tuple[str, ...] = ()
    for title, folder in sets.items():
        tracks, unlisted = _listed(root, name, folder)
        paths = sorted(tracks)
        notes += unlisted
        found = matched(root, name, paths, by_base_name(_NAME), FORM)
        splits[title] = split_of(root, paths, numbers_in(found, "pid"), numbers_in(found, "cam") - 1)
        worn[title] = [match["outfit"] for match in found]
        tracklets[title] = [tracks[path] for path in paths]
    splits = dressed(splits, worn)
    query, gallery = _by_tracklet(splits["query"], splits["gallery"], tracklets)
    if len(query):
        notes += ("the cameras of query and gallery are tracklets: other pictures of the query's own camera count",)
    return checked(name, splits["train"], query, gallery, PUBLISHED[variant], notes, named="deepchange")


def _is_layout(folder: Path) -> bool:
    return any((folder / part).is_dir() for part in SETS)


def _listed(root: Path, name: str, folder: str) -> tuple[dict[str, str], tuple[str, ...]]:
    """The tracklet of each picture that the list of one set names, by path, and a note of those it does not name."""
    paths, notes = pictures_in(root, folder)
    file = root / f"{folder}{LIST}"
    if not file.is_file():
        if paths:
            raise UserError(f"dataset '{name}': {file} is missing; copy it from the dataset's archive")
        return {}, notes
    lines = [(f"{folder}/{base}", tracklet) for base, tracklet in _lines(file)]
    missing = sorted({path for path, _ in lines}.difference(paths))
    if missing:
        raise UserError(
            f"dataset '{name}': {len(missing):,} of {len(lines):,} pictures in {file} are not there; "
            f"first: {root / missing[0]}. Unpack the dataset again"
        )
    tracks = dict(lines)
    if len(tracks) < len(lines):
        twice, _ = Counter(path for path, _ in lines).most_common(1)[0]
        raise UserError(f"dataset '{name}': {file} lists {twice} more than once; copy the original list")
    extra = len(paths) - len(tracks)
    return tracks, notes + ((f"{extra:,} pictures in {folder}/ are not in its list and not read",) if extra else ())


def _lines(file: Path) -> list[tuple[str, str]]:
    """The file name and tracklet of each line."""
    try:
        text = file.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"cannot read {file}: {error}; copy it from the dataset's archive") from error
    told = []
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip():
            continue
        base, tracklet = ([part.strip() for part in line.split(",")] + [""])[:2]
        if not base or not tracklet or PurePosixPath(base).name != base:
            raise UserError(
                f"{file}, row {number}: expected FILE,TRACKLET with the bare name of a file, found '{line[:80]}'; "
                "copy the original list"
            )
        told.append((base, tracklet))
    return told


def _by_tracklet(query: Split, gallery: Split, tracklets: Mapping[str, list[str]]) -> list[Split]:
    """The two splits with their tracklets, numbered together, in the place of cameras."""
    numbered, _ = numbers(tracklets["query"] + tracklets["gallery"], "tracklets")
    parts = (numbered[: len(query)], numbered[len(query) :])
    return [
        split_of(split.root, split.paths, split.pids, part, split.clothes)
        for split, part in zip((query, gallery), parts, strict=True)
    ]
