"""The one exception for what a user can put right: it is printed as a sentence, without a traceback."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class UserError(Exception):
    """Something the user can mend: the message names the file, row or key, what was expected and what to do.

    The doors (`train.py`, `eval.py`, `python3 -m data.street`) print it to stderr and exit with status 1.
    Anything else that is raised is a fault of ours and keeps its traceback.
    """


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """`", did you mean 'market'?"` when one of `known` is close to `name`, else the empty string."""
    names = {str(k).lower(): str(k) for k in known}
    match = difflib.get_close_matches(str(name).lower(), names, n=1, cutoff=0.6)
    return f", did you mean '{names[match[0]]}'?" if match else ""


def unknown_name(kind: str, name: str, known: Iterable[str]) -> UserError:
    """The error of every factory: names the closest match and lists what there is."""
    names = sorted(str(k) for k in known)
    return UserError(f"unknown {kind} '{name}'{did_you_mean(name, names) or ';'} known: {', '.join(names)}")
