"""New vectors from those of the nearest pictures: query expansion and database augmentation.

A picture and its nearest ones mostly show the same person, and their mean holds less of what is peculiar to one.
Nothing here looks at labels. Vectors are compared and summed as unit vectors, and the new ones are unit vectors; one of
length zero stays what it is and adds to no other. Parts and their visibility stay as they are.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import torch

from common.errors import UserError
from retrieval.columns import Features, Floats, Ints
from retrieval.neighbours.search import neighbours, own_neighbours
from retrieval.protocols import Mask
from retrieval.scorers import Cosine
from retrieval.streaming.exact import Doubles, inner, squares
from retrieval.streaming.stream import ALONE, Backend, Team
from retrieval.streaming.workers import share_out

_AT_ONCE = 1 << 18
"""Numbers of the new vectors that a thread works on: 1 MiB, which a processor's cache holds."""


def average_query_expansion(
    query: Features,
    gallery: Features,
    k: int = 5,
    *,
    device: torch.device | str = "cpu",
    backend: Backend | None = None,
    team: Team = ALONE,
    index: str = "exact",
) -> Features:
    """AQE: each query becomes the mean of itself and its k nearest gallery pictures.

    Chum et al., "Total Recall: Automatic Query Expansion with a Generative Feature Model for Object Retrieval", ICCV
    2007; without its spatial verification, which needs local features.

    Args:
        index: how neighbours are searched.

    Raises:
        UserError: k is below 1, query and gallery do not fit each other, or NaN.
    """
    return alpha_query_expansion(query, gallery, k, 0, device=device, backend=backend, team=team, index=index)


def alpha_query_expansion(
    query: Features,
    gallery: Features,
    k: int = 5,
    alpha: float = 3,
    *,
    device: torch.device | str = "cpu",
    backend: Backend | None = None,
    team: Team = ALONE,
    index: str = "exact",
) -> Features:
    """αQE: the same with each gallery picture weighted by max(cos, 0)^α, so that k matters less.

    Radenović et al., "Fine-tuning CNN Image Retrieval with No Human Annotation", PAMI 2018.

    Raises:
        UserError: k is below 1, α below 0, query and gallery do not fit each other, or NaN.
    """
    _check(k, alpha)
    host = Backend.on_host(device, backend, query, gallery)
    found = neighbours(
        Cosine(), query, gallery, min(k, len(gallery)), device=device, backend=backend, team=team, index=index
    )
    out = np.empty(query.vectors.shape, dtype=np.float32)
    return _combined(query, gallery, found.rows, found.rows >= 0, alpha, out, host)


def database_augmentation(
    features: Features,
    k: int = 5,
    alpha: float = 0,
    *,
    out: Floats | None = None,
    device: torch.device | str = "cpu",
    backend: Backend | None = None,
    team: Team = ALONE,
    index: str = "exact",
) -> Features:
    """DBA: each picture becomes the mean of itself and its k nearest in the same set, all from the old vectors.

    Turcot and Lowe, "Better Matching with Fewer Features: The Selection of Useful Features in Large Database
    Recognition Problems", ICCV workshops 2009; there for visual words, here for vectors.

    Args:
        alpha: weigh each by max(cos, 0)^α; 0 is the mean.
        out: `(N, D)` float32 that is filled and becomes the result's vectors, a memory map where there are too many
            for the memory; it must not be the memory of the old ones.

    Raises:
        UserError: k is below 1, α below 0, or NaN.
    """
    _check(k, alpha)
    if out is None:
        out = np.empty(features.vectors.shape, dtype=np.float32)
    if out.shape != features.vectors.shape or out.dtype != np.float32 or np.may_share_memory(out, features.vectors):
        raise ValueError(f"out: expected other memory of float32 and shape {features.vectors.shape}")
    host = Backend.on_host(device, backend, features, features)
    found, _ = own_neighbours(
        Cosine(), features, min(k + 1, len(features)), device=device, backend=backend, team=team, index=index
    )
    # A row is among its own neighbours; where k equal ones come before it, one more of them makes no difference.
    others = (found.rows != np.arange(len(features))[:, None]) & (found.rows >= 0)
    return _combined(features, features, found.rows, others, alpha, out, host)


Expansion = Callable[..., tuple[Features, Features]]
"""From a query set and its gallery to what takes their place; options by name as above."""


def _expands_query(expand: Callable[..., Features]) -> Expansion:
    return lambda query, gallery, **options: (expand(query, gallery, **options), gallery)


EXPANSIONS: dict[str, Expansion] = {
    "aqe": _expands_query(average_query_expansion),
    "alpha-qe": _expands_query(alpha_query_expansion),
    "dba": lambda query, gallery, **options: (query, database_augmentation(gallery, **options)),
}


def _check(k: int, alpha: float) -> None:
    if k < 1:
        raise UserError(f"k is {k}: expansion needs at least one neighbour; give 1 or more (5 is usual)")
    if not 0 <= alpha < np.inf:
        raise UserError(f"alpha is {alpha}: give 0 for a plain mean or more to trust near neighbours most (3 is usual)")


def _combined(
    features: Features, others: Features, rows: Ints, counted: Mask, alpha: float, out: Floats, backend: Backend
) -> Features:
    """Each vector plus the weighted sum of those of `others` that `rows` names and `counted` allows, in `out`.

    Weights come from exact cosines, and sums are taken number by number in the order of the rows, so that nothing
    depends on the machine's libraries.
    """
    own = _scales(features.vectors, np.arange(len(features)), backend)
    listed, place = np.unique(rows, return_inverse=True)
    scales = _scales(others.vectors, listed, backend)[place].reshape(rows.shape)
    # A vector of length zero is at right angles to all, so that its neighbours mean nothing.
    scales[~counted | (own == 0)[:, None]] = 0
    step = max(1, _AT_ONCE // max(1, out.shape[1]))
    parts = iter([slice(start, min(start + step, len(rows))) for start in range(0, len(rows), step)])

    def work(part: slice) -> None:
        factors = scales[part]
        if alpha > 0:
            left = np.repeat(np.arange(part.start, part.stop), rows.shape[1])
            products = inner(features.vectors, others.vectors, left, rows[part].ravel(), fast=backend.fast)
            factors = factors * np.maximum(products.reshape(factors.shape) * factors * own[part, None], 0) ** alpha
        total = features.vectors[part] * own[part, None].astype(np.float32)
        for rank in range(rows.shape[1]):
            term = others.vectors[rows[part, rank]]
            term *= factors[:, rank, None].astype(np.float32)
            total += term
        total *= _scales(total, np.arange(len(total)), backend)[:, None].astype(np.float32)
        out[part] = total

    share_out(lambda worker: next(parts, None), work, backend.threads)
    return replace(features, vectors=out)


def _scales(vectors: Floats, rows: Ints, backend: Backend) -> Doubles:
    """`(n,)` one through the length of each of these vectors; 0 for one of length zero."""
    lengths = np.sqrt(squares(vectors, rows, fast=backend.fast))
    scales: Doubles = np.divide(1, lengths, out=np.zeros_like(lengths), where=lengths > 0)
    return scales
