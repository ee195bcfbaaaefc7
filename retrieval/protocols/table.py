"""`docs/protocols.md`, made of the protocols themselves."""

from __future__ import annotations

import textwrap

from retrieval.protocols import PROTOCOLS
from retrieval.protocols.protocol import Protocol

_HEAD = """\
# Protocols

Written by a command, from the protocols themselves (`retrieval/protocols/`):

    python3 -m retrieval.protocols > docs/protocols.md

A protocol says which queries and gallery pictures there are, and which pictures of the query's own person are to be
found; that person's other pictures are junk, taken out before anything is counted, and pictures of other people always
stay. Pictures of nobody (pid −1) are never there, an unknown camera or outfit (−1) is like no other, and queries with
nothing to find are left out of the means; both counts are printed. `--protocol a b c` judges by several at once;
without it the dataset's reader names one. Every number says by which protocol it came, and `eval.py` warns when that is
one of other datasets (from `cuhk03-np` on in the table), whose published numbers are no comparison then.
"""

_MIDDLE = """\
Columns: *needed* ones must be known, the others are used where they are. Cameras are numbered from 0.
"""

_DRAWS = """\
## Drawn galleries

In a drawn gallery every person has one random picture of each camera that is shown. Printed are the means over the
draws, and below them the standard deviation (n − 1), which JSON has as `mAP_std` and so on, beside `draws` and `seed`.
A draw depends on the seed, its number and the pictures in the order of their paths, so it is the same on every machine,
for any number of processes, and whatever else is judged at once. What there can be only of one gallery (`--top`,
`--cameras`, `--calibrate`) is refused.

Re-ranking and expansion see the queries and the gallery of the protocol, drawn or not, and nothing else.
"""

_LEAVE_ONE_OUT = """\
## Leave one out

For domain generalization: train on all of some datasets but one, be judged on that one, for each. A command prints the
commands, one line for each round, to be looked at or piped to a shell; `--configuration FILE` and `--devices 0,1`
change what they say. The target has no say in which checkpoint is judged: in training it is looked at before the first
epoch and after the last, and the last is what is judged. Where the configuration holds people of the sources out
(`data.validation`), they choose the epoch, and the target is looked at once, at the end.

    python3 -m engine.leave_one_out market duke cuhk msmt

    bash train.sh 0 configs/generalize.yml name=without-market 'data.source=[duke,cuhk,msmt]' data.target=market \\
      train.evaluate_every=0 && python3 eval.py 0 checkpoints/without-market/epoch_0070.pt --dataset market
"""


def document() -> str:
    """The whole file."""
    lines = [f"| {' | '.join(cells)} |" for cells in (_TITLES, ["---"] * len(_TITLES), *map(_cells, _all()))]
    explained = [_item(f"`{rule.name}`: {rule.explanation}.") for rule in _all()]
    parts = (_HEAD, "\n".join(lines) + "\n", _MIDDLE, "\n".join(explained) + "\n", _DRAWS, _LEAVE_ONE_OUT)
    return "\n".join(parts)


_TITLES = ["name", "datasets", "queries", "gallery", "to be found of the person", "junk of the person", "columns"]


def _all() -> list[Protocol]:
    return list(PROTOCOLS.values())


def _cells(rule: Protocol) -> list[str]:
    gallery = rule.shown.words or "all"
    if rule.draws is not None:
        gallery = f"one picture each {rule.shown.words}, {rule.draws.count} draws, seed {rule.draws.seed}"
    good, junk = rule.good.good or "every picture", rule.good.junk or "nothing"
    if rule.same_as is not None:
        good, junk = f"as `{rule.same_as}`: {good}", junk
    columns = ", ".join(f"{name} (needed)" if name in rule.needs else name for name in rule.uses)
    return [f"`{rule.name}`", ", ".join(rule.datasets), rule.asked.words or "all", gallery, good, junk, columns]


def _item(text: str) -> str:
    return textwrap.fill(text, 120, initial_indent="- ", subsequent_indent="  ", break_on_hyphens=False)
