"""Everything that is asked of a query set and a gallery at once: protocols, re-ranking, expansion, cameras."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch

from common.errors import UserError, unknown_name
from retrieval.columns import Features
from retrieval.neighbours.indexes import known
from retrieval.protocols import protocol as protocol_of
from retrieval.ranking.positions import positions
from retrieval.ranking.results import CMC_RANKS, CameraTable, Scores, nothing_to_find, summarise
from retrieval.reranking.expansion import EXPANSIONS
from retrieval.reranking.k_reciprocal import rerank
from retrieval.scorers import Scorer
from retrieval.scorers import scorer as scorer_of
from retrieval.streaming.stream import ALONE, Backend, Team, check_shapes


@dataclass(frozen=True)
class Reranking:
    """The parameters of k-reciprocal re-ranking (Zhong et al., CVPR 2017)."""

    k1: int = 20
    k2: int = 6
    lam: float = 0.3


@dataclass(frozen=True)
class Question:
    """What is asked.

    Attributes:
        protocols: names; all are judged from one pass over the scores.
        scorer: how two pictures compare, a name in `SCORERS`.
        expand: a name in `EXPANSIONS`, or None.
        rerank: None for no re-ranking.
        index: what finds the nearest pictures for expansion and re-ranking, a name in `INDEXES`.
        ranks: where to read the cumulative match curve.
        cameras: also judge by pairs of cameras.
    """

    protocols: Sequence[str]
    scorer: str = "cosine"
    expand: str | None = None
    rerank: Reranking | None = None
    index: str = "exact"
    ranks: Sequence[int] = CMC_RANKS
    cameras: bool = False

    def check(self) -> None:
        """Raise `UserError` for what cannot be asked; to be called before anything that takes long."""
        for name in self.protocols:
            protocol_of(name)
        scorer_of(self.scorer)
        known(self.index)
        if self.expand is not None and self.expand not in EXPANSIONS:
            raise unknown_name("expansion", self.expand, EXPANSIONS)
        if self.scorer != "cosine" and (self.expand is not None or self.rerank is not None):
            raise UserError(
                f"expansion and re-ranking go by the cosine, and these features are compared by '{self.scorer}'; "
                "leave them out, or ask for the scorer cosine"
            )
        again = self.rerank or Reranking()
        if again.k1 < 1 or again.k2 < 1 or not 0 <= again.lam <= 1:
            raise UserError(
                f"re-ranking by k1 {again.k1}, k2 {again.k2}, lambda {again.lam}: k1 and k2 are whole numbers from 1 "
                "on, lambda a share between 0 and 1 (20, 6, 0.3 in the paper)"
            )
        if min(self.ranks, default=1) < 1:
            raise UserError(f"rank-{min(self.ranks)} cannot be read: ranks count from 1")

    def how(self) -> dict[str, Any]:
        """What re-ranking and expansion were done with, ready for JSON; nothing where there was neither."""
        told: dict[str, Any] = {}
        if self.rerank is not None:
            told |= {"k1": self.rerank.k1, "k2": self.rerank.k2, "lambda": self.rerank.lam}
        if self.rerank is not None or self.expand is not None:
            told["index"] = self.index
        return told


@dataclass(frozen=True)
class Answer:
    """What was found.

    Attributes:
        scores, cameras: by protocol.
        problems: why there are no scores by a protocol, where there are some by others.
        question: what was asked.
        backend, seconds: what computed it, and in what time.
        compared: the scorer and the features that it ranked, expanded and re-ranked as was asked.
    """

    scores: Mapping[str, Scores]
    cameras: Mapping[str, CameraTable]
    problems: Mapping[str, str]
    question: Question
    backend: Backend
    seconds: float
    compared: tuple[Scorer, Features, Features] = field(repr=False, compare=False)

    def text(self) -> str:
        """For people."""
        how = self.question.how()
        blocks = [f"with {', '.join(f'{name} {value}' for name, value in how.items())}"] if how else []
        for name, scores in self.scores.items():
            blocks.append(scores.table())
            if name in self.cameras:
                blocks.append(self.cameras[name].table())
        return "\n".join([*blocks, *self.problems.values()])

    def as_dict(self) -> dict[str, Any]:
        """Ready for JSON: the first protocol's scores, and those of all by name when there are several."""
        first, *others = self.scores.values()
        answer: dict[str, Any] = {**first.as_dict(), **self.question.how()}
        if self.problems:
            answer["problems"] = dict(self.problems)
        if others:
            answer["protocols"] = {name: scores.as_dict() for name, scores in self.scores.items()}
        if self.cameras:
            answer["cameras"] = {name: table.as_dict() for name, table in self.cameras.items()}
        return answer


def study(
    query: Features, gallery: Features, question: Question, *, device: torch.device | str = "cpu", team: Team = ALONE
) -> Answer:
    """Answer it. Every process of the team gets the same answer.

    Raises:
        UserError: a name is unknown, the features do not fit, or there is nothing to find under any of the protocols.
    """
    question.check()
    started = time.perf_counter()
    place = torch.device(device)
    protocols = [protocol_of(name) for name in dict.fromkeys(question.protocols)]
    backend = Backend.choose(place, query, gallery)
    check_shapes(query, gallery)
    compared = _compared(query, gallery, question, place, backend, team)
    found = positions(*compared, protocols, device=place, backend=backend, team=team)
    judged = {protocol.name: found.judge(protocol.name) for protocol in protocols}
    problems = {
        protocol.name: nothing_to_find(len(judged[protocol.name]), len(gallery), protocol)
        for protocol in protocols
        if not judged[protocol.name].valid.any()
    }
    scores = {
        protocol.name: summarise(
            judged[protocol.name],
            gallery=len(gallery),
            protocol=protocol,
            scorer=question.scorer,
            rerank=question.rerank is not None,
            expand=question.expand,
            ranks=question.ranks,
        )
        for protocol in protocols
        if protocol.name not in problems
    }
    if not scores:
        raise UserError("; ".join(problems.values()))
    cameras = {name: found.cameras(name) for name in scores} if question.cameras else {}
    return Answer(scores, cameras, problems, question, backend, time.perf_counter() - started, compared)


def _compared(
    query: Features, gallery: Features, question: Question, device: torch.device, backend: Backend, team: Team
) -> tuple[Scorer, Features, Features]:
    """The scorer that is asked for and the features it compares, expanded and re-ranked as is asked for."""
    scorer = scorer_of(question.scorer)
    how: dict[str, Any] = {"device": device, "backend": backend, "team": team, "index": question.index}
    if question.expand is not None:
        query, gallery = EXPANSIONS[question.expand](query, gallery, **how)
    if question.rerank is None:
        return scorer, query, gallery
    again = question.rerank
    return rerank(scorer, query, gallery, k1=again.k1, k2=again.k2, lam=again.lam, **how), query, gallery
