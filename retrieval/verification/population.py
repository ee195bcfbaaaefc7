"""Which pairs of pictures are of one person and which of two, and two halves of the people that share nobody.

- A *genuine* pair is one that the protocol wants found: a positive.
- An *impostor* pair is a query with a picture that the protocol shows, of somebody else.
- Everything else of the query's own person is junk, and counts for neither.

All of this is a matter of labels, so it is known, and refused where it is too little, before any score is computed.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from common.contracts import UNKNOWN
from common.errors import UserError
from retrieval.columns import Columns, Ints
from retrieval.protocols import Mask, Protocol
from retrieval.ranking.acquaintances import Acquaintances
from retrieval.streaming.exact import Doubles

ENOUGH = 10
"""What must be expected to pass by mistake, of all there are, before a rate is told: below that it is chance."""

_AT_ONCE = 1 << 20
"""Numbers of a part of what is drawn: 8 MiB."""

HIDDEN = -1
"""The group of gallery pictures that are not shown."""


@dataclass(frozen=True, eq=False)
class Population:
    """The people asked for, and the pairs.

    Everybody belongs to one of two halves: those asked for, in two draws, so that the people who can be found and those
    who cannot are shared out evenly; the gallery's other people; and its unknown ones (−1), picture by picture.

    Attributes:
        protocol: what the pairs are judged by.
        pairs: all pairs of query and gallery rows of one person.
        genuine: `(n,)` which of these are the genuine ones.
        pids: `(I,)` the people asked for, ascending.
        half: `(I,)` 0 or 1.
        found: `(I,)` whether they have a genuine pair.
        person: `(Q,)` which of `pids` each query is of; −1 where it is not asked or of nobody known.
        group: `(G,)` of each gallery picture: 0 and 1 the halves of the people asked for, 2 and 3 those of everybody
            else, `HIDDEN` where the protocol does not show it. The last bit is the half.
        impostors: `(I, 2)` impostor pairs of each person with the gallery's two halves.
    """

    protocol: Protocol
    pairs: Acquaintances
    genuine: Ints
    pids: Ints
    half: Ints
    found: Mask
    person: Ints
    group: Ints
    impostors: Ints

    @classmethod
    def of(cls, query: Columns, gallery: Columns, protocol: Protocol, seed: int = 0) -> Population:
        """From labels; `seed` draws the halves."""
        pairs = Acquaintances.of(query, gallery)
        genuine = np.flatnonzero(pairs.positives(protocol))
        asked = protocol.asked(query) & (query.pids != UNKNOWN)
        pids = np.unique(query.pids[asked])
        person = np.where(asked, np.searchsorted(pids, query.pids), UNKNOWN)
        found = np.zeros(len(pids), dtype=bool)
        found[person[pairs.owners[genuine]]] = True
        random = np.random.default_rng(seed)
        half = np.zeros(len(pids), dtype=np.int64)
        half[found] = _halves(int(found.sum()), random)
        half[~found] = _halves(int((~found).sum()), random)
        shown = protocol.shown(gallery)
        group = np.where(shown, _groups(gallery.pids, pids, half, random), HIDDEN)
        impostors = _impostors(pairs, person, half, group)
        return cls(protocol, pairs, genuine, pids, half, found, person, group, impostors)

    @property
    def all_impostors(self) -> int:
        """How many impostor pairs there are."""
        return int(self.impostors.sum())

    def enough(self, far: float) -> bool:
        """Whether there are impostor pairs enough to tell a false accept rate as low as this."""
        return self.all_impostors >= ENOUGH / far

    def require(self, far: float) -> None:
        """Raise `UserError` where a threshold for this false accept rate cannot be found and tried on other people."""
        people, pairs = int(self.found.sum()), self.all_impostors
        if people < 4:
            raise UserError(
                f"{people} {'person has' if people == 1 else 'people have'} a picture to be found under the protocol "
                f"'{self.protocol.name}', and a threshold needs at least 4: two to choose it on and two to try it on; "
                "take a larger dataset"
            )
        if not self.enough(far):
            raise UserError(
                f"a false accept rate of {far:g} needs {math.ceil(ENOUGH / far):,} pairs of different people and there "
                f"are {pairs:,}: ask for at least {_round_up(ENOUGH / pairs)} or take a larger dataset"
            )

    def drawn(self, times: int, seed: int = 0) -> Iterator[Doubles]:
        """`(r, I)` how often everybody is drawn: first once each, then `times` times anew with replacement, in parts.

        Drawn are people, not pairs, since the pairs of one person are no independent evidence; from each half, and
        from those who can be found and those who cannot, as many as there are.
        """
        people = len(self.pids)
        yield np.ones((1, people))
        random = np.random.default_rng(seed)
        strata = [np.flatnonzero((self.half == half) & (self.found == found)) for half in (0, 1) for found in (0, 1)]
        step = max(1, _AT_ONCE // max(1, people))
        for start in range(0, times, step):
            lines = min(step, times - start)
            part = np.zeros((lines, people))
            for members in strata:
                size = len(members)
                picks = random.integers(0, max(1, size), (lines, size)) + size * np.arange(lines)[:, None]
                part[:, members] = np.bincount(picks.ravel(), minlength=lines * size).reshape(lines, size)
            yield part


def _halves(count: int, random: np.random.Generator) -> Ints:
    """`(count,)` as many zeros as ones, in any order; one more zero if `count` is odd."""
    halves: Ints = random.permutation(np.arange(count) % 2)
    return halves


def _groups(people: Ints, asked: Ints, half: Ints, random: np.random.Generator) -> Ints:
    groups = np.empty(len(people), dtype=np.int64)
    place = np.minimum(np.searchsorted(asked, people), max(len(asked) - 1, 0))
    wanted = asked[place] == people if len(asked) else np.zeros(len(people), dtype=bool)
    groups[wanted] = half[place[wanted]]
    nobody = people == UNKNOWN
    groups[nobody] = 2 + _halves(int(nobody.sum()), random)
    others, which = np.unique(people[~wanted & ~nobody], return_inverse=True)
    groups[~wanted & ~nobody] = 2 + _halves(len(others), random)[which]
    return groups


def _impostors(pairs: Acquaintances, person: Ints, half: Ints, group: Ints) -> Ints:
    """Everything shown, for each query of a person, less the person's own pictures, which are all in one half."""
    shown = np.bincount(group[group != HIDDEN] & 1, minlength=2)
    asked = person != UNKNOWN
    counts = np.bincount(person[asked], minlength=len(half))[:, None] * shown
    own = (group[pairs.rows] != HIDDEN) & asked[pairs.owners]
    counts[np.arange(len(half)), half] -= np.bincount(person[pairs.owners[own]], minlength=len(half))
    return counts


def _round_up(rate: float) -> str:
    """The rate with two digits, not below it."""
    digits = 1 - math.floor(math.log10(rate))
    return f"{math.ceil(rate * 10**digits) / 10**digits:g}"
