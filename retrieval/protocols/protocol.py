"""Which gallery pictures count for a query: a protocol is a handful of rules over labels, and has a name.

For one query, a gallery picture is

- not there, for any query, when the protocol does not show it (a detector's mistake, a camera that is left out);
- a positive, when it is of the query's own person and *good*;
- junk, taken out of the ranking before anything is counted, when it is of that person and not good;
- a negative, when it is of somebody else.

That is how every protocol of the field is made, and it is what lets one pass over the scores serve any number of them:
the negatives are the same for all that show the same pictures.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from common.contracts import UNKNOWN
from common.errors import UserError
from retrieval.columns import Columns, Ints
from retrieval.protocols.draws import Draws
from retrieval.protocols.rules import ANY, EVERYONE, SOMEBODY, Choice, Rule, values_of


@dataclass(frozen=True)
class Protocol:
    """A named way of judging a ranking.

    Attributes:
        name: what a user types, and what results are labelled with.
        explanation: one sentence for a listing.
        good: which pictures of the query's own person are to be found; the others are junk.
        shown: which gallery pictures there are.
        asked: which queries there are.
        hint: what to look at when no query has a positive.
        datasets: names in the catalog of the datasets that it is for.
        instead: what comes closest, for a dataset that lacks a column which this one needs.
        same_as: the protocol whose rules these are, under another name.
        draws: how galleries are drawn from what is shown; None for the whole of it.
    """

    name: str
    explanation: str
    good: Rule = ANY
    shown: Choice = SOMEBODY
    asked: Choice = EVERYONE
    hint: str = "check that query and gallery share identities"
    datasets: tuple[str, ...] = ()
    instead: Protocol | None = None
    same_as: str | None = None
    draws: Draws | None = None

    def called(self, name: str, explanation: str, datasets: tuple[str, ...]) -> Protocol:
        """The same rules under the name that a dataset's papers give them."""
        return replace(self, name=name, explanation=explanation, datasets=datasets, same_as=self.name)

    def drawn(self, name: str, explanation: str, count: int, seed: int) -> Protocol:
        """The same rules on galleries of one picture of each person and camera."""
        return replace(self, name=name, explanation=explanation, draws=Draws(count, seed, self.name))

    @property
    def uses(self) -> tuple[str, ...]:
        """The columns that it looks at, beside the identities."""
        chosen = (choice.column for choice in (self.asked, self.shown) if choice.column)
        return tuple(sorted({*self.good.uses, *chosen}))

    @property
    def needs(self) -> tuple[str, ...]:
        """Those of them that must be known."""
        chosen = (choice.column for choice in (self.asked, self.shown) if choice.column)
        return tuple(sorted({*self.good.needs, *chosen}))

    @property
    def partial(self) -> bool:
        """Whether it judges by a part of the pictures, such as some cameras'; others may be judged by the rest."""
        return self.asked.column is not None or self.shown.column is not None

    def lacking(self, query: Columns, gallery: Columns) -> str | None:
        """The sentence about a column without which nothing can be judged; None where nothing is wanting."""
        other = self.instead
        while other is not None and other.lacking(query, gallery) is not None:
            other = other.instead
        remedy = "" if other is None else f": use the protocol '{other.name}'"
        for title, columns, choice in (("query", query, self.asked), ("gallery", gallery, self.shown)):
            for name in self.good.needs:
                if (values_of(columns, name) == UNKNOWN).all():
                    return (
                        f"the protocol '{self.name}' needs the column {name}, and in the {title} it is known of no "
                        f"picture{remedy}"
                    )
            if choice.column is not None and not choice(columns).any():
                there = _listed(values_of(columns, choice.column))
                return (
                    f"the protocol '{self.name}' needs {title} pictures {choice.words}, and the column {choice.column} "
                    f"of the {title} has {there}{remedy}"
                )
        return None

    def require_one_gallery(self, what: str) -> None:
        """Raise `UserError` when galleries are drawn; `what` is that which there can be only of one."""
        if self.draws is not None:
            raise UserError(
                f"{what} cannot be had by the protocol '{self.name}', which draws {self.draws.count} galleries: use "
                f"'{self.draws.of}', which judges by all that they are drawn from"
            )


def _listed(values: Ints) -> str:
    """The distinct known values, a few of them."""
    known = np.unique(values[values != UNKNOWN]).tolist()
    if not known:
        return "none that is known"
    return f"only {', '.join(map(str, known[:8]))}{', …' if len(known) > 8 else ''}"
