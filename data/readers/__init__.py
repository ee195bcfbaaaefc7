"""One file a layout: a reader turns a folder into a `Dataset`. A new one is its file and a line in `READERS`, and
one in `data.doctor.layouts.LAYOUTS`."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from pathlib import Path

from common.errors import UserError, did_you_mean, unknown_name
from data.readers import (
    celeb,
    cuhk,
    deepchange,
    folders,
    last,
    ltcc,
    market,
    msmt,
    occluded_duke,
    occluded_reid,
    p_duke,
    partitions,
    pattern,
    prcc,
    street,
    table,
    vcclothes,
)
from data.samples import Dataset

READERS: dict[str, Callable[..., Dataset]] = {
    "market": market.read,
    "cuhk": cuhk.read,
    "msmt": msmt.read,
    "prcc": prcc.read,
    "ltcc": ltcc.read,
    "celeb": celeb.read,
    "last": last.read,
    "vcclothes": vcclothes.read,
    "deepchange": deepchange.read,
    "occluded-duke": occluded_duke.read,
    "occluded-reid": occluded_reid.read,
    "p-duke": p_duke.read,
    "partitions": partitions.read,
    "pattern": pattern.read,
    "csv": table.read,
    "folders": folders.read,
    "street": street.read,
}

SELF_MADE = {"street"}
"""Readers that make what is not there, so that their root need not exist."""


def read(reader: str, root: Path, name: str, **options: object) -> Dataset:
    """The dataset at `root` as `READERS[reader]` reads it.

    Args:
        name: what the user calls the dataset; errors and summaries say it.
        options: the reader's keyword arguments (`variant`, `version`, `file`, `lists`).

    Raises:
        UserError: no such reader or option, or what the reader finds wrong.
    """
    if reader not in READERS:
        raise unknown_name("reader", reader, READERS)
    function = READERS[reader]
    known = [p.name for p in inspect.signature(function).parameters.values() if p.kind is p.KEYWORD_ONLY]
    for option, value in options.items():
        if option not in known:
            told = f"known: {', '.join(known)}" if known else "it has none"
            hint = did_you_mean(option, known) or ";"
            raise UserError(f"dataset '{name}': reader '{reader}' has no option '{option}'{hint} {told}")
        if value is not None and not isinstance(value, str):
            raise UserError(f"dataset '{name}': {option}: {value!r} is not a text; put it in quotes")
    return function(root, name, **options)
