"""Nearest neighbours without looking at every exact score, by faiss (Douze et al., "The Faiss library", 2024).

"exact" is the tile stream of `retrieval.neighbours.search`, and the only one whose lists are right to the last
place. "flat" looks at all scores too, but takes them in float32 as they are: pictures that are almost equally close may
change places.
"ivf" and "hnsw" look at some scores only and miss neighbours; how many depends on the features, so measure it on yours.
They pay for large sets that are searched often or with few queries: building them takes time as well. What "hnsw" finds
also depends a little on how its threads happened to meet while it was built.

faiss computes on a GPU where it is built for one and there is one, but for "hnsw" and for lists of more than 2048.
"""

from __future__ import annotations

import importlib
import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import numpy as np
import torch

from common.errors import UserError, unknown_name
from retrieval.columns import Features, Floats, Ints
from retrieval.scorers import Cosine, Euclidean, Scorer
from retrieval.streaming.stream import check_shapes
from retrieval.streaming.tiles import cut, full_precision

EXACT = "exact"
_ROWS = 1 << 14
"""Vectors that are prepared, added or searched for together."""
_PER_LIST, _MOST_PER_LIST = 39, 256
"""Vectors that faiss wants to see of a list to place its centre, and those that it looks at."""
_LONGEST_ON_GPU = 2048

Build = Callable[[ModuleType, int, int, int, int], Any]
"""From faiss, the numbers of dimensions, vectors and neighbours, and the metric to an empty faiss index."""


@dataclass(frozen=True)
class Index:
    """A way of finding neighbours.

    Attributes:
        explanation: one sentence for a listing.
        build: makes an empty faiss index; None where faiss has no part in it.
        on_gpu: whether faiss has it for GPUs.
    """

    explanation: str
    build: Build | None = None
    on_gpu: bool = True


def _flat(faiss: ModuleType, width: int, vectors: int, count: int, metric: int) -> Any:
    return faiss.IndexFlat(width, metric)


def _ivf(faiss: ModuleType, width: int, vectors: int, count: int, metric: int) -> Any:
    """4√N lists, as faiss advises below a million vectors, so that finding lists and looking into them cost alike.

    A quarter of the lists is looked into. With few pictures of each of many people a picture's neighbours lie in many
    lists, and the usual handful of them finds half of the neighbours.
    """
    lists = max(1, min(int(4 * math.sqrt(vectors)), vectors // _PER_LIST))
    index = faiss.IndexIVFFlat(faiss.IndexFlat(width, metric), width, lists, metric)
    index.nprobe = max(min(8, lists), lists // 4)
    index.cp.min_points_per_centroid = 1  # small sets have one list, and faiss would warn of it
    return index


def _hnsw(faiss: ModuleType, width: int, vectors: int, count: int, metric: int) -> Any:
    """32 links a vector, which is enough for some thousand dimensions at any size.

    80 candidates while building cost little more than faiss's 40 and halve what is missed. The search must look at more
    candidates than it returns; 128 or four times as many miss about one neighbour in a hundred.
    """
    index = faiss.IndexHNSWFlat(width, 32, metric)
    index.hnsw.efConstruction = 80
    index.hnsw.efSearch = max(128, 4 * count)
    return index


INDEXES: dict[str, Index] = {
    EXACT: Index("every score, and the order of exact scores"),
    "flat": Index("every score in float32, by faiss", _flat),
    "ivf": Index("the scores of the nearest clusters, by faiss; misses some", _ivf),
    "hnsw": Index("a walk through a graph of neighbours, by faiss; misses some", _hnsw, on_gpu=False),
}


def known(name: str) -> Index:
    """The index of that name; raises `UserError` with the closest name otherwise."""
    try:
        return INDEXES[name]
    except KeyError:
        raise unknown_name("index", name, INDEXES) from None


def search(
    name: str,
    scorer: Scorer,
    query: Features,
    gallery: Features,
    k: int,
    *,
    device: torch.device,
    threads: int,
) -> tuple[Floats, Ints]:
    """`(Q, k)` scores, descending, on the scorer's own scale, and the gallery rows, with faiss.

    Equal scores come by gallery row, as far as faiss found them; −∞ and −1 stand where it found fewer.

    Args:
        device: the GPU to use, if faiss can use one; otherwise the first.
        threads: of faiss.

    Raises:
        UserError: the name is unknown, faiss is not installed, it has no such scorer, the sets do not fit each other,
            or a number is NaN or infinite.
    """
    index = known(name)
    assert index.build is not None
    if not isinstance(scorer, Cosine | Euclidean):
        raise UserError(
            f"the index '{name}' knows the scorers 'cosine' and 'euclidean', not '{scorer.name}'; use one of these, or "
            f"the index '{EXACT}', which takes any scorer"
        )
    faiss = _faiss(name)
    check_shapes(query, gallery)
    count = min(k, len(gallery))
    values, rows = np.full((len(query), k), -np.inf, dtype=np.float32), np.full((len(query), k), -1)
    if count == 0:
        return values, rows
    metric = faiss.METRIC_INNER_PRODUCT if isinstance(scorer, Cosine) else faiss.METRIC_L2
    with _threads(faiss, threads):
        built = index.build(faiss, gallery.vectors.shape[1], len(gallery), count, metric)
        if not built.is_trained:
            step = max(1, len(gallery) // (_MOST_PER_LIST * built.nlist))
            built.train(_prepared(scorer, gallery, np.arange(0, len(gallery), step), "gallery"))
        if index.on_gpu and count <= _LONGEST_ON_GPU and faiss.get_num_gpus() > 0:
            resources = faiss.StandardGpuResources()
            built = faiss.index_cpu_to_gpu(resources, device.index or 0, built)
        for part in _parts(len(gallery)):
            built.add(_prepared(scorer, gallery, part, "gallery"))
        for part in _parts(len(query)):
            values[part, :count], rows[part, :count] = built.search(_prepared(scorer, query, part, "query"), count)
    if metric == faiss.METRIC_L2:
        np.negative(values, out=values)
    values[rows < 0] = -np.inf
    order = np.lexsort((rows, -values, rows < 0), axis=1)
    return np.take_along_axis(values, order, axis=1), np.take_along_axis(rows, order, axis=1)


def _prepared(scorer: Cosine | Euclidean, features: Features, rows: slice | Ints, role: str) -> Floats:
    """`(n, D)` vectors as faiss compares them: of length 1 for the cosine, as they are for the distance."""
    device = torch.device("cpu")
    bare = Features(features.vectors, features.columns)
    with full_precision(device):
        tile = cut(bare, rows, device, role)
        vectors: Floats = (scorer.prepare(tile) if isinstance(scorer, Cosine) else tile).vector.numpy()
    return np.ascontiguousarray(vectors)


def _parts(total: int) -> Iterator[slice]:
    return (slice(start, min(start + _ROWS, total)) for start in range(0, total, _ROWS))


def _faiss(name: str) -> ModuleType:
    try:
        return importlib.import_module("faiss")
    except ImportError:
        raise UserError(
            f"the index '{name}' needs faiss: type 'pip install faiss-cpu', or on a GPU machine what "
            f"requirements-gpu.txt says; the index '{EXACT}' needs nothing"
        ) from None


@contextmanager
def _threads(faiss: ModuleType, count: int) -> Iterator[None]:
    before = faiss.omp_get_max_threads()
    faiss.omp_set_num_threads(count)
    try:
        yield
    finally:
        faiss.omp_set_num_threads(before)
