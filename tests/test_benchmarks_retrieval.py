"""The retrieval benchmark at its smallest, and that its instruments show what they are for."""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest

from benchmarks import retrieval as benchmark
from benchmarks.made_features import SIZES, write_features
from benchmarks.memory import most_memory
from common.errors import UserError
from retrieval.columns import Columns, Features
from retrieval.ranking.evaluation import evaluate
from retrieval.ranking.positions import positions
from retrieval.streaming.products import available
from tests.doors import shell

TINY = SIZES["tiny"]

LINUX = pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="Linux tells how much memory is taken")


class Outcome(NamedTuple):
    status: int
    out: str


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., Outcome]:
    """The command in this process."""

    def command(*arguments: str) -> Outcome:
        monkeypatch.setattr(sys, "argv", ["retrieval.py", *arguments])
        return Outcome(benchmark.main(), capsys.readouterr().out)

    return command


@pytest.fixture
def one_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """Memory is measured in this process; to start others takes most of the time."""

    def here(folder: Path, mapped: bool, method: str, argument: str) -> float | None:
        return benchmark._most_memory_here(folder, mapped, 1, method, argument)

    monkeypatch.setattr(benchmark, "most_memory_alone", here)


def case_of(folder: Path, **changes: Any) -> benchmark.Case:
    write_features(folder, replace(TINY, **changes), 32)
    return benchmark.Case.read(folder, mapped=False)


@pytest.mark.usefixtures("one_process")
def test_every_figure_is_in_one_json_object(run: Callable[..., Outcome]) -> None:
    outcome = run("--size", "tiny", "--dim", "32", "--repeats", "2", "--stream", "--rerank", "--check", "--json")
    assert outcome.status == 0
    figures = json.loads(outcome.out)
    assert (figures["size"], figures["dim"], figures["queries"], figures["gallery"]) == ("tiny", 32, 60, 500)
    assert figures["streamed"]
    assert figures["repeats"] == 2
    assert figures["threads"] == 1
    assert 0.3 < figures["mAP"] < 0.9
    assert set(figures["gemm_candidates"]) == {f"{name} {form}" for name in available() for form in ("tiles", "whole")}
    seconds = figures["gemm_candidates"]
    assert figures["gemm_seconds"] == min(seconds.values()) == seconds[figures["gemm_backend"]]
    own = min(seconds[name] for name in seconds if name.startswith(figures["product"]))
    for name, limit in {"evaluate_over_gemm": figures["gemm_seconds"], "plain_over_gemm": own}.items():
        assert figures[name] == pytest.approx(figures[f"{name.split('_')[0]}_seconds"] / limit)
        assert figures[f"{name}_median"] > 0
        assert figures[f"{name}_cpu"] > 0
    assert figures["plain_over_fastest_gemm"] == pytest.approx(figures["plain_seconds"] / figures["gemm_seconds"])
    # Half of 560 × 560 and 60 × 500 pairs, at the speed of the latter.
    assert figures["rerank_limit_seconds"] == pytest.approx(figures["gemm_seconds"] * (560**2 / 2 + 30000) / 30000)
    assert figures["rerank_over_limit"] == pytest.approx(figures["rerank_seconds"] / figures["rerank_limit_seconds"])
    assert figures["packed_mb"] == 500 * 32 * 4 / 2**20
    for name in ("extra_mb", "plain_mb", "gemm_mb", "rerank_mb"):
        assert figures[name] is None or 0 <= figures[name] < 100
    assert figures["check"]["queries"] == 60
    assert figures["check"]["backends"] == 8 * len(benchmark.kernels()) // 2 * len(available())
    assert figures["check"]["differing_ranks"] == figures["check"]["differing_results"] == 0


@pytest.mark.usefixtures("one_process")
def test_the_table_shows_what_was_measured(run: Callable[..., Outcome]) -> None:
    outcome = run("--size", "tiny", "--dim", "16", "--repeats", "1", "--queries", "40", "--check", "5")
    assert outcome.status == 0
    lines = outcome.out.splitlines()
    assert lines[0].startswith("tiny: 40 queries, 500 gallery pictures, 16 numbers each; mAP ")
    assert len([line for line in lines if line.startswith("GEMM alone")]) == 2 * len(available())
    assert len([line for line in lines if line.startswith("evaluate, ")]) == 2
    assert "re-ranking" not in outcome.out
    assert "ranks of 5 queries" in lines[-1]


@pytest.mark.usefixtures("one_process")
@pytest.mark.parametrize("broken", ["ranks", "results"])
def test_a_wrong_rank_is_counted(run: Callable[..., Outcome], monkeypatch: pytest.MonkeyPatch, broken: str) -> None:
    def off_by_one(*arguments: Any, **options: Any) -> Any:
        found = positions(*arguments, **options)
        found.ahead["market"][np.flatnonzero(found.pairs.positives(benchmark.MARKET))[3]] += 1
        return found

    def unlike_with_two_threads(*arguments: Any, backend: Any, **options: Any) -> Any:
        result = evaluate(*arguments, backend=backend, **options)
        return replace(result, ap=result.ap + 1e-16 * (result.ap < 0.5)) if backend.threads == 2 else result

    if broken == "ranks":
        monkeypatch.setattr(benchmark, "positions", off_by_one)
    else:
        monkeypatch.setattr(benchmark, "evaluate", unlike_with_two_threads)
    outcome = run("--size", "tiny", "--dim", "32", "--repeats", "1", "--check", "--json")
    found = json.loads(outcome.out)["check"]
    assert outcome.status == 1
    assert (found["differing_ranks"] == 1) == (broken == "ranks")
    assert (found["differing_results"] == found["backends"] // 2) == (broken == "results")


def test_a_full_sort_in_loops() -> None:
    """Pictures of the query's person and camera are junk; rows 2 and 3 are equally close to it, in that order."""
    gallery = Features(
        np.array([[2, 0], [0, 3], [3, 4], [6, 8], [4, 3], [-1, 0]], dtype=np.float32),
        Columns.of([7, 8, 8, 7, 7, 7], [0, 0, 0, 1, 0, 1]),
    )
    query = Features(np.array([[5, 12], [1, 0]], dtype=np.float32), Columns.of([7, 8], [0, 1]))
    # Cosines of query 0 to the rows: 5/13, 12/13, 63/65, 63/65, 56/65, −5/13; rows 0 and 4 are junk.
    # Of query 1: 1, 0, 3/5, 3/5, 4/5, −1.
    assert [ranks.tolist() for ranks in benchmark.sorted_ranks(query, gallery)] == [[2, 4], [3, 5]]


def test_the_features_are_the_same_every_time_and_of_length_one(tmp_path: Path) -> None:
    first, second = (tmp_path / name for name in ("first", "second"))
    for folder in (first, second):
        folder.mkdir()
        write_features(folder, TINY, 32)
    for name in ("query.npy", "gallery.npy", "query_labels.npy", "gallery_labels.npy"):
        assert (first / name).read_bytes() == (second / name).read_bytes()
    case = benchmark.Case.read(first, mapped=False)
    for side in (case.query, case.gallery):
        assert side.vectors.dtype == np.float32
        np.testing.assert_allclose(np.linalg.norm(side.vectors, axis=1), 1, rtol=1e-6)
    assert len(np.unique(case.gallery.vectors, axis=0)) == 500
    mapped = benchmark.Case.read(first, mapped=True)
    assert isinstance(mapped.gallery.vectors, np.memmap)
    assert not mapped.gallery.vectors.flags.writeable
    np.testing.assert_array_equal(mapped.gallery.vectors, case.gallery.vectors)
    np.testing.assert_array_equal(mapped.right.numpy(), case.gallery.vectors)


def test_what_is_beyond_the_known_people_are_distractors(tmp_path: Path) -> None:
    gallery = case_of(tmp_path, gallery=17000).gallery  # more than is made at a time
    assert len(np.unique(gallery.vectors, axis=0)) == 17000
    pids = gallery.columns.pids
    assert set(pids[:400]) == set(range(25))
    assert len(set(pids[400:])) == 16600
    assert pids[400:].min() == 25
    assert set(case_of(tmp_path, gallery=30).gallery.columns.pids) <= set(range(25))
    assert set(case_of(tmp_path).query.columns.pids) == set(range(25))


def test_too_small_a_disk_is_said_before_anything_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: argparse.Namespace(free=70_000))
    with pytest.raises(UserError, match="TMPDIR"):
        write_features(tmp_path, TINY, 32)  # 560 × 32 × 4 = 71,680 bytes
    assert not list(tmp_path.iterdir())


def test_the_command_says_what_is_wrong_in_one_sentence() -> None:
    command = (sys.executable, "-m", "benchmarks.retrieval", "--size", "tiny", "--dim", "8")
    outcome = shell(*command, "--queries", "1", "--gallery", "1")
    assert (outcome.status, outcome.out) == (1, "")
    assert outcome.err.startswith("error: no query has a positive")
    assert outcome.err.count("\n") == 1


def test_both_forms_multiply_everything(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    case = case_of(tmp_path)
    done: list[tuple[int, int]] = []

    class Counted:
        def pack(self, right: Any) -> Any:
            return right

        def multiply(self, left: Any, packed: Any) -> None:
            done.append((len(left), len(packed)))

    monkeypatch.setattr(benchmark, "product", lambda name: Counted())
    for name in case.candidates():
        done.clear()
        case.gemm(name)
        assert sum(left * right for left, right in done) == 60 * 500


def test_works_take_turns() -> None:
    order: list[str] = []
    timings = benchmark.time_interleaved({name: lambda name=name: order.append(name) for name in "AB"}, 3)  # type: ignore[misc]
    assert order == ["A", "B"] * 3
    assert [len(timings[name].wall) for name in "AB"] == [3, 3]
    ratios = benchmark.Timing([4, 9, 8], [6, 8, 8]).over(benchmark.Timing([2, 3, 8], [2, 2, 3]))
    assert ratios == {"": 2, "_median": 2, "_cpu": 3}


@LINUX
@pytest.mark.parametrize("mapped", [True, False])
def test_memory_that_was_given_back_is_counted(mapped: bool) -> None:
    def take() -> None:
        held = np.ones(64 << 17)  # 64 MiB
        time.sleep(0.05)
        del held

    assert most_memory(take, mapped=mapped) == pytest.approx(64, abs=8)
    assert most_memory(lambda: None, mapped=mapped) == pytest.approx(0, abs=8)


@LINUX
def test_every_work_is_measured_in_a_process_of_its_own(tmp_path: Path) -> None:
    case_of(tmp_path, gallery=100_000)
    taken = benchmark.most_memory_alone(tmp_path, False, "gemm", "torch whole")
    # The scores of 60 queries; the features are there before, and torch does not pack them.
    assert taken == pytest.approx(60 * 100_000 * 4 / 2**20, abs=4)


@LINUX
def test_pages_of_a_mapped_file_are_not_counted(tmp_path: Path) -> None:
    np.save(tmp_path / "file.npy", np.ones(64 << 17))

    def read() -> float:
        return float(np.load(tmp_path / "file.npy", mmap_mode="r").sum())

    assert most_memory(read, mapped=True) == pytest.approx(0, abs=8)
    assert most_memory(read, mapped=False) == pytest.approx(64, abs=8)
