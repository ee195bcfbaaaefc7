"""The street as a dataset: made where the catalog puts it, never at a place somebody misspelt."""

from __future__ import annotations

from pathlib import Path

import pytest

import data.readers.street as reader
from common.errors import UserError
from data.catalog import find
from data.readers import read
from data.street import StreetConfig


@pytest.fixture
def catalog(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(
        reader, "StreetConfig", lambda: StreetConfig(identities=4, cameras=2, shots=2, height=32, width=16)
    )
    path = tmp_path / "datasets.yml"
    path.write_text(f"town: {{reader: street, root: {tmp_path / 'made'}}}\n")
    return path


def test_made_once_then_read(catalog: Path, tmp_path: Path) -> None:
    first = find("town", catalog=catalog)
    assert (len(first.train), len(first.query), len(first.gallery)) == (8, 4, 4)
    (next((tmp_path / "made" / "query").iterdir())).unlink()
    assert len(find("town", catalog=catalog).query) == 3
    assert len(read("street", tmp_path / "made", "street").query) == 3


def test_not_made_where_somebody_says_it_is(catalog: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UserError, match="misspelt does not exist"):
        find("town", tmp_path / "misspelt", catalog)
    monkeypatch.setenv("REID_ROOT_TOWN", str(tmp_path / "misspelt"))
    with pytest.raises(UserError, match="misspelt does not exist"):
        find("town", catalog=catalog)
