"""Speed and memory of evaluation and re-ranking, as ratios to the bare matrix product within one run.

    .venv/bin/python -m benchmarks.retrieval                          Market-1501's size, 2048 numbers, a table
    .venv/bin/python -m benchmarks.retrieval --size msmt --dim 256 --json
    .venv/bin/python -m benchmarks.retrieval --size market500k --dim 256 --repeats 3
    .venv/bin/python -m benchmarks.retrieval --rerank --check
    .venv/bin/python -m benchmarks.retrieval --gallery 1000000 --queries 1000 --stream

No picture is needed: the features are made, the same on every run. A person is a point in 96 dimensions, a picture is
that point moved by its camera and by noise of its own strength, and a fixed projection to `--dim` numbers follows.
`market500k` adds 500,000 pictures of as many other people in another city. The features lie in a temporary folder
(`TMPDIR`); with `--stream`, and for `market500k`, the gallery stays there and is mapped into memory.

What is printed; absolute figures change with the machine and what else it does, so the ratios are what to keep:

- `gemm_seconds`: the product of all queries with the whole gallery in float32 and nothing else, packing included, by
  whichever is fastest of every product of `retrieval.streaming.products` in two forms (`gemm_backend`; all are in
  `gemm_candidates`): "whole" is the library with all its threads on blocks of queries against the packed gallery,
  "tiles" one thread's product per Python thread on blocks of both, as evaluation does it. NumPy's library keeps its own
  threads in both. The gallery is not packed whole where that would take a quarter of the machine's memory.
- `evaluate_seconds`: `evaluate` with the compiled kernels (with the plain ones where Numba is missing: `kernel`).
  `evaluate_over_gemm` divides the least times of all rounds, `evaluate_over_gemm_median` is the median of the rounds'
  ratios, `evaluate_over_gemm_cpu` divides the processor times of all threads, which other programs disturb less.
- `plain_seconds`: the same with the plain kernels; `plain_over_gemm` divides by the fastest form of the product that
  evaluation uses (`product`), `plain_over_fastest_gemm` by `gemm_seconds`.
- `first_call_seconds`: the first `evaluate` of the process, in no other figure: it chooses a product and loads the
  compiled kernels, or compiles them where that was never done.
- `extra_mb`, `plain_mb`, `gemm_mb`, `rerank_mb`: the most MiB that each took on top of libraries and features, by the
  operating system (Linux; null elsewhere), each in a process of its own that has done the same on a few rows before.
  `packed_mb` is how much of `extra_mb` are blocks of the gallery in the product's form. With the gallery in memory it
  is `VmHWM`, reset before, minus `VmRSS`. That would count the pages of a mapped file, which the system takes back
  when it needs them; with a mapped gallery it is the largest of samples of `RssAnon`, two milliseconds apart.
- `rerank_seconds` (with `--rerank`): k-reciprocal re-ranking and the evaluation of its result. `rerank_over_limit`
  divides by the time of half of N×N, since distances are symmetric, and Q×G at the speed of `gemm_seconds`.
- `check` (with `--check`): on some queries, how many ranks differ from those of a full stable sort of float64 scores,
  and how many results differ between products, kernels, tile sizes and numbers of threads. Both must be 0; otherwise
  the exit status is 1.
- `other_load`: how much of the processor other programs took meanwhile; where it is not near 0, measure again.

Rounds are interleaved: every round times each of them once, and candidates far from the fastest are timed once only.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import signal
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, fields, replace
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from benchmarks.arguments import positive
from benchmarks.ladders.machine import processor
from benchmarks.made_features import ROWS, SIZES, write_features
from benchmarks.memory import MIB, most_memory
from common.errors import UserError
from retrieval.columns import Columns, Features, Floats, Ints
from retrieval.protocols import protocol
from retrieval.ranking.evaluation import PerQuery, evaluate
from retrieval.ranking.positions import positions
from retrieval.reranking.k_reciprocal import rerank
from retrieval.scorers import Cosine
from retrieval.streaming import compiled
from retrieval.streaming.products import available, product
from retrieval.streaming.stream import Backend
from retrieval.streaming.tiles import full_precision
from retrieval.streaming.workers import share_out

CPU = torch.device("cpu")
MARKET = protocol("market")

_OUTPUT = 1 << 23
"""Scores of one product: more would be new pages from the system every time, which costs more than the product."""
_FAR = 1.5
"""A candidate slower than this many times the fastest is not timed again."""

_BUSY = 0.1
"""Of the processor, taken by other programs: more, and the ratios of wall seconds mean little."""


@dataclass(frozen=True, eq=False)
class Case:
    """Features, and everything that is measured on them.

    Attributes:
        left, right: the vectors of query and gallery as tensors.
    """

    query: Features
    gallery: Features
    left: Tensor
    right: Tensor

    @classmethod
    def read(cls, folder: Path, *, mapped: bool) -> Case:
        """What `write_features` wrote; the gallery in memory, or mapped."""
        sides: list[Features] = []
        tensors: list[Tensor] = []
        for name in ("query", "gallery"):
            path, stays = folder / f"{name}.npy", mapped and name == "gallery"
            vectors: Floats = np.load(path, mmap_mode="r" if stays else None)
            # torch wants memory that it could write to; pages of this kind are only copied if it does.
            tensors.append(torch.from_numpy(np.load(path, mmap_mode="c") if stays else vectors))
            sides.append(Features(vectors, Columns.of(*np.load(folder / f"{name}_labels.npy"))))
        return cls(sides[0], sides[1], tensors[0], tensors[1])

    def few(self) -> Case:
        """The first rows, enough that everything is called."""
        query, gallery = slice(0, 64), slice(0, 1024)
        return Case(self.query.take(query), self.gallery.take(gallery), self.left[query], self.right[gallery])

    def backend(self, kernel: str) -> Backend:
        return replace(Backend.choose(CPU, self.query, self.gallery), kernel=kernel)

    def evaluate(self, kernel: str) -> PerQuery:
        return evaluate(Cosine(), self.query, self.gallery, MARKET, backend=self.backend(kernel))

    def rerank(self, kernel: str) -> PerQuery:
        backend = self.backend(kernel)
        scorer = rerank(Cosine(), self.query, self.gallery, backend=backend)
        return evaluate(scorer, self.query, self.gallery, MARKET, backend=backend)

    def gemm(self, candidate: str) -> None:
        """The product alone: a name of `candidates`."""
        name, form = candidate.split()
        with full_precision(CPU):
            (self._whole if form == "whole" else self._tiles)(name)

    def candidates(self) -> list[str]:
        """Product and form."""
        total = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
        forms = ["tiles", "whole"] if 4 * self.right.nbytes < total else ["tiles"]
        return [f"{name} {form}" for name in available() for form in forms]

    def _whole(self, name: str) -> None:
        kind = product(name)
        packed = kind.pack(self.right)
        for block in self.left.split(min(512, max(64, _OUTPUT // len(self.right)))):
            kind.multiply(block, packed)

    def _tiles(self, name: str) -> None:
        kind, backend = product(name), self.backend("plain")
        rounds = -(-len(self.right) // (backend.gallery * backend.threads))
        blocks = iter(self.right.split(-(-len(self.right) // (rounds * backend.threads))))

        def work(block: Tensor) -> None:
            packed = kind.pack(block)
            for queries in self.left.split(backend.queries):
                kind.multiply(queries, packed)

        share_out(lambda worker: next(blocks, None), work, backend.threads)


@dataclass(frozen=True)
class Timing:
    """Wall and processor seconds of some rounds."""

    wall: list[float]
    cpu: list[float]

    def times(self, factor: float) -> Timing:
        return Timing([factor * seconds for seconds in self.wall], [factor * seconds for seconds in self.cpu])

    def over(self, other: Timing) -> dict[str, float]:
        """The ratio of the least times, the median of the rounds' ratios, and the ratio of processor times."""
        pairs = zip(self.wall, other.wall, strict=False)
        return {
            "": min(self.wall) / min(other.wall),
            "_median": statistics.median(mine / theirs for mine, theirs in pairs),
            "_cpu": min(self.cpu) / min(other.cpu),
        }


def time_interleaved(works: Mapping[str, Callable[[], object]], rounds: int) -> dict[str, Timing]:
    """Every work once per round."""
    timings = {name: Timing([], []) for name in works}
    for _ in range(rounds):
        for name, work in works.items():
            wall, cpu = time.perf_counter(), time.process_time()
            work()
            timings[name].cpu.append(time.process_time() - cpu)
            timings[name].wall.append(time.perf_counter() - wall)
    return timings


def most_memory_alone(folder: Path, mapped: bool, method: str, argument: str) -> float | None:
    """What `Case.method(argument)` takes in a process of its own."""
    arguments = (folder, mapped, torch.get_num_threads(), method, argument)
    try:
        with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
            return pool.submit(_most_memory_here, *arguments).result()
    except BrokenProcessPool as error:
        raise UserError(
            f"the process that measured the memory of '{method} {argument}' was ended, as happens when memory runs "
            "out; ask for fewer with --gallery or --dim, or leave the gallery on disk with --stream"
        ) from error


def _most_memory_here(folder: Path, mapped: bool, threads: int, method: str, argument: str) -> float | None:
    torch.set_num_threads(threads)
    case = Case.read(folder, mapped=mapped)
    getattr(case.few(), method)(argument)
    return most_memory(lambda: getattr(case, method)(argument), mapped=mapped)


def check(case: Case, asked: int) -> dict[str, int]:
    """Compare the ranks of some queries with a full sort, and the results of everything that computes."""
    rows = np.unique(np.linspace(0, len(case.query) - 1, asked).astype(np.int64))
    query, gallery = case.query.take(rows), case.gallery
    base = replace(Backend.choose(CPU, query, gallery), kernel=kernels()[0])
    found = positions(Cosine(), query, gallery, [MARKET], backend=base)
    positives = found.pairs.positives(MARKET)
    owners, ahead = found.pairs.owners[positives], found.ahead[MARKET.name][positives]
    wrong = 0
    for line, expected in enumerate(sorted_ranks(query, gallery)):
        ranks = np.sort(ahead[owners == line]) + np.arange(1, len(expected) + 1)
        wrong += int((ranks != expected).sum())
    tiles = ((base.queries, base.gallery), (37, 1001))
    results = [
        evaluate(Cosine(), query, gallery, MARKET, backend=Backend(name, kernel, threads, *tile))
        for name, kernel, threads, tile in itertools.product(available(), kernels(), (1, 2), tiles)
    ]
    contents = [tuple(getattr(result, field.name).tobytes() for field in fields(result)) for result in results]
    return {
        "queries": len(rows),
        "ranks": len(ahead),
        "differing_ranks": wrong,
        "backends": len(results),
        "differing_results": sum(content != contents[0] for content in contents),
    }


def sorted_ranks(query: Features, gallery: Features) -> Iterator[Ints]:
    """Every query's ranks of its positives under the protocol market, by a stable sort of all float64 cosines."""

    def unit(vectors: Floats) -> NDArray[np.float64]:
        exact = vectors.astype(np.float64)
        exact /= np.linalg.norm(exact, axis=1, keepdims=True)
        return exact

    left, scores = unit(query.vectors), np.empty((len(query), len(gallery)))
    for start in range(0, len(gallery), ROWS):
        scores[:, start : start + ROWS] = left @ unit(gallery.vectors[start : start + ROWS]).T
    for row, line in enumerate(scores):
        person = gallery.columns.pids == query.columns.pids[row]
        junk = person & (gallery.columns.camids == query.columns.camids[row])
        order = np.argsort(-line, kind="stable")
        yield np.flatnonzero(person[order[~junk[order]]]) + 1


def kernels() -> tuple[str, ...]:
    """Those that are there, the best first."""
    return ("plain",) if compiled.kernels("streaming") is None else ("compiled", "plain")


def measure(folder: Path, asked: argparse.Namespace) -> dict[str, Any]:
    """All figures, ready for JSON."""
    size = SIZES[asked.size]
    size = replace(size, queries=asked.queries or size.queries, gallery=asked.gallery or size.gallery)
    mapped = asked.stream or asked.size == "market500k"
    write_features(folder, size, asked.dim)
    case = Case.read(folder, mapped=mapped)
    kernel = kernels()[0]
    started = time.perf_counter()
    result = case.evaluate(kernel)
    first_call = time.perf_counter() - started
    if not result.valid.any():
        raise UserError("no query has a positive in so small a gallery; ask for more with --gallery or --queries")
    backend = case.backend(kernel)
    works = {"evaluate": ("evaluate", kernel), "plain": ("evaluate", "plain")}
    if asked.rerank:
        works["rerank"] = ("rerank", kernel)

    began, busy = time.perf_counter(), _busy_elsewhere()
    gemm = time_interleaved({name: partial(case.gemm, name) for name in case.candidates()}, 1)
    least = min(min(timing.wall) for timing in gemm.values())
    own = [name for name in gemm if name.split()[0] == backend.product]
    contest = {name: partial(case.gemm, name) for name in gemm if name in own or min(gemm[name].wall) < _FAR * least}
    calls = {name: partial(getattr(case, method), argument) for name, (method, argument) in works.items()}
    timings = time_interleaved(contest | calls, asked.repeats)
    gemm |= {name: timings[name] for name in contest}
    other_load = (_busy_elsewhere() - busy) / (time.perf_counter() - began) / (os.cpu_count() or 1)

    fastest, own_fastest = (min(names, key=lambda name: min(gemm[name].wall)) for names in (gemm, own))
    timings["gemm"] = gemm[fastest]
    works["gemm"] = ("gemm", fastest)
    figures: dict[str, Any] = {
        "size": asked.size,
        "dim": asked.dim,
        "queries": size.queries,
        "gallery": size.gallery,
        "streamed": mapped,
        "processor": processor(),
        "threads": backend.threads,
        "repeats": asked.repeats,
        "other_load": None if np.isnan(other_load) else other_load,
        "mAP": float(result.ap[result.valid].mean()),
        "mINP": float(result.inp[result.valid].mean()),
        "kernel": kernel,
        "product": backend.product,
        "gemm_backend": fastest,
        "gemm_candidates": {name: min(timing.wall) for name, timing in gemm.items()},
        "first_call_seconds": first_call,
        "packed_mb": min(backend.threads * backend.gallery, size.gallery) * asked.dim * 4 / MIB,
    }
    for name, (method, argument) in works.items():
        figures[f"{name}_seconds"] = min(timings[name].wall)
        figures[f"{name}_median_seconds"] = statistics.median(timings[name].wall)
        figures[f"{name}_cpu_seconds"] = min(timings[name].cpu)
        figures["extra_mb" if name == "evaluate" else f"{name}_mb"] = most_memory_alone(
            folder, mapped, method, argument
        )
    limits = {"evaluate_over_gemm": fastest, "plain_over_gemm": own_fastest, "plain_over_fastest_gemm": fastest}
    for ratio, name in limits.items():
        over = timings[ratio.split("_")[0]].over(gemm[name])
        figures |= {f"{ratio}{kind}": value for kind, value in over.items()}
    if asked.rerank:
        pairs = size.queries * size.gallery
        limit = gemm[fastest].times(((size.queries + size.gallery) ** 2 / 2 + pairs) / pairs)
        figures["rerank_limit_seconds"] = min(limit.wall)
        figures |= {f"rerank_over_limit{kind}": value for kind, value in timings["rerank"].over(limit).items()}
    if asked.check:
        figures["check"] = check(case, asked.check)
    return figures


def _busy_elsewhere() -> float:
    """Processor seconds that all other programs have taken so far; NaN where the system does not say."""
    try:
        line = Path("/proc/stat").read_text().split("\n")[0]
    except OSError:
        return float("nan")
    user, nice, system, _, _, *interrupted = map(int, line.split()[1:9])
    return (user + nice + system + sum(interrupted)) / os.sysconf("SC_CLK_TCK") - time.process_time()


def table(figures: dict[str, Any]) -> str:
    """The figures for reading."""
    other = figures["other_load"]
    lines = [
        f"{figures['size']}: {figures['queries']} queries, {figures['gallery']} gallery pictures"
        f"{' on disk' if figures['streamed'] else ''}, {figures['dim']} numbers each; mAP {100 * figures['mAP']:.1f} %",
        f"{figures['processor']}, {figures['threads']} threads; least and median of {figures['repeats']} rounds, "
        f"meanwhile other programs took {'?' if other is None else round(100 * other)} % of the processor"
        f"{', so trust the ratio of CPU seconds' if other and other > _BUSY else ''}",
        f"{'':<44}{'seconds':>9}{'median':>9}{'ratio':>8}{'of CPU':>8}{'MiB':>7}",
    ]
    slower = {name: seconds for name, seconds in figures["gemm_candidates"].items() if name != figures["gemm_backend"]}
    for name, seconds in sorted(slower.items(), key=lambda item: item[1]):
        lines.append(f"{f'GEMM alone, {name}':<44}{seconds:9.3f}{'':9}{seconds / figures['gemm_seconds']:8.2f}")
    for name, words, ratio, memory in (
        ("gemm", f"GEMM alone, {figures['gemm_backend']}", None, "gemm_mb"),
        ("evaluate", f"evaluate, {figures['kernel']}", "evaluate_over_gemm", "extra_mb"),
        ("plain", f"evaluate, plain, over {figures['product']}", "plain_over_gemm", "plain_mb"),
        ("rerank", "re-ranking and evaluate, over its own limit", "rerank_over_limit", "rerank_mb"),
    ):
        if f"{name}_seconds" in figures:
            shares = [figures[ratio], figures[f"{ratio}_cpu"]] if ratio else [1, 1]
            seconds = f"{figures[f'{name}_seconds']:9.3f}{figures[f'{name}_median_seconds']:9.3f}"
            size = figures[memory]
            lines.append(
                f"{words:<44}{seconds}{shares[0]:8.2f}{shares[1]:8.2f}{'?' if size is None else round(size):>7}"
            )
    lines.append(f"first call {figures['first_call_seconds']:.2f} s; packed gallery {figures['packed_mb']:.0f} MiB")
    if found := figures.get("check"):
        lines.append(
            f"{found['differing_ranks']} of {found['ranks']} ranks of {found['queries']} queries differ from a full "
            f"sort; {found['differing_results']} of {found['backends']} ways of computing differ from the first"
        )
    return "\n".join(lines)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", choices=SIZES, default="market", help="how many pictures of how many people")
    parser.add_argument("--dim", type=positive, default=2048, help="numbers per picture (%(default)s)")
    parser.add_argument("--queries", type=positive, help="another number of queries")
    parser.add_argument("--gallery", type=positive, help="another number of gallery pictures; more are distractors")
    parser.add_argument("--stream", action="store_true", help="leave the gallery on disk")
    parser.add_argument("--rerank", action="store_true", help="measure re-ranking, too")
    parser.add_argument("--check", type=positive, nargs="?", const=200, help="check the ranks of so many queries (200)")
    parser.add_argument("--threads", type=positive, help="by default as many as torch takes")
    parser.add_argument("--repeats", type=positive, default=5, help="rounds (%(default)s)")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    asked = parser.parse_args()
    if asked.threads:
        torch.set_num_threads(asked.threads)
    with tempfile.TemporaryDirectory() as folder:
        figures = measure(Path(folder), asked)
    print(json.dumps(figures) if asked.json else table(figures))
    found = figures.get("check", {})
    return int(any(found.get(key) for key in ("differing_ranks", "differing_results")))


if __name__ == "__main__":
    from engine.launch import run_door  # not in the processes that measure memory

    # The temporary folder may hold gigabytes; it goes away when Python ends by itself.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    run_door(main)
