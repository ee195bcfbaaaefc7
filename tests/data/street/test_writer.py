"""What a street's folder holds, that it is the same every time, and what is never overwritten."""

from __future__ import annotations

import json
import re
from collections import defaultdict
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from common.errors import UserError
from common.files import sha256_of
from data.street import StreetConfig, write_street, writer
from data.street.__main__ import main

SMALL = StreetConfig(identities=5, cameras=3, shots=3, height=64, width=32, distractors=4)
NAME = re.compile(r"(\d{4})_c(\d+)s1_(\d{6})_(\d{2})\.jpg")
FOLDERS = ("bounding_box_train", "query", "bounding_box_test")


def hashes(folder: Path) -> dict[str, str]:
    """The content of every file below `folder`, by relative path."""
    return {str(file.relative_to(folder)): sha256_of(file) for file in folder.rglob("*") if file.is_file()}


def seen(folder: Path) -> list[tuple[int, int]]:
    """`(pid, camid)` of every picture, each named as it should be."""
    matches = [NAME.fullmatch(file.name) for file in sorted(folder.iterdir())]
    assert all(matches)
    return [(int(match[1]), int(match[2])) for match in matches if match]


@pytest.fixture(scope="module")
def street(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("streets") / "small"
    write_street(out, SMALL)
    return out


def test_bytes_are_the_same_with_two_workers(street: Path, tmp_path: Path) -> None:
    write_street(tmp_path / "again", SMALL, workers=2)
    assert hashes(tmp_path / "again") == hashes(street)


@pytest.mark.parametrize("changed", [{"seed": 1}, {"city": 1}])
def test_another_seed_or_city_is_another_street(street: Path, tmp_path: Path, changed: dict[str, int]) -> None:
    write_street(tmp_path / "other", StreetConfig(**{**SMALL.as_dict(), **changed}))  # type: ignore[arg-type]
    assert not set(hashes(tmp_path / "other").values()) & set(hashes(street).values())


def test_layout_and_counts(street: Path) -> None:
    train, query, gallery = (seen(street / folder) for folder in FOLDERS)
    truth = ("causes.json", "joints.json", "parts", "pictures.jsonl")
    assert sorted(path.name for path in street.iterdir()) == sorted((*FOLDERS, "street.json", *truth))
    assert [len(train), len(query), len(gallery)] == [2 * 3 * 3, 3 * 3, 3 * 3 * 2 + 4]
    assert sum(pid == 0 for pid, _ in gallery) == 4
    told = json.loads((street / "street.json").read_text())
    assert told["config"] == SMALL.as_dict()
    assert told["counts"] == {"train": 18, "query": 9, "gallery": 22}


def test_training_and_test_people_are_disjoint(street: Path) -> None:
    train, query, gallery = ({pid for pid, _ in seen(street / folder)} for folder in FOLDERS)
    assert not train & (query | gallery)
    assert query == gallery - {0}
    assert train | query == set(range(1, 6))


def test_every_query_has_a_match_in_another_camera(street: Path) -> None:
    cameras = defaultdict(set)
    for pid, camid in seen(street / "bounding_box_test"):
        cameras[pid].add(camid)
    queries = seen(street / "query")
    assert len(set(queries)) == len(queries)
    assert all(cameras[pid] - {camid} for pid, camid in queries)


def test_pictures_are_rgb_jpeg_of_the_size(street: Path) -> None:
    files = list(street.rglob("*.jpg"))
    assert len(files) == 18 + 9 + 22
    for file in files:
        with Image.open(file) as picture:
            assert (picture.format, picture.mode, picture.size) == ("JPEG", "RGB", (32, 64))


def test_tenth_camera_is_named_with_two_digits(tmp_path: Path) -> None:
    write_street(tmp_path / "ten", StreetConfig(identities=2, cameras=10, shots=2, height=32, width=16))
    assert {camid for _, camid in seen(tmp_path / "ten" / "query")} == set(range(1, 11))


def test_the_same_street_is_left_alone(street: Path) -> None:
    before = {file: file.stat().st_mtime_ns for file in street.rglob("*")}
    summary = write_street(street, SMALL)
    assert (summary.fresh, summary.counts) == (False, {"train": 18, "query": 9, "gallery": 22})
    assert {file: file.stat().st_mtime_ns for file in street.rglob("*")} == before


def test_another_street_is_replaced_only_by_force(tmp_path: Path) -> None:
    tiny = StreetConfig(identities=2, cameras=2, shots=2, height=32, width=16)
    other = StreetConfig(identities=2, cameras=2, shots=2, height=32, width=16, seed=9)
    write_street(tmp_path / "out", tiny)
    before = hashes(tmp_path / "out")
    with pytest.raises(UserError, match="another street.*--force"):
        write_street(tmp_path / "out", other)
    assert hashes(tmp_path / "out") == before
    assert write_street(tmp_path / "out", other, force=True).fresh
    assert json.loads((tmp_path / "out" / "street.json").read_text())["config"]["seed"] == 9
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


@pytest.mark.parametrize("lost", ["query/*.jpg", "parts/query/*.png", "joints.json", "pictures.jsonl", "causes.json"])
def test_a_street_that_is_not_whole_is_drawn_again_by_force(tmp_path: Path, lost: str) -> None:
    tiny = StreetConfig(identities=2, cameras=2, shots=2, height=32, width=16)
    write_street(tmp_path / "out", tiny)
    before = hashes(tmp_path / "out")
    next((tmp_path / "out").glob(lost)).unlink()
    with pytest.raises(UserError, match=r"holds this street, but .* missing.*--force"):
        write_street(tmp_path / "out", tiny)
    assert write_street(tmp_path / "out", tiny, force=True).fresh
    assert hashes(tmp_path / "out") == before


def test_an_empty_or_added_picture_is_said(tmp_path: Path) -> None:
    tiny = StreetConfig(identities=2, cameras=2, shots=2, height=32, width=16)
    write_street(tmp_path / "out", tiny)
    picture = next((tmp_path / "out" / "query").iterdir())
    picture.write_bytes(b"")
    with pytest.raises(UserError, match=f"{picture.name} is missing or empty"):
        write_street(tmp_path / "out", tiny)
    write_street(tmp_path / "out", tiny, force=True)
    (tmp_path / "out" / "query" / "0009_c1s1_000000_00.jpg").write_bytes(picture.read_bytes())
    with pytest.raises(UserError, match="query/0009_c1s1_000000_00.jpg was added"):
        write_street(tmp_path / "out", tiny)


def test_what_comes_into_the_folder_while_it_is_drawn_is_not_lost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tiny = StreetConfig(identities=2, cameras=2, shots=2, height=32, width=16)
    record = writer._record

    def meanwhile(*arguments: Any) -> dict[str, int]:
        counts = record(*arguments)
        (tmp_path / "out").mkdir()
        (tmp_path / "out" / "holiday.jpg").write_bytes(b"mine")
        return counts

    monkeypatch.setattr(writer, "_record", meanwhile)
    with pytest.raises(UserError, match="no street"):
        write_street(tmp_path / "out", tiny)
    assert (tmp_path / "out" / "holiday.jpg").read_bytes() == b"mine"
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_who_is_first_with_the_same_street_is_right(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tiny = StreetConfig(identities=2, cameras=2, shots=2, height=32, width=16)
    record = writer._record

    def meanwhile(*arguments: Any) -> dict[str, int]:
        counts = record(*arguments)
        monkeypatch.setattr(writer, "_record", record)
        write_street(tmp_path / "out", tiny)
        (tmp_path / "out" / "street.json").touch()
        return counts

    monkeypatch.setattr(writer, "_record", meanwhile)
    assert write_street(tmp_path / "out", tiny).counts == {"train": 4, "query": 2, "gallery": 2}
    assert not write_street(tmp_path / "out", tiny).fresh
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


@pytest.mark.parametrize("manifest", [None, "{}", "[]", "not json"])
def test_a_foreign_folder_is_refused_even_by_force(tmp_path: Path, manifest: str | None) -> None:
    (tmp_path / "holiday.jpg").write_bytes(b"mine")
    if manifest is not None:
        (tmp_path / "street.json").write_text(manifest)
    for force in (False, True):
        with pytest.raises(UserError, match="no street"):
            write_street(tmp_path, SMALL, force=force)
    assert (tmp_path / "holiday.jpg").read_bytes() == b"mine"


def test_an_interrupt_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("data.street.workers.draw", interrupted)
    assert main([str(tmp_path / "out")]) == 130
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["--identities", "0"], "identities is 0"),
        (["--cameras", "1"], "another camera"),
        (["--shots", "1"], "shots is 1"),
        (["--height", "31"], "height is 31"),
        (["--width", "4096"], "too large"),
        (["--train-share", "1.5"], "train_share"),
        (["--workers", "0"], "workers is 0"),
        (["--sheet", "sheet.gif"], ".png"),
        (["--sheet", "sheet.png", "--about", "peple"], "did you mean 'people'"),
        (["--layout", "markt"], "did you mean 'market'"),
        (["--split", "cloths"], "did you mean 'clothes'"),
        (["--split", "clothes", "--size", "big"], "size"),
        (["--outfits", "2"], "does not tell outfits apart"),
        (["--sharing", "0"], "sharing is 0"),
        (["--likeness", "1.5"], "likeness is 1.5"),
        (["--hidden-least", "0.5", "--hidden-most", "0.4"], "hidden_least"),
        (["--hidden-most", "0.95"], "hidden_most"),
    ],
)
def test_bad_arguments_are_one_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], complaint: str
) -> None:
    assert main([str(tmp_path / "out"), *arguments]) == 1
    told = capsys.readouterr().err
    assert told.startswith("error: ")
    assert complaint in told
    assert told.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_an_out_that_cannot_be_written_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").write_text("in the way")
    for out in (tmp_path / "file", tmp_path / "file" / "below", tmp_path / ("long" * 100)):
        assert main([str(out)]) == 1
        assert capsys.readouterr().err.startswith("error: ")


def test_the_command_tells_counts_and_draws_a_sheet(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out, sheet = tmp_path / "out", tmp_path / "sheet.png"
    small = ["--identities", "3", "--cameras", "2", "--shots", "2", "--height", "32", "--width", "16"]
    assert main([str(out), *small, "--sheet", str(sheet)]) == 0
    assert "8 train, 2 query, 2 gallery pictures" in capsys.readouterr().out
    with Image.open(sheet) as picture:
        assert picture.size == (4 * 18 + 2 * 4, 3 * 34)
    assert main([str(out), *small]) == 0
    assert "already holds this street" in capsys.readouterr().out
