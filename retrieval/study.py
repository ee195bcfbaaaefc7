"""Everything that is asked of a query set and a gallery at once: protocols, re-ranking, expansion, cameras, pairs.

Protocols that judge by one gallery share one pass over the scores. Where galleries are drawn, each draw is a small
gallery of its own, ranked after the others, so that no more than one of them is in memory and nobody else's pass has
more to do.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch

from common.errors import UserError, unknown_name
from retrieval.columns import Columns, Features, Ints
from retrieval.neighbours.indexes import known
from retrieval.protocols import Protocol, of_others
from retrieval.protocols import protocol as protocol_of
from retrieval.ranking.acquaintances import Acquaintances
from retrieval.ranking.positions import Positions, positions
from retrieval.ranking.results import CMC_RANKS, CameraTable, PerQuery, Scores, nothing_to_find, over_draws, summarise
from retrieval.reranking.conditional import Conditional, Pairs, rescored
from retrieval.reranking.expansion import EXPANSIONS
from retrieval.reranking.k_reciprocal import rerank
from retrieval.scorers import Scorer
from retrieval.scorers import scorer as scorer_of
from retrieval.streaming.exact import Doubles
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
        protocols: names; all that draw no galleries are judged from one pass over the scores.
        scorer: how two pictures compare, a name in `SCORERS`.
        expand: a name in `EXPANSIONS`, or None.
        rerank: None for no re-ranking.
        index: what finds the nearest pictures for expansion and re-ranking, a name in `INDEXES`.
        ranks: where to read the cumulative match curve.
        cameras: also judge by pairs of cameras.
        conditional: re-score the first places of the hardest queries pair by pair; None for not doing so.
        dataset, own: what the features are of, and the protocol that its reader names; nothing where it is not known.
    """

    protocols: Sequence[str]
    scorer: str = "cosine"
    expand: str | None = None
    rerank: Reranking | None = None
    index: str = "exact"
    ranks: Sequence[int] = CMC_RANKS
    cameras: bool = False
    conditional: Conditional | None = None
    dataset: str | None = None
    own: str = ""

    def check(self) -> None:
        """Raise `UserError` for what cannot be asked; to be called before anything that takes long."""
        for name in self.protocols:
            rule = protocol_of(name)
            if self.cameras:
                rule.require_one_gallery("a table by cameras")
        scorer_of(self.scorer)
        known(self.index)
        if self.expand is not None and self.expand not in EXPANSIONS:
            raise unknown_name("expansion", self.expand, EXPANSIONS)
        if self.scorer != "cosine" and (self.expand is not None or self.rerank is not None):
            raise UserError(
                f"expansion and re-ranking go by the cosine, and these features are compared by '{self.scorer}'; "
                "leave them out, or compare by the cosine: python3 -m retrieval --scorer cosine, or eval.py --set "
                "where the method has an option for it (hcga: options.matching=whole)"
            )
        if self.conditional is not None:
            self.conditional.check()
            if self.scorer != "cosine" or self.expand is not None or self.rerank is not None:
                raise UserError(
                    "conditional scoring starts from the cosine of single pictures, and does not go together with"
                    " re-ranking, expansion or another scorer: leave one of the two out (--no-rerank, --expand none)"
                )
        again = self.rerank or Reranking()
        if again.k1 < 1 or again.k2 < 1 or not 0 <= again.lam <= 1:
            raise UserError(
                f"re-ranking by k1 {again.k1}, k2 {again.k2}, lambda {again.lam}: k1 and k2 are whole numbers from 1 "
                "on, lambda a share between 0 and 1 (20, 6, 0.3 in the paper)"
            )
        if min(self.ranks, default=1) < 1:
            raise UserError(f"rank-{min(self.ranks)} cannot be read: ranks count from 1")

    def lacking(self, query: Columns, gallery: Columns) -> dict[str, str]:
        """Protocol → the column that it needs and that these do not have, as a sentence.

        Raises:
            UserError: there is none that has all it needs.
        """
        sentences = {name: protocol_of(name).lacking(query, gallery) for name in self.protocols}
        wanting = {name: sentence for name, sentence in sentences.items() if sentence is not None}
        if wanting and len(wanting) == len(sentences):
            raise UserError("; ".join(wanting.values()))
        return wanting

    def warnings(self) -> tuple[str, ...]:
        """A sentence for each protocol that is asked for and belongs to other datasets."""
        if self.dataset is None:
            return ()
        told = (of_others(name, self.dataset, self.own) for name in dict.fromkeys(self.protocols))
        return tuple(filter(None, told))

    def how(self) -> dict[str, Any]:
        """What re-ranking, expansion or re-scoring was done with, ready for JSON; nothing where there was neither."""
        told: dict[str, Any] = {}
        if self.rerank is not None:
            told |= {"k1": self.rerank.k1, "k2": self.rerank.k2, "lambda": self.rerank.lam}
        if self.rerank is not None or self.expand is not None:
            told["index"] = self.index
        return told if self.conditional is None else self.conditional.as_dict()


@dataclass(frozen=True, eq=False)
class Compared:
    """What was ranked.

    Attributes:
        scorer: how, re-ranked as was asked.
        query, gallery: the features that it ranked, expanded as was asked.
        rows: of the queries and of the gallery pictures, when these are only a part; None for all.
    """

    scorer: Scorer
    query: Features
    gallery: Features
    rows: tuple[Ints, Ints] | None = None


@dataclass(frozen=True)
class Answer:
    """What was found.

    Attributes:
        scores, cameras: by protocol.
        problems: why there are no scores by a protocol, where there are some by others.
        question: what was asked.
        backend, seconds: what computed it, and in what time.
        compared: what was ranked, by protocol; nothing where galleries were drawn.
    """

    scores: Mapping[str, Scores]
    cameras: Mapping[str, CameraTable]
    problems: Mapping[str, str]
    question: Question
    backend: Backend
    seconds: float
    compared: Mapping[str, Compared] = field(repr=False, compare=False)

    def text(self) -> str:
        """For people."""
        how = self.question.how()
        blocks = [f"with {', '.join(f'{name} {value}' for name, value in how.items())}"] if how else []
        for name, scores in self.scores.items():
            blocks.append(scores.table())
            if name in self.cameras:
                blocks.append(self.cameras[name].table())
        warnings = (f"warning: {sentence}" for sentence in self.question.warnings())
        return "\n".join([*blocks, *self.problems.values(), *warnings])

    def as_dict(self) -> dict[str, Any]:
        """Ready for JSON: the first protocol's scores, and those of all by name when there are several."""
        first, *others = self.scores.values()
        answer: dict[str, Any] = {**first.as_dict(), **self.question.how()}
        if self.problems:
            answer["problems"] = dict(self.problems)
        if self.question.warnings():
            answer["warnings"] = list(self.question.warnings())
        if others:
            answer["protocols"] = {name: scores.as_dict() for name, scores in self.scores.items()}
        if self.cameras:
            answer["cameras"] = {name: table.as_dict() for name, table in self.cameras.items()}
        return answer


def study(
    query: Features,
    gallery: Features,
    question: Question,
    *,
    device: torch.device | str = "cpu",
    team: Team = ALONE,
    pairs: Pairs | None = None,
) -> Answer:
    """Answer it. Every process of the team gets the same answer.

    Args:
        pairs: what `question.conditional` needs: the conditional distances of rows of the query and of the gallery.

    Raises:
        UserError: a name is unknown, the features do not fit, or there is nothing to find under any of the protocols.
    """
    question.check()
    if question.conditional is not None and pairs is None:
        raise ValueError("question.conditional without pairs")
    started = time.perf_counter()
    place = torch.device(device)
    backend = Backend.choose(place, query, gallery)
    check_shapes(query, gallery)
    problems = question.lacking(query.columns, gallery.columns)
    protocols = [protocol_of(name) for name in dict.fromkeys(question.protocols) if name not in problems]
    ranking = _Ranking(question, place, backend, team, pairs)
    shared = [protocol for protocol in protocols if not ranking.apart(protocol)]
    together = ranking.of(query, gallery, shared) if shared else None
    scores: dict[str, Scores] = {}
    ranked: dict[str, tuple[Compared, Positions]] = {}
    for protocol in protocols:
        if protocol.draws is not None:
            result = _over_draws(query, gallery, ranking, protocol)
        else:
            of = together if protocol in shared else ranking.of_part(query, gallery, protocol)
            assert of is not None
            ranked[protocol.name] = of
            result = _summary(of[1].judge(protocol.name), _size(gallery, protocol), question, protocol)
        if isinstance(result, Scores):
            scores[protocol.name] = result
        else:
            problems[protocol.name] = result
    if not scores:
        raise UserError("; ".join(problems.values()))
    cameras = {name: ranked[name][1].cameras(name) for name in scores} if question.cameras else {}
    compared = {name: of for name, (of, _) in ranked.items()}
    return Answer(scores, cameras, problems, question, backend, time.perf_counter() - started, compared)


@dataclass(frozen=True)
class _Ranking:
    """How everything is ranked."""

    question: Question
    device: torch.device
    backend: Backend
    team: Team
    pairs: Pairs | None

    def apart(self, protocol: Protocol) -> bool:
        """Whether it must not share the others' pass.

        Neighbours decide on re-ranking and expansion, and pictures that a protocol leaves out must be nobody's. Which
        places are the first, and which queries the hardest, depends on what is junk.
        """
        if self.question.conditional is not None:
            return True
        by_neighbours = self.question.rerank is not None or self.question.expand is not None
        return protocol.draws is not None or (by_neighbours and protocol.partial)

    def of(
        self,
        query: Features,
        gallery: Features,
        protocols: Sequence[Protocol],
        rows: tuple[Ints, Ints] | None = None,
    ) -> tuple[Compared, Positions]:
        """Expanded and re-ranked as is asked for. `rows` are those of a part, in what it is a part of."""
        scorer = scorer_of(self.question.scorer)
        how: dict[str, Any] = {"device": self.device, "backend": self.backend, "team": self.team}
        expand, again, index = self.question.expand, self.question.rerank, self.question.index
        if expand is not None:
            query, gallery = EXPANSIONS[expand](query, gallery, index=index, **how)
        if again is not None:
            scorer = rerank(scorer, query, gallery, k1=again.k1, k2=again.k2, lam=again.lam, index=index, **how)
        if self.question.conditional is not None:
            [protocol] = protocols
            scorer = self._rescored(scorer, query, gallery, protocol, rows)
        return Compared(scorer, query, gallery, rows), positions(scorer, query, gallery, protocols, **how)

    def _rescored(
        self, scorer: Scorer, query: Features, gallery: Features, protocol: Protocol, rows: tuple[Ints, Ints] | None
    ) -> Scorer:
        """The first places re-scored; pairs are named by the rows of the whole."""
        pairs, how = self.pairs, self.question.conditional
        assert pairs is not None
        assert how is not None
        assert rows is not None

        def of_the_whole(left: Ints, right: Ints) -> Doubles:
            return pairs(rows[0][left], rows[1][right])

        junk = Acquaintances.of(query.columns, gallery.columns).junk(protocol)
        options: dict[str, Any] = {"device": self.device, "backend": self.backend, "team": self.team}
        return rescored(scorer, query, gallery, of_the_whole, how, leave_out=junk, **options)

    def of_part(
        self, query: Features, gallery: Features, protocol: Protocol, rows: Ints | None = None
    ) -> tuple[Compared, Positions]:
        """Of the queries that a protocol asks, in `rows` of the gallery, or in all that it shows."""
        asked = np.flatnonzero(protocol.asked(query.columns))
        shown = np.flatnonzero(protocol.shown(gallery.columns)) if rows is None else rows
        return self.of(query.take(asked), gallery.take(shown), [replace(protocol, draws=None)], (asked, shown))


def _over_draws(query: Features, gallery: Features, ranking: _Ranking, protocol: Protocol) -> Scores | str:
    """The means over the galleries that a protocol draws, or the sentence that says why there are none."""
    assert protocol.draws is not None
    pool = np.flatnonzero(protocol.shown(gallery.columns))
    labels = gallery.columns.take(pool)
    each = []
    for number in range(protocol.draws.count):
        rows = pool[protocol.draws.rows(labels, number)]
        _, found = ranking.of_part(query, gallery, protocol, rows)
        result = _summary(found.judge(protocol.name), len(rows), ranking.question, protocol)
        if not isinstance(result, Scores):
            return result
        each.append(result)
    return over_draws(each, protocol.draws)


def _summary(per_query: PerQuery, gallery: int, question: Question, protocol: Protocol) -> Scores | str:
    """The scores, or the sentence that says why there are none."""
    if not per_query.valid.any():
        return nothing_to_find(len(per_query), gallery, protocol)
    return summarise(
        per_query,
        gallery=gallery,
        protocol=protocol,
        scorer=question.scorer if question.conditional is None else f"{question.scorer}, then conditional",
        rerank=question.rerank is not None,
        expand=question.expand,
        ranks=question.ranks,
    )


def _size(gallery: Features, protocol: Protocol) -> int:
    """Gallery rows, junk and a detector's mistakes included; of a protocol for a part, those that it shows."""
    return int(protocol.shown(gallery.columns).sum()) if protocol.partial else len(gallery)
