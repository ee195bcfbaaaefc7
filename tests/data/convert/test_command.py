"""What the user types and sees."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from common.errors import UserError
from data.convert.command import main
from data.doctor.command import main as doctor
from tests.data.convert.trees import people, table_root
from tests.data.readers.trees import market_tree

REPOSITORY = Path(__file__).parents[3]


@pytest.fixture
def catalog(tmp_path: Path) -> Path:
    path = tmp_path / "datasets.yml"
    path.write_text(
        "mine: {reader: market}\nown: {reader: csv}\npartitions: {reader: partitions}\ncsv: {reader: csv}\n"
    )
    return path


def test_what_it_says(tmp_path: Path, catalog: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root, out = table_root(tmp_path / "set", people(20)), tmp_path / "a folder"
    assert main(["own", str(out), "--root", str(root)], catalog) == 0
    told, err = capsys.readouterr()
    lines = told.splitlines()
    assert lines[0].startswith(f"wrote own as partitions to {out} in ")
    assert lines[0].endswith(" s: 120 train, 1 query, 2 gallery pictures (123 linked)")
    assert lines[1:] == [
        "  note: 4 of the 20 training people are held out for val (variant: val reads them)",
        f"next: python3 -m data.doctor partitions --root '{out}'",
    ]
    assert err == ""


def test_the_next_command_works(tmp_path: Path, catalog: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = table_root(tmp_path / "set", people(20))
    main(["own", str(tmp_path / "out"), "--root", str(root)], catalog)
    assert doctor(["partitions", "--root", str(tmp_path / "out"), "--quick"], catalog) == 0
    capsys.readouterr()
    main(["partitions", str(tmp_path / "back"), "--root", str(tmp_path / "out"), "--to", "csv", "--copy"], catalog)
    assert "pictures (123 copied)\nnext: python3 -m data.doctor csv --root " in capsys.readouterr().out
    assert doctor(["csv", "--root", str(tmp_path / "back"), "--quick"], catalog) == 0


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("mine", "python3 -m data.doctor mine --root {out}"),
        ("own", '`NAME: {{reader: market, root: "{out}", variant: none}}`'),
    ],
)
def test_what_to_do_with_markets_names(
    tmp_path: Path, catalog: Path, capsys: pytest.CaptureFixture[str], name: str, expected: str
) -> None:
    """Under its own name the published counts of Market-1501 would be expected."""
    root = market_tree(tmp_path / "set") if name == "mine" else table_root(tmp_path / "set", people(3))
    main([name, str(tmp_path / "out"), "--root", str(root), "--to", "market"], catalog)
    assert capsys.readouterr().out.rstrip().endswith(expected.format(out=tmp_path / "out"))


def test_a_line_that_can_be_pasted(tmp_path: Path, catalog: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root, out = table_root(tmp_path / "set", people(3)), tmp_path / 'a, b: c "d" \\ü🙂 #e'
    main(["own", str(out), "--root", str(root), "--to", "market"], catalog)
    line = capsys.readouterr().out.rstrip().split("`")[1]
    assert yaml.safe_load(line) == {"NAME": {"reader": "market", "root": str(out), "variant": "none"}}


def test_mistakes(tmp_path: Path, catalog: Path) -> None:
    out = str(tmp_path / "out")
    with pytest.raises(UserError, match=r"unknown layout 'partition', did you mean 'partitions'"):
        main(["mine", out, "--to", "partition"], catalog)
    with pytest.raises(UserError, match=r"unknown dataset 'mien', did you mean 'mine'"):
        main(["mien", out], catalog)
    with pytest.raises(UserError, match=r"nowhere does not exist \(named by --root\)"):
        main(["mine", out, "--root", str(tmp_path / "nowhere")], catalog)
    assert not Path(out).exists()


def test_ended_while_it_writes(tmp_path: Path) -> None:
    """In the middle of the first picture."""
    root = market_tree(tmp_path / "set")
    program = (
        "import runpy, shutil, time\n"
        "def slow(*_):\n    print('writing', flush=True)\n    time.sleep(60)\n"
        "shutil.copyfile = slow\n"
        "runpy.run_module('data.convert', run_name='__main__')\n"
    )
    command = [sys.executable, "-c", program, "market", str(tmp_path / "out"), "--root", str(root), "--copy"]
    with subprocess.Popen(command, cwd=REPOSITORY, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "writing\n"
        process.terminate()
        process.wait(20)
    assert process.returncode == 128 + signal.SIGTERM
    assert sorted(path.name for path in tmp_path.iterdir()) == ["set"]
