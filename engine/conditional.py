"""Pictures compared given each other, at the test: how much of it, chosen on people that the run held out.

`eval.py CHECKPOINT --validation --conditional` tries a grid there and keeps the best on the checkpoint's card;
`eval.py CHECKPOINT --conditional` scores by it, beside the scores of pictures alone. Where the best is no better than
these, nothing is kept and an earlier choice stays. The choice is of the checkpoint's weights, so training that goes on
from there starts without one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from common.errors import UserError
from data.samples import Dataset
from engine.card import change, require_changeable
from engine.extraction import Extraction
from engine.gather import team
from engine.maps import Wanted, maps_of
from engine.pair_scoring import PairScorer
from modeling.methods.method import Embedder, PairEmbedder
from retrieval.columns import Features
from retrieval.ranking.results import Scores
from retrieval.reranking.conditional import Conditional, Pairs
from retrieval.study import Answer, Question, study

KEY = "conditional"
"""Of the card: what was chosen and on whom."""
_FACTS: Mapping[str, tuple[type, ...]] = {
    "k": (int,),
    **dict.fromkeys(("lambda", "hardest", "mAP", "individual mAP"), (int, float)),
    **dict.fromkeys(("dataset", "fingerprint", "protocol"), (str,)),
    "flip": (bool,),
}
"""Its parts and their types."""

GRID = [
    Conditional(k, lam, hardest) for hardest in (1.0, 0.1, 0.05) for k in (100, 50, 20) for lam in (0.25, 0.5, 0.75)
]
"""What is tried. The first needs the pairs of all others."""


@dataclass(frozen=True)
class Choice:
    """The card's.

    Attributes:
        facts: `k`, `lambda` and `hardest`; on which `dataset`, with which `fingerprint`, with or without mirrored
            pictures (`flip`) and by which `protocol` they were chosen; the mean average precision there with (`mAP`)
            and without them (`individual mAP`).
    """

    facts: Mapping[str, Any]

    @property
    def how(self) -> Conditional:
        """What was chosen."""
        return Conditional(self.facts["k"], self.facts["lambda"], self.facts["hardest"])

    def sentence(self) -> str:
        """Where it comes from and what it brought there."""
        return f"chosen {self.found()}"

    def found(self) -> str:
        """Where it was tried and what it brought there."""
        facts = self.facts
        view = "with" if facts["flip"] else "without"
        return (
            f"on {facts['dataset']} {view} mirrored pictures by protocol {facts['protocol']}, where mAP was"
            f" {100 * facts['mAP']:.2f} instead of {100 * facts['individual mAP']:.2f} %"
        )


def choice_of(card: Mapping[str, Any]) -> Choice | None:
    """What a card holds, if this version understands it."""
    facts = card.get(KEY)
    if not isinstance(facts, Mapping) or any(type(facts.get(name)) not in types for name, types in _FACTS.items()):
        return None
    choice = Choice(facts)
    try:
        choice.how.check()
    except UserError:
        return None
    return choice if all(0 <= facts[name] <= 1 for name in ("mAP", "individual mAP")) else None


@dataclass(frozen=True)
class Conditionally:
    """What was found.

    Attributes:
        answer: the scores, by protocol.
        how: what was done.
        origin: where that comes from, in words.
        tried: on held-out people, and the scores by the first protocol.
        kept: whether the best of these went to the card.
    """

    answer: Answer
    how: Conditional
    origin: str
    tried: Sequence[tuple[Conditional, Scores]] = ()
    kept: bool = False

    def text(self) -> str:
        """For people."""
        tried = [
            f"tried K,LAMBDA,HARDEST {how!s:<12}  mAP {100 * scores.mAP:6.2f}  rank-1 {100 * scores.cmc[1]:6.2f}"
            for how, scores in self.tried
        ]
        head = f"conditional scores by K,LAMBDA,HARDEST {self.how}, {self.origin}"
        return "\n".join([*tried, head, self.answer.text()])

    def as_dict(self) -> dict[str, Any]:
        """Ready for JSON."""
        told: dict[str, Any] = {**self.answer.as_dict(), "origin": self.origin}
        if self.tried:
            told["kept"] = self.kept
            told["tried"] = [
                {**how.as_dict(), "mAP": scores.mAP, "rank-1": scores.cmc[1]} for how, scores in self.tried
            ]
        return told


@dataclass(frozen=True)
class Plan:
    """What is asked, looked at before anything that takes long.

    Attributes:
        how: what is to be done; None for the best of `GRID`.
        origin: where that comes from, in words.
        chosen: what the card says already.
    """

    path: Path
    embedder: PairEmbedder
    question: Question
    how: Conditional | None
    origin: str
    chosen: Choice | None

    @classmethod
    def of(
        cls,
        path: Path,
        card: Mapping[str, Any],
        embedder: Embedder,
        question: Question,
        given: Conditional | None,
        validation: bool,
    ) -> Plan:
        """Raises `UserError` where it cannot be done.

        Args:
            given: on the command line.
            validation: whether held-out people are judged.
        """
        if not isinstance(embedder, PairEmbedder):
            raise UserError(
                f"the run '{card['name']}' ({card['method']}) compares pictures one by one and not given each other;"
                " leave --conditional out, or train with method: cacenet"
            )
        chosen = choice_of(card)
        if given is not None:
            how, origin = given, "as given on the command line"
        elif validation:
            require_changeable(path, "--validation --conditional")
            how, origin = None, ""  # said when it is chosen
        elif chosen is not None:
            how, origin = chosen.how, chosen.sentence()
        else:
            raise UserError(
                f"the card of {path} does not say how to score conditionally: choose on held-out people with eval.py"
                " CHECKPOINT --validation --conditional (train with data.validation), never on the test set, or give"
                " the numbers, as --conditional 50,0.5,0.1"
            )
        replace(question, conditional=how or GRID[0]).check()
        return cls(path, embedder, question, how, origin, chosen)

    def carried_out(
        self,
        query: Features,
        gallery: Features,
        dataset: Dataset,
        individual: Scores,
        folder: Path,
        made_by: Mapping[str, Any],
        how: Extraction,
    ) -> Conditionally:
        """Make the maps, score, and where it is to be chosen keep the choice on the card, if it is of any use.

        Args:
            individual: of pictures alone, by the first protocol.
            folder, made_by: of the features.
        """
        splits = ((dataset.query, "query"), (dataset.gallery, "gallery"))
        wanted = [Wanted.of(split, title, folder, made_by, how) for split, title in splits]
        maps = maps_of(self.embedder, wanted, how)
        pairs = PairScorer(self.embedder, maps[0], maps[1], how.device, team())
        if self.how is not None:
            return Conditionally(self._answer(query, gallery, pairs, self.how, how.device), self.how, self.origin)
        answers = [(one, self._answer(query, gallery, pairs, one, how.device)) for one in GRID]
        tried = [(one, next(iter(answer.scores.values()))) for one, answer in answers]
        best = best_of(tried)
        facts = {
            **best.as_dict(),
            "dataset": dataset.name,
            "fingerprint": dataset.fingerprint(),
            "flip": how.flip,
            "protocol": individual.protocol,
            "mAP": dict(tried)[best].mAP,
            "individual mAP": individual.mAP,
        }
        kept = facts["mAP"] > individual.mAP
        if kept:
            change(self.path, lambda _: {KEY: facts}, made_by["checkpoint"])
            origin = f"{Choice(facts).sentence()}; kept on the card of {self.path}"
        else:
            there = "says nothing of it" if self.chosen is None else f"still says {self.chosen.how}"
            origin = (
                f"the best {Choice(facts).found()}; that is no better than pictures alone, so nothing is kept, and the"
                f" card of {self.path} {there}"
            )
        return Conditionally(dict(answers)[best], best, origin, tried, kept)

    def _answer(
        self, query: Features, gallery: Features, pairs: Pairs, how: Conditional, device: torch.device
    ) -> Answer:
        question = replace(self.question, conditional=how)
        return study(query, gallery, question, device=device, team=team(), pairs=pairs)


def best_of(tried: Sequence[tuple[Conditional, Scores]]) -> Conditional:
    """The highest mAP; of equal ones the one that costs least."""
    return max(tried, key=lambda one: (one[1].mAP, -one[0].hardest * one[0].k, -one[0].lam))[0]
