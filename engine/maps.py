"""Feature maps on disk, for whoever compares pictures pair by pair: written once, in half precision, read in parts.

`FOLDER/maps/{query,gallery}/` holds `maps.npy`, `(N, C, h, w)` float16, and a `manifest.json` that is written last:
maps without one, of a run that was stopped, are made anew. They are much larger than features (0.8 MB a picture for a
ResNet-50 at 384×128), so old ones go before new ones come, and there is never a second copy.
"""

from __future__ import annotations

import json
import logging
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ignite.distributed as idist
import numpy as np

from common.errors import UserError
from common.files import make_folder, take_space, write_text
from common.ranks import largest, on_first
from data.samples import Split
from engine.extraction import Extraction, Halves, extract_maps, map_shape
from modeling.methods.method import PairEmbedder
from retrieval.columns import Ints

logger = logging.getLogger("reid")

MAPS, MANIFEST = "maps.npy", "manifest.json"


@dataclass(frozen=True, eq=False)
class Maps:
    """The maps of N pictures, on disk.

    Attributes:
        array: `(N, C, h, w)` float16, memory-mapped.
    """

    array: Halves

    def __len__(self) -> int:
        return len(self.array)

    @property
    def size(self) -> int:
        """Bytes of one picture's."""
        return int(np.prod(self.array.shape[1:])) * self.array.itemsize

    def read(self, rows: Ints) -> Halves:
        """Those of some pictures, in memory; nothing else is read."""
        return np.asarray(self.array[rows])


@dataclass(frozen=True)
class Wanted:
    """The maps that are wanted of one split: where they lie, and what they must have been made by."""

    split: Split
    title: str
    folder: Path
    manifest: Mapping[str, Any]

    @classmethod
    def of(cls, split: Split, title: str, folder: Path, made_by: Mapping[str, Any], how: Extraction) -> Wanted:
        """Under the features' folder; `made_by` says which dataset and which checkpoint, preprocessing included."""
        beside = how.inputs.of([split], how.device).facts
        known = {name: made_by[name] for name in ("dataset", "checkpoint")}
        manifest = {**known, **beside, "split": title, "fingerprint": split.fingerprint(modified=True)}
        return cls(split, title, folder / "maps" / title, json.loads(json.dumps(manifest)))

    def there(self) -> bool:
        """Whether they can be used as they are."""
        try:
            manifest = json.loads((self.folder / MANIFEST).read_text(encoding="utf-8"))
            return bool(manifest == self.manifest) and len(self.opened()) == len(self.split)
        except (OSError, ValueError):
            return False

    def opened(self) -> Maps:
        return Maps(np.load(self.folder / MAPS, mmap_mode="r", allow_pickle=False))


def maps_of(embedder: PairEmbedder, wanted: Sequence[Wanted], how: Extraction) -> list[Maps]:
    """The maps that are wanted, from disk where they are there.

    Raises:
        UserError: there is not enough room for them, which is found out before any is made.
    """
    # Process 0 decides: on another machine the files of the same dataset have other numbers and times.
    first = idist.get_rank() == 0
    lacking = [one for one in wanted if largest(int(first and not one.there()))]
    if lacking:
        shape = map_shape(embedder, lacking[0].split, how)
        each = 2 * int(np.prod(shape))
        count = sum(len(one.split) for one in lacking)
        logger.info("maps of %d pictures: %s in %s", count, _amount(count * each), lacking[0].folder.parent)
        on_first(lambda: _make_room(lacking, count * each))
        for one in lacking:
            _extract(embedder, one, shape, how)
    return [one.opened() for one in wanted]


def _extract(embedder: PairEmbedder, wanted: Wanted, shape: tuple[int, ...], how: Extraction) -> None:
    split, path = wanted.split, wanted.folder / MAPS
    created: list[Halves] = []
    on_first(lambda: created.append(_create(path, (len(split), *shape))))

    def write(rows: Ints, maps: Halves) -> None:
        created[0][rows] = maps

    extract_maps(embedder, split, write if created else None, how, f"maps of the {wanted.title}")
    if created:
        array = created.pop()
        assert isinstance(array, np.memmap)
        array.flush()
    on_first(lambda: write_text(wanted.folder / MANIFEST, json.dumps(wanted.manifest, indent=2) + "\n"))


def _make_room(lacking: Sequence[Wanted], needed: int) -> None:
    """Remove what these take the place of, and look whether they fit."""
    for one in lacking:
        make_folder(one.folder)
        for name in (MANIFEST, MAPS):
            (one.folder / name).unlink(missing_ok=True)
    folder = lacking[0].folder.parent
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise UserError(
            f"the maps that conditional scoring needs take {_amount(needed)}, and {folder} has {_amount(free)} left;"
            " free some space, or choose another place with --features"
        )


def _create(path: Path, shape: tuple[int, ...]) -> Halves:
    try:
        array: Halves = np.lib.format.open_memmap(path, mode="w+", dtype=np.float16, shape=shape)
        take_space(path)
    except OSError as error:
        path.unlink(missing_ok=True)
        raise UserError(f"cannot write {path}: {error.strerror}; free some space or choose another folder") from error
    return array


def _amount(size: int) -> str:
    """A number of bytes in words."""
    for unit, power in (("GB", 9), ("MB", 6)):
        if size >= 10**power:
            return f"{size / 10**power:.1f} {unit}"
    return f"{size / 1000:.1f} kB"
