"""Verification and the open set by looping over the list of all pairs, to compare with."""

from __future__ import annotations

import math

import numpy as np

from retrieval.columns import Columns, Features
from retrieval.verification.population import Population
from tests.retrieval.naive import naive_judgement


class Naive:
    """All pairs as a list, everything else by looping over it.

    Args:
        weights: how often each person counts.
    """

    def __init__(
        self, scores: np.ndarray, query: Columns, gallery: Columns, people: Population, weights: dict[int, int]
    ) -> None:
        self.scores, self.query, self.gallery, self.people, self.weights = scores, query, gallery, people, weights
        half = dict(zip(people.pids.tolist(), people.half.tolist(), strict=True))
        self.half_of_query = [half.get(pid) for pid in query.pids.tolist()]
        self.pairs: list[tuple[int, int, bool]] = []
        for row in range(len(query)):
            for item in range(len(gallery)):
                kind = naive_judgement(people.protocol.name, query, row, gallery, item)
                if kind is not None and query.pids[row] != -1:
                    self.pairs.append((row, item, kind == "good"))

    def rate(self, threshold: float, genuine: bool, half: int | None = None) -> float:
        """The share of pairs, of one half of the people or of all, that reach the threshold."""
        passing, total = 0, 0
        for row, item, good in self.pairs:
            inside = half is None or (self.half_of_query[row] == half and self.people.group[item] % 2 == half)
            if good == genuine and inside:
                weight = self.weights[self.query.pids[row]]
                total += weight
                passing += weight * bool(self.scores[row, item] >= threshold)
        return passing / total

    def lowest(self, edges: np.ndarray, far: float, half: int | None = None) -> float:
        for edge in edges:
            if self.rate(edge, genuine=False, half=half) <= far:
                return float(edge)
        return math.inf

    def equal_error_rate(self, edges: np.ndarray) -> float:
        before = (1.0, 0.0)
        for edge in edges:
            far, missed = self.rate(edge, genuine=False), 1 - self.rate(edge, genuine=True)
            if missed >= far:
                # The point between `before` and here where both are the same.
                share = (before[0] - before[1]) / (before[0] - before[1] + missed - far)
                return before[0] + share * (far - before[0])
            before = (far, missed)
        raise AssertionError

    def held_out(self, chosen: tuple[float, float]) -> tuple[float, float]:
        """FAR and TPR of both trials together; `chosen[0]` is tried on half 1."""
        rates = []
        for genuine in (False, True):
            passing, total = 0, 0
            for row, item, good in self.pairs:
                half = self.half_of_query[row]
                if good == genuine and half is not None and self.people.group[item] % 2 == half:
                    weight = self.weights[self.query.pids[row]]
                    total += weight
                    passing += weight * bool(self.scores[row, item] >= chosen[1 - half])
            rates.append(passing / total)
        return rates[0], rates[1]

    def best(self, row: int, known: int) -> tuple[float, bool]:
        """The highest score that a query gets when one half of the people is known, and whether it is the right one."""
        best, right = -math.inf, False
        for item in range(len(self.gallery)):
            kind = naive_judgement(self.people.protocol.name, self.query, row, self.gallery, item)
            unknown = self.people.group[item] == 1 - known
            if kind is not None and not unknown and self.scores[row, item] > best:
                best, right = self.scores[row, item], kind == "good"
        return best, right

    def above(self, far: float, known: int) -> float:
        """The least score of an unknown query such that no more than that share of them is above."""
        strangers = [row for row, half in enumerate(self.half_of_query) if half == 1 - known]
        scores = [(self.best(row, known)[0], self.weights[self.query.pids[row]]) for row in strangers]
        total = sum(weight for _, weight in scores)
        return min(
            score for score, _ in scores if sum(weight for other, weight in scores if other > score) / total <= far
        )

    def rank1(self, far: float) -> float:
        hits, asked = 0, 0
        for known in (0, 1):
            above = self.above(far, known)
            friends = {row for row, _, good in self.pairs if good and self.half_of_query[row] == known}
            for row in friends:
                weight = self.weights[self.query.pids[row]]
                score, right = self.best(row, known)
                asked += weight
                hits += weight * (right and score > above)
        return hits / asked


def labels(seed: int, queries: int, items: int, people: int = 6) -> tuple[Columns, Columns]:
    random = np.random.default_rng(seed)

    def columns(count: int, most: int) -> Columns:
        return Columns.of(*(random.integers(least, high, count) for least, high in ((-1, most), (-1, 3), (0, 2))))

    return columns(queries, people), columns(items, people + 2)


def blank(columns: Columns) -> Features:
    return Features(np.zeros((len(columns), 1), dtype=np.float32), columns)
