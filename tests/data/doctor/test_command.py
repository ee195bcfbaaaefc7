"""What the user sees: text, JSON, sheets, exit statuses, several processes and Ctrl-C."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from common.errors import UserError
from data.doctor import workers
from data.doctor.case import open_case
from data.doctor.command import SHEETS, main
from data.doctor.looks import look_at
from data.doctor.sheets import chosen
from tests.data.doctor.trees import Doctor, csv_tree, drawn, market_name, save, tree

REPOSITORY = Path(__file__).parents[3]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tree(tmp_path / "mine", market_name)


def contents(root: Path) -> dict[str, tuple[bytes, int]]:
    return {str(path): (path.read_bytes(), path.stat().st_mtime_ns) for path in root.rglob("*") if path.is_file()}


def test_text(doctor: Doctor, root: Path) -> None:
    status, out, err = doctor.said("mine", root)
    assert status == 0
    lines = out.splitlines()
    assert lines[0] == f"mine (reader market, protocol market) in {root}"
    assert lines[1].split() == ["train", "12", "pictures", "3", "people", "2", "cameras", "all", "64", "x", "32"]
    assert lines[-1].startswith("healthy; looked into 24 files, ")
    assert lines[-4:-1] == [f"contact sheet: {doctor.sheets}/{split}.jpg" for split in ("train", "query", "gallery")]
    assert err == ""


def test_text_shows_the_first_few(doctor: Doctor, root: Path) -> None:
    for shot in range(2):
        for camera in range(2):
            for person in range(2):
                (root / market_name(person, camera, shot)).write_bytes(b"")
    save(root / market_name(2, 0, 0), drawn(2, 0, 0, (20, 70)))
    status, out, _ = doctor.said("mine", root)
    assert status == 1
    assert "PROBLEM: empty files: 8 of 24\n    bounding_box_train/0000_c1s1_000000_00.jpg  (train, person 0" in out
    assert "    ... and 3 more (--json lists all)" in out
    assert out.index("PROBLEM") < out.index("WARNING") < out.index("NOTE")
    assert "\n  why: " in out
    assert "\n  do:  " in out
    assert "NOT healthy (1 problem, 1 warning, 1 note); looked into 24 files" in out
    assert all(len(line) <= 120 for line in out.splitlines() if str(root) not in line)
    assert "smallest 20 x 70, median 64 x 32, largest 64 x 32" in out


def test_json_is_all_there_is_on_stdout(doctor: Doctor, root: Path) -> None:
    (root / market_name(0, 0, 0)).write_bytes(b"")
    status, out, _ = doctor.said("mine", root, "--json")
    report = json.loads(out)
    assert status == 1
    assert report["counts"] == {"problem": 1, "warning": 0, "note": 0}
    assert report["sheets"] == [str(doctor.sheets / f"{split}.jpg") for split in ("train", "query", "gallery")]


def test_quick_opens_no_picture(doctor: Doctor, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("data.doctor.workers.inspect", None)
    (root / market_name(3, 1, 1)).unlink()
    word = doctor("mine", root, "--quick")
    assert word.kinds == ["query-no-other-camera"]
    assert word.report["looked_into"] == 0
    assert word.report["splits"][0]["smallest"] is None
    assert "no picture was opened" in doctor.said("mine", root, "--quick")[1]


def test_quick_draws_sheets_only_when_asked(doctor: Doctor, root: Path) -> None:
    assert main(["mine", "--root", str(root), "--quick"], doctor.catalog) == 0
    assert "contact sheet" not in doctor.capsys.readouterr().out


def test_sheets_that_cannot_be_written_are_told_before_looking(
    doctor: Doctor, root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("data.doctor.workers.inspect", None)
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match=r"cannot create the folder .*file/sheets.*: --sheets FOLDER, or --quick"):
        main(["mine", "--root", str(root), "--sheets", str(tmp_path / "file" / "sheets")], doctor.catalog)


@pytest.mark.parametrize("fault", [UserError("cannot write"), OSError(28, "No space left on device")])
def test_findings_outlive_sheets(doctor: Doctor, root: Path, monkeypatch: pytest.MonkeyPatch, fault: Exception) -> None:
    """A disk that fills up while sheets are drawn takes nothing away from what was found."""

    def full(*_: object) -> None:
        raise fault

    monkeypatch.setattr("data.doctor.sheets.write_atomically", full)
    (root / market_name(0, 0, 0)).write_bytes(b"")
    with pytest.raises(type(fault)):
        doctor.said("mine", root)
    out, _ = doctor.capsys.readouterr()
    assert "PROBLEM: empty files: 1 of 24" in out
    assert "NOT healthy" in out


def test_names_cannot_speak_to_the_terminal(doctor: Doctor, root: Path) -> None:
    """Codes, line ends, reversed text and bytes that are no text come out escaped; JSON has the names as they are."""
    wild = "0000_c1s1_\x1b[31m\nhealthy\u202e\udcff.jpg"
    (root / "bounding_box_train" / wild).write_bytes(b"")
    _, out, _ = doctor.said("mine", root)
    line = next(line for line in out.splitlines() if "healthy" in line)
    assert r"0000_c1s1_\x1b[31m\nhealthy\u202e\udcff.jpg  (train" in line
    assert {one for one in out if not one.isprintable()} == {"\n"}
    assert doctor("mine", root).names("empty") == [[f"bounding_box_train/{wild}"]]


def test_refusals_cannot_speak_to_the_terminal(doctor: Doctor, tmp_path: Path) -> None:
    wild = tmp_path / "a\x1b[31m\nb"
    wild.mkdir()
    with pytest.raises(UserError, match=r"a\\x1b\[31m\\nb is empty") as refused:
        main(["mine", "--root", str(wild)], doctor.catalog)
    assert str(refused.value).isprintable()


def test_many_names_of_one_picture(doctor: Doctor, root: Path) -> None:
    for number in range(300):
        os.link(root / market_name(1, 0, 0), root / "bounding_box_train" / f"0001_c1s9_{number:06d}_00.jpg")
    _, out, _ = doctor.said("mine", root)
    assert all(len(line) < 800 for line in out.splitlines())
    assert ", ... and 296 more  (train, person 1 = train, person 1" in out
    assert len(doctor("mine", root).names("duplicate-within-split")[0]) == 301


def test_nothing_is_written_into_the_dataset(doctor: Doctor, root: Path) -> None:
    before = contents(root)
    doctor("mine", root)
    assert contents(root) == before
    with pytest.raises(SystemExit, match="2"):
        main(["mine", "--root", str(root), "--sheets", str(root / "sheets")], doctor.catalog)
    assert "lies in the dataset, where nothing is written" in doctor.capsys.readouterr().err
    assert contents(root) == before


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["mien"], "unknown dataset 'mien', did you mean 'mine'?"),
        (["mine", "--workers", "0"], "expected a whole number from 1 on"),
        (["mine", "--fast"], "unrecognized arguments: --fast"),
        ([], "the following arguments are required: DATASET"),
    ],
)
def test_wrong_use(doctor: Doctor, arguments: list[str], said: str) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(arguments, doctor.catalog)
    assert said in doctor.capsys.readouterr().err


def test_sheets(doctor: Doctor, root: Path) -> None:
    doctor("mine", root)
    first = (doctor.sheets / "gallery.jpg").read_bytes()
    (root / market_name(4, 0, 1)).write_bytes(b"")
    doctor("mine", root)
    with Image.open(doctor.sheets / "gallery.jpg") as sheet:
        assert sheet.format == "JPEG"
        assert sheet.height == 3 * 130
        pixels = np.asarray(sheet).astype(int)
    red = (pixels[..., 0] > 200) & (pixels[..., 1] < 80) & (pixels[..., 2] < 80)
    assert red.any()
    assert (doctor.sheets / "gallery.jpg").read_bytes() != first
    save(root / market_name(4, 0, 1), drawn(4, 0, 1))
    doctor("mine", root)
    assert (doctor.sheets / "gallery.jpg").read_bytes() == first


def test_sheets_show_every_camera_of_a_person(tmp_path: Path, doctor: Doctor) -> None:
    many = [f"1_0_{shot}.jpg" for shot in range(2, 30)]
    for name in many:
        save(tmp_path / "data" / name, drawn(1, 0, 0))
    root = csv_tree(tmp_path / "data", lambda rows: rows + [[name, "1", "0", "train", ""] for name in many])
    case = open_case("csv", root, doctor.catalog)
    shown = dict(chosen(case, 0, case.rows_of(0)))
    assert list(shown) == ["person 0", "person 1", "person 2"]
    assert len(shown["person 1"]) == 8
    assert case.rows.camids[shown["person 1"]].tolist() == [0] * 6 + [1] * 2
    assert shown == dict(chosen(case, 0, case.rows_of(0)))


def test_the_default_folder_is_of_the_project() -> None:
    assert SHEETS == REPOSITORY / "logs" / "doctor"


def test_several_processes_see_the_same(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (root / market_name(0, 0, 0)).write_bytes(b"")
    files = sorted(str(path.relative_to(root)) for path in root.rglob("*.jpg"))
    monkeypatch.setattr(workers, "_BATCH", 5)
    alone = look_at(root, files, 1)
    monkeypatch.setattr(workers, "_WORTH_PROCESSES", 1)
    together = look_at(root, files, 2)
    assert alone.faults == together.faults == {files.index(market_name(0, 0, 0)): "0 bytes"}
    for name in ("states", "digests", "heights", "widths", "turned", "small"):
        assert np.array_equal(getattr(alone, name), getattr(together, name)), name


def started(*arguments: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "data.doctor", *arguments]
    pipe = subprocess.PIPE
    return subprocess.Popen(command, cwd=REPOSITORY, stdout=pipe, stderr=pipe, text=True, start_new_session=True)


def test_the_command_itself(root: Path, tmp_path: Path) -> None:
    process = started("folders", "--root", str(tmp_path / "nowhere"), "--json")
    out, err = process.communicate(timeout=60)
    assert (process.returncode, out) == (1, "")
    assert err.startswith("error: dataset 'folders': ")
    assert "Traceback" not in err


def test_interrupted(root: Path, tmp_path: Path) -> None:
    """Ctrl-C while processes look: one word, no traceback, no process left."""
    for number in range(3 * workers._WORTH_PROCESSES):
        os.link(root / market_name(1, 0, 0), root / "bounding_box_train" / f"0001_c1s2_{number:06d}_00.jpg")
    process = started("market", "--root", str(root), "--workers", "2", "--sheets", str(tmp_path / "sheets"))
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
    deadline = time.monotonic() + 60
    while len(children.read_text().split()) < 3 and time.monotonic() < deadline:  # two, and what tracks resources
        time.sleep(0.02)
    left = [Path("/proc") / child for child in children.read_text().split()]
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does
    _, err = process.communicate(timeout=30)
    assert (process.returncode, err) == (130, "interrupted\n")
    while any(child.exists() for child in left) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not any(child.exists() for child in left)
