"""The doctor with a catalog of its own, in which `mine` has Market's folders and no published counts."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.data.doctor.trees import Doctor


@pytest.fixture
def doctor(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Doctor:
    catalog = tmp_path / "datasets.yml"
    catalog.write_text(
        "mine: {reader: market}\nmarket: {reader: market}\nmsmt: {reader: msmt}\nstreet: {reader: street}\n"
    )
    return Doctor(tmp_path / "sheets", catalog, capsys)
