"""The document is what its command prints."""

from __future__ import annotations

from pathlib import Path

import pytest

from retrieval.protocols import PROTOCOLS
from retrieval.protocols.__main__ import main

ROOT = Path(__file__).resolve().parents[3]


def test_the_document_is_what_the_command_prints(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 0
    printed = capsys.readouterr().out
    assert printed == (ROOT / "docs" / "protocols.md").read_text(), "python3 -m retrieval.protocols > docs/protocols.md"
    for name, rule in PROTOCOLS.items():
        assert f"\n| `{name}` | {', '.join(rule.datasets)} |" in printed
        assert f"\n- `{name}`: " in printed
