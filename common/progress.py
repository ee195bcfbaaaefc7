"""A progress bar where somebody is watching, silence where the output goes to a file."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from typing import NoReturn, TypeVar

from tqdm import tqdm

T = TypeVar("T")


def watched() -> bool:
    """True when stderr is a terminal, the only place where a bar may be drawn."""
    return sys.stderr.isatty()


def progress(items: Iterable[T], *, total: int | None = None, title: str, unit: str = "it") -> Iterator[T]:
    """Iterate over `items`; on a terminal with a bar that disappears when it is done."""
    return iter(tqdm(items, total=total, desc=title, unit=unit, disable=not watched(), leave=False, dynamic_ncols=True))


def bar(total: int, *, title: str, unit: str = "it", shown: bool = True) -> tqdm[NoReturn]:
    """The same bar for work that is no loop: `with bar(9, title="…") as it: it.update()`.

    Args:
        shown: false on processes whose work another one shows.
    """
    off = not (shown and watched())
    return tqdm(total=total, desc=title, unit=unit, disable=off, leave=False, dynamic_ncols=True)
