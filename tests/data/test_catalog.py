from __future__ import annotations

from pathlib import Path

import pytest

import data.catalog as module
from common.errors import UserError
from data.catalog import CATALOG, find, load, variable
from data.readers import READERS
from tests.data.readers.trees import market_tree


@pytest.fixture(autouse=True)
def _no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("MINE", "MARKET", "MY_SET_2", "ROOTLESS"):
        monkeypatch.delenv(f"REID_ROOT_{name}", raising=False)


def catalog(folder: Path, text: str) -> Path:
    file = folder / "datasets.yml"
    file.write_text(text, encoding="utf-8")
    return file


def test_the_catalog_of_the_repository() -> None:
    entries = load(CATALOG)
    assert {"market", "duke", "cuhk", "msmt", "csv", "folders", "street"} <= set(entries)
    assert {"occluded-duke", "p-duke", "occluded-reid", "celeb", "celeb-light", "last", "deepchange"} <= set(entries)
    assert {"occluded-duke-lists", "occluded-reid-half"} <= set(entries)
    assert {"vcclothes", "vcclothes-sc", "vcclothes-cc", "partitions", "pattern"} <= set(entries)
    assert (entries["street"].reader, entries["street"].root) == ("street", "datasets/street")
    assert entries["cuhk"].options == {"variant": "detected"}
    assert {entry.reader for entry in entries.values()} == set(READERS)


def test_order_of_the_sources(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for place, count in (("yaml", 1), ("environment", 2), ("line", 3)):
        market_tree(tmp_path / place, [f"0001_c1s1_{n}.jpg" for n in range(count)], (), ())
    file = catalog(tmp_path, "mine: {reader: market, root: yaml}\n")
    monkeypatch.setattr(module, "REPOSITORY", tmp_path)
    assert len(find("mine", catalog=file).train) == 1
    monkeypatch.setenv("REID_ROOT_MINE", str(tmp_path / "environment"))
    assert len(find("mine", catalog=file).train) == 2
    assert len(find("mine", tmp_path / "line", file).train) == 3
    monkeypatch.setenv("REID_ROOT_MINE", "")
    assert len(find("mine", catalog=file).train) == 1


def test_home_is_expanded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    market_tree(tmp_path / "set", query=(), gallery=())
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    assert len(find("mine", catalog=catalog(tmp_path, "mine: {reader: market, root: ~/set}\n")).train) == 3
    assert len(find("market", Path("~/set")).train) == 3


def test_variable() -> None:
    assert variable("my-set.2") == "REID_ROOT_MY_SET_2"


def test_options_reach_the_reader(tmp_path: Path) -> None:
    market_tree(tmp_path / "set" / "labeled", query=(), gallery=())
    file = catalog(tmp_path, f"mine:\n  reader: cuhk\n  root: {tmp_path / 'set'}\n  variant: labeled\n")
    assert len(find("mine", catalog=file).train) == 3


def test_a_readers_name_needs_only_a_root(tmp_path: Path) -> None:
    file = catalog(tmp_path, "")
    assert load(file) == {}
    assert len(find("market", market_tree(tmp_path / "set"), file).train) == 3
    with pytest.raises(UserError, match=r"nothing says where it lies.*data\.root=/path/to/market .*REID_ROOT_MARKET="):
        find("market", catalog=file)


def test_unknown_name(tmp_path: Path) -> None:
    with pytest.raises(
        UserError, match=r"unknown dataset 'markt', did you mean 'market'. known: .*street.*; add your own"
    ):
        find("markt", tmp_path)


def test_a_missing_root_says_who_named_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = catalog(tmp_path, "# mine\nmine: {reader: market, root: /nowhere/yaml}\n")
    with pytest.raises(UserError, match=r"/nowhere/yaml does not exist \(named by .*datasets.yml:2\). Give its folder"):
        find("mine", catalog=file)
    monkeypatch.setenv("REID_ROOT_MINE", "/nowhere/environment")
    with pytest.raises(UserError, match=r"named by the environment variable REID_ROOT_MINE"):
        find("mine", catalog=file)
    with pytest.raises(UserError, match=r"/nowhere/line does not exist \(named by data.root\)"):
        find("mine", Path("/nowhere/line"), file)


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("a: {reader: market\nb: [", r"datasets.yml:\d: not valid YAML"),
        ("a: {reader: market, root: x}\nb: \t{}\n", "datasets.yml:2: not valid YAML"),
        ("- market\n", "datasets.yml:1: expected 'key: value' lines"),
        ("a: {reader: market, root: x}\nb: here\n", "datasets.yml:2: 'b' needs .* found 'here'"),
        ("b: {root: x}\n", "datasets.yml:1: 'b' needs a reader; known: celeb, csv"),
        ("b: {reader: markt, root: x}\n", "datasets.yml:1: 'b': unknown reader 'markt', did you mean 'market'"),
        ("b: {reader: market, root: 7}\n", "datasets.yml:1: 'b': the root 7 is not a text"),
        ("a: {reader: market}\na: {reader: csv}\n", "datasets.yml:2: 'a' stands twice, first in line 1"),
        ("a:\n  reader: csv\n  root: x\n  root: y\n", "datasets.yml:4: 'a.root' stands twice, first in line 3"),
        ("a: !!python/object:os.system {}\n", "datasets.yml:1: 'a' needs a reader"),
    ],
)
def test_a_malformed_catalog(tmp_path: Path, text: str, match: str) -> None:
    with pytest.raises(UserError, match=match):
        load(catalog(tmp_path, text))


def test_a_catalog_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"there is no catalog of datasets .*none.yml"):
        load(tmp_path / "none.yml")
    (tmp_path / "datasets.yml").write_bytes(b"\xff\xfe\x00\x01")
    with pytest.raises(UserError, match=r"cannot be read as a YAML file"):
        load(tmp_path / "datasets.yml")


def test_an_unknown_option_in_the_catalog(tmp_path: Path) -> None:
    file = catalog(tmp_path, f"mine: {{reader: cuhk, root: '{tmp_path}', varient: labeled}}\n")
    with pytest.raises(
        UserError, match=r"dataset 'mine': reader 'cuhk' has no option 'varient', did you mean 'variant'"
    ):
        find("mine", catalog=file)
