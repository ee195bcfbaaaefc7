"""The formulas written out in loops, to compare with."""

from __future__ import annotations

import numpy as np

from retrieval.columns import Columns, Features
from retrieval.protocols import Protocol
from retrieval.ranking.evaluation import PerQuery


def naive_metrics(hits: list[bool]) -> tuple[float, float, float, int]:
    """AP, trapezoid AP, INP and first rank of one junk-free ranking."""
    total = sum(hits)
    found, ap, trap, first, last = 0, 0.0, 0.0, 0, 0
    before = 1.0
    for rank, hit in enumerate(hits, start=1):
        if hit:
            found += 1
            first = first or rank
            last = rank
            ap += found / rank / total
            trap += (found / rank + before) / 2 / total
        before = found / rank
    return ap, trap, total / last, first


ASKED = {"prcc-cc": [2], "prcc-sc": [1], "vcclothes-sc": [1, 2], "vcclothes-cc": [2, 3]}
SHOWN = {"prcc-cc": [0], "prcc-sc": [0], "vcclothes-sc": [1, 2], "vcclothes-cc": [2, 3]}
SINGLE = {"prcc-single-cc": "prcc-cc", "prcc-single-sc": "prcc-sc"}
ANY_CAMERA = ["no-camera", "last", "p-duke", "occluded-reid", "occluded-reid-half", "celeb"]
OTHER_CAMERA = ["market", "standard", "cuhk03-np", "deepchange", "vcclothes", "occluded-duke", *ASKED]


def naive_asked(name: str, query: Columns, row: int) -> bool:
    """Whether a protocol asks one query."""
    name = SINGLE.get(name, name)
    return name not in ASKED or query.camids[row] in ASKED[name]


def naive_shown(name: str, gallery: Columns, item: int) -> bool:
    """Whether a protocol shows one gallery picture to anybody."""
    name = SINGLE.get(name, name)
    return gallery.pids[item] != -1 and (name not in SHOWN or gallery.camids[item] in SHOWN[name])


def naive_judgement(name: str, query: Columns, row: int, gallery: Columns, item: int) -> str | None:
    """Whether a protocol counts one gallery picture as "good" or "bad" for one query; None when it does not count."""
    if not naive_shown(name, gallery, item) or not naive_asked(name, query, row):
        return None
    name = SINGLE.get(name, name)
    if query.pids[row] != gallery.pids[item]:
        return "bad"
    same_camera = query.camids[row] != -1 and query.camids[row] == gallery.camids[item]
    known = query.clothes[row] != -1 and gallery.clothes[item] != -1
    same_clothes = query.clothes[row] == gallery.clothes[item]
    if name in ANY_CAMERA:
        return "good"
    if same_camera:
        return None
    if name == "cloth-changing":
        return "good" if known and not same_clothes else None
    if name == "same-clothes":
        return "good" if known and same_clothes else None
    assert name in OTHER_CAMERA
    return "good"


def naive_evaluation(
    scores: np.ndarray, query: Columns, gallery: Columns, protocol: Protocol, camera: int | None = None
) -> PerQuery:
    """One query after the other, one gallery item after the other, over a stable full sort.

    Args:
        camera: search only the positives from this camera of the gallery; the others are left out.
    """
    rows: list[int] = []
    found: list[tuple[float, float, float, int]] = []
    for row in range(len(query)):
        if not protocol.asked(query)[row]:
            continue
        hits = []
        for item in np.lexsort((np.arange(len(gallery)), -scores[row])):
            kind = naive_judgement(protocol.name, query, row, gallery, item)
            if kind is None or (kind == "good" and camera not in (None, gallery.camids[item])):
                continue
            hits.append(kind == "good")
        rows.append(row)
        found.append(naive_metrics(hits) if any(hits) else (np.nan, np.nan, np.nan, 0))
    ap, trap, inp, first = np.array(found, dtype=np.float64).reshape(-1, 4).T
    return PerQuery(np.array(rows, dtype=np.int64), ap, trap, inp, first.astype(np.int64), first > 0)


def naive_rerank(query: np.ndarray, gallery: np.ndarray, k1: int, k2: int, lam: float) -> np.ndarray:
    """The published code, with its dense N×N matrices and loops."""
    features = np.concatenate([query, gallery]).astype(np.float64)
    features /= np.linalg.norm(features, axis=1, keepdims=True)
    total, asked = len(features), len(query)
    distance = np.array([[((a - b) ** 2).sum() for b in features] for a in features])
    distance = (distance / distance.max(axis=0)).T
    ranking = np.argsort(distance, axis=1, kind="stable")

    def reciprocal(row: int, count: int) -> list[int]:
        return [j for j in ranking[row, : count + 1] if row in ranking[j, : count + 1]]

    v = np.zeros((total, total))
    for i in range(total):
        core = reciprocal(i, k1)
        expanded = set(core)
        for candidate in core:
            smaller = reciprocal(candidate, int(np.around(k1 / 2)))
            if len(set(smaller) & set(core)) > 2 / 3 * len(smaller):
                expanded |= set(smaller)
        for j in expanded:
            v[i, j] = np.exp(-distance[i, j])
        v[i] /= v[i].sum()
    if k2 != 1:
        v = np.array([v[ranking[i, :k2]].mean(axis=0) for i in range(total)])
    result = np.zeros((asked, total - asked))
    for i in range(asked):
        for j in range(asked, total):
            shared = np.minimum(v[i], v[j]).sum()
            jaccard = 1 - shared / (2 - shared)
            result[i, j - asked] = jaccard * (1 - lam) + distance[i, j] * lam
    return result


def features_of(vectors: np.ndarray, pids: object, camids: object = None, clothes: object = None) -> Features:
    """Features from loose arrays."""
    columns = Columns.of(pids, camids, clothes)  # type: ignore[arg-type]
    return Features(np.asarray(vectors, dtype=np.float32), columns)


def exact_scores(scorer: object, query: Features, gallery: Features) -> np.ndarray:
    """`(Q, G)` float64 by the scorer's own exact form."""
    left, right = np.indices((len(query), len(gallery))).reshape(2, -1)
    scores = scorer.pairs(query, gallery, left, right, fast=False)  # type: ignore[attr-defined]
    return scores.reshape(len(query), len(gallery))  # type: ignore[no-any-return]
