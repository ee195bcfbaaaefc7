"""A block of a Markdown file that is written again and again, between two comments, and nothing around it."""

from __future__ import annotations

import re
from pathlib import Path

from common.errors import UserError
from common.files import write_atomically


def put_block(path: Path, name: str, text: str, section: str = "## Ladders") -> bool:
    """Write `text` as the block `name` of the file, in place of what it held before; True when that changed the file.

    A block that is not there yet goes to the end of `section`, which is made at the end of the file when there is none.

    Raises:
        UserError: the comments around the block are not a pair, or the file cannot be read.
    """
    try:
        before = path.read_bytes().decode()
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"cannot read {path} to write the table there ({error}); give --no-docs to leave it") from error
    begin, end = _comments(name)
    block = f"{begin}\n{text.strip()}\n{end}"
    counts = before.count(begin), before.count(end)
    if counts == (0, 0):
        after = _inserted(before, section, block)
    elif counts == (1, 1) and before.index(begin) < before.index(end):
        after = before[: before.index(begin)] + block + before[before.index(end) + len(end) :]
    else:
        raise UserError(f"{path}: '{begin}' and '{end}' are not one pair in this order; mend or remove them")
    if after == before:
        return False
    write_atomically(path, lambda file: file.write(after.encode()))
    return True


def _comments(name: str) -> tuple[str, str]:
    return f"<!-- {name}: written by a command, begin -->", f"<!-- {name}: end -->"


def _inserted(before: str, section: str, block: str) -> str:
    """The file with a new block at the end of the section, one empty line around it."""
    heading = re.search(rf"^{re.escape(section)}[ \t]*\r?$", before, re.MULTILINE)
    if heading is None:
        return f"{before}{_gap(before)}{section}\n\n{block}\n"
    following = re.compile(r"^#{1,2} ", re.MULTILINE).search(before, heading.end())
    if following is None:
        return f"{before}{_gap(before)}{block}\n"
    head = before[: following.start()]
    return f"{head}{_gap(head)}{block}\n\n{before[following.start() :]}"


def _gap(text: str) -> str:
    """What is missing between `text` and an empty line after it."""
    if not text or text.endswith(("\n\n", "\r\n\r\n")):
        return ""
    return "\n" if text.endswith("\n") else "\n\n"
