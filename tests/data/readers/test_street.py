"""The street as a dataset: made where the catalog puts it, never at a place somebody misspelt."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import data.catalog as catalogs
import data.readers.street as reader
from common.errors import UserError
from data.catalog import CATALOG, find, load
from data.readers import read
from data.street import StreetConfig, write_street
from data.street.layouts import LAYOUTS
from data.street.splits import SIZES, SPLITS, split_of
from tests.data.readers.trees import market_tree

NOTE = "procedural pictures, not real data: "


@pytest.fixture(autouse=True)
def _tiny(monkeypatch: pytest.MonkeyPatch) -> None:
    """The smallest streets, and nothing in the environment."""
    monkeypatch.setitem(SIZES, "tiny", {"identities": 4, "cameras": 3, "height": 32, "width": 16})
    for name in load(CATALOG):
        monkeypatch.delenv(catalogs.variable(name), raising=False)


@pytest.fixture
def catalog(tmp_path: Path) -> Path:
    path = tmp_path / "datasets.yml"
    path.write_text(f"town: {{reader: street, root: {tmp_path / 'made'}, size: tiny}}\n")
    return path


def test_made_once_then_read(catalog: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    first = find("town", catalog=catalog)
    assert (len(first.train), len(first.query), len(first.gallery)) == (18, 6, 12)
    assert capsys.readouterr().err == (
        f"dataset 'town': there is no {tmp_path / 'made'} yet; drawing its pictures takes some seconds\n"
    )
    (next((tmp_path / "made" / "query").iterdir())).unlink()
    assert len(find("town", catalog=catalog).query) == 5
    assert len(read("street", tmp_path / "made", "street").query) == 5
    assert capsys.readouterr().err == ""


def test_not_made_where_somebody_says_it_is(catalog: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UserError, match="misspelt does not exist"):
        find("town", tmp_path / "misspelt", catalog)
    monkeypatch.setenv("REID_ROOT_TOWN", str(tmp_path / "misspelt"))
    with pytest.raises(UserError, match="misspelt does not exist"):
        find("town", catalog=catalog)
    assert not (tmp_path / "misspelt").exists()


def test_the_lines_of_the_catalog_ask_every_named_split(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each in a small street, at the root it names below another home."""
    text = CATALOG.read_text(encoding="utf-8")
    (tmp_path / "datasets.yml").write_text(text.replace("size: small", "size: tiny"), encoding="utf-8")
    monkeypatch.setattr(catalogs, "REPOSITORY", tmp_path)
    lines = {name: entry for name, entry in load(tmp_path / "datasets.yml").items() if entry.reader == "street"}
    assert {name for name in lines if "size: small" in text} == {
        *("street", "street-clothes", "street-occlusion", "street-detail", "street-pose"),
        *("street-city-a", "street-city-b"),
    }
    assert {entry.options.get("split", "standard") for entry in lines.values()} == set(SPLITS)
    assert len({entry.root for entry in lines.values()}) == len(lines)
    for name, entry in lines.items():
        dataset = find(name, catalog=tmp_path / "datasets.yml")
        split, part = entry.options.get("split", "standard"), entry.options.get("part")
        layout = split_of(split).settings.get("layout", "market")
        of_part = f", part {part}" if part else ""
        assert dataset.notes == (f"{NOTE}split {split}, size tiny{of_part}, layout {layout}",)
        assert dataset.protocol == ("cloth-changing" if split in ("clothes", "pose") else "market")
        assert dataset.published == {}
        assert dataset.train.root == tmp_path / str(entry.root)
        assert min(len(rows) for rows in dataset.splits.values()) > 0
    cities = [json.loads((tmp_path / "datasets/street-city" / city / "street.json").read_text())["config"]["city"]
              for city in ("source", "target")]  # fmt: skip
    assert cities == [0, 1]


@pytest.mark.parametrize("layout", sorted(LAYOUTS))
def test_whatever_the_layout(tmp_path: Path, layout: str) -> None:
    outfits = 2 if layout in ("ltcc", "prcc") else 1
    config = StreetConfig(layout, identities=2, cameras=3, outfits=outfits, shots=2, height=32, width=16)
    summary = write_street(tmp_path / "made", config)
    dataset = read("street", tmp_path / "made", "market")  # a name for which others tell published counts
    assert len(dataset.query) == summary.counts["query"]
    assert dataset.notes[0] == f"{NOTE}settings of its own (street.json), layout {layout}"
    assert dataset.published == {}
    assert "published" not in dataset.summary()


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ({"split": "cloths"}, "dataset 'town': unknown split 'cloths', did you mean 'clothes'"),
        ({"size": "smal"}, "dataset 'town': unknown size 'smal', did you mean 'small'"),
        ({"split": "city2city"}, "dataset 'town': split city2city has several streets; add part: source or part: targ"),
        ({"split": "city2city", "part": "sauce"}, "unknown part of split city2city 'sauce', did you mean 'source'"),
        ({"part": "target"}, "unknown part of split standard 'target', did you mean 'street'"),
    ],
)
def test_what_cannot_be_asked_for(tmp_path: Path, options: dict[str, str], complaint: str) -> None:
    with pytest.raises(UserError, match=complaint):
        read("street", tmp_path / "made", "town", **options)
    assert not (tmp_path / "made").exists()


def test_a_folder_that_holds_something_else(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match=r"empty is empty; expected a street"):
        read("street", tmp_path / "empty", "town")
    (tmp_path / "file").write_text("mine")
    with pytest.raises(UserError, match=r"file is a file, not a folder"):
        read("street", tmp_path / "file", "town")
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "holiday.jpg").write_bytes(b"mine")
    for manifest in (None, "not json", "[]", '{"config": 3}'):
        if manifest is not None:
            (tmp_path / "photos" / "street.json").write_text(manifest)
        with pytest.raises(UserError, match=r"photos does not hold a street .*\. Say where it lies with data\.root"):
            read("street", tmp_path / "photos", "town")
    assert (tmp_path / "photos" / "holiday.jpg").read_bytes() == b"mine"
    (tmp_path / "photos" / "street.json").write_text('{"format": 2, "config": {"layout": "markt"}, "counts": {}}')
    with pytest.raises(UserError, match=r"photos/street\.json: unknown layout 'markt', did you mean 'market'"):
        read("street", tmp_path / "photos", "town")


def test_the_folder_above_names_the_street_in_it(tmp_path: Path) -> None:
    write_street(tmp_path / "city" / "source", split_of("city2city").streets("tiny")["source"])
    with pytest.raises(UserError, match=r"source does: give it with data\.root"):
        read("street", tmp_path / "city", "town")


def test_pictures_without_street_json_are_not_called_procedural(tmp_path: Path) -> None:
    dataset = read("street", market_tree(tmp_path / "other"), "town")
    assert not any(NOTE in note for note in dataset.notes)


def test_of_two_processes_the_first_is_right(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def late(root: Path, config: StreetConfig) -> None:
        write_street(root, config)
        raise UserError("cannot write: Directory not empty")

    monkeypatch.setattr(reader, "write_street", late)
    assert len(read("street", tmp_path / "made", "town", size="tiny").query) == 6

    def never(root: Path, config: StreetConfig) -> None:
        raise UserError("cannot write: No space left")

    monkeypatch.setattr(reader, "write_street", never)
    with pytest.raises(UserError, match="No space left"):
        read("street", tmp_path / "full", "town", size="tiny")


def test_another_split_than_the_catalog_says_is_refused(tmp_path: Path) -> None:
    write_street(tmp_path / "hidden", split_of("occlusion").streets("tiny")["street"])
    with pytest.raises(UserError, match=r"is the street's split clothes, and .* holds split occlusion"):
        find("street-clothes", tmp_path / "hidden")
    write_street(tmp_path / "b", split_of("city2city").streets("tiny")["target"])
    with pytest.raises(UserError, match=r"part source, and .* holds split city2city, size tiny, part target"):
        find("street-city-a", tmp_path / "b")
    assert len(find("street", tmp_path / "hidden").train)


def test_a_street_of_another_version_is_refused(tmp_path: Path) -> None:
    write_street(tmp_path / "old", split_of("standard").streets("tiny")["street"])
    manifest = tmp_path / "old" / "street.json"
    manifest.write_text(manifest.read_text().replace('"format": 2', '"format": 1'))
    with pytest.raises(UserError, match=r"drawn by another version .*format 1, now 2"):
        find("street", tmp_path / "old")
