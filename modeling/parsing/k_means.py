"""Parts by k-means, as ISP (Zhu et al., ECCV 2020) finds them: the comparison, and what stands in for co-parsing.

Foreground are the cells with much activation: ‖X‖ at a cell over the largest of its picture, split by 2-means over all
cells of the person. Their features, of length 1, are clustered by P-means, and clusters are ordered by their mean row.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import normalize

from common.errors import UserError
from modeling.parsing.options import ParsingOptions
from modeling.parsing.parser import Parsed, finite
from modeling.parsing.stripes import stripes

Floats = NDArray[np.float64]


def activation(maps: Tensor, enhanced: bool) -> Tensor:
    """a `(N, h, w)` in 0 … 1: ‖X‖₂ of the cells of maps `(N, C, h, w)` over the largest of their picture.

    Enhanced, it becomes σ(5(2a − 1) + 3), which moves middling activations up to the high ones.
    """
    norms = torch.linalg.vector_norm(maps, dim=1)
    largest = norms.amax(dim=(1, 2), keepdim=True)
    share = norms / largest.clamp(min=torch.finfo(norms.dtype).tiny)
    return torch.sigmoid(5 * (2 * share - 1) + 3) if enhanced else share


def two_means(values: Floats) -> float | None:
    """The lowest value of the upper of two clusters; None where all values are the same.

    Clusters on a line are intervals, so there are only as many splits as values. With Σ₁ and Σ₂ the sums of k lower and
    n − k upper values, the best split has the largest Σ₁²/k + Σ₂²/(n − k). Looking at all of them after one sort is
    exact and faster than iterating.
    """
    ordered = np.sort(values.astype(np.float64).ravel())
    splits = np.flatnonzero(ordered[1:] > ordered[:-1]) + 1
    if len(splits) == 0:
        return None
    sums = np.cumsum(ordered - ordered.mean())  # about their mean, where no digits are lost in the squares
    lower, total = sums[splits - 1], sums[-1]
    gain = lower**2 / splits + (total - lower) ** 2 / (len(ordered) - splits)
    return float(ordered[splits[gain.argmax()]])


def foreground(maps: Tensor, enhanced: bool) -> Tensor | None:
    """`(N, h, w)` bool, or None where every cell is as active as every other.

    Cells without activation never are foreground: the upper cluster does not hold the smallest value.
    """
    active = activation(maps, enhanced)
    least = two_means(active.cpu().double().numpy())
    if least is None:
        return None
    return active.double() >= least


def k_means(features: Tensor, clusters: int, iterations: int, seed: int) -> NDArray[np.int64]:
    """The cluster `(M,)` of each of M ≥ `clusters` features `(M, C)`, by faiss; on their GPU if faiss can use it.

    Raises:
        UserError: faiss is not installed.
    """
    faiss = _faiss()
    vectors = np.ascontiguousarray(features.cpu().numpy(), dtype=np.float32)
    settings = faiss.ClusteringParameters()
    settings.niter, settings.seed = iterations, seed % (1 << 31)
    settings.min_points_per_centroid, settings.max_points_per_centroid = 1, len(vectors)  # all are looked at
    with _one_thread(faiss):
        # What faiss.Kmeans does; but that could only be told how many GPUs to use, not which.
        index = faiss.IndexFlatL2(vectors.shape[1])
        if features.is_cuda and faiss.get_num_gpus() > 0:
            resources = faiss.StandardGpuResources()
            resources.setTempMemory(_GPU_BYTES)
            index = faiss.index_cpu_to_gpu(resources, features.device.index or 0, index)
        faiss.Clustering(vectors.shape[1], clusters, settings).train(vectors, index)
        _, nearest = index.search(vectors, 1)
    return np.asarray(nearest[:, 0], dtype=np.int64)


_GPU_BYTES = 1 << 26
"""Memory that faiss may take for scratch on a GPU; left to itself it takes more than a gigabyte for every person."""


def k_means_parts(maps: Tensor, options: ParsingOptions, seed: int) -> Tensor | None:
    """`(N, h, w)` uint8 parts on the CPU, 0 for background, of maps `(N, C, h, w)`.

    None where there is no foreground, it has fewer cells than parts, or a cluster stays empty: features that are all
    alike cannot be told apart.
    """
    inside = foreground(maps, options.enhanced)
    if inside is None or int(inside.sum()) < options.parts:
        return None
    features = normalize(maps.movedim(1, -1)[inside], dim=1)
    cluster = k_means(features, options.parts, options.clustering_iterations, seed)
    cells = np.bincount(cluster, minlength=options.parts)
    if (cells == 0).any():
        return None
    inside = inside.cpu()
    rows = np.bincount(cluster, weights=inside.nonzero()[:, 1].numpy()) / cells
    numbers = np.empty(options.parts, dtype=np.uint8)
    numbers[np.argsort(rows, kind="stable")] = np.arange(1, options.parts + 1)
    masks = torch.zeros(inside.shape, dtype=torch.uint8)
    masks[inside] = torch.from_numpy(numbers[cluster])
    return masks


class KMeansParser:
    """k-means; where it finds no parts, stripes."""

    def __init__(self, options: ParsingOptions) -> None:
        self.options = options

    def __call__(self, maps: Tensor, seed: int) -> Parsed:
        options, maps = self.options, finite(maps)
        masks = k_means_parts(maps, options, seed)
        if masks is not None:
            return Parsed(masks)
        pictures, _, height, width = maps.shape
        same = stripes(options.parts, height, width, options.rule)
        return Parsed(same.repeat(pictures, 1, 1), fallback=True)


def _faiss() -> ModuleType:
    try:
        return importlib.import_module("faiss")
    except ImportError:
        raise UserError(
            "finding body parts by k-means (options.parsing.by=k-means, and co-parsing where it finds too few labels)"
            " needs faiss: type 'pip install faiss-cpu', or on a GPU machine what requirements-gpu.txt says"
        ) from None


@contextmanager
def _one_thread(faiss: ModuleType) -> Iterator[None]:
    """A person's cells are few, and several processes may be at it."""
    before = faiss.omp_get_max_threads()
    faiss.omp_set_num_threads(1)
    try:
        yield
    finally:
        faiss.omp_set_num_threads(before)
