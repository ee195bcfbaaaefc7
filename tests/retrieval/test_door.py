"""`python3 -m retrieval`: cached features judged without a model."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from common.command import exit_status
from retrieval.__main__ import main
from retrieval.columns import Columns
from retrieval.files.feature_file import CALLER_KEYS
from retrieval.files.feature_writer import FeatureWriter, Rows

ROOT = Path(__file__).parent.parent.parent


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Feature folders as eval.py leaves them, of a method that compares by distance."""
    rng = np.random.default_rng(0)
    for split, rows in (("query", 12), ("gallery", 60)):
        pids = np.arange(rows) % 6
        vectors = np.eye(6)[pids] + 0.3 * rng.standard_normal((rows, 6))
        manifest = {**dict.fromkeys(CALLER_KEYS, "x"), "scorer": "euclidean", "split": split}
        columns = Columns.of(pids, np.arange(rows) // 6 % 3)
        with FeatureWriter(tmp_path / split, Rows([f"{row}.jpg" for row in range(rows)], columns), manifest) as writer:
            writer.write(np.arange(rows), vectors)
    return tmp_path


def test_prints_a_table(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(folder), "--cameras", "--ranks", "3", "1"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("ranked 12 queries in ")
    assert "product, plain kernels" in lines[0]
    assert "no camera is known" not in lines[0]
    assert lines[1].startswith("protocol market, euclidean scores, no re-ranking; 12 of 12 queries count, gallery 60")
    assert lines[2].split() == ["mAP", "mAP_trap", "mINP", "rank-1", "rank-3"]
    assert lines[4] == "mAP / rank-1 by camera, in %"


def test_prints_json_and_nothing_else(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    more = ["--scorer", "cosine", "--rerank", "--k1", "5", "--lambda", "0.5", "--expand", "dba", "--json"]
    assert main([str(folder), "--protocol", "market", "no-camera", *more]) == 0
    captured = capsys.readouterr()
    answer = json.loads(captured.out)
    assert answer["features"] == str(folder)
    assert "product" in answer["backend"]
    assert answer["seconds"] > 0
    assert (answer["rerank"], answer["expand"], answer["scorer"]) == (True, "dba", "cosine")
    assert set(answer["protocols"]) == {"market", "no-camera"}
    assert captured.err.startswith("ranked 12 queries")


def test_writes_lists(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = folder / "lists" / "top.csv"
    assert main([str(folder), "--top", "4", "--out", str(out)]) == 0
    assert len(out.read_text().splitlines()) == 1 + 12 * 4
    assert f"the 4 best of each are in {out}" in capsys.readouterr().out


def test_one_file_from_elsewhere(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rng = np.random.default_rng(1)
    arrays: dict[str, np.ndarray] = {}
    for split, rows in (("query", 4), ("gallery", 9)):
        arrays |= {f"{split}_f": rng.random((rows, 3)), f"{split}_label": np.arange(rows) % 3}
        arrays |= {f"{split}_cam": np.full(rows, split == "query")}
    np.savez(tmp_path / "result.npz", **{name: np.asarray(value, dtype=np.float64) for name, value in arrays.items()})  # type: ignore[arg-type]
    assert main([str(tmp_path / "result.npz")]) == 0
    assert "cosine scores" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["nowhere"], "cannot read nowhere"),
        (["FOLDER", "--protocol", "markt"], "unknown protocol 'markt', did you mean 'market'"),
        (["FOLDER", "--ranks", "0"], "rank-0 cannot be read"),
        (["FOLDER", "--k1", "5"], "--k1 is for re-ranking: give --rerank too"),
        (["FOLDER", "--index", "ivf"], "--index finds neighbours for --rerank and --expand"),
        (["FOLDER", "--out", "x.csv"], "--out is where --top writes lists to"),
        (["FOLDER", "--top", "3", "--out", "FOLDER"], "is a folder: name a file in it"),
        (["FOLDER/query"], "did you mean FOLDER?"),
        (["FOLDER", "--top", "0"], "--top 0: expected a whole number from 1 on"),
        (["FOLDER", "--rerank", "--scorer", "cosine", "--lambda", "1.5"], "lambda a share between 0 and 1"),
        (["FOLDER", "--device", "cuda:77"], "--device cuda:77: there is no such device here"),
        (["FOLDER", "--device", "gpu"], "--device gpu: there is no such device here"),
        (
            ["FOLDER", "--protocol", "cloth-changing"],
            "'cloth-changing' needs the column clothes, and in the",
        ),
        (["FOLDER", "--protocol", "vcclothes-cc"], "has only 0, 1: use the protocol 'market'"),
        (
            ["FOLDER", "--protocol", "prcc"],
            "the dataset 'prcc' is judged by cloth-changing, same-clothes, prcc-cc",
        ),
        (
            ["FOLDER", "--protocol", "prcc-single-sc", "--top", "3"],
            "--top cannot be had by the protocol 'prcc-sin",
        ),
        (["FOLDER", "--protocol", "prcc-single-sc", "--cameras"], "a table by cameras cannot be had by the protocol"),
    ],
)
def test_mistakes_are_one_sentence(
    arguments: list[str], sentence: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given = [word.replace("FOLDER", str(folder)) for word in arguments]
    assert exit_status(lambda: main(given)) == 1
    captured = capsys.readouterr()
    assert captured.out == ""
    assert len(captured.err.splitlines()) == 1
    assert sentence.replace("FOLDER", str(folder)) in captured.err


def test_as_a_command(folder: Path) -> None:
    command = [sys.executable, "-m", "retrieval", str(folder), "--json"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["queries"] == 12
    helped = subprocess.run([*command[:3], "--help"], cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert "cloth-changing" in helped.stdout
