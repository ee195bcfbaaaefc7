"""Features of people who do not exist, as a good network would make them, the same on every run.

A person is a point in 96 dimensions, a picture is that point moved by its camera and by noise of its own strength, and
a fixed projection follows.
"""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from common.errors import UserError

MIB = 1 << 20

LATENT = 96
CAMERA = 0.5
"""How far a camera moves a picture, where people are 1 apart."""
ELSEWHERE = 2.2
"""How far away the city of the distractors is."""
ROWS = 8192
"""Features that are made at a time."""


@dataclass(frozen=True)
class Size:
    """How much there is of what.

    Attributes:
        queries, gallery: pictures; what of the gallery is beyond `known` are distractors.
        known: gallery pictures of the people who are searched.
        noise, spread: how far a picture is from its person, and the standard deviation of that distance's logarithm;
            chosen for the mAP that a good network has.
    """

    queries: int
    gallery: int
    known: int
    people: int
    cameras: int
    noise: float
    spread: float


SIZES = {
    "tiny": Size(60, 500, 400, people=25, cameras=4, noise=1.1, spread=0.2),
    "market": Size(3368, 15913, 15913, people=750, cameras=6, noise=1.1, spread=0.2),
    "msmt": Size(11659, 82161, 82161, people=3060, cameras=15, noise=0.84, spread=0.3),
    "market500k": Size(3368, 515913, 15913, people=750, cameras=6, noise=1.1, spread=0.2),
}


def write_features(folder: Path, size: Size, dim: int) -> None:
    """Make query and gallery in `folder`, block by block.

    Raises:
        UserError: the disk has too little space.
    """
    need, free = 4 * dim * (size.queries + size.gallery), shutil.disk_usage(folder).free
    if need > 0.95 * free:
        raise UserError(
            f"the features take {need / 2**30:.1f} GiB and {folder.parent} has {free / 2**30:.1f} GiB left; set TMPDIR "
            "to a folder with more, or ask for fewer with --gallery or --dim"
        )
    world = np.random.default_rng(0)
    people, cameras, city, projection = (
        world.standard_normal(shape, dtype=np.float32)
        for shape in ((size.people, LATENT), (size.cameras, LATENT), (1, LATENT), (LATENT, dim))
    )
    for side, (name, rows) in enumerate({"query": size.queries, "gallery": size.gallery}.items()):
        known = min(rows, size.known) if name == "gallery" else rows
        pids = np.concatenate([world.permutation(known) % size.people, size.people + np.arange(rows - known)])
        camids = world.integers(size.cameras, size=rows)
        np.save(folder / f"{name}_labels.npy", np.stack([pids, camids]))
        with (folder / f"{name}.npy").open("wb") as file:
            shape = {"descr": "<f4", "fortran_order": False, "shape": (rows, dim)}
            np.lib.format.write_array_header_1_0(file, shape)
            for start in range(0, rows, ROWS):
                mine = slice(start, min(start + ROWS, rows))
                chance = np.random.default_rng([side, start])
                points = chance.standard_normal((mine.stop - start, LATENT), dtype=np.float32) + ELSEWHERE * city
                searched = pids[mine] < size.people
                points[searched] = people[pids[mine][searched]]
                strength = size.noise * np.exp(size.spread * chance.standard_normal((len(points), 1), dtype=np.float32))
                points += CAMERA * cameras[camids[mine]] + strength * chance.standard_normal(
                    points.shape, dtype=np.float32
                )
                vectors = points @ projection
                vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
                file.write(vectors.data)
