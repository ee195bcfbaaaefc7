"""Named splits: each is written, read and asks its question."""

from __future__ import annotations

from pathlib import Path

import pytest

from common.errors import UserError
from data.catalog import find
from data.street.splits import SIZES, SPLITS, split_of, write_split


@pytest.mark.parametrize("name", SPLITS)
def test_a_split_is_written_once_and_read(name: str, tmp_path: Path) -> None:
    folders = write_split(tmp_path / "split", name, "tiny")
    assert set(folders) == set(SPLITS[name].parts)
    before = {file: file.stat().st_mtime_ns for file in tmp_path.rglob("*") if file.is_file()}
    assert write_split(tmp_path / "split", name, "tiny") == folders
    assert {file: file.stat().st_mtime_ns for file in tmp_path.rglob("*") if file.is_file()} == before
    for folder in folders.values():
        dataset = find("street", folder)
        assert all(len(split) for split in dataset.splits.values())
        assert not set(dataset.train.pids.tolist()) & set(dataset.query.pids.tolist())


@pytest.mark.parametrize("name", SPLITS)
@pytest.mark.parametrize("size", SIZES)
def test_every_size_of_every_split_is_a_street(name: str, size: str) -> None:
    for config in split_of(name).streets(size).values():
        assert (config.height, config.width) == (SIZES[size]["height"], SIZES[size]["width"])
        assert config.train_identities > 1


def test_what_changes_in_each_split() -> None:
    small = {name: list(split.streets("small").values()) for name, split in SPLITS.items()}
    assert [config.city for config in small["city2city"]] == [0, 1]
    assert small["city2city"][0] == small["standard"][0]
    assert small["clothes"][0].outfits > 1
    assert small["pose"][0].outfits > 1
    assert small["pose"][0].headings == 1.0
    assert small["detail"][0].sharing > 1
    assert small["occlusion"][0].layout == "occluded"


def test_unknown_names_are_said() -> None:
    with pytest.raises(UserError, match="did you mean 'clothes'"):
        split_of("cloths")
    with pytest.raises(UserError, match="did you mean 'small'"):
        split_of("clothes").streets("smal")
