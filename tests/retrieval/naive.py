"""The formulas written out in loops, to compare with."""

from __future__ import annotations

import numpy as np

from retrieval.columns import Columns, Features
from retrieval.evaluation import PerQuery


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


def naive_evaluation(scores: np.ndarray, query: Columns, gallery: Columns, protocol: str) -> PerQuery:
    """One query after the other, one gallery item after the other, over a stable full sort."""
    lines = []
    for row in range(len(query)):
        hits = []
        for item in np.argsort(-scores[row], kind="stable"):
            same = query.pids[row] == gallery.pids[item]
            known = query.camids[row] != -1 and query.camids[row] == gallery.camids[item]
            if gallery.pids[item] == -1 or (protocol == "market" and same and known):
                continue
            hits.append(bool(same))
        valid = any(hits)
        ap, trap, inp, first = naive_metrics(hits) if valid else (np.nan, np.nan, np.nan, 0)
        lines.append((row, ap, trap, inp, first, valid))
    return PerQuery.from_array(np.array(lines, dtype=np.float64).reshape(-1, 6))


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


def features_of(vectors: np.ndarray, pids: object, camids: object = None) -> Features:
    """Features from loose arrays."""
    return Features(np.asarray(vectors, dtype=np.float32), Columns.of(pids, camids))  # type: ignore[arg-type]
