"""Small dataset trees for tests: every picture is the same tiny file."""

from __future__ import annotations

import io
from collections.abc import Iterable
from functools import cache
from pathlib import Path

from PIL import Image

from data.samples import Split

MARKET_TRAIN = ("0002_c1s1_000451_03.jpg", "0002_c2s1_000776_01.jpg", "0007_c3s3_077419_03.jpg")
MARKET_QUERY = ("0001_c1s1_001051_00.jpg", "0003_c10s1_000001_00.jpg")
MARKET_GALLERY = (
    "-1_c1s1_000401_03.jpg",
    "0000_c1s1_000151_01.jpg",
    "0001_c1s1_002301_02.jpg",
    "0001_c2s1_001976_01.jpg",
    "0003_c3s1_000001_00.jpg",
)


@cache
def _bytes(kind: str) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (4, 8), (200, 100, 50)).save(file, kind)
    return file.getvalue()


def picture(path: Path) -> None:
    """Write a picture of 8 × 4 pixels and the folders above it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(_bytes("PNG" if path.suffix.lower() == ".png" else "JPEG"))


def tree(root: Path, paths: Iterable[str]) -> Path:
    for path in paths:
        picture(root / path)
    return root


def market_tree(
    root: Path,
    train: Iterable[str] = MARKET_TRAIN,
    query: Iterable[str] = MARKET_QUERY,
    gallery: Iterable[str] = MARKET_GALLERY,
) -> Path:
    named = {"bounding_box_train": train, "query": query, "bounding_box_test": gallery}
    return tree(root, (f"{folder}/{name}" for folder, names in named.items() for name in names))


def rows(split: Split) -> list[tuple[str, int, int]]:
    """Path, pid and camid of every row."""
    return list(zip(split.paths, split.pids.tolist(), split.camids.tolist(), strict=True))
