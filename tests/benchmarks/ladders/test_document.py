"""A block in a document: written, replaced, and nothing else touched."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.ladders.document import put_block
from common.errors import UserError

BEFORE = "# Benchmarks\r\n\r\nWhat — was run.\n\n## Speed\n\n| a |\n|---|\n"


@pytest.fixture
def document(tmp_path: Path) -> Path:
    path = tmp_path / "benchmarks.md"
    path.write_bytes(BEFORE.encode())
    return path


def test_a_section_is_made_and_nothing_else_touched(document: Path) -> None:
    assert put_block(document, "ladder a small", "first\n")
    content = document.read_bytes().decode()
    assert content.startswith(BEFORE)
    begin, end = "<!-- ladder a small: written by a command, begin -->", "<!-- ladder a small: end -->"
    assert content[len(BEFORE) :] == f"\n## Ladders\n\n{begin}\nfirst\n{end}\n"


def test_the_same_again_changes_nothing(document: Path) -> None:
    put_block(document, "ladder a small", "first")
    content, modified = document.read_bytes(), document.stat().st_mtime_ns
    assert not put_block(document, "ladder a small", "first")
    assert (document.read_bytes(), document.stat().st_mtime_ns) == (content, modified)


@pytest.mark.parametrize("after", ["", "\n## Later\n\nmore — text \n\n\n", "\n# Another\nx"])
def test_blocks_are_replaced_in_place(document: Path, after: str) -> None:
    put_block(document, "ladder a small", "first")
    document.write_bytes(document.read_bytes() + after.encode())
    assert put_block(document, "ladder a tiny", "second")
    assert put_block(document, "ladder b small", "third")
    content = document.read_bytes().decode()
    assert content.startswith(BEFORE)
    assert content.endswith(after)
    assert [content.index(word) for word in ("first", "second", "third")] == sorted(
        content.index(word) for word in ("first", "second", "third")
    )
    if after:
        assert content.index("third") < content.index(after.strip())
    assert put_block(document, "ladder a tiny", "## changed\n\n| and | longer |")
    assert document.read_bytes().decode() == content.replace("second", "## changed\n\n| and | longer |")
    assert put_block(document, "ladder a tiny", "second")
    assert document.read_bytes().decode() == content


def test_a_section_that_is_there_is_used(document: Path) -> None:
    document.write_text("# B\n\n## Ladders\n\nWhat they are.\n\n## Speed\n")
    put_block(document, "ladder a small", "first")
    content = document.read_text()
    assert content.count("## Ladders") == 1
    assert content.index("What they are.") < content.index("first") < content.index("## Speed")
    assert content.startswith("# B\n\n## Ladders\n\nWhat they are.\n\n<!-- ladder a small")
    assert content.endswith("<!-- ladder a small: end -->\n\n## Speed\n")


def test_another_section(document: Path) -> None:
    put_block(document, "evidence", "first", section="## Speed")
    assert document.read_bytes().decode().startswith(BEFORE + "\n<!-- evidence: written")
    put_block(document, "evidence (2)", "second", section="## What is (not) there")
    put_block(document, "evidence (3)", "third", section="## What is (not) there")
    assert document.read_text().count("## What is (not) there\n") == 1


@pytest.mark.parametrize("part", ["begin -->", "end -->"])
def test_half_a_pair_is_refused(document: Path, part: str) -> None:
    put_block(document, "ladder a small", "first")
    lines = document.read_text().splitlines()
    broken = "\n".join(line for line in lines if not (line.startswith("<!--") and line.endswith(part)))
    document.write_text(broken)
    with pytest.raises(UserError, match="benchmarks.md.*not one pair"):
        put_block(document, "ladder a small", "second")
    assert document.read_text() == broken


def test_a_missing_document_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="missing.md.*--no-docs"):
        put_block(tmp_path / "missing.md", "ladder a small", "first")
