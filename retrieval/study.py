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
from retrieval.ranking.results import CMC_RANKS, CameraTable, Scores, summarise
from retrieval.reranking.expansion import EXPANSIONS
from retrieval.reranking.k_reciprocal import rerank
from retrieval.scorers import Scorer
from retrieval.scorers import scorer as scorer_of
from retrieval.streaming.stream import ALONE, Backend, Team


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
        if self.expand is None:
            return
        if self.expand not in EXPANSIONS:
            raise unknown_name("expansion", self.expand, EXPANSIONS)
        if self.scorer != "cosine":
            raise UserError(
                f"expansion makes new vectors by their cosine, and these features are compared by '{self.scorer}'; "
                "leave it out"
            )


@dataclass(frozen=True)
class Answer:
    """What was found.

    Attributes:
        scores, cameras: by protocol.
        backend, seconds: what computed it, and in what time.
    """

    scores: Mapping[str, Scores]
    backend: Backend
    seconds: float
    cameras: Mapping[str, CameraTable] = field(default_factory=dict)

    def text(self) -> str:
        """For people."""
        tables = []
        for name, scores in self.scores.items():
            tables.append(scores.table())
            if name in self.cameras:
                tables.append(self.cameras[name].table())
        return "\n".join(tables)

    def as_dict(self) -> dict[str, Any]:
        """Ready for JSON: the first protocol's scores, and those of all by name when there are several."""
        first, *others = self.scores.values()
        answer: dict[str, Any] = first.as_dict()
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
    scorer, query, gallery = comparison(query, gallery, question, device=place, backend=backend, team=team)
    found = positions(scorer, query, gallery, protocols, device=place, backend=backend, team=team)
    scores = {
        protocol.name: summarise(
            found.judge(protocol.name),
            gallery=len(gallery),
            protocol=protocol,
            scorer=question.scorer,
            rerank=question.rerank is not None,
            expand=question.expand,
            ranks=question.ranks,
        )
        for protocol in protocols
    }
    cameras = {protocol.name: found.cameras(protocol.name) for protocol in protocols} if question.cameras else {}
    return Answer(scores, backend, time.perf_counter() - started, cameras)


def comparison(
    query: Features,
    gallery: Features,
    question: Question,
    *,
    device: torch.device | str = "cpu",
    backend: Backend | None = None,
    team: Team = ALONE,
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
