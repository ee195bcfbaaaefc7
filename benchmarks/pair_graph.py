"""CACE-Net's pair graph as it is computed here, beside the whole graph over joined maps, in time and memory.

    .venv/bin/python -m benchmarks.pair_graph                     the recipe's size: 16 maps of 2048 x 24 x 8
    .venv/bin/python -m benchmarks.pair_graph --pictures 8 --repeats 1 --json

What is timed begins with the maps of a batch and ends with the gradient towards them and all weights: the pair graph,
GeM pooling, the map to 768 numbers and batch normalisation, for all pairs.

- `joined`: as published. All ordered pairs, those of a picture with itself too; the maps of both side by side; the
  Laplacian by products with diagonal matrices.
- `kept`: each unordered pair once, what is asked of a picture alone asked once, no diagonal matrix.
- `recomputed`: the same, but the maps of a few pairs at a time are made again for the gradient (`options.recompute`).

Rounds are interleaved: every round takes each of them once. Memory is the most that each takes on top of weights and
maps (Linux on a CPU; null elsewhere). `difference` is the largest between features by `joined` and the others.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from benchmarks.arguments import positive
from benchmarks.memory import most_memory
from benchmarks.retrieval import time_interleaved
from configs.loader import parse
from engine.launch import run_door
from modeling.layers.pair_graph import ISOLATED, PairGraph, Pairs
from modeling.methods import build_embedder, options_of
from modeling.methods.cacenet_network import ConditionalEmbedder


class Case:
    """A batch of maps, and the features of all of its ordered pairs in each way."""

    def __init__(self, backbone: str, pictures: int, height: int, width: int, chunk: int) -> None:
        torch.manual_seed(0)
        model = {"backbone": backbone, "pooling": "gem", "pretrained": "none"}
        options = {"non_local": False}
        embedder = build_embedder(parse({"method": "cacenet", "model": model, "options": options}, options_of))
        assert isinstance(embedder, ConditionalEmbedder)
        torch.nn.init.normal_(embedder.graph.out.weight, std=0.01)
        self.embedder = embedder.train()
        maps = F.relu(torch.randn(pictures, embedder.backbone.channels, height, width))
        self.maps = maps.to(memory_format=torch.channels_last).requires_grad_()
        self.pairs, self.chunk = Pairs.of(pictures), chunk
        self.ways: dict[str, Callable[[], Tensor]] = {
            "joined": self.joined,
            "kept": partial(self.in_chunks, recompute=False),
            "recomputed": partial(self.in_chunks, recompute=True),
        }

    def joined(self) -> Tensor:
        """`(R, width)`, as published; what a picture makes of itself is computed and left out."""
        count, own, partner = len(self.maps), self.pairs.own, self.pairs.partner
        right, left = torch.cartesian_prod(torch.arange(count), torch.arange(count)).unbind(1)
        changed = whole_graph(self.embedder.graph, torch.cat((self.maps[left], self.maps[right]), dim=3))
        of_left, of_right = (self.embedder.reduce(self.embedder.pooling(half)) for half in changed.chunk(2, dim=3))
        # Row i·B + j holds i given j on the right, row j·B + i on the left: the same feature twice.
        rows = (of_right[own * count + partner] + of_left[partner * count + own]) / 2
        neck = self.embedder.neck
        return F.batch_norm(rows, None, None, neck.weight, neck.bias, training=True, eps=neck.eps)

    def in_chunks(self, recompute: bool) -> Tensor:
        """`(R, width)`, as in training."""
        return self.embedder.all_conditional(self.maps, self.pairs, self.chunk, recompute)[0]

    def step(self, way: str) -> None:
        self.embedder.zero_grad()
        self.maps.grad = None
        self.ways[way]().square().sum().backward()

    def difference(self) -> float:
        with torch.no_grad():
            found = {name: way() for name, way in self.ways.items()}
        return max(float((found["joined"] - other).abs().max()) for other in found.values())


def whole_graph(graph: PairGraph, maps: Tensor) -> Tensor:
    """Joined maps `(P, C, h, 2w)` after one step along the Laplacian, all matrices written out."""
    cells = maps.flatten(2).transpose(1, 2)
    y, g = F.normalize(graph.affinity(cells), dim=2), graph.value(cells)
    edges = F.relu(y @ y.transpose(1, 2)) * (1 - torch.eye(cells.shape[1]))
    degrees = edges.sum(dim=2)
    roots = torch.where(degrees > ISOLATED, degrees.clamp(min=ISOLATED).rsqrt(), 1).detach()
    laplacian = torch.diag_embed(roots) @ (torch.diag_embed(degrees) - edges) @ torch.diag_embed(roots)
    return graph.added(maps, laplacian @ g)


def measure(asked: argparse.Namespace) -> dict[str, Any]:
    """All figures, ready for JSON."""
    case = Case(asked.backbone, asked.pictures, asked.height, asked.width, asked.chunk)
    works = {name: partial(case.step, name) for name in case.ways}
    difference = case.difference()
    memory = {name: most_memory(work, mapped=False) for name, work in works.items()}  # each warms up for its timing
    timings = time_interleaved(works, asked.repeats)
    rows = {
        name: {"seconds": min(timing.wall), "cpu_seconds": min(timing.cpu), "mb": memory[name]}
        for name, timing in timings.items()
    }
    return {
        "backbone": asked.backbone,
        "pictures": asked.pictures,
        "height": asked.height,
        "width": asked.width,
        "threads": torch.get_num_threads(),
        "difference": difference,
        "rows": rows,
    }


def table(told: dict[str, Any]) -> str:
    """The figures for reading."""
    rows = told["rows"]
    lines = [
        f"pairs of {told['pictures']} maps of {told['height']}x{told['width']} cells, {told['backbone']};"
        f" {told['threads']} CPU threads; features differ by {told['difference']:.1e} at most",
        f"{'':<14}{'seconds':>10}{'of CPU':>10}{'x faster':>10}{'MiB':>10}{'x less':>10}",
    ]
    for name, row in rows.items():
        faster = rows["joined"]["cpu_seconds"] / row["cpu_seconds"]
        line = f"{name:<14}{row['seconds']:>10.2f}{row['cpu_seconds']:>10.2f}{faster:>10.2f}"
        if row["mb"] is not None:
            line += f"{row['mb']:>10.0f}{rows['joined']['mb'] / max(row['mb'], 1e-3):>10.2f}"
        lines.append(line)
    return "\n".join(lines)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--backbone", default="resnet50", help="whose channels the maps have (%(default)s)")
    parser.add_argument("--pictures", type=positive, default=16, help="of which pairs are made (%(default)s)")
    parser.add_argument("--height", type=positive, default=24, help="of the maps (%(default)s)")
    parser.add_argument("--width", type=positive, default=8, help="of the maps (%(default)s)")
    parser.add_argument("--chunk", type=positive, default=32, help="pairs at a time (%(default)s)")
    parser.add_argument("--repeats", type=positive, default=3, help="rounds (%(default)s)")
    parser.add_argument("--threads", type=positive, help="by default as many as torch takes")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    asked = parser.parse_args()
    if asked.threads:
        torch.set_num_threads(asked.threads)
    told = measure(asked)
    print(json.dumps(told, indent=2) if asked.json else table(told))
    return 0


if __name__ == "__main__":
    run_door(main)
